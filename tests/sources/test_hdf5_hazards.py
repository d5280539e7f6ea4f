"""HDF5 files that lead elsewhere, lack parts, or unfold without end."""

import os
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule, Layout

LAYOUT = Layout(
    name="lab", title="", source="hdf5", sample_rate_hz=100.0, channels=(ChannelRule(column="g/II", unit="mV"),)
)
LINE = np.arange(500.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive" / "r.h5"


@pytest.fixture
def file(path):
    path.parent.mkdir()
    with h5py.File(path, "w") as opened:
        yield opened


def refused(path, layout=LAYOUT):
    """The refusal, which a listing must show too."""
    with pytest.raises(SourceError) as error:
        open_recording(path, layout=layout)
    (found,) = find_recordings(path.parent, layout=layout)
    assert (found.problem, found.duration_s, found.channels) == (str(error.value), 0.0, ())
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_soft_links_inside_the_file_are_followed(file, path):
    file["g/here"] = LINE
    file["g/II"] = h5py.SoftLink("there")
    file["g/there"] = h5py.SoftLink("/g/here")
    file.close()
    np.testing.assert_array_equal(open_recording(path, layout=LAYOUT).signals[0].samples, LINE)


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (h5py.SoftLink("/g/II"), "link II: found 'a circle of links'"),
        (h5py.SoftLink("/g/nothing"), "channel g/II: found"),
        (h5py.SoftLink("/out/II"), "link out: found 'a link to another file'"),
        (h5py.ExternalLink("/etc/passwd", "/g"), "link II: found 'a link to another file'"),
    ],
)
def test_links_that_lead_nowhere_or_elsewhere_are_refused(file, path, link, says):
    file["g/II"] = link
    file["out"] = h5py.ExternalLink("other.h5", "/")
    file.close()
    assert says in refused(path)


def test_a_virtual_data_set_is_refused_before_its_sources_are_opened(file, path, tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")  # would block for ever
    layout = h5py.VirtualLayout((500,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "pipe.h5"), "x", (500,))
    file.create_group("g").create_virtual_dataset("II", layout)
    file.close()
    assert "numbers that lie in other files" in refused(path)


def test_chunks_that_were_never_written_are_not_taken_for_samples(file, path):
    data = file.create_dataset("g/II", (5000,), "f8", chunks=(1000,), compression="gzip")
    data[:2000] = 1
    file.close()
    assert "data set /g/II: chunks: found 2, expected 5" in refused(path)


def test_chunks_that_were_never_written_are_missing_samples_where_the_file_says_so(file, path):
    data = file.create_dataset("g/II", (5000,), "f8", chunks=(1000,), fillvalue=np.nan)
    data[:2000] = 1
    file.close()
    (signal,) = open_recording(path, layout=LAYOUT).signals
    assert np.isnan(signal.samples).sum() == 3000


def test_numbers_that_were_never_written_are_not_taken_for_samples(file, path):
    file.create_dataset("g/II", (200_000_000,), "f8")
    file.close()
    assert "data set /g/II: size: found '0 bytes in the file', expected 1600000000" in refused(path)


def test_a_chunk_that_unfolds_to_gigabytes_is_refused_before_it_does(file, path):
    data = file.create_dataset("g/II", (1000,), "f8", chunks=(1000,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(100_000_000), 1))
    file.close()
    tracemalloc.start()
    message = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "chunk size: found 'more than 8000 bytes unpacked'" in message
    assert peak < 20_000_000


def test_a_dead_channel_may_compress_as_far_as_it_can(file, path):
    file.create_dataset("g/II", data=np.zeros(1_000_000), compression="gzip", compression_opts=9)
    file.close()
    assert open_recording(path, layout=LAYOUT).duration_s == 10_000


def test_a_filter_that_is_a_plug_in_is_refused(file, path):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((500,))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    group = file.create_group("g")
    h5py.h5d.create(group.id, b"II", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((500,)), plist)
    file.close()
    assert "data set /g/II: filter: found 'number 32015'" in refused(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros(9, "c16"), "complex numbers"),
        (np.zeros(9, bool), "truth values"),
        (np.zeros(9, [("a", "f8")]), "structures"),
        (np.array([b"x"] * 9), "text"),
        (np.array(["Jane Doe"] * 9, h5py.string_dtype()), "objects"),
        (np.float64(3), "shape of a single number"),
        (h5py.Empty("f8"), "no shape"),
        (np.zeros((3, 9)), "shape 3 x 9"),
    ],
)
def test_what_is_no_line_of_real_numbers_is_told_by_kind(file, path, values, says):
    file["g/II"] = values
    file.close()
    message = refused(path)
    assert says in message
    assert "Jane" not in message


