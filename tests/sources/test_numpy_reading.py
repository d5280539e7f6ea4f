"""NumPy files: shapes and types, damage, and nothing that runs."""

import io
import zipfile

import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule, Layout


def layout(*rules, **settings):
    rules = rules or (ChannelRule(column="", name="II", unit="mV"),)
    return Layout(name="l", title="", source="numpy", sample_rate_hz=100.0, channels=rules, **settings)


ROWS = [ChannelRule(column="", name=name, axis_index=i) for i, name in enumerate(("II", "V"))]


def refused(path, used):
    """The refusal, which a listing must show too."""
    with pytest.raises(SourceError) as error:
        open_recording(path, layout=used)
    (found,) = find_recordings(path.parent, layout=used)
    assert found.problem == str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "f2", "i1", ">i2", "<u4", ">u8"])
def test_numbers_of_every_type_are_read(tmp_path, dtype):
    np.save(tmp_path / "r.npy", np.arange(100).astype(dtype))
    (signal,) = open_recording(tmp_path / "r.npy", layout=layout()).signals
    np.testing.assert_array_equal(signal.samples, np.arange(100.0))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("samples_axis", "num_rows"), [(0, 2), (1, 2), (0, 30_000), (1, 30_000)])
def test_a_stretch_of_rows_or_columns_in_either_order(tmp_path, order, samples_axis, num_rows):
    values = np.arange(2.0 * num_rows).reshape(2, num_rows) if num_rows > 2 else np.arange(10.0).reshape(2, 5)
    stored = values if samples_axis else values.T
    np.save(tmp_path / "r.npy", np.asarray(stored, order=order))
    used = layout(*ROWS, samples_axis=samples_axis)
    signals = open_recording(tmp_path / "r.npy", layout=used, start_s=0.02, duration_s=200).signals
    np.testing.assert_array_equal([s.samples for s in signals], values[:, 2:20_002])


def test_a_stretch_reads_no_more_than_it_needs(tmp_path, monkeypatch):
    from qualityfm.sources.array_bytes import FileBytes

    np.save(tmp_path / "r.npy", np.zeros((2, 1_000_000)))
    read, sizes = FileBytes.read_at, []

    def counted(self, offset, size):
        sizes.append(size)
        return read(self, offset, size)

    monkeypatch.setattr(FileBytes, "read_at", counted)
    open_recording(tmp_path / "r.npy", layout=layout(ROWS[1]), start_s=5000.0, duration_s=1.0)
    assert sum(sizes) < 50_000


