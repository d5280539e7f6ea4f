"""Does time run as it should? A wrong sampling rate stretches beats and the times between them alike.

Neither a slow nor a fast heart does that: in a slow one the beats stay as steep as they are, and broad beats come fast.
Only an escape rhythm that is slow and broad, or the narrow beats of a small child, look a little like it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from qualityfm.quality.lines import Trusts, falling
from qualityfm.records import Cause

#: All figures of this file are our own choice, docs/decisions/0020.
AROUND_S = 5  # seconds over which beats are counted
USUAL_INTERVAL_S = 0.8
LASTS_S, LASTS_QUANTILE = 15, 0.25  # seconds of which more than two thirds must agree
HALF_LOG2 = 1.0  # twice as slow or fast, in intervals and in beats, takes half the trust


def timescale_trust(
    number: Int64[np.ndarray, "line second"],
    rise_s: Float32[np.ndarray, "line second"],
    usual_rise_s: float,
    is_beating: Bool[np.ndarray, "line second"],
) -> Trusts:
    """Return the trust left where intervals and beats are both too long, or both too short.

    Args:
        number: Steep events of every second.
        rise_s: How long the steepest slope of every second takes to cross its range, s.
        usual_rise_s: The same for a usual beat.
        is_beating: True for a second that is neither at rest nor one steady oscillation; only there time is asked for.
    """
    interval_s = AROUND_S / np.maximum(_around(number.astype(np.float32), AROUND_S, np.sum), 1)
    interval = np.log2(interval_s / USUAL_INTERVAL_S)
    rise = np.log2(np.maximum(_around(rise_s, AROUND_S, np.median), 1e-4) / usual_rise_s)
    is_one_way = (interval * rise > 0) & is_beating
    stretch = np.where(is_one_way, np.minimum(np.abs(interval), np.abs(rise)), 0).astype(np.float32)
    lasting = np.zeros_like(stretch)
    asked = np.flatnonzero(stretch.any(axis=1))  # most lines run as they should
    if len(asked):
        lasting[asked] = _around(stretch[asked], LASTS_S, _low_quantile)  # no clock runs wrongly for a few beats
    return {Cause.WRONG_RATE: falling(lasting, HALF_LOG2, steepness=6)}


def _around(
    values: Float32[np.ndarray, "line second"], seconds: int, of: Callable[..., Any]
) -> Float32[np.ndarray, "line second"]:
    reach = seconds // 2
    padded = np.pad(values, ((0, 0), (reach, reach)), mode="edge") if values.size else values
    windows = np.lib.stride_tricks.sliding_window_view(padded, seconds, axis=1)
    return np.asarray(of(windows, axis=2))


def _low_quantile(windows: np.ndarray, axis: int) -> np.ndarray:
    rank = round(LASTS_QUANTILE * (LASTS_S - 1))
    return np.asarray(np.partition(windows, rank, axis=axis).take(rank, axis=axis))
