"""Where QRS complexes are, for many ECG lines at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from numba import njit

from qualityfm.waveform.filters import Band, split_bands

#: Source of the method and of these figures: Elgendi, "Fast QRS detection with an optimized knowledge-based method",
#: PLoS ONE 8:e73557, 2013.
QRS = Band(low_hz=8.0, high_hz=20.0)
QRS_S, BEAT_S = 0.097, 0.611
OFFSET_SHARE = 0.08
#: Two complexes are at least this far apart: the absolute refractory period, as in Pan, Tompkins, IEEE TBME 32:230,
#: 1985.
REFRACTORY_S = 0.2


def find_qrs(lines: Float32[np.ndarray, "line time"], sample_rate_hz: float) -> Bool[np.ndarray, "line time"]:
    """Return True at the moment of every QRS complex.

    A complex is where the energy of a QRS's width exceeds that of a beat's width; its moment is its highest energy.

    Args:
        lines: Finite ECG samples in any unit.
        sample_rate_hz: Samples per second; below 40 there is no QRS band, and what is found means little.
    """
    is_beat = np.zeros(lines.shape, bool)
    if lines.size == 0:
        return is_beat
    (band,) = split_bands(lines, sample_rate_hz, QRS)
    energy = band.astype(np.float64) ** 2
    width = max(1, round(QRS_S * sample_rate_hz))
    of_complex = _moving_mean(energy, width)
    threshold = _moving_mean(energy, max(1, round(BEAT_S * sample_rate_hz)))
    threshold += OFFSET_SHARE * energy.mean(axis=1, keepdims=True)
    _mark_beats(energy, of_complex > threshold, width, max(1, round(REFRACTORY_S * sample_rate_hz)), is_beat)
    return is_beat


def _moving_mean(lines: np.ndarray, width: int) -> np.ndarray:
    """Return the mean of `width` samples around each; fewer at the ends."""
    num_samples = lines.shape[1]
    total = np.concatenate((np.zeros((len(lines), 1)), np.cumsum(lines, axis=1)), axis=1)
    first = np.maximum(np.arange(num_samples) - width // 2, 0)
    last = np.minimum(np.arange(num_samples) - width // 2 + width, num_samples)
    return np.asarray((total[:, last] - total[:, first]) / (last - first))


@njit(cache=True)
def _mark_beats(energy: np.ndarray, is_high: np.ndarray, width: int, refractory: int, is_beat: np.ndarray) -> None:
    num_samples = energy.shape[1]
    for i in range(energy.shape[0]):
        begin, last = 0, -1
        while begin < num_samples:
            if not is_high[i, begin]:
                begin += 1
                continue
            end, peak = begin, begin
            while end < num_samples and is_high[i, end]:
                if energy[i, end] > energy[i, peak]:
                    peak = end
                end += 1
            if end - begin >= width:
                if last < 0 or peak - last > refractory:
                    is_beat[i, peak] = True
                    last = peak
                elif energy[i, peak] > energy[i, last]:
                    is_beat[i, last] = False
                    is_beat[i, peak] = True
                    last = peak
            begin = end
