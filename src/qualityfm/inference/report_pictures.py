"""The pictures of a report as inline SVG: waveforms, quality ribbons under them, one time axis for all.

Colours come from report_style.css by class name, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import numpy as np

from qualityfm.inference.report_reduce import (
    MAX_BARS,
    Bar,
    Timeline,
    bars,
    clock,
    gaps,
    reduce_trace,
    signal_of,
    time_ticks,
    value_range,
    value_ticks,
)
from qualityfm.records import Cause, QualityScore, Recording, Signal, grade

#: Geometry in SVG units, which are pixels on a wide screen.
WIDTH = 1120.0
LEFT = 92.0
RIGHT = 12.0
PLOT = WIDTH - LEFT - RIGHT
RIBBON = 16.0
THIN_RIBBON = 8.0
REASONS = 14.0
AXIS = 34.0
GAP_BETWEEN = 16.0

#: Width of one letter of the reasons' type size; decides which reasons fit under their seconds.
LETTER = 5.4


@dataclass(frozen=True, kw_only=True)
class Window:
    """The stretch of time a picture shows, and where a time lies in it."""

    start_s: float
    end_s: float

    def x(self, time_s: float) -> float:
        """Return the horizontal position of a time."""
        return LEFT + PLOT * (time_s - self.start_s) / (self.end_s - self.start_s)


def stacked_picture(
    recording: Recording,
    line: Timeline,
    window: Window,
    *,
    panel_height: float,
    num_columns: int,
    label: str,
    strip: QualityScore | None = None,
) -> str:
    """Return one SVG: for each channel its waveform over its quality ribbon, all on one time axis.

    Args:
        recording: The signals.
        line: Their quality second by second.
        window: What to show.
        panel_height: Height of one waveform.
        num_columns: How finely waveforms are drawn.
        label: What the picture shows, for those who cannot see it.
        strip: Scores of whole segments, drawn as a strip of bars on top.
    """
    parts: list[str] = []
    y = 6.0
    if strip is not None:
        parts.append(_segment_strip(strip, window, y, 30.0))
        y += 30.0 + GAP_BETWEEN
    for c, name in enumerate(line.names):
        rank = sum(n == name and k == line.kinds[c] for n, k in zip(line.names[:c], line.kinds[:c], strict=True))
        signal = signal_of(recording, name, line.kinds[c], rank)
        parts.append(_waveform(signal, name, line.kinds[c], window, y, panel_height, num_columns))
        y += panel_height + 3
        found = list(bars(line.quality[c], line.causes[c], int(window.start_s), _last_second(line, window)))
        parts.append(_ribbon(found, window, y, RIBBON, "quality"))
        y += RIBBON
        if line.model_quality is not None:
            model = line.model_quality[c]
            guesses = bars(model, np.zeros(len(model), np.uint16), int(window.start_s), _last_second(line, window))
            parts.append(_ribbon(list(guesses), window, y + 2, THIN_RIBBON, "model"))
            y += THIN_RIBBON + 2
        parts.append(_reasons(found, window, y + REASONS - 1))
        y += REASONS + GAP_BETWEEN
    y -= GAP_BETWEEN / 2
    height = y + AXIS
    axis = _time_axis(window, 6.0, y)
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}">{axis}{"".join(parts)}</svg>'
    )


def _last_second(line: Timeline, window: Window) -> int:
    return min(int(line.quality.shape[1]), int(np.ceil(window.end_s - 1e-9)))


def _time_axis(window: Window, top: float, bottom: float) -> str:
    """Return grid lines, tick labels and the unit of time."""
    seconds = window.end_s <= 600
    parts = []
    for t in time_ticks(window.start_s, window.end_s):
        x = window.x(t)
        text = f"{t:g}" if seconds else clock(t)
        parts.append(f'<path class="grid" d="M{x:.1f} {top:g}V{bottom:g}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 13:.1f}" text-anchor="middle">{text}</text>')
    unit = "time (s)" if seconds else "time (min:s)" if window.end_s < 3600 else "time (h:min:s)"
    middle = LEFT + PLOT / 2
    parts.append(f'<text class="axis" x="{middle:g}" y="{bottom + 28:.1f}" text-anchor="middle">{unit}</text>')
    return "".join(parts)


def _waveform(
    signal: Signal | None, name: str, kind: str, window: Window, top: float, height: float, num_columns: int
) -> str:
    """Return one channel's panel: frame, scale, gaps and the line itself."""
    shown = name if len(name) <= 14 else name[:13] + "…"
    parts = [
        f'<rect class="panel" x="{LEFT:g}" y="{top:g}" width="{PLOT:g}" height="{height:g}"/>',
        f'<text class="channel" x="0" y="{top + 12:g}">{escape(shown)}<title>{escape(name)}</title></text>',
        f'<text class="axis" x="0" y="{top + 27:g}">{escape(kind.upper())}</text>',
    ]
    if signal is None or not np.isfinite(signal.samples).any():
        parts.append(_nothing(LEFT, LEFT + PLOT, top, height, "no sample recorded"))
        return "".join(parts)
    parts.append(f'<text class="axis" x="0" y="{top + 41:g}">{escape(_unit_words(signal.unit))}</text>')
    low, high = value_range(signal, window.start_s, window.end_s)

    def y(value: float) -> float:
        return top + height * (high - min(max(value, low), high)) / (high - low)

    for tick in value_ticks(low, high):
        if top + 4 < y(tick) < top + height - 2:
            parts.append(f'<path class="grid" d="M{LEFT:g} {y(tick):.1f}H{LEFT + PLOT:g}"/>')
            parts.append(
                f'<text class="tick" x="{LEFT - 6:g}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
            )
    for begin, end in gaps(signal, window.start_s, window.end_s, num_columns):
        words = f"missing from {clock(begin)} to {clock(end)}"
        parts.append(_nothing(window.x(begin), window.x(end), top, height, words))
    times, values = reduce_trace(signal, window.start_s, window.end_s, num_columns)
    parts.append(_trace(LEFT + (times - window.start_s) * (PLOT / (window.end_s - window.start_s)), values, y))
    return "".join(parts)


