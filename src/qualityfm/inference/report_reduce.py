"""Reducing a recording and its scores to what a page can show: envelopes, bars, ticks, the two windows worth a zoom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, UInt16

from qualityfm.records import Cause, ChannelKind, QualityScore, Recording, Signal

#: Bars in one quality ribbon; up to twelve minutes are shown second by second, a day in bars of two minutes.
MAX_BARS = 720

#: Length of the close-ups, s.
ZOOM_S = 30.0

#: Distances between ticks that read well on a clock, s.
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Scores of whole seconds on one clock that starts with the recording.

    Attributes:
        names: Channel names, empty slots left out.
        kinds: What each channel measures.
        quality: Quality in [0, 1]; NaN where no segment covers the second.
        causes: `Cause` flags.
        model_quality: The model's estimate, or None.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    quality: Float32[np.ndarray, "channel second"]
    causes: UInt16[np.ndarray, "channel second"]
    model_quality: Float32[np.ndarray, "channel second"] | None


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a ribbon: a stretch of seconds with their mean quality and all their causes."""

    start_s: float
    end_s: float
    quality: float
    causes: Cause


@dataclass(frozen=True, kw_only=True)
class Zoom:
    """A window worth a closer look."""

    title: str
    start_s: float
    end_s: float
    quality: float


def timeline(score: QualityScore) -> Timeline:
    """Return the scores second by second; where segments overlap, the lower quality and the causes of both."""
    slots = [c for c, name in enumerate(score.names) if name is not None]
    ends = score.segment_start_s + score.segment_length_s
    num_seconds = max(1, math.ceil(float(ends.max(initial=0.0)) - 1e-9))
    shape = (len(slots), num_seconds)
    quality, causes = np.full(shape, np.nan, np.float32), np.zeros(shape, np.uint16)
    model = None if score.model_quality is None else np.full(shape, np.nan, np.float32)
    for s, (start_s, length_s) in enumerate(zip(score.segment_start_s, score.segment_length_s, strict=True)):
        first = int(start_s)
        count = min(math.ceil(float(length_s) - 1e-9), score.quality.shape[2], num_seconds - first)
        if count <= 0:
            continue
        here = slice(first, first + count)
        quality[:, here] = np.fmin(quality[:, here], score.quality[s, slots, :count])
        causes[:, here] |= score.causes[s, slots, :count]
        if model is not None and score.model_quality is not None:
            model[:, here] = np.fmin(model[:, here], score.model_quality[s, slots, :count])
    return Timeline(
        names=tuple(str(score.names[c]) for c in slots),
        kinds=tuple(str(score.kinds[c]) for c in slots),
        quality=quality,
        causes=causes,
        model_quality=model,
    )


def signal_of(recording: Recording, name: str, kind: str, rank: int = 0) -> Signal | None:
    """Return the signal a scored channel came from; `rank` tells channels of the same name apart."""
    matches = [s for s in recording.signals if s.name == name and s.kind == kind]
    return matches[min(rank, len(matches) - 1)] if matches else None


def bars(
    quality: Float32[np.ndarray, " second"], causes: UInt16[np.ndarray, " second"], start_s: int, end_s: int
) -> Iterator[Bar]:
    """Yield the bars of a ribbon from `start_s` to `end_s`; equal neighbours become one bar, unscored time none."""
    width = bar_seconds(end_s - start_s)
    waiting: Bar | None = None
    for first in range(start_s, end_s, width):
        last = min(first + width, end_s)
        part = quality[first:last]
        if not np.isfinite(part).any():
            continue
        bar = Bar(
            start_s=first,
            end_s=last,
            quality=round(float(np.nanmean(part)), 2),
            causes=Cause(int(np.bitwise_or.reduce(causes[first:last]))),
        )
        if (
            waiting is not None
            and waiting.end_s == bar.start_s
            and (waiting.quality, waiting.causes) == (bar.quality, bar.causes)
        ):
            bar = Bar(start_s=waiting.start_s, end_s=bar.end_s, quality=bar.quality, causes=bar.causes)
        elif waiting is not None:
            yield waiting
        waiting = bar
    if waiting is not None:
        yield waiting


def bar_seconds(span_s: float) -> int:
    """Return how many seconds one bar of a ribbon stands for."""
    width = max(1, math.ceil(span_s / MAX_BARS))
    return width if width <= 60 else math.ceil(width / 60) * 60


def reduce_trace(
    signal: Signal, start_s: float, end_s: float, num_columns: int
) -> tuple[Float32[np.ndarray, " point"], Float32[np.ndarray, " point"]]:
    """Return times in s and values of a line that looks like the signal at `num_columns` columns.

    Few samples are returned as they are. Many become the lowest and the highest of every column, in the order in which
    they were recorded, so that no spike is lost. A column without any sample becomes one NaN: a gap stays a gap.
    """
    rate = signal.sample_rate_hz
    first = max(0, math.ceil((start_s - signal.start_s) * rate - 1e-6))
    last = min(len(signal.samples), math.ceil((end_s - signal.start_s) * rate - 1e-6))
    samples = np.asarray(signal.samples[first:last], np.float64)
    times = signal.start_s + np.arange(first, max(first, last)) / rate
    if len(samples) <= 2 * num_columns:
        return times.astype(np.float32), samples.astype(np.float32)
    edges = np.linspace(0, len(samples), num_columns + 1).astype(int)
    xs, ys = [], []
    for begin, end in pairwise(edges):
        column = samples[begin:end]
        if not np.isfinite(column).any():
            xs.append(times[begin])
            ys.append(np.nan)
            continue
        for index in sorted({int(np.nanargmin(column)), int(np.nanargmax(column))}):
            xs.append(times[begin + index])
            ys.append(column[index])
    return np.asarray(xs, np.float32), np.asarray(ys, np.float32)


