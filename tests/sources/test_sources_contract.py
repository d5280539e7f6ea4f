"""What every source promises, tried on every entry of SOURCES."""

from collections.abc import Callable
from pathlib import Path

import golden_arrays
import golden_edf
import golden_tables
import golden_vital
import numpy as np
import pytest

from qualityfm.errors import SignalError, SourceError
from qualityfm.records import ChannelKind, Recording
from qualityfm.sources import SOURCES, Layout, find_recordings, open_recording
from qualityfm.sources.wfdb_files import write_wfdb

#: Writes the golden recording in each format: recording, folder -> path of the file.
WRITERS: dict[str, Callable[[Recording, Path], Path]] = {
    "wfdb": write_wfdb,
    **golden_edf.WRITERS,
    **golden_vital.WRITERS,
    **golden_tables.WRITERS,
    **golden_arrays.WRITERS,
}


#: What says how a file is to be read that does not say it itself: recording -> layout.
LAYOUTS: dict[str, Callable[[Recording], Layout]] = {**golden_tables.LAYOUTS, **golden_arrays.LAYOUTS}


@pytest.fixture(params=sorted(SOURCES))
def source(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def layout(source: str, recording: Recording) -> Layout | None:
    return LAYOUTS[source](recording) if source in LAYOUTS else None


@pytest.fixture
def golden(source: str, recording: Recording, tmp_path: Path) -> Path:
    return WRITERS[source](recording, tmp_path)


def test_every_source_has_a_golden_file() -> None:
    assert set(WRITERS) == set(SOURCES)


def test_a_golden_file_reads_as_the_recording_it_was_made_of(
    golden: Path, layout: Layout | None, recording: Recording
) -> None:
    found = open_recording(golden, layout=layout)
    assert [(s.name, s.kind, s.unit, s.sample_rate_hz) for s in found.signals] == [
        (s.name, s.kind, s.unit, s.sample_rate_hz) for s in recording.signals
    ]
    for signal, expected in zip(found.signals, recording.signals, strict=True):
        assert signal.samples.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(signal.samples), np.isnan(expected.samples))
        np.testing.assert_allclose(signal.samples, expected.samples, atol=2e-4)


def test_a_golden_file_opens_by_its_name_without_extension(golden: Path, layout: Layout | None) -> None:
    assert (
        open_recording(golden.with_suffix(""), layout=layout).recording_id
        == open_recording(str(golden), layout=layout).recording_id
        == "golden"
    )


def test_a_listing_agrees_with_the_opened_recording(source: str, golden: Path, layout: Layout | None) -> None:
    (found,) = find_recordings(golden.parent, layout=layout)
    opened = open_recording(found.path, layout=layout)
    assert (found.source, found.recording_id, found.problem, found.aside) == (source, opened.recording_id, None, None)
    assert found.subject_id == opened.subject_id
    assert found.duration_s == pytest.approx(opened.duration_s)
    assert [(c.name, c.kind, c.unit, c.sample_rate_hz) for c in found.channels] == [
        (s.name, s.kind, s.unit, s.sample_rate_hz) for s in opened.signals
    ]


def test_a_listing_reads_no_samples(golden: Path, layout: Layout | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("samples were read")

    monkeypatch.setattr("qualityfm.sources.wfdb_files.read_frames", refuse)
    assert find_recordings(golden.parent, layout=layout)[0].duration_s == 20.0


@pytest.mark.parametrize(
    ("start_s", "duration_s"), [(0.0, 1.0), (3.5, 2.25), (19.0, 50.0), (0.001, 0.5), (7.7777, 1.0)]
)
def test_a_stretch_holds_the_samples_of_its_time_and_no_others(
    golden: Path, layout: Layout | None, start_s: float, duration_s: float
) -> None:
    whole, part = (
        open_recording(golden, layout=layout),
        open_recording(golden, start_s=start_s, duration_s=duration_s, layout=layout),
    )
    for expected, signal in zip(whole.signals, part.signals, strict=True):
        time_s = np.arange(len(expected.samples)) / expected.sample_rate_hz
        inside = (time_s >= start_s - 1e-6) & (time_s < start_s + duration_s - 1e-6)
        np.testing.assert_array_equal(signal.samples, expected.samples[inside])
        assert start_s + signal.start_s == pytest.approx(time_s[inside][0], abs=1e-6)


def test_a_stretch_behind_the_end_is_refused(golden: Path, layout: Layout | None) -> None:
    with pytest.raises(SignalError, match="start_s"):
        open_recording(golden, start_s=20.0, layout=layout)


def test_a_missing_file_is_refused_by_name(golden: Path) -> None:
    with pytest.raises(SourceError, match=r"no such recording: .*absent"):
        open_recording(golden.with_name(f"absent{golden.suffix}"))


def test_a_file_cut_short_is_refused_and_listed_with_its_problem(golden: Path, layout: Layout | None) -> None:
    largest = max(golden.parent.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(SourceError, match=largest.name) as refused:
        open_recording(golden, layout=layout)
    (found,) = find_recordings(golden.parent, layout=layout)
    assert (found.problem, found.duration_s, found.channels) == (str(refused.value), 0.0, ())


def test_a_file_of_rubbish_is_refused_and_listed_with_its_problem(golden: Path, layout: Layout | None) -> None:
    golden.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(SourceError, match=golden.name):
        open_recording(golden, layout=layout)
    assert find_recordings(golden.parent, layout=layout)[0].problem


def test_kinds_come_from_the_one_table(golden: Path, layout: Layout | None) -> None:
    assert [s.kind for s in open_recording(golden, layout=layout).signals] == [
        ChannelKind.ECG,
        ChannelKind.PPG,
        ChannelKind.ABP,
    ]
