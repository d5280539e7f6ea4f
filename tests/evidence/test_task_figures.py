"""Figures of tasks with intervals over patients."""

import numpy as np
import pytest

from qualityfm.errors import TaskError
from qualityfm.evidence.task_figures import task_figures
from qualityfm.tasks.examples import Example
from qualityfm.tasks.task import TASKS


def make_examples(num: int, group: str | None = None) -> list[Example]:
    return [
        Example(
            recording=f"r{i}",
            name=f"r{i}",
            start_s=0.0,
            length_s=10.0,
            subject=None,
            group=group or f"g{i}",
            label=(float(i % 2),),
        )
        for i in range(num)
    ]


def test_the_interval_holds_the_figure() -> None:
    score = np.random.default_rng(0).random((60, 1)) + 0.5 * (np.arange(60)[:, None] % 2)
    found = task_figures(TASKS["vt-alarm"], make_examples(60), score, threshold=0.7)
    low, high = found.intervals["auc"]
    assert low < found.values["auc"] < high


def test_one_patient_gives_no_interval() -> None:
    found = task_figures(TASKS["vt-alarm"], make_examples(10, "same"), np.full((10, 1), 0.4))
    assert found.intervals == {}


def test_each_example_may_have_a_threshold_of_its_own() -> None:
    score = np.full((10, 1), 0.5)
    threshold = np.where(np.arange(10) % 2 == 1, 0.4, 0.6)
    assert task_figures(TASKS["vt-alarm"], make_examples(10), score, threshold=threshold).values["score"] == 100


def test_pressures_are_named_with_their_unit_and_compared_with_the_training_mean() -> None:
    examples = [e.__class__(**{**e.__dict__, "label": (120.0 + i, 70.0, 90.0)}) for i, e in enumerate(make_examples(8))]
    score = np.array([e.label for e in examples]) + 5
    found = task_figures(TASKS["abp"], examples, score, train_mean=np.array([[100.0, 60.0, 80.0]])).plain()
    assert found["mae_systolic_mmhg"] == pytest.approx(5)
    assert found["mase_diastolic"] == pytest.approx(50)


def test_no_example_gives_no_figure() -> None:
    with pytest.raises(TaskError, match="no figure"):
        task_figures(TASKS["vt-alarm"], [], np.zeros((0, 1)))
