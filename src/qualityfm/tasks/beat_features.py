"""Numbers about the beats of one line: how fast, how regular, and how much each looks like the usual beat.

All features are plain figures by name; NaN where one is not defined. Choice of figures: our own, docs/decisions/0024,
after what the entries of the 2015 challenge measure (Clifford et al., Physiol Meas 37:E5, 2016).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from qualityfm.tasks.traces import RATE_HZ

#: Numbers of beats over which the fastest and the slowest rate are looked for; a VT alarm asks for five, an extreme
#: tachycardia for 17, a bradycardia for five. Source: definitions of the alarms, Clifford et al., CinC 2015:273.
FAST_BEATS, SLOW_BEATS = (3, 5, 8, 12, 17), (1, 2, 4, 5)
#: A beat looks unlike the usual one below this correlation. Our own choice, docs/decisions/0024.
UNLIKE = 0.8
#: Half of the stretch around a QRS complex that is compared, s.
REACH_S = 0.2

Figures = dict[str, float]


def rate_features(times_s: Float[np.ndarray, " beat"], begin_s: float, end_s: float) -> Figures:
    """Return figures of rate and regularity of the beats between two moments, in beats per minute and seconds."""
    inside = times_s[(times_s >= begin_s) & (times_s <= end_s)]
    gaps = np.diff(inside)
    edged = np.diff(np.concatenate(([begin_s], inside, [end_s])))
    found = {
        "rate_bpm": 60 * len(inside) / (end_s - begin_s),
        "longest_gap_s": float(edged.max()),
        "last_gap_s": float(edged[-1]),
    }
    found |= {f"fastest{k}_bpm": extreme_rate(inside, k, fastest=True) for k in FAST_BEATS}
    found |= {f"slowest{k}_bpm": extreme_rate(inside, k, fastest=False) for k in SLOW_BEATS}
    return found | regularity_features(gaps)


def regularity_features(gaps_s: Float[np.ndarray, " interval"]) -> Figures:
    """Return how regular intervals are: median, spread, spread of steps, shares."""
    if len(gaps_s) < 3:
        return dict.fromkeys(("interval_s", "interval_cv", "interval_rmssd", "interval_mad", "steady_share"), np.nan)
    median, steps = float(np.median(gaps_s)), np.diff(gaps_s)
    return {
        "interval_s": median,
        "interval_cv": float(gaps_s.std() / gaps_s.mean()),
        "interval_rmssd": float(np.sqrt((steps**2).mean()) / gaps_s.mean()),
        "interval_mad": float(np.median(np.abs(gaps_s - median)) / median),
        "steady_share": float((np.abs(gaps_s - median) < 0.1 * median).mean()),
    }


def extreme_rate(times_s: Float[np.ndarray, " beat"], num_beats: int, *, fastest: bool) -> float:
    """Return the highest or the lowest rate over so many intervals in a row, per minute; NaN with fewer."""
    if len(times_s) <= num_beats:
        return np.nan
    spans = times_s[num_beats:] - times_s[:-num_beats]
    return float(60 * num_beats / (spans.min() if fastest else spans.max()))


def longest_run(is_so: Bool[np.ndarray, " tick"]) -> int:
    """Return the length of the longest run of True.

    Example:
        >>> longest_run(np.array([True, False, True, True]))
        2
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_so, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def beat_shapes(line: Float32[np.ndarray, " time"], beats: Int64[np.ndarray, " beat"]) -> Float32[np.ndarray, "beat t"]:
    """Return the stretch around each beat, mean removed; the line is held at its ends."""
    reach = round(REACH_S * RATE_HZ)
    around = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, len(line) - 1)
    shapes = line[around]
    return np.asarray(shapes - shapes.mean(axis=1, keepdims=True))


