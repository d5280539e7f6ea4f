"""Figures with intervals: the area under the ROC curve, and the bootstrap over patients or records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.metrics import auc

__all__ = ["Estimate", "auc", "bootstrap"]


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
    members = [np.flatnonzero(of_sample == g) for g in range(len(names))]
    rng = np.random.default_rng(seed)
    rounds = [
        figure(np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))])) for _ in range(num_rounds)
    ]
    defined = [found for found in rounds if not np.isnan(found)] or [float("nan")]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=figure(np.arange(len(groups))), low=float(low), high=float(high))
