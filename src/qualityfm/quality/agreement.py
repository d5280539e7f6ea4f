"""Do ECG and pulse belong together? Conservative: only a clear no takes trust.

QRS complexes and pulse upstrokes of one heart rise and fall together at some delay, at any rhythm: irregular beats
even more tellingly than regular ones. Unrelated channels share no delay.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32
from scipy.fft import irfft, next_fast_len, rfft

from qualityfm.quality.lines import Lines
from qualityfm.records import ChannelKind

#: All thresholds of this file are our own choice, docs/decisions/0004.
#: A difference over twice this time answers most to QRS complexes (16 Hz), or to upstrokes (5 Hz).
QRS_REACH_S, PULSE_REACH_S = 0.016, 0.05
STEP_S = 0.04  # activity is compared in steps of this length
MAX_DELAY_S = 2.0  # pulse transit plus what monitors delay a pulse by
NUM_DELAYS = round(MAX_DELAY_S / STEP_S) + 1
CLEAR_NO, CLEAR_YES = 0.10, 0.16  # best correlation over the delays; trust rises from LEAST_TRUST to 1 in between
LEAST_TRUST = 0.5  # which of the two is wrong stays unknown
MIN_QUALITY = 0.5  # a channel worse than this alone is not asked
MIN_LENGTH_S = 10.0  # fewer beats than this holds prove nothing

_PULSES = (ChannelKind.PPG, ChannelKind.ABP)


def agreement_trusts(
    lines: Mapping[int, Lines], quality: Float32[np.ndarray, "segment channel second"]
) -> dict[int, Float32[np.ndarray, " segment"]]:
    """Return, for each ECG and pulse slot, the trust left by the best agreement with any slot of the other sort.

    Args:
        lines: Prepared lines of the filled slots.
        quality: What the slots are worth by themselves.
    """
    ecgs = [c for c in lines if lines[c].kind == ChannelKind.ECG]
    pulses = [c for c in lines if lines[c].kind in _PULSES]
    if not ecgs or not pulses or quality.shape[2] < MIN_LENGTH_S or lines[ecgs[0]].sample_rate_hz < 2 / STEP_S:
        return {}
    is_good = quality.mean(axis=2) >= MIN_QUALITY
    spectra = {c: _activity_spectrum(lines[c]) for c in (*ecgs, *pulses)}
    best = {c: np.full(len(quality), -np.inf, np.float32) for c in spectra}
    for e in ecgs:
        for p in pulses:
            asked = is_good[:, e] & is_good[:, p]
            together = _best_correlation(spectra[e][asked], spectra[p][asked])
            best[e][asked] = np.maximum(best[e][asked], together)
            best[p][asked] = np.maximum(best[p][asked], together)
    return {c: np.where(np.isfinite(found), _trust(found), 1).astype(np.float32) for c, found in best.items()}


def _trust(correlation: Float32[np.ndarray, " segment"]) -> Float32[np.ndarray, " segment"]:
    certainty = np.clip((correlation - CLEAR_NO) / (CLEAR_YES - CLEAR_NO), 0, 1)
    return np.asarray(LEAST_TRUST + (1 - LEAST_TRUST) * certainty)


def _activity_spectrum(lines: Lines) -> np.ndarray:
    """Return the spectrum of how much happens at each moment, of mean 0 and power 1, padded for the delays."""
    reach_s = QRS_REACH_S if lines.kind == ChannelKind.ECG else PULSE_REACH_S
    reach = max(1, round(reach_s * lines.sample_rate_hz))
    rise = np.zeros_like(lines.values)
    rise[:, reach:-reach] = lines.values[:, 2 * reach :] - lines.values[:, : -2 * reach]
    activity = np.abs(rise) if lines.kind == ChannelKind.ECG else np.maximum(rise, 0)
    first = np.unique(np.arange(0, activity.shape[1] / lines.sample_rate_hz, STEP_S) * lines.sample_rate_hz // 1)
    steps = np.maximum.reduceat(activity, first.astype(int), axis=1)
    rank = steps.shape[1] * 9 // 10
    high = np.partition(steps, rank, axis=1)[:, rank, None]
    steps = steps / (steps + high / 2 + 1e-9)  # large beats count little more than small ones
    steps = steps - steps.mean(axis=1, keepdims=True)
    steps /= np.sqrt((steps**2).sum(axis=1, keepdims=True)) + 1e-9
    return np.asarray(rfft(steps, 2 * next_fast_len((steps.shape[1] + NUM_DELAYS) // 2 + 1), axis=1))


def _best_correlation(ecg: np.ndarray, pulse: np.ndarray) -> np.ndarray:
    """Return the highest correlation over all delays of the pulse."""
    return np.asarray(irfft(np.conj(ecg) * pulse, axis=1)[:, :NUM_DELAYS].max(axis=1, initial=-1.0))