def test_a_group_or_a_named_type_is_no_channel(file, path):
    file["g/II/x"] = LINE
    file["g/type"] = np.dtype("f8")
    file.close()
    assert "group /g/II: found 'a group'" in refused(path)
    other = Layout(
        name="l", title="", source="hdf5", sample_rate_hz=1.0, channels=(ChannelRule(column="g/type", name="II"),)
    )
    assert "a named type" in refused(path, other)


def test_without_a_layout_the_refusal_names_the_data_sets(file, path):
    file["g/II"] = LINE
    file["patients/a/ppg"] = LINE
    file.close()
    with pytest.raises(SourceError, match=r"found 'g/II, patients/a/ppg', expected a layout; say with --layout"):
        open_recording(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_called_so(file, path, share):
    file["g/II"] = np.random.default_rng(0).normal(size=5000)
    file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "file: found 'a file that is cut short'" in refused(path)


def test_only_the_chunks_of_a_stretch_are_unpacked(file, path):
    file.create_dataset("g/II", data=np.arange(10_000.0), chunks=(1000,), compression="gzip")
    file.close()
    content = bytearray(path.read_bytes())
    with h5py.File(path) as opened:
        info = opened["g/II"].id.get_chunk_info(5)
    content[info.byte_offset : info.byte_offset + info.size] = bytes(info.size)
    path.write_bytes(content)
    (signal,) = open_recording(path, layout=LAYOUT, start_s=10, duration_s=30).signals
    np.testing.assert_array_equal(signal.samples, np.arange(1000.0, 4000.0))
    with pytest.raises(SourceError, match="data set /g/II: found 'damaged bytes"):
        open_recording(path, layout=LAYOUT)


def test_a_flipped_bit_is_noticed_where_the_data_set_has_checksums(file, path):
    file.create_dataset("g/II", data=np.arange(1000.0), chunks=(1000,), fletcher32=True)
    file.close()
    with h5py.File(path) as opened:
        at = opened["g/II"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[at + 4000] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match="data set /g/II: found 'damaged bytes"):
        open_recording(path, layout=LAYOUT)


@pytest.mark.parametrize("where", ["attribute", "text", "number", "bytes"])
def test_the_patient_is_an_attribute_or_a_data_set(file, path, where):
    file["g/II"] = LINE
    if where == "attribute":
        file.attrs["who"] = "7"
    else:
        file["who"] = {"text": "7", "number": 7, "bytes": np.bytes_("7")}[where]
    file.close()
    layout = Layout(
        name="l", title="", source="hdf5", sample_rate_hz=100.0, subject_column="who", channels=LAYOUT.channels
    )
    assert open_recording(path, layout=layout).subject_id == "7"


@pytest.mark.parametrize("value", ["Jane Doe " * 40, "", np.arange(3), "Jane\nDoe", 1.5])
def test_a_patient_that_is_no_name_is_refused_without_repeating_it(file, path, value):
    file["g/II"] = LINE
    file["who"] = value
    file.close()
    layout = Layout(
        name="l", title="", source="hdf5", sample_rate_hz=100.0, subject_column="who", channels=LAYOUT.channels
    )
    message = refused(path, layout)
    assert "data set /who: found" in message
    assert "Jane" not in message
