"""Do ECG and pulse belong together? Conservative: only a clear no takes trust.

QRS complexes and pulse upstrokes of one heart rise and fall together at some delay, at any rhythm: irregular beats
even more tellingly than regular ones. Unrelated channels share no delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numba import njit

from qualityfm.quality.lines import Judgement
from qualityfm.quality.measures import ROW
from qualityfm.quality.standstill import near_seconds
from qualityfm.records import ChannelKind

#: All thresholds of this file are our own choice, docs/decisions/0004 and 0020.
STEP_S = 0.04  # activity is compared in steps of this length
MAX_DELAY_S = 2.0  # pulse transit plus what monitors delay a pulse by
NUM_DELAYS = round(MAX_DELAY_S / STEP_S) + 1
CLEAR_NO, CLEAR_YES = 0.10, 0.16  # best correlation over the delays; trust rises from LEAST_TRUST to 1 in between
#: Where a segment agrees much less at one delay than its parts do at delays of their own, it drifts: more is asked.
NUM_PARTS, DRIFTS_BELOW = 10, 0.66
DRIFTING_NO, DRIFTING_YES = 0.24, 0.32
LEAST_TRUST = 0.5  # which of the two is wrong stays unknown
MIN_QUALITY = 0.5  # a channel worse than this alone is not asked
SURELY = 0.35  # correlation of a segment from which on each of its seconds is asked
LOCAL_NO, LOCAL_YES = 0.1, 0.6  # a second's correlation over its segment's; trust rises in between
STILL_SHARE = 0.2  # a second with less going on than this share of the usual is not asked
MOSTLY = 0.2  # share of seconds without beats from which on a segment is not asked
MIN_LENGTH_S = 10.0  # fewer beats than this holds prove nothing
NUM_CLASSES = 64  # of sizes, in the search for the usual one

_PULSES = (ChannelKind.PPG, ChannelKind.ABP)


def agreement_trusts(
    kinds: Sequence[ChannelKind],
    judged: Mapping[int, Judgement],
    quality: Float32[np.ndarray, "segment channel second"],
) -> dict[int, Float32[np.ndarray, "segment second"]]:
    """Return, for each ECG and pulse slot, the trust left by the best agreement with any slot of the other sort.

    A second is asked by itself only where the segment as a whole clearly agrees: then its beats must keep the
    segment's delay.

    Args:
        kinds: What each slot holds.
        judged: What the indices found in the filled slots.
        quality: What the slots are worth by themselves.
    """
    ecgs = [c for c in judged if kinds[c] == ChannelKind.ECG]
    pulses = [c for c in judged if kinds[c] in _PULSES]
    if not ecgs or not pulses or quality.shape[2] < MIN_LENGTH_S or judged[ecgs[0]].steepness_rate_hz < 2 / STEP_S:
        return {}
    is_good = quality.mean(axis=2) >= MIN_QUALITY
    activity = {c: activity_steps(judged[c]) for c in (*ecgs, *pulses) if is_good[:, c].any()}
    stands = {p: _stands_still(judged[p], quality[:, p].shape) for p in pulses}
    best = {c: np.full(quality[:, 0].shape, -np.inf, np.float32) for c in (*ecgs, *pulses)}
    for e in ecgs:
        for p in pulses:
            is_asked = is_good[:, e] & is_good[:, p] & (stands[p].mean(axis=1) < MOSTLY)
            if is_asked.any():
                is_weak = (np.minimum(quality[:, e], quality[:, p]) < MIN_QUALITY) | stands[p]
                _raise_trust(activity[e], activity[p], is_asked, is_weak, best[e], best[p])
    return {c: np.where(np.isfinite(found), found, np.float32(1)) for c, found in best.items()}


def _stands_still(pulse: Judgement, shape: tuple[int, ...]) -> Bool[np.ndarray, "segment second"]:
    """Return where there are no beats to follow, or a moment before."""
    is_lost = pulse.is_lost
    return np.zeros(shape, bool) if is_lost is None or not is_lost.any() else near_seconds(is_lost, 1)


@njit(cache=True)
def _raise_trust(
    ecg: np.ndarray,
    pulse: np.ndarray,
    is_asked: np.ndarray,
    is_weak: np.ndarray,
    best_of_ecg: np.ndarray,
    best_of_pulse: np.ndarray,
) -> None:
    """Raise the trust in two channels to what their agreement gives them, segment by segment."""
    num_seconds = is_weak.shape[1]
    share, spread = np.empty(num_seconds, np.float32), np.empty(num_seconds, np.float32)
    for i in range(len(ecg)):
        if not is_asked[i]:
            continue
        together, delay = best_correlation(ecg[i], pulse[i])
        whole = _trust_in_whole(together, _drifts(ecg[i], pulse[i], together))
        _local_shares(ecg[i], pulse[i], delay, share, spread)
        still = np.float32(STILL_SHARE) * np.float32(np.median(spread))
        for s in range(num_seconds):
            trust = whole
            # A pause agrees with anything; what is bad by itself has causes of its own, what stands still no beats.
            if together >= SURELY and spread[s] >= still and not is_weak[i, s]:
                certainty = (share[s] / max(together, 1e-9) - LOCAL_NO) / (LOCAL_YES - LOCAL_NO)
                trust *= LEAST_TRUST + (1 - LEAST_TRUST) * min(max(certainty, 0.0), 1.0)
            best_of_ecg[i, s] = max(best_of_ecg[i, s], np.float32(trust))
            best_of_pulse[i, s] = max(best_of_pulse[i, s], np.float32(trust))


@njit(cache=True)
def _trust_in_whole(together: float, drifts: bool) -> float:
    no, yes = (DRIFTING_NO, DRIFTING_YES) if drifts else (CLEAR_NO, CLEAR_YES)
    return LEAST_TRUST + (1 - LEAST_TRUST) * min(max((together - no) / (yes - no), 0.0), 1.0)


@njit(cache=True)
def _drifts(ecg: np.ndarray, pulse: np.ndarray, together: float) -> bool:
    """Return whether short parts agree much better than the whole: two hearts of like rates keep step for seconds.

    Asked only between a clear no and a clear yes: elsewhere it changes nothing.
    """
    if not CLEAR_NO <= together <= DRIFTING_YES:
        return False
    length, parts = len(ecg) // NUM_PARTS, 0.0
    for first in range(0, NUM_PARTS * length, length):
        parts += best_correlation(ecg[first : first + length], pulse[first : first + length])[0]
    return bool(together < DRIFTS_BELOW * parts / NUM_PARTS)


@njit(cache=True)
def best_correlation(ecg: np.ndarray, pulse: np.ndarray) -> tuple[float, int]:
    """Return the highest correlation over all delays of the pulse, and that delay in steps.

    Directly: with so few delays it is quicker than by Fourier transforms.
    """
    rows = (len(ecg) + ROW - 1) // ROW * ROW
    first, second = np.zeros(rows, np.float32), np.zeros(rows + NUM_DELAYS, np.float32)
    _standardise(ecg, first)
    _standardise(pulse, second)
    best, delay = np.float32(-1), 0
    for d in range(NUM_DELAYS):
        correlation = _dot(first, second[d : d + rows])
        if correlation > best:
            best, delay = correlation, d
    return float(best), delay


@njit(cache=True)
def _standardise(steps: np.ndarray, standard: np.ndarray) -> None:
    """Write activity of mean 0 and power 1; what is longer stays 0."""
    total, power = 0.0, 0.0
    for t in range(len(steps)):
        total += steps[t]
    for t in range(len(steps)):
        standard[t] = steps[t] - np.float32(total / len(steps))
        power += standard[t] ** 2
    scale = np.float32(1 / (np.sqrt(power) + 1e-9))
    for t in range(len(steps)):
        standard[t] *= scale


@njit(cache=True, fastmath=True)
def _dot(first: np.ndarray, second: np.ndarray) -> np.float32:
    total = np.float32(0)
    for t in range(len(first)):
        total += first[t] * second[t]
    return total


@njit(cache=True)
def _local_shares(ecg: np.ndarray, pulse: np.ndarray, delay: int, share: np.ndarray, spread: np.ndarray) -> None:
    """Write the correlation within three seconds, at a delay that may be a step off, and the spread of the ECG."""
    num_steps, num_seconds = len(ecg), len(share)
    for s in range(num_seconds):
        begin, end = max(s - 1, 0) * num_steps // num_seconds, min(s + 2, num_seconds) * num_steps // num_seconds
        e, p, ee, pp, ep = 0.0, 0.0, 0.0, 0.0, 0.0
        for t in range(begin, end):
            u = min(t + delay, num_steps - 2)
            x, y = ecg[t], max(pulse[max(u - 1, 0)], pulse[u], pulse[u + 1])
            e, p, ee, pp, ep = e + x, p + y, ee + x * x, pp + y * y, ep + x * y
        count = max(end - begin, 1)
        spread[s] = max(ee - e * e / count, 0.0) / count
        size = spread[s] * count * max(pp - p * p / count, 0.0)
        share[s] = (ep - e * p / count) / max(np.sqrt(size), 1e-9)


def activity_steps(judgement: Judgement) -> Float32[np.ndarray, "segment step"]:
    """Return how much happens at each moment, 0 to 1; large beats count little more than small ones."""
    steepness = judgement.steepness
    assert steepness is not None
    starts = _step_starts(steepness.shape[1], judgement.steepness_rate_hz)
    steps = np.empty((len(steepness), len(starts) - 1), np.float32)
    _write_activity(steepness, starts, steps)
    return steps


@lru_cache(maxsize=16)
def _step_starts(num_samples: int, sample_rate_hz: float) -> Int64[np.ndarray, " edge"]:
    """Return the first sample of every step, and the end."""
    first = np.unique(np.arange(0, num_samples / sample_rate_hz, STEP_S) * sample_rate_hz // 1)
    return np.append(first.astype(np.int64), num_samples)


@njit(cache=True)
def _write_activity(lines: np.ndarray, starts: np.ndarray, steps: np.ndarray) -> None:
    """Write the highest value of every step, over itself and half of what nine in ten steps stay below."""
    rank, room = steps.shape[1] * 9 // 10, np.empty(steps.shape[1], np.float32)
    for i in range(steps.shape[0]):
        for k in range(steps.shape[1]):
            highest = lines[i, starts[k]]
            for t in range(starts[k] + 1, starts[k + 1]):
                highest = max(highest, lines[i, t])
            steps[i, k] = highest
        half = _ranked(steps[i], rank, room) / np.float32(2)
        for k in range(steps.shape[1]):
            steps[i, k] /= steps[i, k] + half + np.float32(1e-9)


@njit(cache=True)
def _ranked(values: np.ndarray, rank: int, room: np.ndarray) -> np.float32:
    """Return the value of a rank, from 0, among values that are not negative: only those of its class are ordered."""
    highest = values.max()
    if highest < np.float32(1e-30):  # nothing to divide by
        return np.float32(np.partition(values, rank)[rank])
    counts, scale = np.zeros(NUM_CLASSES, np.int64), np.float32(NUM_CLASSES - 1) / highest
    for k in range(len(values)):
        counts[int(values[k] * scale)] += 1
    before, wanted = 0, 0
    while before + counts[wanted] <= rank:
        before += counts[wanted]
        wanted += 1
    num_inside = 0
    for k in range(len(values)):
        if int(values[k] * scale) == wanted:
            room[num_inside] = values[k]
            num_inside += 1
    return np.float32(np.partition(room[:num_inside], rank - before)[rank - before])
