"""The usual pulse of a PPG, averaged over the pulses that look alike, and what its shape says of the arteries.

The size of a PPG is arbitrary, so pulses have height 1; times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.ndimage import gaussian_filter1d

from qualityfm.tasks.beat_features import Figures
from qualityfm.tasks.pulses import Pulses

#: Points that a pulse is stretched to.
NUM_POINTS = 200
#: A pulse is like the usual one from this correlation on, and within this share of its length. Our own choice,
#: docs/decisions/0038.
LIKE, LENGTH_SHARE = 0.9, 0.3
MIN_LIKE = 5
#: Parts of the height at which widths are measured. Source: Kurylyak, Lamonaca, Grimaldi, IEEE I2MTC 2013:280.
HEIGHTS = (0.1, 0.25, 0.33, 0.5, 0.66, 0.75, 0.9)
#: Where the aortic valve closes: after the peak by this time, and before this share of the pulse. Our own choice, as
#: above.
NOTCH_AFTER_S, NOTCH_BEFORE = 0.06, 0.7
#: Derivatives are of a shape that is smoothed by this much, s.
SMOOTHING_S = 0.012
NUM_HARMONICS = 5


@dataclass(frozen=True, kw_only=True)
class PulseWave:
    """The usual pulse of a stretch.

    Attributes:
        shape: Its course from foot to foot, straightened, from 0 to 1.
        length_s: Median length, s.
        height: Height of every pulse in the line's unit.
        level: Value at every pulse's foot.
        is_like: Which pulses look like the usual one.
    """

    shape: Float[np.ndarray, " point"]
    length_s: float
    height: Float[np.ndarray, " beat"]
    level: Float[np.ndarray, " beat"]
    is_like: Bool[np.ndarray, " beat"]


def usual_pulse(line: Float32[np.ndarray, " time"], pulses: Pulses, sample_rate_hz: float) -> PulseWave | None:
    """Return the mean of the pulses that look like their median; None where fewer than five do."""
    if len(pulses) < MIN_LIKE:
        return None
    ends = pulses.foot + np.round(pulses.length_s * sample_rate_hz).astype(int)
    phase = np.linspace(0, 1, NUM_POINTS)
    places = pulses.foot[:, None] + phase * (ends - pulses.foot)[:, None]
    rows = np.interp(places.ravel(), np.arange(len(line)), line).reshape(places.shape)
    rows = rows - rows[:, :1] - phase * (rows[:, -1:] - rows[:, :1])
    height = rows.max(axis=1)
    unit = rows / np.maximum(height, 1e-9)[:, None]
    median, length_s = np.median(unit, axis=0), float(np.median(pulses.length_s))
    is_like = _correlation(unit, median) >= LIKE
    is_like &= np.abs(pulses.length_s - length_s) <= LENGTH_SHARE * length_s
    if is_like.sum() < MIN_LIKE:
        return None
    shape = unit[is_like].mean(axis=0)
    return PulseWave(
        shape=shape / max(float(shape.max()), 1e-9),
        length_s=float(np.median(pulses.length_s[is_like])),
        height=height,
        level=line[pulses.foot].astype(np.float64),
        is_like=is_like,
    )


def _correlation(rows: np.ndarray, row: np.ndarray) -> np.ndarray:
    rows, row = rows - rows.mean(axis=1, keepdims=True), row - row.mean()
    return np.asarray(rows @ row / (np.linalg.norm(rows, axis=1) * np.linalg.norm(row) + 1e-9))


def wave_features(wave: PulseWave) -> Figures:
    """Return widths, slopes, areas, notch, decay and harmonics of the usual pulse, and how pulses vary."""
    shape, step_s = wave.shape, wave.length_s / (NUM_POINTS - 1)
    peak = int(shape.argmax())
    found = {"length_s": wave.length_s, "rise_s": peak * step_s, "rise_share": peak / NUM_POINTS}
    found |= _widths(shape, peak, step_s) | _slopes(shape, peak, step_s) | _harmonics(shape) | _moments(shape)
    return found | _decay(shape, peak, step_s) | _variation(wave)


def _widths(shape: np.ndarray, peak: int, step_s: float) -> Figures:
    found = {}
    for height in HEIGHTS:
        before, after = float((shape[:peak] >= height).sum()), float((shape[peak:] >= height).sum())
        found[f"width{round(100 * height)}_s"] = (before + after) * step_s
        found[f"width{round(100 * height)}_ratio"] = after / (before + 1)
    return found


def _slopes(shape: np.ndarray, peak: int, step_s: float) -> Figures:
    """Return the steepest rise, the notch, and the waves a to e of the second derivative.

    Source: Takazawa et al., Hypertension 32:365, 1998 (a to e); Millasseau et al., Clin Sci 103:371, 2002 (reflection
    index and time to the reflected wave).
    """
    first = np.gradient(gaussian_filter1d(shape, SMOOTHING_S / step_s, mode="wrap"), step_s)
    second = np.gradient(first, step_s)
    steepest = int(first[: peak + 1].argmax())
    a = int(second[: max(steepest, 1)].argmax())
    b = steepest + int(second[steepest : peak + max(2, round(0.04 / step_s))].argmin())
    low = min(peak + max(2, round(NOTCH_AFTER_S / step_s)), NUM_POINTS - 3)
    high = max(low + 2, round(NOTCH_BEFORE * NUM_POINTS))
    e = low + int(second[low:high].argmax())
    c = b + int(second[b : max(e - 1, b + 1)].argmax())
    d = c + int(second[c : max(e, c + 1)].argmin())
    later = e + int((shape[e:] - np.linspace(shape[e], 0, NUM_POINTS - e)).argmax())
    scale = max(float(second[a]), 1e-9)
    ratios = {f"{name}_to_a": float(second[k] / scale) for name, k in (("b", b), ("c", c), ("d", d), ("e", e))}
    ageing = ratios["b_to_a"] - ratios["c_to_a"] - ratios["d_to_a"] - ratios["e_to_a"]
    return ratios | {
        "ageing": ageing,
        "steepest": float(first[steepest]),
        "steepest_s": steepest * step_s,
        "steepest_fall": float(first[peak:].min()),
        "notch_s": e * step_s,
        "notch_after_s": (e - peak) * step_s,
        "notch_share": e / NUM_POINTS,
        "notch_height": float(shape[e]),
        "reflection_index": float(shape[later]),
        "reflection_s": (later - peak) * step_s,
        "area": float(shape.mean()),
        "area_ratio": float(shape[e:].sum() / max(float(shape[:e].sum()), 1e-9)),
    }


def _harmonics(shape: np.ndarray) -> Figures:
    parts = np.fft.rfft(shape - shape.mean())[1 : NUM_HARMONICS + 1]
    turn = np.angle(parts) - np.angle(parts[0]) * np.arange(1, NUM_HARMONICS + 1)
    size = np.abs(parts) / max(float(np.abs(parts[0])), 1e-9)
    found = {f"harmonic{k + 1}": float(size[k]) for k in range(1, NUM_HARMONICS)}
    for k in range(1, 3):
        found |= {f"turn{k + 1}_cos": float(np.cos(turn[k])), f"turn{k + 1}_sin": float(np.sin(turn[k]))}
    return found


def _moments(shape: np.ndarray) -> Figures:
    unit = (shape - shape.mean()) / (shape.std() + 1e-9)
    return {"skewness": float((unit**3).mean()), "kurtosis": float((unit**4).mean())}


def _decay(shape: np.ndarray, peak: int, step_s: float) -> Figures:
    """Return the time constant of the fall from two thirds to a tenth of the height, s. Source: a windkessel's."""
    falls = np.flatnonzero(shape[peak:] <= 2 / 3)
    ends = np.flatnonzero(shape[peak:] <= 0.1)
    if not len(falls) or not len(ends) or ends[0] - falls[0] < 5:
        return {"decay_s": np.nan}
    part = shape[peak + falls[0] : peak + ends[0]]
    slope = np.polyfit(np.arange(len(part)) * step_s, np.log(np.maximum(part, 1e-3)), 1)[0]
    return {"decay_s": float(np.clip(-1 / min(slope, -1e-3), 0, 3))}


def _variation(wave: PulseWave) -> Figures:
    """Return how height and level go up and down from pulse to pulse, as breathing makes them.

    Source: pleth variability, Cannesson et al., Br J Anaesth 101:200, 2008.
    """
    height, level = wave.height[wave.is_like], wave.level[wave.is_like]
    low, middle, high = np.percentile(height, (5, 50, 95))
    bottom, top = np.percentile(level, (5, 95))
    return {
        "height_variation": float((high - low) / max(float(high), 1e-9)),
        "level_variation": float((top - bottom) / max(float(middle), 1e-9)),
        "like_share": float(wave.is_like.mean()),
    }