def _unit_words(unit: str) -> str:
    """Return a unit for the axis; WFDB writes NU where a sensor has none."""
    return "arb. unit" if unit.upper() in {"NU", "NA", "N/A", ""} else unit[:12]


def _nothing(left: float, right: float, top: float, height: float, words: str) -> str:
    """Return the hatching that marks missing samples; it says so where there is room."""
    width = right - left
    title = f"<title>{escape(words)}</title>"
    box = f'<rect class="missing" x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="{height:g}">{title}</rect>'
    text = words if words.startswith("no") else "missing"
    if width < LETTER * len(text) + 12:
        return box
    middle = f'x="{left + width / 2:.1f}" y="{top + height / 2 + 4:.1f}"'
    return f'{box}<text class="missing-word" {middle} text-anchor="middle">{text}</text>'


def _trace(xs: np.ndarray, values: np.ndarray, y: Callable[[float], float]) -> str:
    """Return the line as one path that is broken wherever a value is missing."""
    parts: list[str] = []
    is_open = False
    for x, value in zip(xs.tolist(), values.tolist(), strict=True):
        if value != value:  # NaN
            is_open = False
            continue
        # A lone sample between two gaps needs a length to be seen: round line caps draw it as a dot.
        parts.append(f"{'L' if is_open else 'M'}{x:.1f} {y(value):.1f}{'' if is_open else 'h0'}")
        is_open = True
    return f'<path class="wave" d="{"".join(parts)}"/>'


