"""What a quality head's numbers mean: probabilities that hold, causes rarely named for nothing, and its limits.

Fitted once after training, on patients that were not learnt from; kept in the checkpoint's card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.optimize import minimize
from scipy.special import expit

from qualityfm.records import GRADE_CUTS, Cause

#: A second is good from this quality on: grade B or better.
GOOD_FROM = GRADE_CUTS["B"]

#: Share of undisturbed seconds for which any cause may be named, and from which quality a second is undisturbed.
FALSE_CAUSE_SHARE = 0.01
UNDISTURBED_FROM = GRADE_CUTS["A"]

#: Heads that see findings name a cause, theirs or the classical score's, only where a good second is less likely than
#: this: clean simulated seconds of the training side then have a cause in 1 % (our own choice, decisions/0029).
NAMED_BELOW = 0.3

#: A cause is named where it is right at least this often, shown by so many seconds (our own choice, decisions/0029).
RIGHT_SHARE, MIN_RIGHT = 0.5, 10

#: Shares of the undisturbed seconds that a cause may be named in; steps of the search for the price of a false one, and
#: the least gap above a quiet second.
SHARES_OFFERED = np.concatenate([[0.0], np.geomspace(1e-4, FALSE_CAUSE_SHARE, 24)])
NUM_HALVINGS, THRESHOLD_STEP = 24, 1e-6

#: Share of the held-out segments that the model is taken to know, and the directions of its features looked at.
KNOWN_SHARE = 0.995
NUM_AXES = 16

#: Room for the digits that a card leaves out.
ROUNDING = 1.001

#: Bins of the calibration error. Source: Guo et al., On Calibration of Modern Neural Networks, ICML (2017).
NUM_BINS = 15


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Two numbers for the quality head, a threshold for each cause, and the region of features that the model knows.

    Attributes:
        slope: Of the logit of a good second over the head's logit.
        offset: Of the same.
        error_before: Expected calibration error of the head's own probabilities, on seconds that were not fitted.
        error_after: The same after calibration.
        num_seconds: Seconds that were fitted.
        cause_thresholds: Answer from which each of `Cause.learnable()` is named; above 1 for one never named.
        center: Mean feature vector.
        axes: Directions of the features, each divided by the deviation along it [axis feature].
        residual_scale: Deviation of what the axes leave.
        limit: Distance beyond which a segment is foreign.
    """

    slope: float
    offset: float
    error_before: float
    error_after: float
    num_seconds: int
    cause_thresholds: tuple[float, ...]
    center: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    residual_scale: float
    limit: float

    def good_probability(self, logits: Float[np.ndarray, "*second"]) -> Float32[np.ndarray, "*second"]:
        """Return the probability that a second's quality is at least `GOOD_FROM`."""
        return np.asarray(expit(self.slope * np.asarray(logits, np.float64) + self.offset), np.float32)

    def causes(self, logits: Float[np.ndarray, "*second cause"]) -> np.ndarray:
        """Return `Cause` flags, UInt16[*second], of the causes whose probability reaches their threshold."""
        is_named = expit(np.asarray(logits, np.float64)) >= np.array(self.cause_thresholds)
        bits = np.array(Cause.learnable(), np.uint16)
        return np.asarray((is_named * bits).sum(axis=-1), np.uint16)

    def knows(self, features: Float[np.ndarray, "segment feature"]) -> Bool[np.ndarray, " segment"]:
        """Return which segments look like what the model was trained on."""
        return np.asarray(
            _distance(features, np.array(self.center), np.array(self.axes), self.residual_scale) <= self.limit
        )


def fit_calibration(
    logits: Float[np.ndarray, " second"],
    quality: Float[np.ndarray, " second"],
    cause_logits: Float[np.ndarray, "second cause"],
    has_cause: Bool[np.ndarray, "second cause"],
    features: Float[np.ndarray, "segment feature"],
    is_undisturbed: Bool[np.ndarray, " second"] | None = None,
) -> Calibration:
    """Return what is fitted on held-out patients; every second one of the seconds is kept for the errors.

    Args:
        logits: The quality head's answers.
        quality: What is known of the same seconds, in [0, 1].
        cause_logits: The cause head's answers; no columns without such a head.
        has_cause: What is known of the same.
        features: Pooled features of the held-out segments.
        is_undisturbed: Seconds in which no cause may be named; by default all of quality `UNDISTURBED_FROM` or better.
    """
    is_good = quality >= GOOD_FROM
    slope, offset = fit_logistic(logits[::2], is_good[::2])
    checked, truth = logits[1::2], is_good[1::2]
    center, axes, residual_scale = _fit_region(features)
    distance = _distance(features, center, axes, residual_scale)
    return Calibration(
        slope=slope,
        offset=offset,
        error_before=calibration_error(expit(checked), truth),
        error_after=calibration_error(expit(slope * checked + offset), truth),
        num_seconds=len(logits[::2]),
        cause_thresholds=_cause_thresholds(
            cause_logits, has_cause, quality >= UNDISTURBED_FROM if is_undisturbed is None else is_undisturbed
        ),
        center=tuple(_short(center)),
        axes=tuple(tuple(_short(axis)) for axis in axes),
        residual_scale=residual_scale,
        limit=ROUNDING * float(np.quantile(distance, KNOWN_SHARE, method="higher")) if len(distance) else 0.0,
    )


