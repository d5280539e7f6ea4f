"""MAT files of both kinds: what is read, compared with SciPy, and what is refused."""

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import golden_arrays
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule, Layout


def layout(column="x", **settings):
    channels = settings.pop("channels", (ChannelRule(column=column, name="II", unit="mV"),))
    return Layout(name="l", title="", source="mat", sample_rate_hz=100.0, channels=channels, **settings)


def samples(path, used):
    return open_recording(path, layout=used).signals[0].samples


TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_of_every_type_read_as_scipy_reads_them(tmp_path, dtype, is_packed):
    path = tmp_path / "r.mat"
    savemat(path, {"a": np.zeros(3), "x": np.arange(-20, 100).astype(dtype)}, do_compression=is_packed)
    np.testing.assert_array_equal(samples(path, layout()), loadmat(path)["x"][0].astype(np.float32))


def element(kind, data, order=">"):
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def big_endian_matrix(name, values, kind=6, flags=0, number_type=9):
    parts = element(6, struct.pack(">II", flags << 8 | kind, 0)) + element(5, struct.pack(">ii", 1, len(values)))
    return element(14, parts + element(1, name) + element(number_type, values.tobytes()))


def write_big_endian(path, *matrices):
    path.write_bytes(b"MATLAB 5.0".ljust(116) + bytes(8) + b"\x01\x00MI" + b"".join(matrices))
    return path


def test_the_other_order_of_bytes_reads_as_scipy_reads_it(tmp_path):
    path = write_big_endian(tmp_path / "r.mat", big_endian_matrix(b"x", np.arange(50).astype(">f8")))
    np.testing.assert_array_equal(loadmat(path)["x"][0], np.arange(50.0))
    np.testing.assert_array_equal(samples(path, layout()), np.arange(50.0))


def test_small_whole_numbers_of_a_double_are_read_as_stored(tmp_path):
    values = np.arange(50).astype("u1")  # MATLAB packs doubles that are whole into bytes
    path = write_big_endian(tmp_path / "r.mat", big_endian_matrix(b"x", values, number_type=2))
    np.testing.assert_array_equal(samples(path, layout()), np.arange(50.0))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros(9, complex), "variable x: found 'complex numbers'"),
        (np.zeros(9) > 0, "variable x: found 'truth values'"),
        ("Jane Doe", "variable x: found 'text'"),
        (np.zeros((0, 0)), "variable x: found 'no numbers', expected samples"),
        (np.array([[1.0, 2.0]], object), "variable x: found 'a cell'"),
        ({"y": 1.0}, "variable x: found 'a structure'"),
        (np.zeros((3, 9)), "channel II: found 'shape 3 x 9', expected one line of samples; say with axis_index"),
    ],
)
def test_what_is_no_line_of_real_numbers_is_told_by_kind(tmp_path, value, says):
    savemat(tmp_path / "r.mat", {"x": value})
    with pytest.raises(SourceError) as error:
        open_recording(tmp_path / "r.mat", layout=layout())
    assert says in str(error.value)
    assert "Jane" not in str(error.value)


def test_sparse_matrices_and_objects_do_not_keep_other_variables_from_being_read(tmp_path):
    from scipy.sparse import csc_array

    savemat(tmp_path / "r.mat", {"odd": csc_array(np.eye(4)), "x": np.arange(50.0)})
    np.testing.assert_array_equal(samples(tmp_path / "r.mat", layout()), np.arange(50.0))
    with pytest.raises(SourceError, match="variable odd: class: found 'a sparse matrix'"):
        open_recording(tmp_path / "r.mat", layout=layout("odd"))


def test_fields_of_structures_within_structures_are_channels(tmp_path):
    savemat(tmp_path / "r.mat", {"data": {"ecg": {"v": np.arange(300.0)[:, None]}, "who": "p7"}})
    used = layout("data/ecg/v", subject_column="data/who")
    recording = open_recording(tmp_path / "r.mat", layout=used)
    assert recording.subject_id == "p7"
    np.testing.assert_array_equal(recording.signals[0].samples, np.arange(300.0))


@pytest.mark.parametrize("name", ["mimic_perform_af", "mimic_perform_train_a"])
def test_mimic_perform_in_matlab_form_is_known_by_its_variables(tmp_path, name):
    golden_arrays.write_mimic_perform_mat(tmp_path, name)
    found = find_recordings(tmp_path, layout="mimic-perform-mat")
    assert [(f.recording_id, f.subject_id, f.duration_s) for f in found] == [
        (f"{name}_data/{i:04d}", str(40_000 + i), 10.0) for i in range(3)
    ]
    assert [f.recording_id for f in find_recordings(tmp_path)] == [f.recording_id for f in found]
    ppg, ecg = open_recording(found[1].path).signals
    np.testing.assert_allclose([ppg.samples, ecg.samples], golden_arrays.waves(2, 1250, 1), rtol=1e-6)


