"""Curves that a report draws: ROC, reliability, risk against coverage; and what abstaining costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Line = Float[np.ndarray, " point"]


def roc(is_true: Bool[np.ndarray, " example"], score: Float[np.ndarray, " example"]) -> tuple[Line, Line]:
    """Return (false positive rate, true positive rate) at every threshold, from none called to all called.

    Example:
        >>> roc(np.array([True, False]), np.array([0.9, 0.1]))[1].tolist()
        [0.0, 1.0, 1.0]
    """
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    called_true = np.cumsum(is_true[order])[last_of_tie] / max(int(is_true.sum()), 1)
    called_false = np.cumsum(~is_true[order])[last_of_tie] / max(int((~is_true).sum()), 1)
    return np.append(0.0, called_false), np.append(0.0, called_true)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What was said against what was so, in bins of equal numbers of answers.

    Attributes:
        said: Mean probability of each bin.
        found: Share of true examples in it.
        number: Examples in it.
        error: Expected calibration error: mean distance of both, weighted by number.
    """

    said: Line
    found: Line
    number: Line
    error: float


def reliability(
    is_true: Bool[np.ndarray, " example"], probability: Float[np.ndarray, " example"], num_bins: int = 10
) -> Reliability:
    """Return the reliability of probabilities.

    Source: expected calibration error with equal counts, Nguyen, O'Connor, EMNLP 2015:1587.
    """
    bins = [part for part in np.array_split(np.argsort(probability, kind="stable"), num_bins) if len(part)]
    said = np.array([probability[part].mean() for part in bins])
    found = np.array([is_true[part].mean() for part in bins])
    number = np.array([len(part) for part in bins], float)
    return Reliability(
        said=said, found=found, number=number, error=float((np.abs(said - found) * number).sum() / number.sum())
    )


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """Error among the examples that are answered, when those of least confidence are left out first.

    Attributes:
        coverage: Share of the examples that are answered.
        risk: Mean error among them.
        area: Mean risk over all coverages.
    """

    coverage: Line
    risk: Line
    area: float


def risk_coverage(error: Float[np.ndarray, " example"], confidence: Float[np.ndarray, " example"]) -> RiskCoverage:
    """Return the risk at every coverage; a confidence that means nothing gives a flat curve.

    Source: El-Yaniv, Wiener, JMLR 11:1605, 2010.
    """
    ordered = error[np.argsort(-confidence, kind="stable")]
    number = np.arange(1, len(ordered) + 1)
    risk = np.cumsum(ordered) / number
    return RiskCoverage(coverage=number / len(ordered), risk=risk, area=float(risk.mean()))


@dataclass(frozen=True, kw_only=True)
class HeldPoint:
    """An operating point that holds a sensitivity and abstains where it must not answer: the alarm then stays on.

    Attributes:
        sensitivity: Share of the true alarms that stay on.
        removed: Share of the false alarms that are silenced.
        abstained: Share of all alarms without an answer.
    """

    sensitivity: float
    removed: float
    abstained: float


def held_point(
    is_true: Bool[np.ndarray, " example"],
    score: Float[np.ndarray, " example"],
    limit: Float[np.ndarray, " example"],
    is_answered: Bool[np.ndarray, " example"],
) -> HeldPoint:
    """Return what silencing every answered alarm below its limit does.

    Args:
        is_true: Truth.
        score: Probability of a true alarm.
        limit: From which score on the alarm stays on; chosen where the example was not seen.
        is_answered: Where the signals are good enough for an answer.
    """
    stays_on = (score >= limit) | ~is_answered
    return HeldPoint(
        sensitivity=float(stays_on[is_true].mean()) if is_true.any() else float("nan"),
        removed=float((~stays_on[~is_true]).mean()) if (~is_true).any() else float("nan"),
        abstained=float((~is_answered).mean()),
    )