def calibration_error(probability: Float[np.ndarray, " second"], is_true: Bool[np.ndarray, " second"]) -> float:
    """Return the expected calibration error: the mean gap between probability and frequency over equal bins.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML (2017), equation 3.
    """
    if not len(probability):
        return 0.0
    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = [np.abs((probability[bins == b] - is_true[bins == b]).sum()) for b in range(NUM_BINS)]
    return float(np.sum(gaps) / len(probability))


def fit_logistic(logits: np.ndarray, is_true: np.ndarray) -> tuple[float, float]:
    """Return slope and offset by maximum likelihood with a weak pull to (1, 0), so that one class alone is no trap."""

    def loss(parameters: np.ndarray) -> float:
        z = parameters[0] * logits + parameters[1]
        misfit = np.logaddexp(0, z) - is_true * z
        return float(misfit.sum() + 0.5 * ((parameters[0] - 1) ** 2 + parameters[1] ** 2))

    if not len(logits):
        return 1.0, 0.0
    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(slope), float(offset)


def _cause_thresholds(logits: np.ndarray, has_cause: np.ndarray, is_undisturbed: np.ndarray) -> tuple[float, ...]:
    """Return the probability that each cause has to reach: right as often as `RIGHT_SHARE`, and rarely for nothing.

    Of undisturbed seconds at most `FALSE_CAUSE_SHARE` get any cause at all. How much of it a cause may use up is what
    finds most of all causes for it: each takes its false ones as long as a further one buys enough true ones, at one
    price for all, the lowest that keeps the bound.
    """
    if not logits.shape[1]:
        return ()
    probability = expit(logits)
    least = np.array([_right_from(*column) for column in zip(probability.T, has_cause.T, strict=True)])
    quiet = probability[is_undisturbed & ~has_cause.any(axis=1)]
    if not len(quiet):
        return tuple(_short(least))
    ordered = np.sort(quiet, axis=0)
    offers = np.maximum(least, [_exceeded_by(ordered, share) for share in SHARES_OFFERED])
    found = np.array([_share_found(probability, has_cause, thresholds) for thresholds in offers])
    columns = np.arange(offers.shape[1])
    low, high = 0.0, 1 / SHARES_OFFERED[1]
    for _ in range(NUM_HALVINGS):
        price = (low + high) / 2
        chosen = offers[np.argmax(found - price * SHARES_OFFERED[:, None], axis=0), columns]
        is_within = (quiet >= chosen).any(axis=1).mean() <= FALSE_CAUSE_SHARE
        low, high = (low, price) if is_within else (price, high)
    return tuple(_short(offers[np.argmax(found - high * SHARES_OFFERED[:, None], axis=0), columns]))


def _exceeded_by(ordered: np.ndarray, share: float) -> np.ndarray:
    """Return for each column of rising numbers the threshold that at most a share of them reaches."""
    return np.asarray(ordered[-1 - int(share * len(ordered))] + THRESHOLD_STEP)


def _share_found(probability: np.ndarray, has_cause: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of the seconds with each cause in which it is named."""
    num_named = ((probability >= thresholds) & has_cause).sum(axis=0)
    return np.asarray(num_named / np.maximum(has_cause.sum(axis=0), 1))


def _right_from(probability: np.ndarray, is_present: np.ndarray) -> float:
    """Return the lowest probability from which upwards a cause is right in `RIGHT_SHARE` of the seconds; 2 for none."""
    order = np.argsort(-probability, kind="stable")
    share_right = np.cumsum(is_present[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero((share_right >= RIGHT_SHARE) & (np.cumsum(is_present[order]) >= MIN_RIGHT))
    # A cause that hardly ever occurred was not learnt.
    return float(probability[order[enough[-1]]]) if len(enough) else 2.0


def _fit_region(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return center, scaled main axes and the deviation along all the others."""
    center = features.mean(axis=0) if len(features) else np.zeros(features.shape[1])
    _, sizes, directions = np.linalg.svd(features - center, full_matrices=False)
    # A direction without spread says nothing; scaled to unit deviation it would be nothing but rounding.
    num_axes = min(NUM_AXES, int(np.sum(sizes > 1e-3 * sizes[0]))) if len(sizes) else 0
    deviations = np.maximum(sizes / np.sqrt(max(len(features), 1)), 1e-6)
    total = float(np.sqrt(np.sum(deviations**2))) or 1.0
    rest = max(float(np.sqrt(np.sum(deviations[num_axes:] ** 2))), 1e-3 * total)
    return center, directions[:num_axes] / deviations[:num_axes, None], rest


def _distance(features: np.ndarray, center: np.ndarray, axes: np.ndarray, residual_scale: float) -> np.ndarray:
    """Return how far off features are, in deviations: along the axes (root mean square) or away from all of them."""
    centred = np.asarray(features, np.float64) - center
    coordinates = centred @ axes.T
    unit = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    rest = np.linalg.norm(centred - centred @ unit.T @ unit, axis=1) / residual_scale
    along = np.sqrt(np.square(coordinates).sum(axis=1) / max(len(axes), 1))
    return np.asarray(np.maximum(along, rest))


def _short(values: np.ndarray) -> list[float]:
    """Return numbers with the six digits that matter, so that a card stays small."""
    return [float(f"{value:.6g}") for value in values]
