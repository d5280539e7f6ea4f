"""The benchmark's table as files: JSON, CSV, and a page that holds it with its curves and needs nothing else."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from qualityfm.evidence.quality_figures import Figure
from qualityfm.evidence.quality_kept import plain_row
from qualityfm.files import write_text

#: Size of a chart and its margins in SVG units.
WIDTH, HEIGHT, LEFT, TOP, PLOT = 330.0, 250.0, 40.0, 10.0, 200.0

#: Line colours that stay apart for the colour-blind. Source: Okabe and Ito, Color Universal Design, 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")

#: What the axes of a curve show, by the beginning of what it measures.
AXES = {
    "AUC": ("false alarms", "found"),
    "rank correlation": ("SNR (dB)", "mean score, scaled to its range"),
    "expected calibration": ("probability", "frequency"),
}

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { border-bottom: 1px solid #d6d6d6; padding: 0.2rem 0.5rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 330px; } figcaption { font-size: 12px; }
svg text { font-size: 10px; fill: #555; } .missed { color: #b00020; }
"""


def write_report(folder: Path, figures: Sequence[Figure], facts: Mapping[str, Any]) -> None:
    """Write table.json, table.csv and report.html into a folder.

    Args:
        folder: Made where it is not there.
        figures: The table.
        facts: What was measured with what, such as versions; shown above the table.

    Raises:
        FormatError: The disk is full or refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [plain_row(figure, with_curve=True) for figure in figures]
    write_text(folder / "table.json", json.dumps({**facts, "figures": rows}, indent=1, allow_nan=False))
    write_text(folder / "table.csv", _csv(figures))
    write_text(folder / "report.html", page(figures, facts))


def _csv(figures: Sequence[Figure]) -> str:
    rows = [plain_row(figure) for figure in figures]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["part"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page(figures: Sequence[Figure], facts: Mapping[str, Any]) -> str:
    """Return one HTML page: facts, then each part's charts and table."""
    listed = "".join(f"<li>{escape(str(name))}: {escape(str(value))}</li>" for name, value in facts.items())
    parts = dict.fromkeys(figure.part for figure in figures)
    body = "".join(_part(part, [figure for figure in figures if figure.part == part]) for part in parts)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Quality benchmark</title>'
        f"<style>{STYLE}</style><h1>Quality benchmark</h1><ul>{listed}</ul>{body}</html>\n"
    )


def _part(part: str, figures: Sequence[Figure]) -> str:
    drawn: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        if figure.curve:
            drawn.setdefault((figure.case, figure.measure), []).append(figure)
    charts = "".join(_chart(case, measure, found) for (case, measure), found in drawn.items())
    head = "".join(f"<th>{name}</th>" for name in ("case", "method", "measure", "value [95 %]", "records", "aim"))
    rows = "".join(_row(figure) for figure in figures)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>{escape(part)}</h2><div class="charts">{charts}</div>{table}'


def _row(figure: Figure) -> str:
    is_missed = misses_aim(figure)
    cells = [f"<td>{escape(text)}</td>" for text in (figure.case, figure.method, figure.measure)]
    kind = "number missed" if is_missed else "number"
    cells.append(f'<td class="{kind}">{escape(str(figure.estimate))}</td><td class="number">{figure.num_records}</td>')
    cells.append(f"<td>{escape(figure.aim)}{' (missed)' if is_missed else ''}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def misses_aim(figure: Figure) -> bool:
    """Return whether a figure lies outside of its aim: "at least x", "at most x" or "x to y".

    Example:
        >>> from qualityfm.evidence.intervals import Estimate
        >>> half = Estimate(value=0.5, low=0.4, high=0.6)
        >>> misses_aim(Figure(part="", case="", method="", measure="", estimate=half, num_records=2, aim="at least .9"))
        True
    """
    words, value = figure.aim.split(), figure.estimate.value
    if not words:
        return False
    if words[:2] == ["at", "least"]:
        return not value >= float(words[2])
    if words[:2] == ["at", "most"]:
        return not value <= float(words[2])
    return not float(words[0]) <= value <= float(words[2])


def _chart(case: str, measure: str, figures: Sequence[Figure]) -> str:
    """Return one chart with a curve for each method."""
    axes = next((names for start, names in AXES.items() if measure.startswith(start)), ("", ""))
    is_snr = measure.startswith("rank")
    low_x, high_x = (-6.0, 24.0) if is_snr else (0.0, 1.0)
    lines = [] if is_snr else [f'<path d="M{LEFT:g} {TOP + PLOT:g}l{PLOT:g} {-PLOT:g}" stroke="#bbb" fill="none"/>']
    for figure, colour in zip(figures, COLOURS * (1 + len(figures) // len(COLOURS)), strict=False):
        points = _scaled(figure.curve) if is_snr else figure.curve
        places = [(LEFT + PLOT * (x - low_x) / (high_x - low_x), TOP + PLOT * (1 - y)) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        title = f"<title>{escape(figure.method)}</title>"
        lines.append(f'<path d="M{path}" stroke="{colour}" stroke-width="1.6" fill="none">{title}</path>')
    frame = f'<rect x="{LEFT:g}" y="{TOP:g}" width="{PLOT:g}" height="{PLOT:g}" fill="none" stroke="#888"/>'
    label = escape(f"{case}: {measure}")
    svg = f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">'
    text = _axis_text(axes, low_x, high_x)
    return (
        f"<figure>{svg}{frame}{''.join(lines)}{text}</svg><figcaption>{label}{_legend(figures)}</figcaption></figure>"
    )


def _scaled(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a curve between 0 and 1: peers' scores have units of their own."""
    values = [y for _, y in curve]
    low, size = min(values), max(max(values) - min(values), 1e-12)
    return [(x, (y - low) / size) for x, y in curve]


def _axis_text(axes: tuple[str, str], low_x: float, high_x: float) -> str:
    bottom, middle = TOP + PLOT, TOP + PLOT / 2
    return (
        f'<text x="{LEFT:g}" y="{bottom + 13:g}">{low_x:g}</text>'
        f'<text x="{LEFT + PLOT:g}" y="{bottom + 13:g}" text-anchor="end">{high_x:g}</text>'
        f'<text x="{LEFT + PLOT / 2:g}" y="{bottom + 27:g}" text-anchor="middle">{escape(axes[0])}</text>'
        f'<text x="{LEFT - 4:g}" y="{bottom:g}" text-anchor="end">0</text>'
        f'<text x="{LEFT - 4:g}" y="{TOP + 8:g}" text-anchor="end">1</text>'
        f'<text transform="translate(12 {middle:g}) rotate(-90)" text-anchor="middle">{escape(axes[1])}</text>'
    )


def _legend(figures: Sequence[Figure]) -> str:
    entries = zip(figures, COLOURS * (1 + len(figures) // len(COLOURS)), strict=False)
    return "".join(
        f'<br><span style="color:{colour}">&#9644;</span> {escape(f.method)} {escape(str(f.estimate))}'
        for f, colour in entries
    )
