"""Figures with intervals: the area under the ROC curve, and the bootstrap over patients or records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.stats import rankdata

from qualityfm.errors import TaskError, problem


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


def auc(is_positive: Bool[np.ndarray, " sample"], score: Float[np.ndarray, " sample"]) -> float:
    """Return the area under the ROC curve; NaN where one class is missing. Ties count half.

    Source: Mann-Whitney statistic; Hanley and McNeil, Radiology 143(1):29, 1982.

    Example:
        >>> auc(np.array([False, False, True]), np.array([0.1, 0.4, 0.8]))
        1.0
    """
    num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
    if not num_positive or not num_negative:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[is_positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


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
    members = [np.flatnonzero(of_sample == g) for g in range(len(names))]
    rng = np.random.default_rng(seed)
    rounds = [
        figure(np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))])) for _ in range(num_rounds)
    ]
    defined = [found for found in rounds if not np.isnan(found)] or [float("nan")]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=figure(np.arange(len(groups))), low=float(low), high=float(high))
