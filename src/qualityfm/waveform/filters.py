"""Zero-phase filters for many lines at once, and the filling they need: [line time] in, [line time] out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import lcm

import numpy as np
from jaxtyping import Bool, Float, Float32
from numba import njit
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

#: Seconds over which the end of a line is led back to its start, so that the FFT sees no step there.
BRIDGE_S = 2.0


@njit(cache=True)
def _fill(values: np.ndarray, is_known: np.ndarray, filled: np.ndarray) -> None:
    for i in range(values.shape[0]):
        num_known = np.sum(is_known[i])
        if num_known == values.shape[1]:
            filled[i] = values[i]
            continue
        if num_known == 0:
            filled[i] = 0
            continue
        last = -1
        for t in range(values.shape[1]):
            if not is_known[i, t]:
                continue
            filled[i, t] = values[i, t]
            if last < 0:
                for k in range(t):
                    filled[i, k] = values[i, t]
            else:
                step = (values[i, t] - values[i, last]) / np.float32(t - last)
                for k in range(last + 1, t):
                    filled[i, k] = values[i, last] + step * np.float32(k - last)
            last = t
        for k in range(last + 1, values.shape[1]):
            filled[i, k] = values[i, last]


def fill_missing(
    values: Float32[np.ndarray, "line time"], is_known: Bool[np.ndarray, "line time"]
) -> Float32[np.ndarray, "line time"]:
    """Return lines whose unknown samples lie on straight lines between known ones; 0 where a line has none.

    The ends are held at the first and last known sample. Meant for filters; a filled sample is no measurement.
    """
    filled = np.empty(values.shape, np.float32)
    _fill(np.ascontiguousarray(values, np.float32), np.ascontiguousarray(is_known), filled)
    return filled


@dataclass(frozen=True, kw_only=True)
class Band:
    """Frequencies to keep; 0 and infinity leave a side open.

    Attributes:
        low_hz: Lower edge, where half of the amplitude is left.
        high_hz: Upper edge.
        order: Steepness of both edges: 6 dB an octave for each, twice, as filtering forwards and backwards gives.
        step: Keep every `step`-th sample, for a band that needs no more; what lies above half the rate that is left
            is cut off.
    """

    low_hz: float = 0.0
    high_hz: float = np.inf
    order: int = 2
    step: int = 1

    def response(
        self, frequency_hz: Float[np.ndarray, " frequency"], sample_rate_hz: float
    ) -> Float32[np.ndarray, " frequency"]:
        """Return the gain at each frequency, that of the digital filter (bilinear transform) of these edges."""

        def warped(hz: Float[np.ndarray, " frequency"] | float) -> np.ndarray:
            return np.tan(np.pi * np.minimum(np.asarray(hz) / sample_rate_hz, 0.5))

        gain = np.ones(len(frequency_hz))
        if self.high_hz < sample_rate_hz / 2:
            gain /= 1 + (warped(frequency_hz) / warped(self.high_hz)) ** (2 * self.order)
        if self.low_hz > 0:
            gain *= 1 - 1 / (1 + (warped(frequency_hz) / warped(self.low_hz)) ** (2 * self.order))
        return gain.astype(np.float32)


def split_bands(
    lines: Float32[np.ndarray, "line time"], sample_rate_hz: float, *bands: Band
) -> list[Float32[np.ndarray, "line time"]]:
    """Return the part of every line in each band, without delay, from one forward FFT.

    The response is that of a Butterworth filter run forwards and backwards. Everything is relative to the line's
    mean: a band that begins at 0 Hz keeps slow changes and loses the constant.

    Args:
        lines: Finite samples.
        sample_rate_hz: Samples per second.
        bands: What to keep.

    Returns:
        One array for each band: every `step`-th sample, beginning with the first.

    Source:
        Butterworth magnitude, S. Butterworth, Wireless Engineer 7:536, 1930.
    """
    if lines.size == 0:
        return [lines[:, :: band.step].copy() for band in bands]
    num_samples = lines.shape[1]
    whole = lcm(*(2 * band.step for band in bands))
    shortest = num_samples + max(1, round(BRIDGE_S * sample_rate_hz))
    length = whole * next_fast_len(-(-shortest // whole), real=True)
    spectrum = rfft(_bridged(lines, length), axis=1)
    return [_part(spectrum, band, num_samples, length, sample_rate_hz) for band in bands]


def _part(spectrum: np.ndarray, band: Band, num_samples: int, length: int, sample_rate_hz: float) -> np.ndarray:
    """Return one band; a thinned one comes from the low end of the spectrum alone, which is as much cheaper."""
    num_kept = length // band.step
    low_end = np.empty((len(spectrum), num_kept // 2 + 1), spectrum.dtype)
    _weigh(spectrum, _gain(band, length, sample_rate_hz), low_end)
    # Contiguous however many lines there are: compiled loops add in another order over strided ones.
    return np.ascontiguousarray(irfft(low_end, num_kept, axis=1)[:, : -(-num_samples // band.step)])


@njit(cache=True)
def _weigh(spectrum: np.ndarray, gain: np.ndarray, weighed: np.ndarray) -> None:
    for i in range(weighed.shape[0]):
        for f in range(weighed.shape[1]):
            weighed[i, f] = complex(spectrum[i, f].real * gain[f], spectrum[i, f].imag * gain[f])


@lru_cache(maxsize=64)  # recordings come in one length and rate, thousands of them
def _gain(band: Band, length: int, sample_rate_hz: float) -> np.ndarray:
    return band.response(rfftfreq(length, 1 / sample_rate_hz), sample_rate_hz) / np.float32(band.step)


def _bridged(lines: np.ndarray, length: int) -> np.ndarray:
    """Return lines without their mean, lengthened by a straight way from their last sample back to their first."""
    longer = np.empty((len(lines), length), np.float32)
    mean = np.add.reduce(lines, axis=1) / np.float32(lines.shape[1])
    _bridge(lines, mean, _way(length - lines.shape[1]), longer)
    return longer


@lru_cache(maxsize=64)
def _way(num_steps: int) -> np.ndarray:
    return np.linspace(0, 1, num_steps + 2, dtype=np.float32)[1:-1]


@njit(cache=True)
def _bridge(lines: np.ndarray, mean: np.ndarray, way: np.ndarray, longer: np.ndarray) -> None:
    num_samples = lines.shape[1]
    for i in range(lines.shape[0]):
        for t in range(num_samples):
            longer[i, t] = lines[i, t] - mean[i]
        first, last = longer[i, 0], longer[i, num_samples - 1]
        for k in range(len(way)):
            longer[i, num_samples + k] = last * (np.float32(1) - way[k]) + first * way[k]