def gaps(signal: Signal, start_s: float, end_s: float, num_columns: int) -> list[tuple[float, float]]:
    """Return stretches of the window, in s, in which no sample was recorded; stretches below a column are left out."""
    column_s = (end_s - start_s) / num_columns
    rate = signal.sample_rate_hz
    first = max(0, round((start_s - signal.start_s) * rate))
    last = min(len(signal.samples), round((end_s - signal.start_s) * rate))
    missing = np.isnan(signal.samples[first:last])
    edges = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8))).reshape(-1, 2)
    found = [(signal.start_s + (first + b) / rate, signal.start_s + (first + e) / rate) for b, e in edges]
    if signal.start_s > start_s:
        found.insert(0, (start_s, min(signal.start_s, end_s)))
    if signal.start_s + signal.duration_s < end_s:
        found.append((max(start_s, signal.start_s + signal.duration_s), end_s))
    return _joined([g for g in found if g[1] - g[0] >= column_s], column_s)


def _joined(found: list[tuple[float, float]], near_s: float) -> list[tuple[float, float]]:
    """Return gaps with neighbours that no eye could tell apart made one."""
    joined: list[tuple[float, float]] = []
    for begin, end in found:
        if joined and begin - joined[-1][1] <= near_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def value_range(signal: Signal, start_s: float, end_s: float) -> tuple[float, float]:
    """Return the range to draw a stretch of a signal in: its extremes, but not those that would hide all the rest.

    A flushed pressure line or a defibrillator shock is drawn along the edge instead of squeezing every beat flat. The
    bounds are our own choice: all samples but a hundredth, widened by their range; pressure within 300 mmHg.
    """
    rate = signal.sample_rate_hz
    first, last = (max(0, round((t - signal.start_s) * rate)) for t in (start_s, end_s))
    finite = signal.samples[first:last][np.isfinite(signal.samples[first:last])]
    if not len(finite):
        return -1.0, 1.0
    # A day of samples is thinned first: the range needs no more than a few hundred thousand of them.
    thinned = finite[:: max(1, len(finite) // 200_000)].astype(np.float64)
    least, low, high, most = np.percentile(thinned, (0.05, 1, 99, 99.95))
    bottom, top = max(least, low - (high - low)), min(most, high + (high - low))
    if signal.kind == ChannelKind.ABP and least < 200:
        bottom, top = max(bottom, -40.0), min(top, 300.0)
    if top <= bottom:  # a flat line lies in the middle of a panel with a readable scale
        margin = max(0.1 * abs(top), 0.5)
    else:
        margin = 0.08 * (top - bottom)
    return float(bottom - margin), float(top + margin)


def zooms(score: QualityScore) -> list[Zoom]:
    """Return the worst and the best window; one window when all segments are equally good."""
    if not len(score.overall):
        return []
    whole = np.flatnonzero(score.segment_length_s >= 0.5 * score.segment_length_s.max())
    worst, best = (int(whole[choose(score.overall[whole])]) for choose in (np.argmin, np.argmax))
    if score.overall[worst] == score.overall[best]:
        return [_zoom(score, worst, "The first" if len(score.overall) > 1 else "The whole")]
    return [_zoom(score, worst, "The worst"), _zoom(score, best, "The best")]


def _zoom(score: QualityScore, segment: int, title: str) -> Zoom:
    start_s, length_s = float(score.segment_start_s[segment]), float(score.segment_length_s[segment])
    shown_s = min(length_s, ZOOM_S)
    return Zoom(
        title=f"{title} {shown_s:.0f} s",
        start_s=start_s,
        end_s=start_s + shown_s,
        quality=float(score.overall[segment]),
    )


def time_ticks(start_s: float, end_s: float) -> list[float]:
    """Return at most a dozen round times between two times, s."""
    step = next((s for s in TICK_STEPS_S if (end_s - start_s) / s <= 11), TICK_STEPS_S[-1])
    return [float(t) for t in np.arange(math.ceil(start_s / step - 1e-9) * step, end_s + 1e-6, step)]


def value_ticks(low: float, high: float) -> list[float]:
    """Return two to five round values inside a range."""
    rough = (high - low) / 4.5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.99)
    return [round(t, 9) + 0.0 for t in np.arange(math.ceil(low / step) * step, high, step)]


def clock(seconds: float) -> str:
    """Return a time as m:ss or h:mm:ss.

    Example:
        >>> clock(75), clock(3661)
        ('1:15', '1:01:01')
    """
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def span_words(seconds: float) -> str:
    """Return a length of time in words.

    Example:
        >>> span_words(330), span_words(86400)
        ('5 min 30 s', '24 h')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
