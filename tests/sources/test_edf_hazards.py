"""EDF files that lie about themselves or about the disk, and thousands of damaged ones."""

import os
import random
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import golden_edf
import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.records import Recording
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.edf_decode import read_blocks
from qualityfm.sources.edf_header import read_header

EdfFile, counting, onsets, small = golden_edf.EdfFile, golden_edf.counting, golden_edf.onsets, golden_edf.small

#: Words of the golden headers and annotations that nobody else may see.
PRIVATE = ("Harry", "Haagse", "0234567", "MAY-1951", "PSG-1234", "coughs", "Telemetry")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("version", b"1", "version: found 'another file format'"),
        ("record_s", "0", r"record duration: found 0\.0, expected more than 0 s"),
        ("record_s", "-1", "record duration: found '-1', expected a number from 0"),
        ("record_s", "nan", "record duration: found '3 characters'"),
        ("record_s", "inf", "record duration: found '3 characters'"),
        ("record_s", "1,25", "record duration: found '1,25'"),
        ("record_s", "1e-9", "signal 0: samples per record: found '10 in 1e-09 s'"),
        ("record_s", "", "record duration: found ''"),
        ("num_records", "0", "number of records: found 0, expected at least one"),
        ("num_records", "-2", "number of records: found '-2'"),
        ("num_records", "4.0", r"number of records: found '4\.0'"),
        ("num_records", "3", "size: found '4 data records', expected 3, as announced"),
        ("num_records", "1", "size: found '4 data records', expected 1, as announced"),
        ("num_signals", "0", "number of signals: found '0'"),
        ("num_signals", "-1", "number of signals: found '-1'"),
        ("num_signals", "9999", "size: found '1160 bytes', expected a header of 2560000 bytes"),
        ("num_signals", "2", "number of header bytes: found 1024, expected 768"),
        ("header_bytes", "256", "number of header bytes: found 256, expected 1024"),
        ("reserved", "EDF+D", "reserved: found 'discontinuous, without annotations'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = replace(small(), **{field: value}).write(tmp_path / "r1.edf")
    with pytest.raises(SourceError, match=message):
        open_recording(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("per_record", "0", "samples per record: found '0', expected a whole number from 1"),
        ("per_record", "-10", "samples per record: found '-10'"),
        ("per_record", "1e1", "samples per record: found '1e1'"),
        ("per_record", "99999999", r"samples per record: found '99999999 in 1 s'"),
        ("physical_min", "3.2767", r"physical maximum: found 3\.2767, expected another value"),
        ("physical_min", "3.27670", r"physical maximum: found 3\.2767, expected another value"),
        ("physical_min", "nan", "physical minimum: found '3 characters'"),
        ("physical_max", "1e308", "physical maximum: found '1e308'"),
        ("physical_max", "", "physical maximum: found ''"),
        ("physical_max", "3,2767", "physical maximum: found '3,2767'"),
        ("physical_max", "Harry", "physical maximum: found '5 characters'"),
        ("digital_min", "32767", "digital maximum: found 32767, expected more than the minimum"),
        ("digital_min", "-32769", "digital minimum: found '-32769'"),
        ("digital_max", "32768", "digital maximum: found '32768'"),
        ("digital_max", "1.5", r"digital maximum: found '1\.5'"),
        ("digital_max", "\u00b2", "digital maximum: found '1 characters'"),
    ],
)
def test_a_wrong_field_of_a_signal_is_named_with_the_signal(
    tmp_path: Path, field: str, value: str, message: str
) -> None:
    lines = [counting(), replace(counting(label="EKG"), **{field: value})]
    path = EdfFile(lines=lines).write(tmp_path / "r1.edf")
    with pytest.raises(SourceError, match=f"r1.edf: signal 1: {message}"):
        open_recording(path)
    assert "signal 1" in str(find_recordings(tmp_path)[0].problem)


