"""Records made of segments: fixed and variable layouts, gaps, repairs and refusals."""

from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording


class Archive:
    """A folder in which a record is built segment by segment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def segment(self, name: str, channels: dict[str, int], length: int = 100, rate: str = "125", **other: str) -> None:
        """Write a segment whose channel holds its number / 10, in `unit` or 10/mV."""
        unit, storage = other.get("unit", "mV"), other.get("storage", "16")
        lines = [f"{name}.dat {storage} 10(0)/{unit} 16 0 0 0 0 {channel}" for channel in channels]
        header = f"{name} {len(channels)} {rate} {length}\n" + "\n".join(lines) + "\n"
        (self.folder / f"{name}.hea").write_text(header)
        per_frame = 2 if "x2" in storage else 1
        values = np.repeat(list(channels.values()), per_frame)
        (self.folder / f"{name}.dat").write_bytes(np.tile(values, length).astype("<i2").tobytes())

    def layout(self, channels: list[str], rate: str = "125") -> None:
        lines = [f"~ 0 10(0)/mV 16 0 0 0 0 {name}" for name in channels]
        (self.folder / "x_layout.hea").write_text(f"x_layout {len(channels)} {rate} 0\n" + "\n".join(lines) + "\n")

    def master(self, first_line: str, *segments: str) -> Path:
        path = self.folder / "m.hea"
        path.write_text("\n".join([first_line, *segments]) + "\n#Asystole\n")
        return path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_a_variable_layout_maps_channels_by_name_and_leaves_gaps_missing(archive: Archive) -> None:
    archive.layout(["II", "V", "ABP"])
    archive.segment("x_1", {"II": 10, "V": 20})
    archive.segment("x_2", {"ABP": 50, "II": 30})
    recording = open_recording(archive.master("m/4 3 125 250", "x_layout 0", "x_1 100", "~ 50", "x_2 100"))
    lines = {s.name: s.samples for s in recording.signals}
    assert list(lines) == ["II", "V", "ABP"]
    np.testing.assert_array_equal(lines["II"], [1.0] * 100 + [np.nan] * 50 + [3.0] * 100)
    np.testing.assert_array_equal(lines["V"], [2.0] * 100 + [np.nan] * 150)
    np.testing.assert_array_equal(lines["ABP"], [np.nan] * 150 + [5.0] * 100)


def test_a_fixed_layout_joins_its_segments(archive: Archive) -> None:
    archive.segment("x_1", {"II": 10, "V": 20})
    archive.segment("x_2", {"II": 30, "V": 40})
    recording = open_recording(archive.master("m/2 2 125 200", "x_1 100", "x_2 100"))
    np.testing.assert_array_equal(recording.signals[1].samples, [2.0] * 100 + [4.0] * 100)


def test_a_segment_with_its_own_spelling_of_the_unit_is_converted(archive: Archive) -> None:
    archive.segment("x_1", {"II": 10})
    archive.segment("x_2", {"II": 10}, unit="µV")
    recording = open_recording(archive.master("m/2 1 125 200", "x_1 100", "x_2 100"))
    np.testing.assert_allclose(recording.signals[0].samples, [1.0] * 100 + [0.001] * 100, rtol=1e-6)


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, 0.5), (0.3, 1.1), (0.8, 0.2), (1.0, None), (0.83, 0.17)])
def test_a_stretch_across_segments_is_that_part_of_the_whole(
    archive: Archive, start_s: float, duration_s: float | None
) -> None:
    archive.layout(["II", "V"])
    for i in range(4):
        archive.segment(f"x_{i}", {"II": i} if i % 2 else {"II": i, "V": 9}, length=30 + i)
    path = archive.master("m/6 2 125 136", "x_layout 0", "x_0 30", "x_1 31", "~ 10", "x_2 32", "x_3 33")
    whole, part = open_recording(path), open_recording(path, start_s=start_s, duration_s=duration_s)
    for expected, signal in zip(whole.signals, part.signals, strict=True):
        first = int(np.ceil(start_s * 125 - 1e-6))
        last = None if duration_s is None else int(np.ceil((start_s + duration_s) * 125 - 1e-6))
        np.testing.assert_array_equal(signal.samples, expected.samples[first:last])
        assert signal.start_s == pytest.approx(first / 125 - start_s, abs=1e-6)


@pytest.mark.parametrize(
    ("first_line", "repair", "note"),
    [
        ("m/3 1 125 200", "segments-miscounted", "3 segments announced, 2 listed: all samples are there"),
        ("m/16 1 125 200", "segments-miscounted", "16 segments announced, 2 listed: all samples are there"),
        ("m/1 1 125 200", "segments-miscounted", "1 segments announced, 2 listed: all samples are there"),
        ("m/3 1 125 300", "last-segment-missing", "3 segments announced, 2 listed: the listed ones hold 200 of 300"),
        ("m/3 1 125", "last-segment-missing", "3 segments announced, 2 listed: the listed ones hold 200 of ?"),
    ],
)
def test_a_misprinted_number_of_segments_is_read_under_a_named_repair(
    archive: Archive, first_line: str, repair: str, note: str
) -> None:
    archive.segment("x_1", {"II": 10})
    archive.segment("x_2", {"II": 20})
    recording = open_recording(archive.master(first_line, "x_1 100", "x_2 100"))
    assert recording.duration_s == 200 / 125
    assert recording.repairs == (repair,)
    assert recording.notes[0].startswith(note)


def test_the_repairs_of_segments_are_those_of_the_record(archive: Archive) -> None:
    for name in ("x_1", "x_2"):
        archive.segment(name, {"II": 10})
        header = archive.folder / f"{name}.hea"
        header.write_text(header.read_text().replace("125 100", "125 100 2014-05-08 05:05:15"))
    recording = open_recording(archive.master("m/2 1 125 200", "x_1 100", "x_2 100"))
    assert recording.repairs == ("date-before-time", "date-form")
    assert "start: the date is not written day/month/year (in 2 of 2 segments)" in recording.notes


@pytest.mark.parametrize(
    ("first_line", "segments", "message"),
    [
        ("m/1 1 125 100", ["x_1 100", "x_1 100"], "segment lines: found 2, expected 1"),
        ("m/16 1 125 900", ["x_1 100", "x_1 100"], "segment lines: found 2, expected 16.*it may have been cut"),
        ("m/2 1 125 150", ["x_1 100", "x_1 100"], "segment lengths: found 200, expected 150"),
        ("m/1 1 125 90", ["x_1 90"], "number of samples: found 100, expected 90"),
        ("m/1 2 125 100", ["x_1 100"], "number of signals: found 1, expected 2"),
        ("m/1 1 250 100", ["x_1 100"], r"sampling rate: found 125\.0, expected 250"),
        ("m/1 1 125 100", ["m 100"], "segments: found 'a record made of segments'"),
        ("m/1 1 125 100", ["gone 100"], r"gone\.hea: file: found 'No such file"),
        ("m/1 1 125 100", ["../x_1 100"], "segment 0: found"),
        ("m/1 1 125 100", ["/x_1 100"], "segment 0: found"),
        ("m/1 1 125 100", ["x_1 100 1"], "segment 0: found"),
        ("m/1 1 125 100", ["x_1 1e2"], "segment 0: number of samples"),
        ("m/1 1 125 100", ["~ 100"], "segments: found 'gaps only'"),
        ("m/1 1 125 100", [], "segment lines: found 0"),
        ("m/2 1 125 100", ["x_1 0", "x_1 100"], "signals: found 'a header of stored signals', expected a layout"),
    ],
)
def test_segments_that_do_not_fit_the_record_are_refused(
    archive: Archive, first_line: str, segments: list[str], message: str
) -> None:
    archive.segment("x_1", {"II": 10})
    with pytest.raises(SourceError, match=message):
        open_recording(archive.master(first_line, *segments))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"channels": {"II": 1, "V": 2}, "rate": "250"}, "x_2.hea: sampling rate: found 250"),
        ({"channels": {"II": 1, "V": 2}, "unit": "mmHg"}, "II: unit: found 'mmHg', expected mV"),
        ({"channels": {"V": 1, "II": 2}}, "channel names: found 'V, II', expected II, V"),
        ({"channels": {"II": 1}}, "channel names: found 'II', expected II, V"),
        ({"channels": {"II": 1, "V": 2}, "storage": "16x2"}, "samples per frame: found 2, expected 1"),
    ],
)
def test_segments_of_a_fixed_layout_that_differ_are_refused(archive: Archive, second: dict, message: str) -> None:
    archive.segment("x_1", {"II": 10, "V": 20})
    archive.segment("x_2", **second)
    with pytest.raises(SourceError, match=message):
        open_recording(archive.master("m/2 2 125 200", "x_1 100", "x_2 100"))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"channels": {"II": 1}, "unit": "mmHg"}, "II: unit: found 'mmHg', expected mV"),
        ({"channels": {"II": 1}, "storage": "16x2"}, "samples per frame: found 2, expected 1"),
        ({"channels": {"aVR": 1}}, "channel names: found 'aVR', expected one of the layout's: II, V"),
    ],
)
def test_segments_of_a_variable_layout_that_differ_are_refused(archive: Archive, second: dict, message: str) -> None:
    archive.layout(["II", "V"])
    archive.segment("x_1", {"II": 10, "V": 20})
    archive.segment("x_2", **second)
    with pytest.raises(SourceError, match=message):
        open_recording(archive.master("m/3 2 125 200", "x_layout 0", "x_1 100", "x_2 100"))


def test_a_layout_that_names_a_channel_twice_is_refused(archive: Archive) -> None:
    archive.layout(["II", "II"])
    archive.segment("x_1", {"II": 10})
    with pytest.raises(SourceError, match="channel names: found 'II, II', expected each name once"):
        open_recording(archive.master("m/2 2 125 100", "x_layout 0", "x_1 100"))


def test_a_gap_of_gigabytes_is_refused_before_memory_is_taken(archive: Archive) -> None:
    archive.segment("x_1", {"II": 10})
    path = archive.master("m/2 1 125 3000000100", "x_1 100", "~ 3000000000")
    with pytest.raises(SourceError, match=r"number of samples: found 3000000100.*read it in stretches"):
        open_recording(path)
    assert open_recording(path, duration_s=2.0).duration_s == 2.0


def test_a_listing_shows_the_record_and_its_layout_but_no_segment(archive: Archive) -> None:
    archive.layout(["II", "V"])
    archive.segment("x_1", {"II": 10})
    archive.master("m/3 2 125 150", "x_layout 0", "x_1 100", "~ 50")
    record, layout = find_recordings(archive.folder)
    assert (record.recording_id, record.duration_s, record.problem, record.aside) == ("m", 1.2, None, None)
    assert layout.recording_id == "x_layout"
    assert "layout" in str(layout.aside)


def test_a_record_with_a_damaged_segment_is_listed_with_its_problem(archive: Archive) -> None:
    archive.segment("x_1", {"II": 10})
    (archive.folder / "x_1.dat").write_bytes(b"")
    archive.master("m/1 1 125 100", "x_1 100")
    (record,) = find_recordings(archive.folder)
    assert "x_1.dat: size" in str(record.problem)


def test_a_layout_header_cannot_be_opened(archive: Archive) -> None:
    archive.layout(["II"])
    with pytest.raises(SourceError, match="found 'a layout header'"):
        open_recording(archive.folder / "x_layout")
