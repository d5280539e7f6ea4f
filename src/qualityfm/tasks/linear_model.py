"""Quantities by linear maps: answers out of fold, and the model that ships, with and without a calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Shaped

from qualityfm.errors import ConfigError, problem
from qualityfm.models.question import Question
from qualityfm.tasks.calibration import Calibrated, calibrated
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import FeatureTable, feature_table
from qualityfm.tasks.folds import Side
from qualityfm.tasks.linear import RIDGE, SHARES, Linear, fit_linear, weighted_median
from qualityfm.tasks.pressure_features import CHANGE_NAMES, NOT_OF_PATIENT
from qualityfm.tasks.task import Task
from qualityfm.tasks.tree_model import FittedTrees, TreeModel, card_of

#: What is learnt in place of a task's outputs, one row for each: pulses tell of how far the pressure swings around its
#: mean, and the mean is told by little. Rows: mean, systolic above mean, mean above diastolic. Our own choice,
#: docs/decisions/0038.
PARTS = {"abp": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, -1.0], [0.0, -1.0, 1.0]])}
#: A change is learnt from at least so many later windows; with fewer the first minute is held.
MIN_LATER = 20


@dataclass(frozen=True, kw_only=True)
class LinearAnswers:
    """Answers out of fold, of every example.

    Attributes:
        level: Without a calibration.
        middle: Median of the training side, where patients weigh alike.
        held: Mean label of the recording's first minute; NaN where the window is not after one.
        changed: The same and the estimated change.
        train_mean: Mean label of the training side.
    """

    level: Float64[np.ndarray, "example output"]
    middle: Float64[np.ndarray, "example output"]
    held: Float64[np.ndarray, "example output"]
    changed: Float64[np.ndarray, "example output"]
    train_mean: Float64[np.ndarray, "example output"]


def linear_sides(
    made: FeatureTable,
    examples: Sequence[Example],
    sides: Sequence[Side],
    seed: int = 0,
    since: Calibrated | None = None,
) -> LinearAnswers:
    """Return answers of maps that each saw only the training side of their round.

    Args:
        made: Features of the examples.
        examples: With labels.
        sides: Rounds.
        seed: Of the inner rounds.
        since: A calibration other than the first minute of each recording.

    Raises:
        TaskError: An example has no label or group.
    """
    truth, groups = truths(examples), groups_of(examples)
    levels = of_patient(made)
    since = since or calibrated(examples, of_change(made))
    level, middle, mean = (np.full(truth.shape, np.nan) for _ in range(3))
    parts = PARTS["abp"]
    changed = since.held.copy()
    for side in sides:
        mean[side.test] = truth[side.train].mean(axis=0)
        middle[side.test] = patient_median(truth[side.train], groups[side.train])
        known, asked = (rows[since.is_later[rows]] for rows in (side.train, side.test))
        fitted = fit_levels(levels[side.train], truth[side.train], groups[side.train], parts, seed)
        level[side.test] = np.stack([one.predict(levels[side.test]) for one in fitted], axis=1)
        for k in range(truth.shape[1]):
            if len(known) >= MIN_LATER:
                moved = truth[known, k] - since.held[known, k]
                one = fit_linear(since.change[known], moved, groups[known], is_change=True, seed=seed)
                changed[asked, k] += one.predict(since.change[asked])
    return LinearAnswers(level=level, middle=middle, held=since.held, changed=changed, train_mean=mean)


def fit_levels(
    features: Float[np.ndarray, "example feature"],
    truth: Float[np.ndarray, "example output"],
    groups: Shaped[np.ndarray, " example"],
    parts: Float[np.ndarray, "output output"],
    seed: int = 0,
) -> list[Linear]:
    """Return a map of each output; what is fitted are the parts, and maps of one standardisation add up."""
    fitted = [fit_linear(features, column, groups, seed=seed) for column in (truth @ parts.T).T]
    return [
        Linear(
            baseline=float(row @ [one.baseline for one in fitted]),
            center=fitted[0].center,
            scale=fitted[0].scale,
            coefficient=row @ np.stack([one.coefficient for one in fitted]),
        )
        for row in np.linalg.inv(parts)
    ]


def patient_median(
    truth: Float[np.ndarray, "example output"], groups: Shaped[np.ndarray, " example"]
) -> Float64[np.ndarray, " output"]:
    """Return the median of each output where patients weigh alike."""
    _, of_example, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.array([weighted_median(column, 1 / counts[of_example]) for column in truth.T])


def of_patient(made: FeatureTable) -> Float64[np.ndarray, "example feature"]:
    """Return the features without those that tell of the measurement alone: they are as if missing."""
    return np.where(np.isin(made.names, NOT_OF_PATIENT), np.nan, made.values)


def of_change(made: FeatureTable) -> Float64[np.ndarray, "example feature"]:
    """Return the features whose change is learnt from; others are as if missing."""
    return np.where(np.isin(made.names, CHANGE_NAMES), made.values, np.nan)


def fit_linear_model(
    task: Task,
    question: Question,
    examples: Sequence[Example],
    *,
    name: str,
    seed: int = 0,
    cache: Path | None = None,
    report: Callable[[int, str], None] | None = None,
) -> FittedTrees:
    """Fit a task of quantities by maps of levels, and of changes where recordings are long enough.

    Args:
        task: Of quantities.
        question: What is asked.
        examples: To learn from, with labels and groups.
        name: For the card.
        seed: Of the inner rounds.
        cache: Folder that keeps features.
        report: Called with the number of examples measured.

    Raises:
        ConfigError: The task does not ask for quantities.
        TaskError: The task has no hand-made features, or an example no label or group.
    """
    if question.answer != "regression":
        raise ConfigError(
            problem("not linear", where=task.name, field="answer", found=question.answer, expected="quantities")
        )
    truth, groups = truths(examples), groups_of(examples)
    made = feature_table(task.name, examples, task.max_lookback_s, cache, report)
    parts = PARTS.get(task.name, np.eye(truth.shape[1]))
    levels = fit_levels(of_patient(made), truth, groups, parts, seed)
    about = {
        "name": name,
        "made_of": "shrunken linear maps on hand-made features; no encoder",
        "settings": {"ridge": RIDGE, "shares": list(SHARES), "seed": seed},
        "metrics_within_training": {},
    }
    card = card_of(task, question, examples, made, about)
    changes = _changes(made, examples, truth, groups, seed)
    return FittedTrees(model=TreeModel(card, levels, changes), problems=made.problems)


def _changes(
    made: FeatureTable, examples: Sequence[Example], truth: Float[np.ndarray, "e o"], groups: np.ndarray, seed: int
) -> list[Linear]:
    since = calibrated(examples, of_change(made))
    known = np.flatnonzero(since.is_later)
    if len(known) < MIN_LATER:
        return []
    moved = truth[known] - since.held[known]
    return [fit_linear(since.change[known], column, groups[known], is_change=True, seed=seed) for column in moved.T]