@pytest.mark.parametrize("num_bytes", [1, 34, 101])
def test_a_file_cut_short_is_read_as_far_as_its_whole_records_go(tmp_path: Path, num_bytes: int) -> None:
    path = small().write(tmp_path / "r1.edf")
    expected = open_recording(path)
    path.write_bytes(path.read_bytes()[:-num_bytes])
    recording = open_recording(path)
    num_lost = -(-num_bytes // 34)
    assert recording.repairs == ("cut-file",)
    assert recording.notes == (f"number of records: 4 announced, {4 - num_lost} are there whole and are read",)
    for signal, reference in zip(recording.signals, expected.signals, strict=True):
        np.testing.assert_array_equal(signal.samples, reference.samples[: len(signal.samples)])
        assert signal.duration_s == 4 - num_lost


def test_a_file_without_one_whole_record_is_refused(tmp_path: Path) -> None:
    path = small().write(tmp_path / "r1.edf")
    path.write_bytes(path.read_bytes()[: 1024 + 33])
    with pytest.raises(SourceError, match="number of records: found 'not one whole record in the file'"):
        open_recording(path)


@pytest.mark.parametrize("num_bytes", [0, 5, 255, 256, 500])
def test_a_header_cut_short_is_refused(tmp_path: Path, num_bytes: int) -> None:
    path = small().write(tmp_path / "r1.edf")
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(SourceError, match=f"size: found '{num_bytes} bytes', expected a header of"):
        open_recording(path)


@pytest.mark.parametrize(
    ("changes", "repair"),
    [
        ({"num_records": "-1"}, "unknown-length"),
        ({"num_records": "-1", "tail": bytes(20)}, "unknown-length"),
        ({"num_records": "99999999"}, "cut-file"),
        ({"tail": bytes(20)}, "bytes-left-over"),
        ({"record_s": "1\0\0\0"}, "nul-padding"),
        ({"record_s": "       1"}, "right-justified"),
    ],
)
def test_what_is_mended_is_named(tmp_path: Path, changes: dict[str, object], repair: str) -> None:
    recording = open_recording(replace(small(), **changes).write(tmp_path / "r1.edf"))
    assert (recording.repairs, recording.duration_s) == ((repair,), 4.0)
    assert len(recording.notes) == 1


@pytest.mark.parametrize(
    ("unit", "shown", "repair"), [(" V", "mV", "right-justified"), ("\0V", "?V", "unprintable-text")]
)
def test_a_unit_that_may_have_lost_its_first_letter_is_not_believed_silently(
    tmp_path: Path, unit: str, shown: str, repair: str
) -> None:
    recording = open_recording(EdfFile(lines=[replace(counting(), unit=unit)]).write(tmp_path / "r1.edf"))
    assert (recording.signals[0].unit, recording.repairs) == (shown, (repair,))


def test_a_label_that_cannot_be_printed_is_shown_with_question_marks(tmp_path: Path) -> None:
    recording = open_recording(EdfFile(lines=[counting(label="EC\nG\x07")]).write(tmp_path / "r1.edf"))
    assert (recording.signals[0].name, recording.repairs) == ("EC?G?", ("unprintable-text",))


def test_a_signal_without_a_label_is_numbered(tmp_path: Path) -> None:
    recording = open_recording(EdfFile(lines=[counting(), counting(label="")]).write(tmp_path / "r1.edf"))
    assert [s.name for s in recording.signals] == ["ECG II", "channel 2"]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, 1, 0.5, 2], r"record 2: time: found '0\.5 s', expected 2 s or later"),
        ([0, 1, 2, 99_999_999], "record 3: time: found .*expected at most"),
    ],
)
def test_times_of_records_that_cannot_be_are_refused(tmp_path: Path, times: list[float], message: str) -> None:
    path = EdfFile(lines=[counting(), onsets(times)], reserved="EDF+D").write(tmp_path / "r1.edf")
    with pytest.raises(SourceError, match=message):
        open_recording(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [(b"\0" * 20, "nothing"), (b"Haagse Harry\x14\x14\0", "12 characters"), (b"+1e5\x14\x14\0", r"\+1e5")],
)
def test_a_record_without_a_time_is_refused_without_its_text(tmp_path: Path, text: bytes, found: str) -> None:
    good = onsets([0, 1, 2, 3])
    line = replace(good, texts=(*good.texts[:3], text.ljust(len(good.texts[3]), b"\0")))
    path = EdfFile(lines=[counting(), line], reserved="EDF+D").write(tmp_path / "r1.edf")
    with pytest.raises(SourceError, match=f"record 3: time: found '{found}'"):
        open_recording(path)


def test_a_gap_of_months_costs_no_memory_to_a_stretch(tmp_path: Path) -> None:
    file = EdfFile(lines=[counting(), onsets([0, 1, 20_000_000, 20_000_001])], reserved="EDF+D")
    path = file.write(tmp_path / "r1.edf")
    tracemalloc.start()
    try:
        part = open_recording(path, start_s=19_999_999, duration_s=30)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert np.isfinite(part.signals[0].samples).sum() == 20


