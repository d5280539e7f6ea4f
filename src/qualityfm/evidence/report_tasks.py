"""One self-contained HTML file for a task's benchmark: tables and curves, drawn from the saved scores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}"
    "table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}"
    "td,th{padding:.25rem .8rem;border-bottom:1px solid #d5dce3;text-align:left}"
    "figure{display:inline-block;margin:0 1.5rem 1rem 0}figcaption{font-size:13px;color:#51606e}"
    "svg{background:#fff;border:1px solid #d5dce3}"
)
_COLOURS = ("#0b62a4", "#c4501b", "#2c7d3f", "#7a3fa0", "#6b7280")
_SIZE = 280


def page(title: str, lead: Sequence[str], parts: Sequence[str]) -> str:
    """Return a whole page; every word from outside is escaped.

    Args:
        title: Heading.
        lead: Paragraphs below it, as plain text.
        parts: HTML made by `table` and `chart`.
    """
    said = "".join(f"<p>{escape(text)}</p>" for text in lead)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{said}{''.join(parts)}</body></html>\n"
    )


def table(heading: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table under a heading."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f"<h2>{escape(heading)}</h2><table><tr>{head}</tr>{body}</table>"


def chart(
    caption: str, lines: Mapping[str, tuple[np.ndarray, np.ndarray]], axes: tuple[str, str], *, diagonal: bool = False
) -> str:
    """Return curves in the unit square as a drawing; values outside are held at the edge.

    Args:
        caption: What it shows.
        lines: (x, y) of each curve, by name.
        axes: What x and y are.
        diagonal: Draw the line of equality.
    """
    drawn = f'<path d="M30 {_SIZE - 30}L{_SIZE - 10} 10" stroke="#b8c2cc" stroke-dasharray="4 4"/>' if diagonal else ""
    legend = []
    for colour, (name, (x, y)) in zip(_COLOURS, lines.items(), strict=False):
        px, py = 30 + np.clip(x, 0, 1) * (_SIZE - 40), _SIZE - 30 - np.clip(y, 0, 1) * (_SIZE - 40)
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, py, strict=True))
        drawn += f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        legend.append(f'<span style="color:{colour}">{escape(name)}</span>')
    frame = f'<path d="M30 10V{_SIZE - 30}H{_SIZE - 10}" fill="none" stroke="#51606e"/>'
    words = (
        f'<text x="{_SIZE / 2}" y="{_SIZE - 8}" font-size="12" text-anchor="middle">{escape(axes[0])}, 0 to 1</text>'
        f'<text x="12" y="{_SIZE / 2}" font-size="12" text-anchor="middle" '
        f'transform="rotate(-90 12 {_SIZE / 2})">{escape(axes[1])}, 0 to 1</text>'
    )
    return (
        f'<figure><svg width="{_SIZE}" height="{_SIZE}" role="img" aria-label="{escape(caption)}">{frame}{drawn}{words}'
        f"</svg><figcaption>{escape(caption)}<br>{' · '.join(legend)}</figcaption></figure>"
    )


def scatter(caption: str, x: np.ndarray, y: np.ndarray, levels: Sequence[float]) -> str:
    """Return points with level lines as a drawing, such as Bland and Altman's; axes are of the points' own range.

    Args:
        caption: What it shows.
        x: Of each point, such as the mean of estimate and truth.
        y: Likewise, such as their difference.
        levels: Where lines are drawn; their values are written beside them.
    """
    (left, right), (low, high) = _range(x), _range(np.concatenate((y, np.asarray(levels, float))))
    px = 40 + (x - left) / (right - left) * (_SIZE - 50)
    py = _SIZE - 30 - (y - low) / (high - low) * (_SIZE - 40)
    drawn = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6" fill="{_COLOURS[0]}" fill-opacity=".45"/>'
        for a, b in zip(px, py, strict=True)
    )
    for level in levels:
        at = _SIZE - 30 - (level - low) / (high - low) * (_SIZE - 40)
        drawn += f'<path d="M40 {at:.1f}H{_SIZE - 10}" stroke="{_COLOURS[1]}" stroke-dasharray="4 3"/>'
        drawn += f'<text x="{_SIZE - 12}" y="{at - 3:.1f}" font-size="11" text-anchor="end">{level:.1f}</text>'
    frame = f'<path d="M40 10V{_SIZE - 30}H{_SIZE - 10}" fill="none" stroke="#51606e"/>'
    words = (
        f'<text x="40" y="{_SIZE - 14}" font-size="11">{left:.0f}</text>'
        f'<text x="{_SIZE - 10}" y="{_SIZE - 14}" font-size="11" text-anchor="end">{right:.0f}</text>'
        f'<text x="36" y="{_SIZE - 30}" font-size="11" text-anchor="end">{low:.0f}</text>'
        f'<text x="36" y="18" font-size="11" text-anchor="end">{high:.0f}</text>'
    )
    return (
        f'<figure><svg width="{_SIZE}" height="{_SIZE}" role="img" aria-label="{escape(caption)}">{frame}{drawn}{words}'
        f"</svg><figcaption>{escape(caption)}<br>difference against mean, mmHg; mean and limits of agreement"
        "</figcaption></figure>"
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 1, high + 1)
