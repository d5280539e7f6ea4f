"""Pressure with a calibration: the patient's first minute is known, and what has changed since is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from qualityfm.tasks.examples import Example, truths

#: Seconds of each recording that a calibration may look at. Source: METHOD of the benchmark, docs/decisions/0024.
CALIBRATION_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What a recording's first minute says of its later windows; NaN and False where there is no such minute.

    Attributes:
        held: Mean label of the first minute.
        change: Features against their mean in the first minute.
        is_later: Which windows come after a first minute with labels.
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
