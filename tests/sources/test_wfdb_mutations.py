"""Thousands of damaged headers and annotations: each is read properly or refused in one line; nothing else escapes."""

import math
import random
from pathlib import Path

import golden_wfdb as golden
import hazards
import numpy as np
import pytest

from qualityfm.errors import QualityFMError
from qualityfm.records import Recording
from qualityfm.sources import find_recordings, open_recording

CASES = {case.name: case for case in hazards.golden_cases("golden_wfdb")}


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_file_is_read_properly_or_refused_by_file_and_field(name: str) -> None:
    (tally,) = hazards.run([CASES[name]], 250, seed=1).values()
    assert tally.faults == []
    assert tally.num_read >= 20
    assert tally.num_refused >= 100


def test_a_reader_that_guesses_is_found_out(tmp_path: Path) -> None:
    golden.lay_out(tmp_path)
    read = open_recording(tmp_path / "p1")
    for good, damaged in [(b" 125 200", b" -125 200"), (b"200(5)/uV", b"200(5)/V"), (b"200(5)/uV", b"2E2x(5)/uV")]:
        content = golden.PLAIN.encode().replace(good, damaged)
        assert golden.silently_wrong(content, read) is not None
    assert golden.silently_wrong(golden.PLAIN.encode(), read) is None


def test_a_recording_read_through_a_damaged_header_is_whole_and_bounded(tmp_path: Path) -> None:
    golden.lay_out(tmp_path)
    chance = random.Random(5)
    num_read = 0
    for _ in range(300):
        (tmp_path / "r1.hea").write_bytes(hazards.damaged_text(golden.SINGLE.encode(), golden.TOKENS.split(), chance))
        try:
            recording = open_recording(tmp_path / "r1")
        except QualityFMError:
            continue
        num_read += 1
        for signal in recording.signals:
            assert signal.samples.dtype == np.float32
            assert 0 < signal.sample_rate_hz <= 1e9
            assert len(signal.samples) <= 1_000_000
            assert not np.isinf(signal.samples).any()
            assert math.isfinite(signal.start_s)
    assert num_read > 20


def test_a_listing_tells_of_a_damaged_header_what_opening_it_would(tmp_path: Path) -> None:
    golden.lay_out(tmp_path)
    chance = random.Random(7)
    for _ in range(200):
        (tmp_path / "r1.hea").write_bytes(hazards.damaged_text(golden.SINGLE.encode(), golden.TOKENS.split(), chance))
        (found,) = [f for f in find_recordings(tmp_path) if f.recording_id == "r1"]
        outcome: Recording | QualityFMError
        try:
            outcome = open_recording(found.path)
        except QualityFMError as error:
            outcome = error
        if found.problem is not None:
            assert str(outcome) == found.problem
        elif isinstance(outcome, Recording):
            assert outcome.duration_s == pytest.approx(found.duration_s)
        else:  # what only the samples can tell
            assert "checksum: found" in str(outcome) or found.aside
