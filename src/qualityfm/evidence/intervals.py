"""Figures with intervals: the area under the ROC curve, and the bootstrap over patients or records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.metrics import auc

__all__ = ["Estimate", "auc", "bootstrap", "draws"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure and its bootstrap interval.

    Attributes:
        value: The figure on all data.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    figure: Callable[[np.ndarray], float],
    groups: Shaped[np.ndarray, " sample"],
    *,
    num_rounds: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return a figure with its percentile interval, drawing whole groups (patients, records) with replacement.

    Args:
        figure: Takes sample numbers (with repeats) and returns the figure; NaN rounds are left out.
        groups: Patient or record of every sample.
        num_rounds: Bootstrap rounds.
        level: Of the interval.
        seed: Of the draws.

    Raises:
        TaskError: There are fewer than two groups, so there is nothing to draw from.
    """
    names, of_sample = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise TaskError(
            problem("no interval", where="bootstrap", field="groups", found=len(names), expected="at least two")
        )
    rounds = [figure(rows) for rows in draws(of_sample, len(names), num_rounds, seed)]
    defined = [found for found in rounds if not np.isnan(found)] or [float("nan")]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=figure(np.arange(len(groups))), low=float(low), high=float(high))


def draws(
    group_of_sample: Int[np.ndarray, " sample"], num_groups: int, num_rounds: int, seed: int
) -> Iterator[Int[np.ndarray, " drawn"]]:
    """Yield, for each bootstrap round, the samples of whole groups drawn with replacement.

    Args:
        group_of_sample: Number of every sample's group, 0 to `num_groups - 1`.
        num_groups: Groups to draw from, as many as are drawn.
        num_rounds: How often.
        seed: The same seed draws the same groups.
    """
    members = [np.flatnonzero(group_of_sample == group) for group in range(num_groups)]
    rng = np.random.default_rng(seed)
    for _ in range(num_rounds):
        yield np.concatenate([members[group] for group in rng.integers(0, num_groups, num_groups)])
