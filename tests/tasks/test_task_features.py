from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import TaskError
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.sources import open_recording
from qualityfm.tasks.alarm_features import alarm_features
from qualityfm.tasks.alarms import ALARM_KINDS
from qualityfm.tasks.boosting import answer_sides, best_threshold, holding_threshold
from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import feature_table
from qualityfm.tasks.folds import fold_sides
from qualityfm.tasks.pressure_features import pressure_features
from qualityfm.tasks.pulses import find_pulses
from qualityfm.tasks.rhythm_features import interval_features, rhythm_features
from qualityfm.tasks.traces import RATE_HZ, Trace, trace_of
from qualityfm.waveform.simulate import SimulationConfig, simulate


def trace(rhythm: str = "sinus", seed: int = 3) -> Trace:
    simulation = simulate(seed, SimulationConfig(duration_s=60.0, rhythm=rhythm))  # type: ignore[arg-type]
    return trace_of(cut_block(simulation.clean, SegmentConfig()), 60.0)


def table_of(folder: Path, samples: np.ndarray) -> Example:
    path = folder / "a.npy"
    np.save(path, samples)
    return Example(
        recording=str(path), name="a", start_s=10.0, length_s=10.0, subject=None, group="a", label=(1.0,), number=1
    )


def examples(num: int) -> list[Example]:
    return [
        Example(
            recording="",
            name=str(i),
            start_s=0,
            length_s=1,
            subject=None,
            group=str(i),
            label=(i % 2,),
            fold=i % 5,
        )
        for i in range(num)
    ]


def test_fibrillation_is_less_regular_than_sinus_rhythm() -> None:
    assert rhythm_features(trace("af"))["interval_cv"] > 2 * rhythm_features(trace())["interval_cv"]


def test_fast_unlike_beats_are_seen_in_a_run_of_vt() -> None:
    runs = [alarm_features(trace("vt", seed), "Ventricular_Tachycardia")["ecg_high_unlike_run"] for seed in range(3)]
    sinus = [
        alarm_features(trace("sinus", seed), "Ventricular_Tachycardia")["ecg_high_unlike_run"] for seed in range(3)
    ]
    assert np.mean(runs) > np.mean(sinus)


def test_an_asystole_leaves_a_long_gap() -> None:
    silent = trace()
    silent.values[:, -round(8 * RATE_HZ) :] = silent.values[:, -round(8 * RATE_HZ), None]
    assert alarm_features(silent, "Asystole")["pulse_low_longest_gap_s"] > 5


@pytest.mark.parametrize("kind", ALARM_KINDS)
def test_no_channel_at_all_gives_no_figure_and_no_error(kind: str) -> None:
    whole = trace()
    empty = replace(whole, values=np.full_like(whole.values, np.nan))
    found = alarm_features(empty, kind)
    assert found[f"kind_{kind.lower()}"] == 1
    assert np.isnan(found["ecg_high_rate_bpm"])


@pytest.mark.parametrize("value", [0.0, 1e9, -5.0])
def test_flat_lines_give_finite_or_missing_features(value: float) -> None:
    whole = trace()
    found = alarm_features(replace(whole, values=np.full_like(whole.values, value)), "Asystole")
    assert not np.isinf(list(found.values())).any()


def test_pressure_features_do_not_look_at_the_pressure() -> None:
    whole = trace()
    blind = whole.values.copy()
    blind[3] = np.nan
    np.testing.assert_equal(pressure_features(replace(whole, values=blind)), pressure_features(whole))


def test_too_few_intervals_have_no_statistics() -> None:
    assert interval_features(np.array([0.8, 0.9])) == {"num_intervals": 2.0}


def test_pulses_of_a_wave_are_found_with_their_pressures() -> None:
    time_s = np.arange(0, 30, 1 / RATE_HZ)
    pulses = find_pulses((100 - 20 * np.cos(2 * np.pi * time_s)).astype(np.float32), RATE_HZ)
    assert len(pulses) >= 27
    assert np.median(pulses.high) == pytest.approx(120, abs=0.5)
    assert np.median(pulses.low) == pytest.approx(80, abs=0.5)


def test_a_pulse_with_a_gap_has_no_pressure() -> None:
    line = (100 - 20 * np.cos(2 * np.pi * np.arange(0, 30, 1 / RATE_HZ))).astype(np.float32)
    line[1290] = np.nan
    assert np.isnan(find_pulses(line, RATE_HZ).high).sum() == 1


def test_a_recording_that_cannot_be_read_is_named_and_keeps_its_row(tmp_path: Path) -> None:
    table = feature_table("vt-alarm", [table_of(tmp_path, np.zeros(3))], 16.0)
    assert len(table.values) == len(table.problems) == 1


def test_a_task_without_features_is_refused() -> None:
    with pytest.raises(TaskError, match="no features"):
        feature_table("custom", [], 10.0)


def test_answers_never_come_from_trees_that_saw_the_label() -> None:
    rng = np.random.default_rng(0)
    known = examples(100)
    features = rng.standard_normal((100, 3))
    answers = answer_sides(features, known, fold_sides(known), kind="binary", settings={"max_iter": 10})
    right = [(answers.score[i, 0] > 0.5) == (known[i].label == (1,)) for i in range(100)]
    assert 0.25 < np.mean(right) < 0.75


def test_extra_features_are_used() -> None:
    known = examples(100)
    extra = np.array([[e.label[0]] for e in known if e.label])
    answers = answer_sides(np.zeros((100, 1)), known, fold_sides(known), kind="binary", extra_features=extra)
    assert ((answers.score[:, 0] > 0.5) == (extra[:, 0] > 0.5)).all()


def test_examples_that_only_teach_are_not_answered() -> None:
    known = examples(100)
    is_asked = np.arange(100) < 60
    answers = answer_sides(np.zeros((100, 1)), known, fold_sides(known), kind="binary", is_asked=is_asked)
    assert answers.rows.tolist() == list(range(60))


def test_the_threshold_of_the_best_score_spares_true_alarms() -> None:
    is_true = np.array([False, False, False, True, False, True])
    assert best_threshold(is_true, np.array([0.1, 0.2, 0.3, 0.35, 0.4, 0.9])) < 0.35


def test_a_held_sensitivity_is_held() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(200)
    limit = holding_threshold(score > -1, score, 0.95)
    assert (score >= limit).mean() == pytest.approx(0.95)


@pytest.mark.real
def test_nothing_after_the_alarm_enters_the_features(real_data: Path) -> None:
    path = real_data / "challenge2015" / "records" / "v131l"
    assert open_recording(path).duration_s > 300
    example = Example(
        recording=str(path), name="v131l", start_s=290.0, length_s=10.0, subject=None, group="v", label=None
    )
    table = feature_table("vt-alarm", [example], 30.0)
    cut = open_recording(path, start_s=270.0, duration_s=30.0)
    wanted = alarm_features(trace_of(cut_block(cut, SegmentConfig()), 30.0), "Ventricular_Tachycardia")
    np.testing.assert_equal(dict(zip(table.names, table.values[0], strict=True)), wanted)


@pytest.mark.real
def test_a_kept_table_is_the_table(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "mitdb" / "100"
    example = Example(recording=str(path), name="100", start_s=0.0, length_s=30.0, subject="1", group="1", label=None)
    first, second = (feature_table("af", [example], 30.0, tmp_path) for _ in range(2))
    assert first.names == second.names
    np.testing.assert_array_equal(first.values, second.values)