def test_a_header_that_announces_gigabytes_costs_none(tmp_path: Path) -> None:
    line = replace(counting(), per_record="90000000")
    path = replace(small(), lines=[line] * 9, record_s="1000", num_records="99999999").write(tmp_path / "r1.edf")
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="not one whole record"):
            open_recording(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_memory_does_not_follow_the_size_of_the_file(tmp_path: Path) -> None:
    header = replace(small(), lines=[replace(counting(1, 1), per_record="40000000")] * 2, record_s="80000")
    path = header.write(tmp_path / "day.edf")
    os.truncate(path, 768 + 2 * 2 * 40_000_000)  # a sparse file of 160 MB in one data record
    tracemalloc.start()
    try:
        part = open_recording(path, start_s=79_000, duration_s=30)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert [len(s.samples) for s in part.signals] == [15_000, 15_000]


def test_a_file_that_shrinks_after_its_header_was_read_is_refused(tmp_path: Path) -> None:
    path = small().write(tmp_path / "r1.edf")
    header = read_header(path)
    os.truncate(path, 1100)
    with pytest.raises(SourceError, match="size: found '1100 bytes', expected 1160 bytes, as there were before"):
        list(read_blocks(header, header.signals[:1], [0], [40]))


def test_a_missing_library_is_named_with_the_way_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small().write(tmp_path / "r1.edf")
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(SourceError, match=r"library edfio: .*pip install 'qualityfm\[formats\]'"):
        open_recording(path)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r1.edf")
    with pytest.raises(SourceError, match="file: found 'no regular file'"):
        open_recording(tmp_path / "r1.edf")
    assert "no regular file" in str(find_recordings(tmp_path)[0].problem)


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_read(tmp_path: Path) -> None:
    small().write(tmp_path / "archive" / "r1.edf")
    small().write(tmp_path / "elsewhere.edf")
    (tmp_path / "archive" / "out.edf").symlink_to(tmp_path / "elsewhere.edf")
    (tmp_path / "archive" / "in.edf").symlink_to("r1.edf")
    with pytest.raises(SourceError, match="a link out of the folder"):
        open_recording(tmp_path / "archive" / "out.edf")
    assert open_recording(tmp_path / "archive" / "in.edf").duration_s == 4.0


def test_an_item_in_a_file_that_is_one_recording_is_refused(tmp_path: Path) -> None:
    small().write(tmp_path / "r1.edf")
    with pytest.raises(SourceError):
        open_recording(tmp_path / "r1.edf" / "0012")


@pytest.mark.parametrize("name", sorted(golden_edf.GOOD))
def test_nothing_about_the_patient_leaves_the_header(tmp_path: Path, name: str) -> None:
    path = golden_edf.GOOD[name]().write(tmp_path / name)
    text = repr(open_recording(path)) + repr(find_recordings(tmp_path)) + repr(read_header(path))
    assert not [word for word in PRIVATE if word in text]


def mutated(content: bytes, num_header_bytes: int, chance: random.Random) -> bytes:
    """Return a file with one to three changes, most of them in the header."""
    words = [b"0", b"-1", b"nan", b"inf", b"1e9", b"1,5", b"99999999", b"+", b"\0\0", b"X", b"EDF+D", b"\xb5V"]
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        limit = num_header_bytes if chance.random() < 0.8 else len(changed)
        at = chance.randrange(min(limit, len(changed)))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:  # a field of the fixed part, or one of eight bytes further back
                at = chance.choice([0, 168, 176, 184, 192, 236, 244, 252, at - at % 8])
                changed[at : at + 8] = chance.choice(words).ljust(8)[: len(changed) - at]
            case 2:
                del changed[at : at + chance.randint(1, 20)]
            case _:
                changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
    return bytes(changed)


def check_read(recording: Recording) -> None:
    """Check that what a damaged file gave is whole, bounded and tells nothing of the patient."""
    for signal in recording.signals:
        assert signal.samples.dtype == np.float32
        assert 0 < signal.sample_rate_hz <= 1e6
        assert not np.isinf(signal.samples).any()
    assert sum(len(s.samples) for s in recording.signals) <= 50_000_000


@pytest.mark.parametrize("name", sorted(golden_edf.GOOD))
def test_a_damaged_file_is_read_properly_or_refused_by_file_and_field(tmp_path: Path, name: str) -> None:
    file = golden_edf.GOOD[name]()
    path = file.write(tmp_path / name)
    content, chance = path.read_bytes(), random.Random(name)
    num_refused = 0
    for _ in range(500):
        path.write_bytes(mutated(content, 256 * (len(file.lines) + 1), chance))
        try:
            recording = open_recording(path, duration_s=20)
            check_read(recording)
            text = repr(recording) + repr(recording.notes)
        except SourceError as error:
            num_refused += 1
            text = str(error)
            what, rest = text.split(f": {path}: ", 1)
            assert what == "cannot read file"
            assert ": found " in rest
            assert ", expected " in rest
            assert "\n" not in text
            assert len(text) < 400
        assert not [word for word in PRIVATE if word in text]
    assert 150 < num_refused < 500


def outcome(path: Path) -> str | list[str]:
    """Return the names of the channels that a file opens to, or the refusal."""
    try:
        return [s.name for s in open_recording(path, duration_s=20).signals]
    except SourceError as error:
        return str(error)


def test_a_listing_tells_of_a_damaged_file_what_opening_it_would(tmp_path: Path) -> None:
    path = golden_edf.small_plus().write(tmp_path / "r1.edf")
    content, chance = path.read_bytes(), random.Random(5)
    for _ in range(100):
        path.write_bytes(mutated(content, 1024, chance))
        (found,) = find_recordings(tmp_path)
        if found.aside != "annotations: times and texts without samples":
            assert outcome(path) == (found.problem or [c.name for c in found.channels])