def likeness(shapes: Float32[np.ndarray, "beat t"], template: Float32[np.ndarray, " t"]) -> Float[np.ndarray, " beat"]:
    """Return the correlation of each shape with a template, the best of shifts by up to two samples."""
    norm = np.linalg.norm(shapes, axis=1) + 1e-9
    each = [shapes @ np.roll(template, shift) / norm for shift in range(-2, 3)]
    return np.asarray(np.max(each, axis=0) / (np.linalg.norm(template) + 1e-9))


_SHAPE_NAMES = (
    *("like_mean", "like_min", "like_median", "unlike_share", "unlike_run", "unlike_rate_bpm", "unlike_fast"),
    *("run_alike", "neighbour_like", "size_max", "size_min", "size_median", "width_max", "width_median"),
)


def shape_features(line: Float32[np.ndarray, " time"], beats: Int64[np.ndarray, " beat"], begin_s: float) -> Figures:
    """Return how the QRS complexes from `begin_s` on differ from the usual complex of the whole line.

    Args:
        line: Finite ECG without baseline.
        beats: Sample of each QRS complex.
        begin_s: Where the window begins, seconds.
    """
    is_late = beats >= begin_s * RATE_HZ
    if is_late.sum() < 2:
        return dict.fromkeys(_SHAPE_NAMES, np.nan)
    shapes = beat_shapes(line, beats)
    usual = shapes[~is_late] if (~is_late).sum() >= 10 else shapes
    template = np.median(usual, axis=0)
    like = likeness(shapes[is_late], template)
    sizes, widths = _size_and_width(shapes[is_late]), _size_and_width(template[None])
    size, width = sizes[0] / widths[0], sizes[1] / widths[1]
    run, rate_bpm, alike = _longest_unlike_run(like, shapes[is_late], beats[is_late] / RATE_HZ)
    unit = shapes[is_late] / (np.linalg.norm(shapes[is_late], axis=1, keepdims=True) + 1e-9)
    figures = [like.mean(), like.min(), np.median(like), (like < UNLIKE).mean(), run, rate_bpm]
    figures += [_fast_unlikeness(like, beats[is_late] / RATE_HZ), alike, (unit[1:] * unit[:-1]).sum(axis=1).mean()]
    figures += [size.max(), size.min(), np.median(size), width.max(), np.median(width)]
    return dict(zip(_SHAPE_NAMES, map(float, figures), strict=True))


def _size_and_width(shapes: Float32[np.ndarray, "beat t"]) -> tuple[np.ndarray, np.ndarray]:
    """Return range and broadness (mean over largest deflection) of each shape."""
    return np.ptp(shapes, axis=1) + 1e-9, np.abs(shapes).mean(axis=1) / (np.abs(shapes).max(axis=1) + 1e-9) + 1e-9


def _longest_unlike_run(
    like: Float[np.ndarray, " beat"], shapes: Float32[np.ndarray, "beat t"], times_s: Float[np.ndarray, " beat"]
) -> tuple[float, float, float]:
    """Return length in beats, rate and inner likeness of the longest run of unlike beats; NaN without a run of two."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], like < UNLIKE, [False])).astype(np.int8)))
    spans = edges.reshape(-1, 2)
    if not len(spans):
        return 0.0, np.nan, np.nan
    first, end = spans[np.argmax(spans[:, 1] - spans[:, 0])]
    if end - first < 2:
        return float(end - first), np.nan, np.nan
    inside = likeness(shapes[first:end], np.median(shapes[first:end], axis=0))
    return float(end - first), float(60 * (end - first - 1) / (times_s[end - 1] - times_s[first])), float(inside.mean())


def _fast_unlikeness(
    like: Float[np.ndarray, " beat"], times_s: Float[np.ndarray, " beat"], num_beats: int = 5
) -> float:
    """Return the highest mean unlikeness of five beats in a row at more than 95 a minute; 0 where none are so fast."""
    best = 0.0
    for i in range(len(like) - num_beats + 1):
        if times_s[i + num_beats - 1] - times_s[i] < (num_beats - 1) * 60 / 95:
            best = max(best, float(1 - like[i : i + num_beats].mean()))
    return best
