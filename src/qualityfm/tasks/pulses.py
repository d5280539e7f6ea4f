"""Single pulses of a PPG or pressure line: where each begins, how high and how low it goes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, Int64
from scipy.signal import find_peaks

from qualityfm.waveform.filters import Band, fill_missing, split_bands

#: Band of a pulse's upstroke. Source: 0.5 to 8 Hz, Elgendi et al., PLoS ONE 8:e76585, 2013.
PULSE = Band(low_hz=0.5, high_hz=8.0)
#: Two upstrokes are at least this far apart, s: 240 beats per minute. Our own choice, docs/decisions/0024.
MIN_DISTANCE_S = 0.25
#: An upstroke is at least this share as steep as the usual one: a dicrotic wave is not. Our own choice, as above.
MIN_STEEPNESS = 0.35


@dataclass(frozen=True, kw_only=True)
class Pulses:
    """The complete pulses of one line; n feet make n - 1 pulses.

    Attributes:
        foot: Sample number of each pulse's foot.
        peak: Sample number of its highest sample before the next foot.
        high: Value there, in the line's unit; NaN where the pulse has a missing sample.
        low: Value at the foot, likewise.
        mean: Mean over the pulse, likewise.
        length_s: Time to the next foot, s.
    """

    foot: Int64[np.ndarray, " beat"]
    peak: Int64[np.ndarray, " beat"]
    high: Float[np.ndarray, " beat"]
    low: Float[np.ndarray, " beat"]
    mean: Float[np.ndarray, " beat"]
    length_s: Float[np.ndarray, " beat"]

    def __len__(self) -> int:
        return len(self.foot)


def find_upstrokes(line: Float32[np.ndarray, " time"], sample_rate_hz: float) -> Int64[np.ndarray, " beat"]:
    """Return the sample of the steepest rise of every pulse; missing samples are bridged for the search."""
    if len(line) < 2 * sample_rate_hz or not np.isfinite(line).any():
        return np.zeros(0, np.int64)
    filled = fill_missing(line[None], np.isfinite(line)[None])
    slope = np.diff(split_bands(filled, sample_rate_hz, PULSE)[0][0], append=0.0)
    distance = max(1, round(MIN_DISTANCE_S * sample_rate_hz))
    rises, _ = find_peaks(slope, distance=distance, height=1e-9)
    if len(rises) == 0:
        return np.zeros(0, np.int64)
    usual = np.median(np.sort(slope[rises])[-max(3, len(rises) // 2) :])
    return np.asarray(rises[slope[rises] >= MIN_STEEPNESS * usual], np.int64)


def find_pulses(line: Float32[np.ndarray, " time"], sample_rate_hz: float) -> Pulses:
    """Return the complete pulses of a line: the foot is the lowest sample in the 0.25 s before an upstroke."""
    rises = find_upstrokes(line, sample_rate_hz)
    reach = max(1, round(MIN_DISTANCE_S * sample_rate_hz))
    shown = np.where(np.isfinite(line), line, np.inf)
    feet = np.array([max(0, r - reach) + np.argmin(shown[max(0, r - reach) : r + 1]) for r in rises], np.int64)
    feet = np.unique(feet)
    if len(feet) < 2:
        empty, none = np.zeros(0), np.zeros(0, np.int64)
        return Pulses(foot=none, peak=none, high=empty, low=empty, mean=empty, length_s=empty)
    spans = list(pairwise(feet))
    peaks = np.array([a + np.argmax(np.where(np.isfinite(line[a:b]), line[a:b], -np.inf)) for a, b in spans], np.int64)
    whole = np.array([bool(np.isfinite(line[a : b + 1]).all()) for a, b in spans])
    return Pulses(
        foot=feet[:-1],
        peak=peaks,
        high=np.where(whole, line[peaks], np.nan),
        low=np.where(whole, line[feet[:-1]], np.nan),
        mean=np.array([line[a:b].mean() if ok else np.nan for (a, b), ok in zip(spans, whole, strict=True)]),
        length_s=np.diff(feet) / sample_rate_hz,
    )
