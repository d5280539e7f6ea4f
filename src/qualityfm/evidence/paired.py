"""Is one model better than another? Both answer the same examples, and the difference gets the interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.stats import norm, rankdata

from qualityfm.evidence.intervals import Estimate, auc, bootstrap

Figure = Callable[[np.ndarray, np.ndarray], float]


def paired_difference(
    figure: Figure,
    truth: Shaped[np.ndarray, " example"],
    first: Shaped[np.ndarray, " example"],
    second: Shaped[np.ndarray, " example"],
    groups: Shaped[np.ndarray, " example"],
    *,
    num_rounds: int = 2000,
) -> Estimate:
    """Return figure(first) - figure(second) with its interval; every round draws the same patients for both.

    Args:
        figure: Takes truth and answers, such as `auc`.
        truth: Of every example.
        first: Answers of one model.
        second: Answers of the other.
        groups: Patient or record of every example.
        num_rounds: Bootstrap rounds.

    Raises:
        TaskError: There are fewer than two groups.
    """

    def difference(rows: np.ndarray) -> float:
        return figure(truth[rows], first[rows]) - figure(truth[rows], second[rows])

    return bootstrap(difference, groups, num_rounds=num_rounds)


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """A difference of two areas and the probability of one as large by chance."""

    difference: float
    p_value: float


def delong(
    is_true: Bool[np.ndarray, " example"], first: Float[np.ndarray, " example"], second: Float[np.ndarray, " example"]
) -> PairedTest:
    """Return the difference of two AUCs on the same examples and its two-sided p; examples count as independent.

    Where patients have several examples the bootstrap over patients is the honest test. NaN where a class is missing.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 44:837, 1988.
    """
    difference = auc(is_true, first) - auc(is_true, second)
    if is_true.sum() < 2 or (~is_true).sum() < 2:
        return PairedTest(difference=difference, p_value=float("nan"))
    of_true, of_false = zip(*(_placements(is_true, score) for score in (first, second)), strict=True)
    spread = np.cov(of_true) / is_true.sum() + np.cov(of_false) / (~is_true).sum()
    variance = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    if variance <= 1e-15:
        return PairedTest(difference=difference, p_value=1.0 if abs(difference) < 1e-12 else 0.0)
    return PairedTest(difference=difference, p_value=float(2 * norm.sf(abs(difference) / np.sqrt(variance))))


def _placements(is_true: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each true example the share of false ones below it, and for each false one the share of true above."""
    ranks, num_true, num_false = rankdata(score), int(is_true.sum()), int((~is_true).sum())
    of_true = (ranks[is_true] - rankdata(score[is_true])) / num_false
    of_false = 1 - (ranks[~is_true] - rankdata(score[~is_true])) / num_true
    return of_true, of_false
