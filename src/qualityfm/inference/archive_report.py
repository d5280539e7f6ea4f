"""A report of an archive: one HTML file that needs nothing else, to be read on a screen or printed.

Recordings are added one by one; of each only a summary stays, so an archive of any length fits in memory.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from urllib.parse import quote

import numpy as np

from qualityfm.inference.report import footer
from qualityfm.inference.report_page import CAUSE_MEANINGS, LETTERS, chip, meter, overall_quality, shares
from qualityfm.inference.report_reduce import clock, span_words, timeline
from qualityfm.records import GRADE_CUTS, Cause, QualityScore, grade

#: Rows of the tables of recordings, of worst minutes and of what was skipped; a page stays a few megabytes.
MAX_RECORDINGS, MAX_WORST, MAX_SKIPPED = 2000, 20, 200

#: Length of the minutes of which the worst are named, s.
MINUTE_S = 60


@dataclass(kw_only=True)
class ChannelHours:
    """What one channel of an archive amounts to.

    Attributes:
        num_recordings: Recordings that have it.
        seconds: Seconds scored, by grade.
        causes: Seconds in which each cause holds.
    """

    num_recordings: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    causes: Counter[Cause] = field(default_factory=Counter)

    @property
    def usable_s(self) -> int:
        """Seconds of grade B or better."""
        return self.seconds["A"] + self.seconds["B"]


@dataclass(frozen=True, kw_only=True)
class RecordingRow:
    """What the table says of one recording."""

    recording_id: str
    duration_s: float
    quality: float
    channels: Mapping[str, float]
    grades: Mapping[str, float]
    main_cause: str
    link: str | None


@dataclass(kw_only=True)
class ArchiveSummary:
    """The scores of an archive, summed up.

    Attributes:
        name: The archive's name, for the title.
    """

    name: str
    rows: list[RecordingRow] = field(default_factory=list)
    channels: dict[tuple[str, str], ChannelHours] = field(default_factory=dict)
    uses_s: Counter[str] = field(default_factory=Counter)
    grades: Counter[str] = field(default_factory=Counter)
    worst: list[tuple[float, str, float]] = field(default_factory=list)

    def add(self, score: QualityScore, link: str | None = None) -> None:
        """Add a recording.

        Args:
            score: Its quality.
            link: Relative path of its own report; None where it has none.
        """
        line = timeline(score)
        causes: Counter[Cause] = Counter()
        for c, (name, kind) in enumerate(zip(line.names, line.kinds, strict=True)):
            hours = self.channels.setdefault((kind, name), ChannelHours())
            hours.num_recordings += 1
            hours.seconds.update(grade(float(q)) for q in line.quality[c][np.isfinite(line.quality[c])])
            found = {k: int(((line.causes[c] & int(k)) > 0).sum()) for k in Cause if k}
            hours.causes.update({k: n for k, n in found.items() if n})
            causes.update({k: n for k, n in found.items() if n})
        self.grades.update(score.grades)
        for use, is_usable in score.usable.items():
            self.uses_s[use] += round(float(score.segment_length_s[is_usable].sum()))
        self._add_worst(score.recording_id, line.quality)
        self.rows.append(_row(score, line.names, line.quality, causes, link))

    def _add_worst(self, recording_id: str, quality: np.ndarray) -> None:
        for first in range(0, quality.shape[1], MINUTE_S):
            part = quality[:, first : first + MINUTE_S]
            if np.isfinite(part).any():
                heapq.heappush(self.worst, (-float(np.nanmean(part)), recording_id, float(first)))
                if len(self.worst) > MAX_WORST:
                    heapq.heappop(self.worst)

    @property
    def duration_s(self) -> float:
        """Seconds of all recordings together."""
        return sum(row.duration_s for row in self.rows)


def _row(
    score: QualityScore, names: Sequence[str], quality: np.ndarray, causes: Counter[Cause], link: str | None
) -> RecordingRow:
    lengths = dict.fromkeys(LETTERS, 0.0)  # best first, as they are drawn
    for letter, length_s in zip(score.grades, score.segment_length_s, strict=True):
        lengths[letter] += float(length_s)
    return RecordingRow(
        recording_id=score.recording_id,
        duration_s=float(quality.shape[1]),
        quality=overall_quality(score),
        channels={name: float(np.nanmean(line)) for name, line in zip(names, quality, strict=True)},
        grades=lengths,
        main_cause=causes.most_common(1)[0][0].words if causes else "",
        link=link,
    )


def render_archive_report(
    summary: ArchiveSummary, problems: Sequence[Mapping[str, str]] = (), *, model_name: str | None = None
) -> str:
    """Return the report of an archive as HTML text.

    Args:
        summary: What was scored.
        problems: What was skipped: `recording` and `reason`.
        model_name: Name of the model that scored beside, for the foot of the page.
    """
    style = files("qualityfm.inference").joinpath("report_style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(summary.name)} – signal quality of the archive</title><style>{style}</style></head><body>"
        f"{_header(summary, problems)}"
        f"<section><h2>Usable hours of each channel</h2>{_channel_table(summary)}</section>"
        f"<section><h2>Usable for</h2>{_use_table(summary)}</section>"
        f"<section><h2>Causes</h2>{_cause_table(summary)}</section>"
        f"<section><h2>Worst minutes</h2>{_worst_table(summary)}</section>"
        f"<section><h2>Recordings, worst first</h2>{_recording_table(summary)}</section>"
        f"{_skipped(problems)}{footer(model_name)}</body></html>\n"
    )


def _header(summary: ArchiveSummary, problems: Sequence[Mapping[str, str]]) -> str:
    skipped = f", {len(problems):,} skipped" if problems else ""
    facts = f"{len(summary.rows):,} recordings{skipped} · {span_words(summary.duration_s)}"
    mean = sum(r.quality * r.duration_s for r in summary.rows) / max(summary.duration_s, 1e-9)
    counts = {letter: float(summary.grades[letter]) for letter in LETTERS}
    key = "".join(f"<li>{chip(letter)} {count:,.0f}</li>" for letter, count in counts.items() if count)
    total = Counter[Cause]()
    for hours in summary.channels.values():
        total.update(hours.causes)
    named = "<br>".join(f"<b>{c.words}</b>: {span_words(s)}" for c, s in total.most_common(3)) or "No second has one."
    return (
        f'<header><div class="kicker">Signal quality of an archive</div><h1>{escape(summary.name)}</h1>'
        f'<div class="facts">{facts}</div></header><div class="cards">'
        f'<div class="card"><h3>Overall quality, 0 to 1</h3><div class="big">{chip(grade(mean))}<b>{mean:.2f}</b>'
        "<span>mean of<br>all recorded time</span></div></div>"
        f'<div class="card"><h3>Grades of the segments</h3>{shares(counts, "segments")}<ul class="key">{key}</ul></div>'
        f'<div class="card"><h3>Most frequent causes, over channels</h3>{named}</div></div>'
    )


def _channel_table(summary: ArchiveSummary) -> str:
    rows = []
    for (kind, name), hours in sorted(summary.channels.items(), key=lambda item: -sum(item[1].seconds.values())):
        total = sum(hours.seconds.values())
        bar = shares({letter: float(hours.seconds[letter]) for letter in LETTERS}, "s")
        rows.append(
            f'<tr><td class="name">{escape(name)}</td><td>{escape(kind.upper())}</td>'
            f'<td class="n">{hours.num_recordings:,}</td><td class="n">{_hours(total)}</td>'
            f'<td class="n">{_hours(hours.usable_s)}</td><td class="n">{_percent(hours.usable_s, total)}</td>'
            f"<td>{bar}</td></tr>"
        )
    head = _head("Channel", "Kind", "#Recordings", "#Hours", "#Usable hours", "#Share", "Seconds in each grade")
    cuts = ", ".join(f"{letter} from {cut:g}" for letter, cut in GRADE_CUTS.items())
    note = f'<p class="note">Usable: seconds of grade A or B. Grades: {cuts}, E below.</p>'
    return _table(head, rows) + note


def _use_table(summary: ArchiveSummary) -> str:
    rows = [
        f'<tr><td class="name">{escape(use.capitalize() if use.islower() else use)}</td>'
        f'<td class="n">{_hours(seconds)}</td><td class="n">{_percent(seconds, summary.duration_s)}</td></tr>'
        for use, seconds in summary.uses_s.items()
    ]
    return _table(_head("Use", "#Hours", "#Share of all time"), rows)


def _cause_table(summary: ArchiveSummary) -> str:
    kinds = sorted({kind for kind, _ in summary.channels})
    found: dict[Cause, Counter[str]] = {}
    for (kind, _), hours in summary.channels.items():
        for cause, seconds in hours.causes.items():
            found.setdefault(cause, Counter())[kind] += seconds
    rows = []
    for cause, counts in sorted(found.items(), key=lambda item: -sum(item[1].values())):
        cells = "".join(f'<td class="n">{_hours(counts[kind]) if counts[kind] else "–"}</td>' for kind in kinds)
        rows.append(f'<tr><td class="name">{cause.words.capitalize()}</td>{cells}<td>{CAUSE_MEANINGS[cause]}</td></tr>')
    note = '<p class="note">Hours, all channels of a kind together; several causes can hold in one second.</p>'
    return note + _table(_head("Cause", *(f"#{kind.upper()}" for kind in kinds), "What it means"), rows)


def _worst_table(summary: ArchiveSummary) -> str:
    links = {row.recording_id: row for row in summary.rows}
    rows = [
        f'<tr><td class="name">{_linked(links[recording_id])}</td><td>{clock(start_s)}</td>'
        f"<td>{meter(-quality)}</td></tr>"
        for quality, recording_id, start_s in sorted(summary.worst, key=lambda one: (-one[0], one[1], one[2]))
    ]
    return _table(_head("Recording", "From", "Mean quality of its channels"), rows)


def _recording_table(summary: ArchiveSummary) -> str:
    rows = []
    for row in sorted(summary.rows, key=lambda one: (one.quality, one.recording_id))[:MAX_RECORDINGS]:
        channels = ", ".join(f"{escape(name)} {quality:.2f}" for name, quality in row.channels.items())
        rows.append(
            f'<tr><td class="name">{_linked(row)}</td><td>{clock(row.duration_s)}</td><td>{chip(grade(row.quality))}'
            f"</td><td>{meter(row.quality)}</td><td>{shares(row.grades, 's')}</td><td>{channels}</td>"
            f"<td>{row.main_cause}</td></tr>"
        )
    more = len(summary.rows) - len(rows)
    note = f'<p class="note">and {more:,} better ones; <code>qualityfm score</code> lists all.</p>' if more else ""
    head = _head("Recording", "Length", "Grade", "Joint quality", "Grades", "Mean of each channel", "Main cause")
    return _table(head, rows) + note


def _skipped(problems: Sequence[Mapping[str, str]]) -> str:
    if not problems:
        return ""
    rows = [
        f'<tr><td class="name">{escape(one["recording"])}</td><td>{escape(one["reason"])}</td></tr>'
        for one in problems[:MAX_SKIPPED]
    ]
    more = len(problems) - len(rows)
    note = f'<p class="note">and {more:,} more</p>' if more else ""
    return f"<section><h2>Skipped</h2>{_table(_head('Recording', 'Reason'), rows)}{note}</section>"


def _linked(row: RecordingRow) -> str:
    name = escape(row.recording_id)
    return name if row.link is None else f'<a href="{escape(quote(row.link))}">{name}</a>'


def _head(*names: str) -> str:
    """Return a row of headings; one that begins with # stands over numbers."""
    cells = (f'<th class="n">{escape(n[1:])}</th>' if n.startswith("#") else f"<th>{escape(n)}</th>" for n in names)
    return f"<tr>{''.join(cells)}</tr>"


def _table(head: str, rows: Sequence[str]) -> str:
    return f'<div class="scroll"><table><thead>{head}</thead>{"".join(rows)}</table></div>'


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