def _ribbon(found: Sequence[Bar], window: Window, top: float, height: float, label: str) -> str:
    """Return quality as bars: height and colour say how good, the hover text says why."""
    parts = [f'<text class="tick" x="{LEFT - 6:g}" y="{top + height / 2 + 3:.1f}" text-anchor="end">{label}</text>']
    for bar in found:
        left, right = window.x(max(bar.start_s, window.start_s)), window.x(min(bar.end_s, window.end_s))
        tall = max(2.0, height * bar.quality)
        letter = grade(bar.quality)
        why = f": {bar.causes.words}" if bar.causes else ""
        title = f"{clock(bar.start_s)}–{clock(bar.end_s)} {label} {bar.quality:.2f} ({letter}){why}"
        x = f'x="{left:.1f}" width="{right - left:.1f}"'
        parts.append(
            f'<g class="{letter}"><title>{title}</title><rect class="t" {x} y="{top:.1f}" height="{height:g}"/>'
            f'<rect {x} y="{top + height - tall:.1f}" height="{tall:.1f}"/></g>'
        )
    return "".join(parts)


def _reasons(found: Sequence[Bar], window: Window, baseline: float) -> str:
    """Return the reasons as words under the ribbon: for each untrusted stretch as many as fit, most frequent first."""
    parts = []
    for stretch in _untrusted(found):
        left, right = window.x(stretch[0].start_s), window.x(min(stretch[-1].end_s, window.end_s))
        seconds = {cause: sum(b.end_s - b.start_s for b in stretch if cause in b.causes) for cause in Cause if cause}
        ranked = [c.words for c, s in sorted(seconds.items(), key=lambda item: -item[1]) if s]
        texts = (", ".join(ranked[:count]) for count in range(len(ranked), 0, -1))
        words = next((text for text in texts if LETTER * len(text) + 6 <= right - left), "")
        if words:
            middle = (left + right) / 2
            parts.append(f'<path class="brace" d="M{left + 1:.1f} {baseline - 9:.1f}H{right - 1:.1f}"/>')
            parts.append(f'<text class="why" x="{middle:.1f}" y="{baseline:.1f}" text-anchor="middle">{words}</text>')
    return "".join(parts)


def _untrusted(found: Sequence[Bar]) -> Iterator[list[Bar]]:
    """Yield runs of neighbouring bars that all have a cause."""
    for has_cause, run in groupby(found, key=lambda bar: bool(bar.causes)):
        if has_cause:
            yield list(run)


def _segment_strip(score: QualityScore, window: Window, top: float, height: float) -> str:
    """Return the joint quality of whole segments as bars, with their grades where there is room for letters."""
    parts = [
        f'<text class="channel" x="0" y="{top + 12:g}">All</text>',
        f'<text class="axis" x="0" y="{top + 27:g}">joint quality</text>',
    ]
    num_segments = len(score.overall)
    group = max(1, int(np.ceil(num_segments / MAX_BARS)))
    for s in range(0, num_segments, group):
        last = min(s + group, num_segments) - 1
        quality = float(score.overall[s : last + 1].mean())
        begin, end = float(score.segment_start_s[s]), float(score.segment_start_s[last] + score.segment_length_s[last])
        if last + 1 < num_segments:
            end = min(end, float(score.segment_start_s[last + 1]))  # overlapping segments share the strip
        left, right = window.x(begin), window.x(end)
        space = 1.0 if right - left > 4 else 0.0
        letter, tall = grade(quality), max(2.0, height * quality)
        x = f'x="{left:.1f}" width="{max(0.3, right - left - space):.1f}"'
        parts.append(
            f'<g class="{letter}"><title>{clock(begin)}–{clock(end)} quality {quality:.2f} ({letter})</title>'
            f'<rect class="t" {x} y="{top:.1f}" height="{height:g}"/>'
            f'<rect {x} y="{top + height - tall:.1f}" height="{tall:.1f}"/></g>'
        )
        if right - left >= 16:
            parts.append(
                f'<text class="letter" x="{(left + right - space) / 2:.1f}" y="{top + 12:.1f}"'
                f' text-anchor="middle">{letter}</text>'
            )
    return "".join(parts)
