"""HDF5, MAT and NumPy files: what is read, and what is refused."""

import io
import pickle
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import golden_arrays
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from qualityfm.errors import QualityFMError, SourceError
from qualityfm.sources import find_recordings, open_recording, read_layout
from qualityfm.sources.layout import ChannelRule, Layout

ONE = Layout(name="one", title="", source="hdf5", sample_rate_hz=100.0, channels=(ChannelRule(column="II", unit="uV"),))
LINE = np.arange(500, dtype=np.int16)


def as_of(layout, source, **changes):
    return replace(layout, source=source, **changes)


def rule(**changes):
    return (replace(ONE.channels[0], **changes),)


def write_line(source, folder, values=LINE, name="r"):
    """Write one array under the name II."""
    path = folder / f"{name}.{ {'hdf5': 'h5', 'mat': 'mat', 'numpy': 'npz'}[source] }"
    if source == "hdf5":
        with h5py.File(path, "w") as file:
            file["II"] = values
    elif source == "mat":
        savemat(path, {"II": values})
    else:
        np.savez_compressed(path, II=values)
    return path


def refusal_of(path, layout):
    """Open a recording; return what it was refused with, nothing where it was read."""
    try:
        open_recording(path, layout=layout)
    except QualityFMError as error:
        return str(error)
    return ""


SOURCES = pytest.mark.parametrize("source", ["hdf5", "mat", "numpy"])


@SOURCES
def test_integers_become_physical_values_in_the_canonical_unit(source, tmp_path):
    layout = as_of(ONE, source, channels=rule(gain=2.0, offset=10.0), missing=(3.0,))
    (signal,) = open_recording(write_line(source, tmp_path), layout=layout).signals
    assert (signal.name, signal.kind, signal.unit, signal.sample_rate_hz) == ("II", "ecg", "mV", 100.0)
    np.testing.assert_allclose(signal.samples[:3], np.array([10.0, 12.0, 14.0]) / 1000)
    assert np.isnan(signal.samples[3])


@SOURCES
def test_a_channel_is_a_row_or_a_column_as_the_layout_says(source, tmp_path):
    both = np.stack([LINE, LINE * 10]).astype(float)
    layout = as_of(ONE, source, channels=rule(unit="mV", axis_index=1))
    by_row = open_recording(write_line(source, tmp_path, both), layout=layout)
    by_column = open_recording(write_line(source, tmp_path, both.T), layout=replace(layout, samples_axis=0))
    for recording in (by_row, by_column):
        np.testing.assert_array_equal(recording.signals[0].samples, LINE * 10)


@SOURCES
def test_an_array_that_lies_the_other_way_is_refused(source, tmp_path):
    layout = as_of(ONE, source, channels=rule(axis_index=0))
    path = write_line(source, tmp_path, np.zeros((500, 2)))
    with pytest.raises(SourceError, match=r"channel II: samples: found 2, .*samples_axis"):
        open_recording(path, layout=layout)


@SOURCES
@pytest.mark.parametrize("values", [np.zeros(5, complex), np.array(["a", "b"]), np.zeros((4, 5, 6)), np.zeros((2, 0))])
def test_what_is_no_line_of_real_numbers_is_refused(source, tmp_path, values):
    if source == "hdf5" and values.dtype.kind == "U":
        values = values.astype("S1")
    with pytest.raises(SourceError, match=r"r\.(h5|mat|npz): .*: found"):
        open_recording(write_line(source, tmp_path, values), layout=as_of(ONE, source))


@SOURCES
def test_a_missing_array_is_refused_by_name_and_an_optional_one_left_out(source, tmp_path):
    path = write_line(source, tmp_path)
    with pytest.raises(SourceError, match="V5"):
        open_recording(path, layout=as_of(ONE, source, channels=(*ONE.channels, ChannelRule(column="V5"))))
    optional = (*ONE.channels, ChannelRule(column="V5", is_optional=True))
    assert len(open_recording(path, layout=as_of(ONE, source, channels=optional)).signals) == 1


@SOURCES
def test_channels_of_unequal_length_are_refused_for_one_rate_is_wrong(source, recording, tmp_path):
    layout = golden_arrays.LAYOUTS[source](recording)
    wrong = tuple(replace(c, sample_rate_hz=250.0) for c in layout.channels)
    with pytest.raises(SourceError, match="sample_rate_hz: found 'II 20 s, PLETH 10 s"):
        open_recording(golden_arrays.WRITERS[source](recording, tmp_path), layout=replace(layout, channels=wrong))


@SOURCES
def test_without_a_layout_a_file_is_no_recording_and_opening_it_says_what_to_do(source, recording, tmp_path):
    path = golden_arrays.WRITERS[source](recording, tmp_path)
    assert find_recordings(tmp_path) == []
    with pytest.raises(SourceError, match="--layout"):
        open_recording(path)


