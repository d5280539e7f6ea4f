"""A shrunken linear map on hand-made features, as plain arrays: for quantities of which few patients are known.

Patients weigh alike. The map is drawn to zero by a ridge, and its answers towards the median of the training patients,
because that is the best guess where features say nothing and an absolute error is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float64, Shaped

from qualityfm.errors import FormatError, problem

#: Ridge against the mean square of standardised features, and standardised features are held within this many spreads.
#: Chosen with `SHARES` on the folds of the 2015 challenge's `train`, docs/experiments/LOG.md 0024.
RIDGE, LIMIT = 0.3, 3.0
#: How much of the map's answer is believed; chosen in inner rounds, and the least within half a standard error of the
#: best is taken. Source of the rule: Breiman et al., Classification and Regression Trees, 1984, with a whole one.
SHARES, WITHIN_ERRORS = (0.0, 0.25, 0.5), 0.5
INNER_FOLDS, INNER_ROUNDS = 5, 4
#: The spread of a change is the range of the smaller changes up to this share of them; larger ones than `LIMIT` such
#: spreads are held there. Our own choice, docs/decisions/0038.
USUAL_SHARE = 0.8
ARRAYS = ("center", "scale", "coefficient")


@dataclass(frozen=True, kw_only=True)
class Linear:
    """One output: `baseline` plus the sum of `coefficient` times each standardised feature; a missing one adds nothing.

    Attributes:
        baseline: Answer where all features are as usual.
        center: Usual value of each feature.
        scale: Its spread, above 0.
        coefficient: What a spread more adds.
    """

    baseline: float
    center: Float64[np.ndarray, " feature"]
    scale: Float64[np.ndarray, " feature"]
    coefficient: Float64[np.ndarray, " feature"]

    def predict(self, features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, " example"]:
        """Return the quantity for each row. NaN is a missing value."""
        return np.asarray(self.baseline + self.standardised(features) @ self.coefficient, np.float64)

    def standardised(self, features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, "example feature"]:
        """Return features against what is usual, in spreads."""
        return np.asarray(np.nan_to_num(np.clip((features - self.center) / self.scale, -LIMIT, LIMIT)), np.float64)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return all fields as arrays, for `np.savez`."""
        return {f"{prefix}{field.name}": np.asarray(getattr(self, field.name), np.float64) for field in fields(self)}


def fit_linear(
    features: Float[np.ndarray, "example feature"],
    truth: Float[np.ndarray, " example"],
    groups: Shaped[np.ndarray, " example"],
    *,
    is_change: bool = False,
    seed: int = 0,
) -> Linear:
    """Return the map of one quantity, its share chosen among the patients it learns from.

    Args:
        features: NaN where not defined.
        truth: The quantity.
        groups: Patient of each example.
        is_change: Features and quantity are changes: where nothing changed, nothing is said to have changed.
        seed: Of the inner rounds.
    """
    names, of_example = np.unique(groups, return_inverse=True)
    losses = np.zeros((len(SHARES), len(truth)))
    for number in range(INNER_ROUNDS if len(names) >= INNER_FOLDS else 0):
        fold = (np.random.default_rng([seed, number]).permutation(len(names)) % INNER_FOLDS)[of_example]
        for k in range(INNER_FOLDS):
            is_asked = fold == k
            whole = _fitted(features[~is_asked], truth[~is_asked], groups[~is_asked], is_change)
            beyond = whole.standardised(features[is_asked]) @ whole.coefficient
            for row, share in enumerate(SHARES):
                losses[row, is_asked] += np.abs(whole.baseline + share * beyond - truth[is_asked])
    whole = _fitted(features, truth, groups, is_change)
    share = _least_share(losses, of_example)
    return Linear(
        baseline=whole.baseline, center=whole.center, scale=whole.scale, coefficient=share * whole.coefficient
    )


def _least_share(losses: Float[np.ndarray, "share example"], of_example: np.ndarray) -> float:
    """Return the smallest share whose loss over patients is within half a standard error of the best share's."""
    counts = np.bincount(of_example)
    excess = losses - losses[losses.mean(axis=1).argmin()]
    for share, row in zip(SHARES, excess, strict=True):
        by_patient = np.bincount(of_example, row) / counts
        if by_patient.mean() <= WITHIN_ERRORS * by_patient.std() / np.sqrt(len(counts)):
            return share
    return 0.0


def _fitted(features: np.ndarray, truth: np.ndarray, groups: np.ndarray, is_change: bool) -> Linear:
    _, of_example, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1 / counts[of_example]
    weight = weight / weight.sum()
    center, scale = _spread_of_changes(features) if is_change else _spread_of_levels(features)
    empty = Linear(baseline=0.0, center=center, scale=scale, coefficient=np.zeros(len(center)))
    known = empty.standardised(features)
    if is_change:
        limit = LIMIT * max(float(np.quantile(np.abs(truth), USUAL_SHARE)), 1e-9)
        baseline, offset, wanted = 0.0, np.zeros(len(center)), np.clip(truth, -limit, limit)
    else:
        baseline, offset, wanted = weighted_median(truth, weight), weight @ known, truth - weight @ truth
    known = known - offset
    squares = (known * weight[:, None]).T @ known + RIDGE * np.eye(known.shape[1])
    coefficient = np.linalg.solve(squares, known.T @ (weight * wanted))
    return Linear(baseline=baseline, center=center + offset * scale, scale=scale, coefficient=coefficient)


def _spread_of_levels(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return median and standard deviation of each feature, of what lies within the middle 96 %."""
    shown = np.where(np.isfinite(features).any(axis=0), features, 0.0)
    low, middle, high = np.nanpercentile(shown, (2, 50, 98), axis=0)
    spread = np.nanstd(np.clip(shown, low, high), axis=0)
    return middle, np.where(spread > 1e-9, spread, 1.0)


def _spread_of_changes(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return zero, and how large a change is that most changes do not reach."""
    shown = np.where(np.isfinite(features).any(axis=0), np.abs(features), 0.0)
    usual = np.nanquantile(shown, USUAL_SHARE, axis=0)
    return np.zeros(len(usual)), np.where(usual > 1e-9, usual, 1.0)


def weighted_median(values: Float[np.ndarray, " example"], weight: Float[np.ndarray, " example"]) -> float:
    """Return the value below which half of the weight lies.

    Example:
        >>> weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 3.0]))
        9.0
    """
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def is_linear(arrays: Mapping[str, np.ndarray], prefix: str) -> bool:
    """Return whether stored arrays are those of a linear map."""
    return f"{prefix}coefficient" in arrays


def linear_from(arrays: Mapping[str, np.ndarray], prefix: str, num_features: int, where: object) -> Linear:
    """Return a stored map.

    Raises:
        FormatError: An array is missing, of another type or size, or not finite.
    """
    found = {name: arrays.get(f"{prefix}{name}") for name in (*ARRAYS, "baseline")}
    for name, array in found.items():
        shape = () if name == "baseline" else (num_features,)
        if array is None or array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
            shown = None if array is None else f"{array.dtype} {array.shape}"
            expected = f"finite float64 {shape}"
            raise FormatError(
                problem("damaged model", where=str(where), field=f"{prefix}{name}", found=shown, expected=expected)
            )
    center, scale, coefficient, baseline = (np.asarray(found[name]) for name in (*ARRAYS, "baseline"))
    if not (scale > 0).all():
        raise FormatError(
            problem("damaged model", where=str(where), field=f"{prefix}scale", found="0 or less", expected="above 0")
        )
    return Linear(baseline=float(baseline), center=center, scale=scale, coefficient=coefficient)
