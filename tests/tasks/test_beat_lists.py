"""Lists of beats teach a model of rhythm: their windows have a rhythm, a patient, and no quality."""

from pathlib import Path

import numpy as np
import pytest

from qualityfm.cli.main import main
from qualityfm.tasks.beat_lists import beat_list_lessons
from qualityfm.tasks.learners import learner_of

NAMES = ("interval_cv", "quality")


def write(folder: Path, case: int, label: str, *, gap_s: float = 0.0) -> None:
    times_s = np.cumsum(np.random.default_rng(case).uniform(0.6, 1.0, 200))
    times_s[100:] += gap_s
    lines = ["time_second,beat_type,rhythm_label,bad_signal_quality"]
    lines += [f"{time_s:.3f},N,{label},False" for time_s in times_s]
    (folder / f"Annotation_file_{case}.csv").write_text("\n".join(lines) + "\n")


def test_windows_carry_rhythm_and_patient(tmp_path: Path) -> None:
    write(tmp_path, 1, "AFIB/AFL")
    write(tmp_path, 2, "N")
    found = beat_list_lessons(tmp_path, NAMES)
    assert {(e.group, e.label) for e in found.examples} == {("case 1", (1.0,)), ("case 2", (0.0,))}
    assert np.isfinite(found.values[:, 0]).all()
    assert np.isnan(found.values[:, 1]).all()


def test_cases_of_the_test_part_do_not_teach(tmp_path: Path) -> None:
    write(tmp_path, 1, "N")
    write(tmp_path, 4, "AFIB/AFL")
    assert {e.group for e in beat_list_lessons(tmp_path, NAMES).examples} == {"case 1"}


def test_no_window_reaches_over_a_gap(tmp_path: Path) -> None:
    write(tmp_path, 1, "N", gap_s=100.0)
    spans = [(e.start_s, e.end_s) for e in beat_list_lessons(tmp_path, NAMES).examples]
    times_s = np.cumsum(np.random.default_rng(1).uniform(0.6, 1.0, 200))
    assert all(end <= times_s[99] or begin >= times_s[99] + 100 for begin, end in spans)


def test_a_beat_without_a_rhythm_teaches_nothing(tmp_path: Path) -> None:
    write(tmp_path, 1, "Unclassifiable")
    assert not beat_list_lessons(tmp_path, NAMES).examples


def test_rhythm_is_not_learnt_from_the_quality() -> None:
    is_true = np.arange(100) % 2 == 1
    values = np.stack((np.zeros(100), is_true.astype(float)), axis=1)
    found = learner_of("af", NAMES).learn(values, is_true, 0).predict(values)
    assert np.ptp(found) == 0


def test_beat_lists_teach_no_other_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["finetune", "alarm", "--data", str(tmp_path), "--how", "trees", "--beat-lists", str(tmp_path)]
    assert main([*words, "--out", str(tmp_path / "run")]) != 0
    assert "no beat lists" in capsys.readouterr().err
