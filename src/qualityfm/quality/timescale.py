"""Does time run as it should? A wrong sampling rate stretches beats and the times between them alike.

Neither a slow nor a fast heart does that: in a slow one the beats stay as steep as they are, and broad beats come fast.
Only an escape rhythm that is slow and broad, or the narrow beats of a small child, look a little like it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numba import njit

from qualityfm.quality.lines import Trusts, falling
from qualityfm.records import Cause

#: All figures of this file are our own choice, docs/decisions/0020.
AROUND_S = 5  # seconds over which beats are counted
USUAL_INTERVAL_S = 0.8
LASTS_S, LASTS_RANK = 15, 4  # seconds of which all but so many must agree
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
    lasting = np.zeros(rise_s.shape, np.float32)
    _find_lasting(number, rise_s, usual_rise_s, is_beating, lasting)
    return {Cause.WRONG_RATE: falling(lasting, HALF_LOG2, steepness=6)}


@njit(cache=True)
def _find_lasting(
    number: np.ndarray, rise_s: np.ndarray, usual_rise_s: float, is_beating: np.ndarray, lasting: np.ndarray
) -> None:
    """Write by how many octaves time is off in most of the seconds around each: no clock is wrong for a few beats."""
    num_seconds = number.shape[1]
    stretch, ordered = np.empty(num_seconds, np.float32), np.empty(LASTS_S, np.float32)
    for i in range(number.shape[0]):
        is_any = False
        for s in range(num_seconds):
            stretch[s] = 0
            if is_beating[i, s]:
                stretch[s] = _stretch(number[i], rise_s[i], usual_rise_s, s, ordered)
                is_any |= stretch[s] > 0
        if is_any:  # most lines run as they should
            for s in range(num_seconds):
                lasting[i, s] = _ranked_around(stretch, s, LASTS_S, LASTS_RANK, ordered)


@njit(cache=True)
def _stretch(
    number: np.ndarray, rise_s: np.ndarray, usual_rise_s: float, second: int, ordered: np.ndarray
) -> np.float32:
    """Return how many octaves intervals and beats around a second are both too long or both too short."""
    count, last = 0, len(number) - 1
    for k in range(second - AROUND_S // 2, second + AROUND_S // 2 + 1):
        count += number[min(max(k, 0), last)]
    interval = AROUND_S / np.float32(max(count, 1)) / USUAL_INTERVAL_S
    rise = max(_ranked_around(rise_s, second, AROUND_S, AROUND_S // 2, ordered), np.float32(1e-4)) / usual_rise_s
    if (interval > 1) != (rise > 1):
        return np.float32(0)
    return np.float32(min(abs(np.log2(interval)), abs(np.log2(rise))))


@njit(cache=True)
def _ranked_around(values: np.ndarray, second: int, width: int, rank: int, ordered: np.ndarray) -> np.float32:
    """Return the value of a rank, from 0, among the seconds around one; beyond an end its value is repeated."""
    for k in range(width):
        value, place = values[min(max(second + k - width // 2, 0), len(values) - 1)], k
        while place > 0 and ordered[place - 1] > value:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = value
    return np.float32(ordered[rank])