@pytest.mark.parametrize("source", ["hdf5", "numpy"])
def test_rows_are_recordings_where_the_layout_says_so(source, tmp_path):
    path = write_line(source, tmp_path, np.stack([LINE, LINE + 7]))
    layout = as_of(ONE, source, items="rows", channels=rule(unit="mV"))
    found = find_recordings(tmp_path, layout=layout)
    assert [f.recording_id for f in found] == ["r/0000", "r/0001"]
    second = open_recording(path / "0001", layout=layout, start_s=1.0, duration_s=2.0)
    np.testing.assert_array_equal(second.signals[0].samples, LINE[100:300] + 7)
    with pytest.raises(SourceError, match="item: found '0002'"):
        open_recording(path / "0002", layout=layout)
    with pytest.raises(SourceError, match="item: found None"):
        open_recording(path, layout=layout)


def test_groups_of_an_hdf5_file_are_recordings_with_subjects(tmp_path):
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for name in ("b", "a"):
            file[f"patients/{name}/ecg/II"] = LINE
            file[f"patients/{name}"].attrs["mrn"] = f"m{name}"
    layout = as_of(ONE, "hdf5", items="patients", subject_column="mrn", channels=rule(column="ecg/II", name="II"))
    found = find_recordings(tmp_path, layout=layout)
    assert [(f.recording_id, f.subject_id, f.duration_s) for f in found] == [("all/a", "ma", 5.0), ("all/b", "mb", 5.0)]
    assert open_recording(found[1].path, layout=layout).subject_id == "mb"


def test_a_stretch_of_a_memory_mapped_array_reads_no_more(tmp_path):
    np.save(tmp_path / "r.npy", LINE)
    layout = as_of(ONE, "numpy", channels=rule(unit="mV"))
    (signal,) = open_recording(tmp_path / "r", layout=layout, start_s=1.0, duration_s=0.5).signals
    np.testing.assert_array_equal(signal.samples, LINE[100:150])


def test_fields_of_a_structured_array_are_channels(tmp_path):
    np.save(tmp_path / "r.npy", np.array([(1.0, 2), (3.0, 4)], [("II", "f8"), ("n", "i4")]))
    (signal,) = open_recording(tmp_path / "r", layout=as_of(ONE, "numpy", channels=rule(unit="mV"))).signals
    assert signal.samples.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("version", ["7.3", "5"])
def test_cells_of_the_uci_set_are_recordings_without_patients(version, tmp_path):
    golden_arrays.write_kachuee(tmp_path, version)
    layout = read_layout("kachuee-uci")
    found = find_recordings(tmp_path, layout=layout)
    assert [(f.recording_id, f.subject_id, f.is_item) for f in found] == [
        (f"Part_1/{i:04d}", None, True) for i in range(3)
    ]
    assert [f.duration_s for f in found] == [8.0, 10.0, 12.0]
    recording = open_recording(found[2].path, layout=layout)
    assert [(s.name, s.kind) for s in recording.signals] == [("PPG", "ppg"), ("ABP", "abp"), ("ECG", "ecg")]
    for signal, expected in zip(recording.signals, golden_arrays.cells()[2], strict=True):
        np.testing.assert_allclose(signal.samples, expected, rtol=1e-6)


def test_windows_of_pulsedb_are_recordings_of_the_patient_in_the_name(tmp_path):
    golden_arrays.write_pulsedb(tmp_path)
    found = find_recordings(tmp_path, layout="pulsedb")
    assert [(f.recording_id, f.subject_id, f.duration_s) for f in found] == [
        (f"p000160/{i:04d}", "p000160", 10.0) for i in range(3)
    ]
    recording = open_recording(found[1].path, layout="pulsedb")
    np.testing.assert_allclose(recording.signals[0].samples, golden_arrays.waves(3, 1250, 0)[1], rtol=1e-6)
    by_field = replace(read_layout("pulsedb"), subject="", subject_column="SubjectID")
    assert open_recording(found[1].path, layout=by_field).subject_id == "p000160"


def test_a_shipped_pulsedb_archive_is_prepared_by_patient(tmp_path):
    from qualityfm.prepare import prepare
    from qualityfm.segments import SegmentConfig
    from qualityfm.shards import ShardReader

    (tmp_path / "archive").mkdir()
    golden_arrays.write_pulsedb(tmp_path / "archive")
    config = SegmentConfig(segment_s=10.0, step_s=10.0)
    prepare(tmp_path / "archive", tmp_path / "out", config=config, layout=read_layout("pulsedb"))
    assert set(ShardReader(tmp_path / "out").rows["subject_id"]) == {"p000160"}


# What a hostile file may try.


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["II"] = LINE
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["II"] = h5py.ExternalLink("other.h5", "/II")
    with pytest.raises(SourceError, match="ExternalLink"):
        open_recording(tmp_path / "r.h5", layout=ONE)


