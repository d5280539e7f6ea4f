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
from scipy.fft import irfft, next_fast_len, rfft

from qualityfm.quality.lines import Judgement
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
    spectra = {c: _spectrum(steps) for c, steps in activity.items()}
    stands = {p: _stands_still(judged[p], quality[:, p].shape) for p in pulses}
    best = {c: np.full(quality[:, 0].shape, -np.inf, np.float32) for c in (*ecgs, *pulses)}
    for e in ecgs:
        for p in pulses:
            asked = np.flatnonzero(is_good[:, e] & is_good[:, p] & (stands[p].mean(axis=1) < MOSTLY))
            if len(asked):
                together, delay = best_correlation(spectra[e][asked], spectra[p][asked])
                drifts = _drifts(activity[e][asked], activity[p][asked], together)
                local = _local_trust(activity[e][asked], activity[p][asked], together, delay, quality.shape[2])
                local[np.minimum(quality[asked, e], quality[asked, p]) < MIN_QUALITY] = 1  # it has causes of its own
                local[stands[p][asked]] = 1
                trust = _trust(together, drifts)[:, None] * local
                best[e][asked] = np.maximum(best[e][asked], trust)
                best[p][asked] = np.maximum(best[p][asked], trust)
    return {c: np.where(np.isfinite(found), found, 1).astype(np.float32) for c, found in best.items()}


def _stands_still(pulse: Judgement, shape: tuple[int, ...]) -> Bool[np.ndarray, "segment second"]:
    """Return where there are no beats to follow, or a moment before."""
    return np.zeros(shape, bool) if pulse.is_lost is None else near_seconds(pulse.is_lost, 1)


def _local_trust(
    ecg: Float32[np.ndarray, "segment step"],
    pulse: Float32[np.ndarray, "segment step"],
    together: Float32[np.ndarray, " segment"],
    delay: Int64[np.ndarray, " segment"],
    num_seconds: int,
) -> Float32[np.ndarray, "segment second"]:
    """Return the trust left by how well three seconds around each second keep the segment's agreement at its delay."""
    share, spread = np.empty((2, len(ecg), num_seconds), np.float32)
    _local_shares(ecg, pulse, delay, share, spread)
    share /= np.maximum(together, 1e-9)[:, None]
    trust = LEAST_TRUST + (1 - LEAST_TRUST) * np.clip((share - LOCAL_NO) / (LOCAL_YES - LOCAL_NO), 0, 1)
    is_still = spread < STILL_SHARE * np.median(spread, axis=1, keepdims=True)  # a pause agrees with anything
    return np.where((together < SURELY)[:, None] | is_still, 1, trust).astype(np.float32)


@njit(cache=True)
def _local_shares(ecg: np.ndarray, pulse: np.ndarray, delay: np.ndarray, share: np.ndarray, spread: np.ndarray) -> None:
    """Write the correlation within three seconds, at a delay that may be a step off, and the spread of the ECG."""
    num_steps, num_seconds = ecg.shape[1], share.shape[1]
    for i in range(len(ecg)):
        for s in range(num_seconds):
            begin, end = max(s - 1, 0) * num_steps // num_seconds, min(s + 2, num_seconds) * num_steps // num_seconds
            e, p, ee, pp, ep = 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(begin, end):
                u = min(t + delay[i], num_steps - 2)
                x, y = ecg[i, t], max(pulse[i, max(u - 1, 0)], pulse[i, u], pulse[i, u + 1])
                e, p, ee, pp, ep = e + x, p + y, ee + x * x, pp + y * y, ep + x * y
            count = max(end - begin, 1)
            spread[i, s] = max(ee - e * e / count, 0.0) / count
            size = spread[i, s] * count * max(pp - p * p / count, 0.0)
            share[i, s] = (ep - e * p / count) / max(np.sqrt(size), 1e-9)


def _drifts(
    ecg: Float32[np.ndarray, "segment step"],
    pulse: Float32[np.ndarray, "segment step"],
    together: Float32[np.ndarray, " segment"],
) -> Bool[np.ndarray, " segment"]:
    """Return where short parts agree much better than the whole: two hearts of like rates keep step for seconds.

    Asked only between a clear no and a clear yes.
    """
    drifts = np.zeros(len(ecg), bool)
    doubtful = np.flatnonzero((together >= CLEAR_NO) & (together <= DRIFTING_YES))  # elsewhere it changes nothing
    if not len(doubtful):
        return drifts
    ecg, pulse = ecg[doubtful], pulse[doubtful]
    length = ecg.shape[1] // NUM_PARTS
    parts = np.zeros(len(ecg), np.float32)
    for first in range(0, NUM_PARTS * length, length):
        part = slice(first, first + length)
        parts += best_correlation(_spectrum(ecg[:, part]), _spectrum(pulse[:, part]))[0]
    drifts[doubtful] = together[doubtful] < DRIFTS_BELOW * parts / NUM_PARTS
    return drifts


def _trust(
    correlation: Float32[np.ndarray, " segment"], drifts: Bool[np.ndarray, " segment"]
) -> Float32[np.ndarray, " segment"]:
    no, yes = np.where(drifts, DRIFTING_NO, CLEAR_NO), np.where(drifts, DRIFTING_YES, CLEAR_YES)
    certainty = np.clip((correlation - no) / (yes - no), 0, 1)
    return np.asarray(LEAST_TRUST + (1 - LEAST_TRUST) * certainty, np.float32)


def activity_steps(judgement: Judgement) -> Float32[np.ndarray, "segment step"]:
    """Return how much happens at each moment, 0 to 1; large beats count little more than small ones."""
    steepness = judgement.steepness
    assert steepness is not None
    starts = _step_starts(steepness.shape[1], judgement.steepness_rate_hz)
    steps = np.empty((len(steepness), len(starts) - 1), np.float32)
    _highest_of_steps(steepness, starts, steps)
    rank = steps.shape[1] * 9 // 10
    high = np.partition(steps, rank, axis=1)[:, rank, None]
    steps /= steps + high / 2 + np.float32(1e-9)
    return steps


def _spectrum(steps: Float32[np.ndarray, "segment step"]) -> np.ndarray:
    """Return the spectrum of activity of mean 0 and power 1, padded for the delays."""
    steps = steps - steps.mean(axis=1, keepdims=True)
    steps /= np.sqrt((steps**2).sum(axis=1, keepdims=True)) + 1e-9
    return np.asarray(rfft(steps, 2 * next_fast_len((steps.shape[1] + NUM_DELAYS) // 2 + 1), axis=1))


@lru_cache(maxsize=16)
def _step_starts(num_samples: int, sample_rate_hz: float) -> Int64[np.ndarray, " edge"]:
    """Return the first sample of every step, and the end."""
    first = np.unique(np.arange(0, num_samples / sample_rate_hz, STEP_S) * sample_rate_hz // 1)
    return np.append(first.astype(np.int64), num_samples)


@njit(cache=True)
def _highest_of_steps(lines: np.ndarray, starts: np.ndarray, steps: np.ndarray) -> None:
    for i in range(steps.shape[0]):
        for k in range(steps.shape[1]):
            highest = lines[i, starts[k]]
            for t in range(starts[k] + 1, starts[k + 1]):
                highest = max(highest, lines[i, t])
            steps[i, k] = highest


def best_correlation(ecg: np.ndarray, pulse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest correlation over all delays of the pulse, and that delay in steps."""
    over_delays = irfft(np.conj(ecg) * pulse, axis=1)[:, :NUM_DELAYS]
    return np.asarray(over_delays.max(axis=1, initial=-1.0)), np.asarray(over_delays.argmax(axis=1))