def test_a_subset_of_pulsedb_is_known_by_its_variables_and_names_patients(tmp_path):
    path = golden_arrays.write_pulsedb_subset(tmp_path)
    found = find_recordings(tmp_path)
    assert [(f.recording_id, f.subject_id) for f in found] == [
        (f"VitalDB_Train_Subset/{i:04d}", f"p00016{i}_0") for i in range(3)
    ]
    recording = open_recording(path / "0002", start_s=2.0, duration_s=3.0)
    assert [(s.name, s.kind, s.unit) for s in recording.signals] == [
        ("ECG", "ecg", "NU"),
        ("PPG", "ppg", "NU"),
        ("ABP", "abp", "mmHg"),
    ]
    np.testing.assert_allclose(
        [s.samples for s in recording.signals], np.stack(golden_arrays.waves(3, 1250, 2))[:, 250:625], rtol=1e-6
    )


@pytest.mark.parametrize("write", [golden_arrays.write_pulsedb, golden_arrays.write_kachuee])
def test_archives_are_known_by_their_variables_and_listed_with_a_problem_where_cut(tmp_path, write):
    path = write(tmp_path)
    assert [f.problem for f in find_recordings(tmp_path)] == [None] * 3
    path.write_bytes(path.read_bytes()[:3000])
    (found,) = find_recordings(tmp_path)
    assert "a file that is cut short" in found.problem


def test_a_patient_with_a_single_window_is_a_structure_and_no_table(tmp_path):
    def fill(file):
        group = file.create_group("Subj_Wins")
        for seed, field in enumerate(("PPG_Raw", "ECG_Raw", "ABP_Raw")):
            group[field] = golden_arrays.waves(1, 1250, seed)[0][None]
            group[field].attrs["MATLAB_class"] = np.bytes_("double")
        group["SubjectID"] = np.frombuffer("p000160".encode("utf-16-le"), np.uint16)[:, None]
        group["SubjectID"].attrs["MATLAB_class"] = np.bytes_("char")

    path = golden_arrays.write_mat_73(tmp_path / "p000160.mat", fill)
    (found,) = find_recordings(tmp_path)
    assert (found.path, found.subject_id, found.duration_s) == (path / "0000", "p000160", 10.0)


def test_copies_of_the_uci_set_call_the_variable_p(tmp_path):
    cells = np.empty((1, 3), object)
    cells[0, :] = golden_arrays.cells()
    savemat(tmp_path / "part_7.mat", {"p": cells})
    assert [f.duration_s for f in find_recordings(tmp_path)] == [8.0, 10.0, 12.0]


def test_an_entry_that_is_empty_is_listed_with_its_problem_and_no_other_is_lost(tmp_path):
    cells = np.empty((1, 3), object)
    cells[0, :] = [golden_arrays.cells()[0], np.zeros((0, 0)), golden_arrays.cells()[2]]
    savemat(tmp_path / "Part_1.mat", {"Part_1": cells})
    found = find_recordings(tmp_path, layout="kachuee-uci")
    assert [f.problem is None for f in found] == [True, False, True]
    assert "variable Part_1, cell 1: found 'no numbers'" in found[1].problem


def mat73(folder, values, **attributes):
    def fill(file):
        data = file.create_dataset("x", data=values)
        for name, value in attributes.items():
            data.attrs[name] = value

    return golden_arrays.write_mat_73(folder / "r.mat", fill)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"MATLAB_class": np.bytes_("char")}, "variable x: found 'class char'"),
        ({"MATLAB_class": np.bytes_("logical")}, "variable x: found 'class logical'"),
        ({"MATLAB_class": np.bytes_("double"), "MATLAB_empty": np.uint8(1)}, "variable x: found 'no numbers'"),
    ],
)
def test_what_the_class_of_matlab_says_is_no_number_is_refused(tmp_path, attributes, says):
    path = mat73(tmp_path, np.arange(60, dtype="u2")[None], **attributes)
    with pytest.raises(SourceError) as error:
        open_recording(path, layout=layout())
    assert says in str(error.value)


