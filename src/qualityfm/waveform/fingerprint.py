"""Fingerprints of a waveform: numbers that come out the same wherever the same stretch of signal is met again.

As in audio fingerprinting, the signal itself says where to look: a landmark is a peak of the smoothed line that rises
above everything near to it. The five seconds around a landmark, brought to mean 0 and length 1, are compared with
fixed random directions; the signs are the fingerprint. Gain, offset, sampling rate, quantisation, clipping of a few
peaks and the place where a recording was cut leave most of them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt64
from scipy.ndimage import maximum_filter1d

from qualityfm.waveform.filters import Band, fill_missing, split_bands

#: Source of the method: landmarks, Wang, "An industrial-strength audio search algorithm", ISMIR 2003; signs of random
#: projections, Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
#: All figures of this file are our own choice, docs/decisions/0014: windows of 4 to 6 s, 28 to 56 signs and upper
#: edges of 8 to 12 Hz find the same recordings.
SMOOTH = Band(low_hz=0.5, high_hz=8.0)
LANDMARK_S = 0.3  # nothing within this of a landmark is higher
BEFORE_S, WINDOW_S = 1.0, 5.0
WINDOW_RATE_HZ = 20.0
NUM_SIGNS = 48
#: Below this rate the smoothed band is not there.
MIN_SAMPLE_RATE_HZ = 2 * SMOOTH.high_hz
#: A window that moves less than this share of the line's largest value is rounding error.
REST_SHARE = 1e-5
#: A fingerprint that one line holds more often is a commonplace of it; a line is periodic where few others are left.
MAX_REPEATS, MIN_RARE_SHARE = 8, 0.2


@dataclass(frozen=True, kw_only=True)
class Fingerprints:
    """The fingerprints of one line.

    Attributes:
        keys: `NUM_SIGNS` low bits each.
        time_s: Where their landmarks are, in seconds after the line's first sample.
    """

    keys: UInt64[np.ndarray, " landmark"]
    time_s: Float[np.ndarray, " landmark"]

    def __len__(self) -> int:
        return len(self.keys)

    def rare(self) -> Fingerprints:
        """Return those that this line holds at most `MAX_REPEATS` times: what looks the same all over dates nothing."""
        _, key_of, count = np.unique(self.keys, return_inverse=True, return_counts=True)
        is_rare = count[key_of] <= MAX_REPEATS
        return Fingerprints(keys=self.keys[is_rare], time_s=self.time_s[is_rare])

    @property
    def is_periodic(self) -> bool:
        """True where hardly any fingerprint is rare, as in a paced rhythm or a test signal."""
        return len(self.rare()) < MIN_RARE_SHARE * len(self)


def smooth_lines(
    values: Float32[np.ndarray, "line time"], sample_rate_hz: float
) -> tuple[Float32[np.ndarray, "line time"], Bool[np.ndarray, "line time"]]:
    """Return lines in the band that fingerprints look at, and where their samples were known.

    Args:
        values: Samples in any unit, NaN where missing.
        sample_rate_hz: Samples per second, at least `MIN_SAMPLE_RATE_HZ`.
    """
    is_known = np.isfinite(values)
    return split_bands(fill_missing(values, is_known), sample_rate_hz, SMOOTH)[0], is_known


def fingerprint(line: Float32[np.ndarray, " time"], sample_rate_hz: float) -> Fingerprints:
    """Return the fingerprints of one channel; none where samples are missing or at rest.

    Args:
        line: Samples in any unit, NaN where missing.
        sample_rate_hz: Samples per second, at least `MIN_SAMPLE_RATE_HZ`.
    """
    smooth, is_known = smooth_lines(line[None], sample_rate_hz)
    rest = REST_SHARE * float(np.max(np.abs(line), where=is_known[0], initial=0.0))
    return describe(smooth[0], is_known[0], sample_rate_hz, rest)


def describe(
    smooth: Float32[np.ndarray, " time"], is_known: Bool[np.ndarray, " time"], sample_rate_hz: float, rest: float
) -> Fingerprints:
    """Return the fingerprints of a smoothed line.

    Args:
        smooth: One line of `smooth_lines`.
        is_known: Where its samples were recorded; a window that holds another is left out.
        sample_rate_hz: Samples per second.
        rest: A window whose standard deviation is not above this is left out.
    """
    moment = (np.arange(round(WINDOW_S * WINDOW_RATE_HZ)) / WINDOW_RATE_HZ - BEFORE_S) * sample_rate_hz
    peaks = find_landmarks(smooth, sample_rate_hz)
    peaks = peaks[(peaks + moment[0] >= 0) & (peaks + moment[-1] < len(smooth) - 1)]
    num_unknown = np.concatenate(([0], np.cumsum(~is_known)))
    first, last = np.floor(peaks + moment[0]).astype(int), np.ceil(peaks + moment[-1]).astype(int)
    peaks = peaks[num_unknown[last + 1] == num_unknown[first]]

    position = peaks[:, None] + moment
    left = np.floor(position).astype(int)
    right_share = (position - left).astype(np.float32)
    windows = smooth[left] * (1 - right_share) + smooth[left + 1] * right_share
    windows -= windows.mean(axis=1, keepdims=True)
    moves = windows.std(axis=1) > rest
    is_positive = windows[moves] @ _directions() > 0
    weights = np.uint64(1) << np.arange(NUM_SIGNS, dtype=np.uint64)
    return Fingerprints(keys=is_positive @ weights, time_s=peaks[moves] / sample_rate_hz)


def find_landmarks(smooth: Float32[np.ndarray, " time"], sample_rate_hz: float) -> Float[np.ndarray, " landmark"]:
    """Return where a line is higher than anywhere within `LANDMARK_S`, in samples and parts of a sample.

    The peak of the parabola through a sample and its neighbours stays in place when the rate changes.
    """
    if len(smooth) < 3:
        return np.zeros(0)
    around = maximum_filter1d(smooth, 2 * max(1, round(LANDMARK_S * sample_rate_hz)) + 1)
    peaks = np.flatnonzero(smooth[1:-1] == around[1:-1]) + 1
    before, top, after = (smooth[peaks + k].astype(np.float64) for k in (-1, 0, 1))
    bend = before - 2 * top + after
    is_peak = bend < 0
    return np.asarray(peaks[is_peak] + 0.5 * (before - after)[is_peak] / bend[is_peak])


@lru_cache(maxsize=1)
def _directions() -> np.ndarray:
    """Return the directions that windows are compared with, always the same ones."""
    num_samples = round(WINDOW_S * WINDOW_RATE_HZ)
    return np.random.default_rng(2015).standard_normal((num_samples, NUM_SIGNS)).astype(np.float32)
