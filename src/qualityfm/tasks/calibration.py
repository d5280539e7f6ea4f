"""Pressure with a calibration: the patient's first minute is known, and what has changed since is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from qualityfm.tasks.examples import Example, groups_of, truths

#: Seconds of each recording that a calibration may look at. Source: METHOD of the benchmark, docs/decisions/0024.
CALIBRATION_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What a calibration says of the windows after it; NaN and False where there is none.

    Attributes:
        held: Mean label of the calibration, such as the first minute of the recording.
        change: Features against their mean in the calibration.
        is_later: Which windows have one.
    """

    held: Float64[np.ndarray, "example output"]
    change: Float64[np.ndarray, "example feature"]
    is_later: Bool[np.ndarray, " example"]


def calibrated(examples: Sequence[Example], features: Float[np.ndarray, "example feature"]) -> Calibrated:
    """Return the calibration of each window by the first minute of its own recording.

    Raises:
        TaskError: An example has no label.
    """
    truth = truths(examples)
    held, before = np.full(truth.shape, np.nan), np.full(features.shape, np.nan)
    is_later = np.zeros(len(examples), bool)
    names = np.array([example.recording for example in examples])
    ends, starts = np.array([e.end_s for e in examples]), np.array([e.start_s for e in examples])
    for name in np.unique(names):
        first = np.flatnonzero((names == name) & (ends <= CALIBRATION_S))
        later = np.flatnonzero((names == name) & (starts >= CALIBRATION_S))
        if len(first) and len(later):
            held[later], before[later], is_later[later] = truth[first].mean(axis=0), _mean(features[first]), True
    return Calibrated(held=held, change=features - before, is_later=is_later)


def _mean(rows: np.ndarray) -> np.ndarray:
    """Return the mean of what is known of each column; NaN for one of which nothing is."""
    counts = np.isfinite(rows).sum(axis=0)
    return np.where(counts > 0, np.nansum(rows, axis=0) / np.maximum(counts, 1), np.nan)


def calibrated_by_patient(examples: Sequence[Example], features: Float[np.ndarray, "example feature"]) -> Calibrated:
    """Return the calibration of each window by its patient's windows of the split `train`.

    Raises:
        TaskError: An example has no label or group.
    """
    truth, groups = truths(examples), groups_of(examples)
    is_train = np.array([example.split == "train" for example in examples], bool)
    held, before = np.full(truth.shape, np.nan), np.full(features.shape, np.nan)
    is_known = np.zeros(len(examples), bool)
    for group in np.unique(groups[is_train]):
        rows = groups == group
        held[rows], is_known[rows] = truth[rows & is_train].mean(axis=0), True
        before[rows] = _mean(features[rows & is_train])
    return Calibrated(held=held, change=features - before, is_later=is_known)