def test_an_item_of_a_large_packed_variable_is_read_in_little_memory(tmp_path):
    rng = np.random.default_rng(0)
    cells = np.empty((1, 20), object)
    for i in range(20):
        cells[0, i] = rng.integers(0, 999, (3, 25_000)).astype("f8")  # 12 MB in all
    path = tmp_path / "Part_1.mat"
    savemat(path, {"Part_1": cells}, do_compression=True)
    tracemalloc.start()
    found = find_recordings(tmp_path, layout="kachuee-uci")
    last = open_recording(path / "0019", layout="kachuee-uci", start_s=100.0, duration_s=10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 20
    np.testing.assert_array_equal(last.signals[2].samples, cells[0, 19][2, 12_500:13_750])
    assert peak < 4_000_000


def packed_file(path, damage=lambda raw: raw):
    savemat(path, {"x": np.random.default_rng(0).normal(size=5000)}, do_compression=True)
    path.write_bytes(damage(path.read_bytes()))
    return path


def test_every_flipped_bit_of_a_packed_variable_is_noticed(tmp_path):
    path = packed_file(tmp_path / "r.mat")
    whole = path.read_bytes()
    for at in np.random.default_rng(1).integers(136, len(whole), 60):
        content = bytearray(whole)
        content[at] ^= 1 << int(at) % 8
        path.write_bytes(content)
        os.utime(path, ns=(0, int(at)))  # a file that is changed twice within a tick of its clock
        with pytest.raises(SourceError, match=r"r\.mat: variable"):
            open_recording(path, layout=layout())


def test_a_packed_variable_that_says_another_size_is_refused(tmp_path):
    def damage(raw):
        inside = bytearray(zlib.decompress(raw[136:]))
        inside[4:8] = struct.pack("<I", struct.unpack("<I", inside[4:8])[0] + 8)
        packed = zlib.compress(bytes(inside))
        return raw[:128] + struct.pack("<II", 15, len(packed)) + packed

    with pytest.raises(SourceError, match="variable x: found '40056 bytes', expected 40064 unfolded bytes"):
        open_recording(packed_file(tmp_path / "r.mat", damage), layout=layout())


def test_a_packed_variable_that_unfolds_to_gigabytes_is_refused_before_it_does(tmp_path):
    packer = zlib.compressobj(1)
    head = struct.pack("<IIIIIIIIiiII", 14, 2_000_000_048, 6, 8, 6, 0, 5, 8, 1, 250_000_000, 1 << 16 | 1, ord("x"))
    packed = packer.compress(head + struct.pack("<II", 9, 2_000_000_000) + bytes(10_000_000)) + packer.flush()
    head = b"MATLAB 5.0".ljust(116) + bytes(8) + b"\x00\x01IM" + struct.pack("<II", 15, len(packed))
    (tmp_path / "r.mat").write_bytes(head + packed)
    with pytest.raises(SourceError, match="variable x: size: found '2000000056 bytes', expected at most 200 times"):
        open_recording(tmp_path / "r.mat", layout=layout())


def test_two_variables_of_one_name_are_refused(tmp_path):
    matrix = big_endian_matrix(b"x", np.arange(50).astype(">f8"))
    path = write_big_endian(tmp_path / "r.mat", matrix, matrix)
    with pytest.raises(SourceError, match="variable x: found 'two of that name', expected one"):
        open_recording(path, layout=layout())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "header: found 'another file format'"),
        (bytes(200), "header: found 'another file format', expected a MAT file of version 5 to 7.3; MAT files of ver"),
        (b"MATLAB 5.0".ljust(124) + b"\x00\x02IM", "header: version: found '0200'"),
        (
            b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"\x0e\0\0\0\xff\xff\xff\x7f",
            "variables: size: found '2147483647",
        ),
        (
            b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"\x09\0\0\0\0\0\0\0",
            "variables: type: found 9, expected 14 or 15",
        ),
    ],
)
def test_what_is_no_mat_file_is_refused_by_field(tmp_path, content, says):
    (tmp_path / "r.mat").write_bytes(content)
    with pytest.raises(SourceError) as error:
        open_recording(tmp_path / "r.mat", layout=layout())
    assert says in str(error.value)


def test_without_a_layout_the_refusal_names_the_variables(tmp_path):
    savemat(tmp_path / "r.mat", {"ppg": np.arange(9.0), "abp": np.arange(9.0)})
    with pytest.raises(SourceError, match=r"arrays: found 'ppg, abp', expected a layout; say with --layout"):
        open_recording(tmp_path / "r.mat")


def test_the_entry_of_a_table_needs_items(tmp_path: Path):
    golden_arrays.write_mimic_perform_mat(tmp_path)
    with pytest.raises(SourceError, match="variable data: found '3 structures', expected one structure; write items"):
        open_recording(tmp_path / "mimic_perform_af_data.mat", layout=layout("data/ppg/v"))


@pytest.mark.parametrize("item", ["0003", "1", "-001", "00000", "0001.5", "x" * 500])
def test_an_item_that_is_not_there_is_refused_with_the_range(tmp_path, item):
    path = golden_arrays.write_kachuee(tmp_path, "5")
    with pytest.raises(SourceError, match=r"item: found .*, expected Part_1.mat/0000 to Part_1.mat/0002"):
        open_recording(path / item, layout="kachuee-uci")
