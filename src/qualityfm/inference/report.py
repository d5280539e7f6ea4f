"""A report of one recording: one HTML file that needs nothing else, to be read on a screen or printed."""

from __future__ import annotations

import os
from html import escape
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from qualityfm.errors import SignalError, SourceError, problem
from qualityfm.inference import report_page
from qualityfm.inference.report_pictures import Window, stacked_picture
from qualityfm.inference.report_reduce import Timeline, bar_seconds, span_words, timeline, zooms
from qualityfm.records import QualityScore, Recording

#: How finely waveforms are drawn: one and a half columns for each pixel of a wide page.
NUM_COLUMNS = 1500


def write_report(recording: Recording, score: QualityScore, out: Path, *, model_name: str | None = None) -> Path:
    """Write a self-contained HTML report and return its path; the folder is created, an older report replaced.

    The pictures are inline SVG and need no script, font or network. Long recordings are reduced (lowest and highest
    sample of each column, mean quality of each bar), so that a day stays a few megabytes.

    Args:
        recording: The signals, as found.
        score: Their quality.
        out: File to write.
        model_name: Name of the model behind `score.model_quality`, for the foot of the page.

    Raises:
        SignalError: The score belongs to another recording, or scores no channel.
        SourceError: The file cannot be written.
    """
    return write_page(render_report(recording, score, model_name=model_name), Path(out))


def write_page(page: str, out: Path) -> Path:
    """Write a page under another name, then rename it; the folder is created.

    Raises:
        SourceError: The file cannot be written.
    """
    aside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(page, encoding="utf-8")
        aside.replace(out)
    except OSError as error:
        if out.parent.is_dir():
            aside.unlink(missing_ok=True)
        raise SourceError(f"cannot write the report: {out}: {error.strerror or error}") from error
    return out


def render_report(recording: Recording, score: QualityScore, *, model_name: str | None = None) -> str:
    """Return the report as HTML text.

    Raises:
        SignalError: The score belongs to another recording, or scores no channel.
    """
    if score.recording_id != recording.recording_id:
        found, expected = score.recording_id, f"the scores of {recording.recording_id!r}"
        raise SignalError(
            problem("cannot report", where=recording.recording_id, field="score", found=found, expected=expected)
        )
    line = timeline(score)
    if not line.names or not len(score.overall):
        raise SignalError(
            problem("cannot report", where=recording.recording_id, field="score", found="no channel", expected="one")
        )
    style = files("qualityfm.inference").joinpath("report_style.css").read_text(encoding="utf-8")
    title = escape(f"{recording.recording_id} – signal quality")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body>{report_page.PATTERNS}"
        f"{report_page.header(recording, score, line)}"
        f"<section><h2>Channels</h2>{report_page.channel_table(recording, line)}</section>"
        f"{_overview(recording, score, line)}{_close_ups(recording, score, line)}"
        f"<section><h2>Causes</h2>{report_page.cause_table(line)}</section>"
        f"<section><h2>Segments</h2>{report_page.segment_table(score)}</section>"
        f"<section>{report_page.explanation(score)}</section>"
        f"{_notes(recording)}{footer(model_name)}</body></html>\n"
    )


def _overview(recording: Recording, score: QualityScore, line: Timeline) -> str:
    """Return the picture of the whole recording."""
    window = Window(start_s=0.0, end_s=float(line.quality.shape[1]))
    width_s = bar_seconds(window.end_s)
    each = "one second" if width_s == 1 else f"the mean of {span_words(width_s)}"
    caption = (
        f"Ribbons under the waveforms show quality: taller and bluer is better, each bar is {each}. "
        "Hold the pointer over a bar for its number and its reasons. "
        "Extremes that would flatten every beat are drawn along the edge of a panel."
    )
    picture = stacked_picture(
        recording,
        line,
        window,
        panel_height=84.0,
        num_columns=NUM_COLUMNS,
        label="Waveforms and quality of the whole recording",
        strip=score,
    )
    return f'<section><h2>The whole recording</h2><p class="note">{caption}</p><figure>{picture}</figure></section>'


def _close_ups(recording: Recording, score: QualityScore, line: Timeline) -> str:
    """Return the pictures of the worst and the best half minute."""
    sections = []
    for zoom in zooms(score):
        window = Window(start_s=zoom.start_s, end_s=zoom.end_s)
        heading = report_page.zoom_heading(zoom)
        picture = stacked_picture(
            recording, line, window, panel_height=96.0, num_columns=NUM_COLUMNS, label=f"{zoom.title} in detail"
        )
        sections.append(f"<section>{heading}<figure>{picture}</figure></section>")
    return "".join(sections)


def _notes(recording: Recording) -> str:
    """Return what reading the file met with."""
    if not recording.notes:
        return ""
    shown = "".join(f"<li>{escape(note)}</li>" for note in recording.notes[:50])
    more = f"<li>and {len(recording.notes) - 50} more</li>" if len(recording.notes) > 50 else ""
    return f"<section><h2>Notes from reading the file</h2><ul>{shown}{more}</ul></section>"


def footer(model_name: str | None) -> str:
    """Return who made the page, and for what it must not be used."""
    model = f" · model {escape(model_name)}" if model_name else ""
    return (
        '<footer><p class="warning">Research software, not a medical device: not for diagnosis, monitoring or '
        f"treatment.</p><p>QualityFM {metadata.version('qualityfm')}{model} · grades after Guo, Chen and Ferrario, "
        "arXiv 2509.06516</p></footer>"
    )
