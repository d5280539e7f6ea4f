"""What a segment is good enough for: documented rules on the quality and the causes of its seconds.

- heart rate: some ECG, PPG or pressure is trusted (grade C or better) for ten seconds in a row.
- rhythm: some ECG is trusted in 80 % of the segment's seconds, and for ten in a row.
- VT: some ECG is trusted in 90 % of them, and never lost for more than two seconds: a run of five beats fits in two.
- pressure: a channel in mmHg is of grade B or better for ten seconds in a row.

A second whose time runs wrong is trusted for nothing; one whose level or polarity is wrong is not trusted for pressure.
A segment shorter than the stretch a rule asks for has to be trusted as a whole. All are our own choice,
docs/decisions/0020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt16
from numba import njit

from qualityfm.records import GRADE_CUTS, Cause, ChannelKind

TRUSTED, TRUSTED_PRESSURE = GRADE_CUTS["C"], GRADE_CUTS["B"]
STRETCH_S = 10
RHYTHM_SHARE, VT_SHARE = 0.8, 0.9
MAX_VT_GAP_S = 2
_NEVER = int(Cause.WRONG_RATE)
_NO_PRESSURE = int(Cause.WRONG_RATE | Cause.INVERTED | Cause.LOW_AMPLITUDE | Cause.HIGH_AMPLITUDE)

Trusted = Bool[np.ndarray, "segment second"]


def usable_for(
    kinds: Sequence[ChannelKind],
    units: Sequence[str],
    quality: Float32[np.ndarray, "segment channel second"],
    causes: UInt16[np.ndarray, "segment channel second"],
    length_s: Float[np.ndarray, " segment"],
) -> dict[str, Bool[np.ndarray, " segment"]]:
    """Return for each use ("heart rate", "rhythm", "VT", "pressure") which segments are good enough.

    Args:
        kinds: What each slot holds.
        units: Physical unit of each slot; "" for an empty one.
        quality: Quality of each second.
        causes: `Cause` flags of each second.
        length_s: Seconds of recording in each segment.
    """
    num_seconds = np.minimum(np.ceil(length_s - 1e-9).astype(int), quality.shape[2])
    is_inside = np.arange(quality.shape[2]) < num_seconds[:, None]
    trusted = (quality >= TRUSTED) & ((causes & _NEVER) == 0) & is_inside[:, None]
    firm = (quality >= TRUSTED_PRESSURE) & ((causes & _NO_PRESSURE) == 0) & is_inside[:, None]
    stretch = np.minimum(STRETCH_S, np.maximum(num_seconds, 1))

    def any_of(rule: Callable[[Trusted], np.ndarray], trust: np.ndarray, slots: list[int]) -> np.ndarray:
        found = [rule(trust[:, c]) for c in slots]
        return np.asarray(np.any(found, axis=0)) if found else np.zeros(len(quality), bool)

    def lasting(trust: Trusted) -> np.ndarray:
        return np.asarray(longest_run(trust) >= stretch)

    def for_rhythm(trust: Trusted) -> np.ndarray:
        return np.asarray(lasting(trust) & (trust.sum(axis=1) >= RHYTHM_SHARE * num_seconds))

    def for_vt(trust: Trusted) -> np.ndarray:
        is_short = longest_run(~trust & is_inside) <= MAX_VT_GAP_S
        return np.asarray(lasting(trust) & is_short & (trust.sum(axis=1) >= VT_SHARE * num_seconds))

    ecgs = [c for c, kind in enumerate(kinds) if kind == ChannelKind.ECG]
    beats = [c for c, kind in enumerate(kinds) if kind != ChannelKind.OTHER]
    pressures = [c for c, k in enumerate(kinds) if k == ChannelKind.ABP and units[c].strip().lower() == "mmhg"]
    return {
        "heart rate": any_of(lasting, trusted, beats),
        "rhythm": any_of(for_rhythm, trusted, ecgs),
        "VT": any_of(for_vt, trusted, ecgs),
        "pressure": any_of(lasting, firm, pressures),
    }


@njit(cache=True)
def _longest_run(is_marked: np.ndarray, longest: np.ndarray) -> None:
    for i in range(is_marked.shape[0]):
        running = 0
        for s in range(is_marked.shape[1]):
            running = running + 1 if is_marked[i, s] else 0
            longest[i] = max(longest[i], running)


def longest_run(is_marked: Trusted) -> Int64[np.ndarray, " segment"]:
    """Return the length of the longest run of marked seconds in every segment.

    Example:
        >>> longest_run(np.array([[True, False, True, True]])).tolist()
        [2]
    """
    longest = np.zeros(len(is_marked), np.int64)
    _longest_run(is_marked, longest)
    return longest