@pytest.mark.parametrize("pack", [np.savez, np.savez_compressed])
def test_a_flipped_bit_in_a_zipped_array_is_noticed_before_a_sample_is_handed_out(tmp_path, pack):
    path = tmp_path / "r.npz"
    pack(path, x=np.random.default_rng(0).normal(size=20_000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert "array x: found" in refused(path, layout(ChannelRule(column="x")))
    with pytest.raises(SourceError, match="array x"):
        open_recording(path, layout=layout(ChannelRule(column="x")), duration_s=1.0)


def test_stretches_of_a_deflated_array_are_those_of_the_array(tmp_path):
    values = np.random.default_rng(0).normal(size=2_000_000).astype(np.float32)  # several bookmarks long
    np.savez_compressed(tmp_path / "r.npz", x=values, y=values[:10])
    for start in (1_999_000, 1_000_000, 1_000_050, 0, 1_500_000):
        recording = open_recording(
            tmp_path / "r.npz", layout=layout(ChannelRule(column="x")), start_s=start / 100, duration_s=5
        )
        np.testing.assert_array_equal(recording.signals[0].samples, values[start : start + 500])


def header(shape="(100,)", descr="'<f8'", order="False", extra=""):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {extra}}}"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "array: header: found 'damaged bytes"),
        (b"\x93NUMPY\x09\x00" + header()[8:] + bytes(800), "array: header: found 'damaged bytes"),
        (header() + bytes(792), "array: size: found '792 bytes of numbers', expected 800"),
        (header() + bytes(808), "array: size: found '808 bytes of numbers', expected 800"),
        (header("(99999999999999999999,)") + bytes(800), "array: size: found '800 bytes of numbers'"),
        (header("(-100,)") + bytes(800), "array: header: found 'a shape or type without size'"),
        (header("(100L,)") + bytes(800), "array: header: found 'damaged bytes"),
        (header("(100.0,)") + bytes(800), "array: header: found 'damaged bytes"),
        (header(descr="'|O'") + bytes(800), "array: header: found 'Python objects'"),
        (header(descr="'<c16'") + bytes(1600), "array: found 'complex numbers'"),
        (header(descr="'|b1'") + bytes(100), "array: found 'truth values'"),
        (header(descr="'<M8[s]'") + bytes(800), "array: found 'datetime64[s]'"),
        (header(descr="'<f16'") + bytes(1600), "array: found 'float128'"),
        (header(descr="'<U2'") + bytes(800), "array: found 'text'"),
        (header(order="__import__('os')") + bytes(800), "array: header: found 'damaged bytes"),
        (header(extra="'x': " + "[" * 3000) + bytes(800), "array: header: found 'damaged bytes"),
        (header("(0,)"), "array: found 'no numbers'"),
        (header("()") + bytes(8), "found 'shape of a single number'"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(tmp_path, content, says):
    (tmp_path / "r.npy").write_bytes(content)
    assert says in refused(tmp_path / "r.npy", layout())


def zipped(path, members, packing=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def saved(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "packing", "says"),
    [
        ([("x.npy", saved(np.arange(9.0)))] * 2, zipfile.ZIP_STORED, "zip directory: found '2 files', expected 1"),
        ([("x.npy", b""), ("run.py", b"")], zipfile.ZIP_STORED, "zip directory: found '2 files', expected 1"),
        ([("x.npy", saved(np.arange(9.0)))], zipfile.ZIP_BZIP2, "array x: found 'another packing"),
        ([("x.npy", saved(np.arange(9.0))[:-1])], zipfile.ZIP_DEFLATED, "array x: size: found '71 bytes of numbers'"),
        ([("y.npy", saved(np.arange(9.0)))], zipfile.ZIP_STORED, "channel x: found 'y', expected an array 'x'"),
    ],
)
def test_a_zip_file_that_numpy_did_not_write_is_refused(tmp_path, members, packing, says):
    path = zipped(tmp_path / "r.npz", members, packing)
    assert says in refused(path, layout(ChannelRule(column="x")))


def test_an_array_of_a_zip_file_is_not_mistaken_for_a_part_of_another(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, x=np.arange(100.0), y=np.arange(100.0) + 5)
    (signal,) = open_recording(path, layout=layout(ChannelRule(column="y"))).signals
    assert signal.samples[0] == 5


def test_a_plain_array_has_no_names(tmp_path):
    np.save(tmp_path / "r.npy", np.arange(100.0))
    message = refused(tmp_path / "r.npy", layout(ChannelRule(column="ppg"), ChannelRule(column="abp")))
    assert "channel ppg: found 'nothing', expected an array 'ppg'" in message


def test_a_channel_without_a_name_is_refused(tmp_path):
    np.save(tmp_path / "r.npy", np.arange(100.0))
    assert "found 'no name', expected a name in the layout" in refused(
        tmp_path / "r.npy", layout(ChannelRule(column=""))
    )


@pytest.mark.parametrize("who", ["p7", b"p7", np.str_("p7")])
def test_the_patient_is_a_text_in_the_file(tmp_path, who):
    np.savez(tmp_path / "r.npz", x=np.arange(9.0), who=who)
    used = layout(ChannelRule(column="x"), subject_column="who")
    assert open_recording(tmp_path / "r.npz", layout=used).subject_id == "p7"
