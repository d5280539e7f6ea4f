"""The figures of a task's answers, each with its bootstrap interval over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.intervals import draws
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.task import Task

#: Bootstrap rounds behind an interval.
NUM_ROUNDS = 1000


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A task's figures.

    Attributes:
        values: By name; NaN where one is not defined.
        intervals: Low and high end of the 95 % interval of each defined figure.
        num_examples: What they were made from.
        num_groups: Patients of the same.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    num_examples: int
    num_groups: int

    def plain(self) -> dict[str, Any]:
        """Return the values as top-level entries, with the intervals under `intervals`."""
        counts = {"num_examples": self.num_examples, "num_groups": self.num_groups}
        return {**self.values, "intervals": {name: list(ends) for name, ends in self.intervals.items()}, **counts}

    def rows(self) -> list[tuple[str, str]]:
        """Return each figure's name, and its value with the interval."""
        return [(name, _shown(value, self.intervals.get(name))) for name, value in self.values.items()]


def _shown(value: float, ends: tuple[float, float] | None) -> str:
    if not np.isfinite(value):
        return "not defined"
    return f"{value:.4g}" if ends is None else f"{value:.4g} [{ends[0]:.4g}, {ends[1]:.4g}]"


def task_figures(
    task: Task,
    examples: Sequence[Example],
    score: Float64[np.ndarray, "example output"],
    *,
    threshold: float | Float64[np.ndarray, " example"] = 0.5,
    train_mean: Float64[np.ndarray, "#example output"] | None = None,
    seed: int = 0,
) -> Figures:
    """Return a task's figures; patients are drawn with replacement for the intervals.

    Args:
        task: Whose metrics are wanted.
        examples: With labels and groups.
        score: Probabilities or quantities.
        threshold: Of a yes, for all or for each example.
        train_mean: Mean label of the training examples, for `mase_`.
        seed: Of the draws.

    Raises:
        TaskError: There is no example, or one without label or group.
    """
    if not len(examples):
        raise TaskError(problem("no figure", where=task.name, field="examples", found=0, expected="at least one"))
    truth, groups = truths(examples), groups_of(examples)
    mean = None if train_mean is None else np.broadcast_to(train_mean, truth.shape)
    cut = np.broadcast_to(np.asarray(threshold, np.float64), (len(examples),))

    def figures(rows: np.ndarray) -> dict[str, float]:
        chosen = [examples[i] for i in rows]
        of_mean = None if mean is None else mean[rows]
        return task.metrics(truth[rows], score[rows], chosen, threshold=cut[rows], train_mean=of_mean)

    values = figures(np.arange(len(examples)))
    names, of_example = np.unique(groups, return_inverse=True)
    return Figures(
        values=values,
        intervals=_intervals(figures, values, of_example, len(names), seed),
        num_examples=len(examples),
        num_groups=len(names),
    )


def _intervals(
    figures: Any, values: dict[str, float], of_example: np.ndarray, num_groups: int, seed: int
) -> dict[str, tuple[float, float]]:
    if num_groups < 2:
        return {}
    rounds: dict[str, list[float]] = {name: [] for name in values}
    for rows in draws(of_example, num_groups, NUM_ROUNDS, seed):
        for name, value in figures(rows).items():
            if name in rounds and np.isfinite(value):
                rounds[name].append(value)
    ends = {name: np.quantile(found, [0.025, 0.975]) for name, found in rounds.items() if found}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items() if np.isfinite(values[name])}
