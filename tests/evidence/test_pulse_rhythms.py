"""AF is told from other rhythms by simulated pulses alone, and test cases teach nothing."""

from pathlib import Path

import numpy as np
import pytest

from qualityfm.evidence.pulse_rhythms import pulse_rhythm_rows


def write(folder: Path, case: int, label: str, spread: float) -> None:
    intervals_s = np.random.default_rng(case).normal(0.75, spread, 400).clip(0.4, 1.4)
    lines = ["time_second,beat_type,rhythm_label,bad_signal_quality"]
    lines += [f"{time_s:.3f},N,{label},False" for time_s in np.cumsum(intervals_s)]
    (folder / f"Annotation_file_{case}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def beat_lists(tmp_path: Path) -> Path:
    for case in range(1, 41):
        is_af = case % 2 == 0
        write(tmp_path, case, "AFIB/AFL" if is_af else "N", 0.16 if is_af else 0.02)
    return tmp_path


def test_irregular_pulses_are_told_from_even_ones(beat_lists: Path) -> None:
    found = {figure: estimate for _, figure, estimate in pulse_rhythm_rows(beat_lists, num_rounds=20)}
    assert set(found) == {"auc", "auc against sinus"}
    assert found["auc"].value > 0.9


def test_what_test_cases_are_called_teaches_nothing(beat_lists: Path) -> None:
    before = pulse_rhythm_rows(beat_lists, num_rounds=20)[0][2].value
    for case in range(4, 41, 5):  # the test cases: labels turned over, beats as they were
        is_af = case % 2 == 0
        write(beat_lists, case, "N" if is_af else "AFIB/AFL", 0.16 if is_af else 0.02)
    after = pulse_rhythm_rows(beat_lists, num_rounds=20)[0][2].value
    assert before > 0.9
    assert after < 0.1