def test_virtual_and_external_data_sets_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["II"] = LINE
    layout = h5py.VirtualLayout((500,), "i2")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "II", (500,))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("II", layout)
    (tmp_path / "secret.bin").write_bytes(LINE.tobytes())
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("II", (500,), "i2", external=[(str(tmp_path / "secret.bin"), 0, 1000)])
    for name in ("virtual", "external"):
        with pytest.raises(SourceError, match="numbers that lie in other files"):
            open_recording(tmp_path / f"{name}.h5", layout=ONE)


def test_a_data_set_that_announces_gigabytes_is_refused_before_it_is_read(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.create_dataset("II", (200_000_000,), "f8", chunks=(1000,), compression="gzip")
    with pytest.raises(SourceError, match="1600000000 bytes announced, 0 stored"):
        open_recording(tmp_path / "r.h5", layout=ONE)


def test_a_chunk_of_gigabytes_is_refused(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        dataset = file.create_dataset("II", (60_000_000,), "f8", chunks=(60_000_000,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(480_000_000), 1))
    with pytest.raises(SourceError, match="chunk: found 480000000"):
        open_recording(tmp_path / "r.h5", layout=ONE)


def test_pickled_objects_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    np.save(tmp_path / "r.npy", np.array([Bomb()], object), allow_pickle=True)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Bomb()))
    np.savez(tmp_path / "z.npz", II=np.array([Bomb()], object))
    for name in ("r.npy", "p.npy", "z.npz"):
        with pytest.raises(SourceError, match=name):
            open_recording(tmp_path / name, layout=as_of(ONE, "numpy"))
    assert not (tmp_path / "ran").exists()


def test_an_array_that_announces_more_than_the_file_holds_is_refused(tmp_path):
    stream = io.BytesIO()
    np.save(stream, LINE)
    (tmp_path / "r.npy").write_bytes(stream.getvalue().replace(b"(500,)", b"(9999999999,)"))
    with pytest.raises(SourceError, match="array"):
        open_recording(tmp_path / "r.npy", layout=as_of(ONE, "numpy"))


def test_a_packed_array_of_gigabytes_is_refused(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (200_000_000,)})
    with zipfile.ZipFile(tmp_path / "r.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("II.npy", stream.getvalue() + bytes(1_200_000))
    content = bytearray((tmp_path / "r.npz").read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (1_600_000_128).to_bytes(4, "little")
    (tmp_path / "r.npz").write_bytes(bytes(content))
    with pytest.raises(SourceError, match="array II: bytes"):
        open_recording(tmp_path / "r.npz", layout=as_of(ONE, "numpy"))


@pytest.mark.parametrize("count", [10_000, 2**31 - 1])
def test_cells_that_are_announced_and_not_there_are_refused(count, tmp_path):
    golden_arrays.write_kachuee(tmp_path, "5")
    path = tmp_path / "Part_1.mat"
    packed = np.empty((1, 3), object)
    packed[:] = [[np.zeros(3)] * 3]
    savemat(path, {"Part_1": packed})
    content = path.read_bytes()
    sizes = np.array([1, 3], "<i4").tobytes()
    path.write_bytes(content.replace(sizes, np.array([1, count], "<i4").tobytes(), 1))
    with pytest.raises(SourceError, match="matrix"):
        open_recording(path / "0000", layout="kachuee-uci")


def test_a_packed_variable_beyond_the_budget_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("qualityfm.sources.mat_five.MAX_UNPACKED_BYTES", 10_000)
    savemat(tmp_path / "r.mat", {"II": np.zeros(100_000)}, do_compression=True)
    with pytest.raises(SourceError, match="II: bytes: found 'more than 10000'"):
        open_recording(tmp_path / "r.mat", layout=as_of(ONE, "mat"))


@SOURCES
def test_pipes_and_links_out_of_the_folder_are_refused(source, tmp_path):
    import os

    inside = tmp_path / "inside"
    inside.mkdir()
    target = write_line(source, tmp_path)
    (inside / target.name).symlink_to(target)
    os.mkfifo(inside / f"pipe{target.suffix}")
    for name in (target.name, f"pipe{target.suffix}"):
        with pytest.raises(SourceError, match=r"file: found '(a link out of the folder|no regular file)'"):
            open_recording(inside / name, layout=as_of(ONE, source))


@SOURCES
def test_damaged_bytes_are_read_or_refused_by_file_and_field(source, recording, tmp_path):
    path = golden_arrays.WRITERS[source](recording, tmp_path)
    layout, whole = golden_arrays.LAYOUTS[source](recording), path.read_bytes()
    rng = np.random.default_rng(3)
    num_refused = 0
    for _ in range(250):
        content = bytearray(whole)
        for at in rng.integers(0, min(len(content), 3000), rng.integers(1, 4)):
            content[at] = rng.integers(256)
        path.write_bytes(content[: rng.integers(1, len(content))] if rng.random() < 0.2 else content)
        refused = refusal_of(path, layout)
        num_refused += bool(refused)
        assert not refused or (path.name in refused and "found" in refused)
    assert num_refused > 20
