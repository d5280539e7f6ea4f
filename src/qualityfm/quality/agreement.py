"""Do ECG and pulse belong together? Conservative: only a clear no takes trust.

QRS complexes and pulse upstrokes of one heart rise and fall together at some delay, at any rhythm: irregular beats
even more tellingly than regular ones. Unrelated channels share no delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Int64
from numba import njit
from scipy.fft import irfft, next_fast_len, rfft

from qualityfm.quality.lines import Judgement
from qualityfm.records import ChannelKind

#: All thresholds of this file are our own choice, docs/decisions/0004.
STEP_S = 0.04  # activity is compared in steps of this length
MAX_DELAY_S = 2.0  # pulse transit plus what monitors delay a pulse by
NUM_DELAYS = round(MAX_DELAY_S / STEP_S) + 1
CLEAR_NO, CLEAR_YES = 0.10, 0.16  # best correlation over the delays; trust rises from LEAST_TRUST to 1 in between
LEAST_TRUST = 0.5  # which of the two is wrong stays unknown
MIN_QUALITY = 0.5  # a channel worse than this alone is not asked
MIN_LENGTH_S = 10.0  # fewer beats than this holds prove nothing

_PULSES = (ChannelKind.PPG, ChannelKind.ABP)


def agreement_trusts(
    kinds: Sequence[ChannelKind],
    judged: Mapping[int, Judgement],
    quality: Float32[np.ndarray, "segment channel second"],
) -> dict[int, Float32[np.ndarray, " segment"]]:
    """Return, for each ECG and pulse slot, the trust left by the best agreement with any slot of the other sort.

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
    spectra = {c: activity_spectrum(judged[c]) for c in (*ecgs, *pulses) if is_good[:, c].any()}
    best = {c: np.full(len(quality), -np.inf, np.float32) for c in (*ecgs, *pulses)}
    for e in ecgs:
        for p in pulses:
            asked = is_good[:, e] & is_good[:, p]
            if not asked.any():
                continue
            together = best_correlation(spectra[e][asked], spectra[p][asked])
            best[e][asked] = np.maximum(best[e][asked], together)
            best[p][asked] = np.maximum(best[p][asked], together)
    return {c: np.where(np.isfinite(found), _trust(found), 1).astype(np.float32) for c, found in best.items()}


def _trust(correlation: Float32[np.ndarray, " segment"]) -> Float32[np.ndarray, " segment"]:
    certainty = np.clip((correlation - CLEAR_NO) / (CLEAR_YES - CLEAR_NO), 0, 1)
    return np.asarray(LEAST_TRUST + (1 - LEAST_TRUST) * certainty)


def activity_spectrum(judgement: Judgement) -> np.ndarray:
    """Return the spectrum of how much happens at each moment, of mean 0 and power 1, padded for the delays."""
    steepness = judgement.steepness
    assert steepness is not None
    starts = _step_starts(steepness.shape[1], judgement.steepness_rate_hz)
    steps = np.empty((len(steepness), len(starts) - 1), np.float32)
    _highest_of_steps(steepness, starts, steps)
    rank = steps.shape[1] * 9 // 10
    high = np.partition(steps, rank, axis=1)[:, rank, None]
    steps /= steps + high / 2 + np.float32(1e-9)  # large beats count little more than small ones
    steps -= steps.mean(axis=1, keepdims=True)
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


def best_correlation(ecg: np.ndarray, pulse: np.ndarray) -> np.ndarray:
    """Return the highest correlation over all delays of the pulse."""
    return np.asarray(irfft(np.conj(ecg) * pulse, axis=1)[:, :NUM_DELAYS].max(axis=1, initial=-1.0))
