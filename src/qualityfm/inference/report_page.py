"""The words and tables of a report. Everything that comes from a file is escaped; nothing is loaded from outside."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from qualityfm.inference.report_reduce import Timeline, Zoom, clock, signal_of, span_words
from qualityfm.records import GRADE_CUTS, Cause, QualityScore, Recording, grade

#: Rows of the table of segments; a longer recording shows its worst ones.
MAX_ROWS = 120

LETTERS = (*GRADE_CUTS, "E")

#: The patterns that drawings refer to; defined once for the page.
PATTERNS = (
    '<svg style="position:absolute;width:0;height:0;min-width:0" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path d="M0 0V7" stroke="var(--hatch)" stroke-width="2"/></pattern></defs></svg>'
)


def header(recording: Recording, score: QualityScore, line: Timeline) -> str:
    """Return the title, the facts about the recording, and the three summary cards."""
    facts = [span_words(recording.duration_s), f"{len(line.names)} of {len(recording.signals)} channels scored"]
    if recording.start is not None:
        facts.append(f"begins {recording.start:%Y-%m-%d %H:%M:%S}")
    return (
        f'<header><div class="kicker">Signal quality report</div><h1>{escape(recording.recording_id)}</h1>'
        f'<div class="facts">{escape(" · ".join(facts))}</div></header>'
        f'<div class="cards">{_overall_card(score)}{_grades_card(score)}{_trouble_card(line)}</div>'
    )


def overall_quality(score: QualityScore) -> float:
    """Return the mean joint quality of a recording's segments, weighted by their length."""
    weights = score.segment_length_s
    return float((score.overall * weights).sum() / max(float(weights.sum()), 1e-9))


def _overall_card(score: QualityScore) -> str:
    mean = overall_quality(score)
    return (
        '<div class="card"><h3>Overall quality, 0 to 1</h3><div class="big">'
        f"{chip(grade(mean))}<b>{mean:.2f}</b>"
        f"<span>mean of<br>{_count(len(score.overall), 'segment')}</span></div></div>"
    )


def _grades_card(score: QualityScore) -> str:
    counts = {letter: score.grades.count(letter) for letter in LETTERS}
    key = "".join(f"<li>{chip(letter)} {count}</li>" for letter, count in counts.items() if count)
    bar = shares({letter: float(count) for letter, count in counts.items()}, "segments")
    return f'<div class="card"><h3>Grades of the segments</h3>{bar}<ul class="key">{key}</ul></div>'


def _trouble_card(line: Timeline) -> str:
    """Return the card that says in one sentence for each channel what is wrong with it, worst channel first."""
    rows = []
    for c in np.argsort(_channel_means(line), kind="stable")[:3]:
        seconds = {cause: _cause_seconds(line, int(c), cause) for cause in Cause if cause}
        worst = max(seconds, key=lambda cause: seconds[cause], default=None)
        if worst is not None and seconds[worst]:
            rows.append(f"<b>{escape(line.names[c])}</b>: {worst.words} for {span_words(seconds[worst])}")
    text = "<br>".join(rows) or "Nothing stands out: no second has a cause for distrust."
    return f'<div class="card"><h3>What is wrong most often</h3>{text}</div>'


def _channel_means(line: Timeline) -> np.ndarray:
    return np.array([float(np.nanmean(row)) if np.isfinite(row).any() else 0.0 for row in line.quality])


def _cause_seconds(line: Timeline, channel: int, cause: Cause) -> int:
    return int(((line.causes[channel] & int(cause)) > 0).sum())


def chip(letter: str) -> str:
    """Return a grade as a coloured letter."""
    return f'<span class="chip {letter}">{letter}</span>'


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shares(amounts: Mapping[str, float], unit: str) -> str:
    """Return a bar divided among the grades."""
    total = sum(amounts.values()) or 1.0
    pieces = "".join(
        f'<i class="{letter}" style="width:{100 * amount / total:.2f}%" title="{letter}: {amount:g} {unit}"></i>'
        for letter, amount in amounts.items()
        if amount
    )
    return f'<div class="shares" role="img" aria-label="share of each grade">{pieces}</div>'


def meter(quality: float) -> str:
    """Return a quality as a number and a bar."""
    letter = grade(quality)
    return f'{quality:.2f}<span class="meter"><i class="{letter}" style="width:{100 * quality:.0f}%"></i></span>'


def channel_table(recording: Recording, line: Timeline) -> str:
    """Return what every channel is and how good it is; channels that no slot takes are listed, too."""
    rows, used = [], set()
    for c, mean in enumerate(_channel_means(line)):
        name, kind = line.names[c], line.kinds[c]
        rank = sum(n == name and k == kind for n, k in zip(line.names[:c], line.kinds[:c], strict=True))
        signal = signal_of(recording, name, kind, rank)
        used.add(id(signal))
        scored = line.quality[c][np.isfinite(line.quality[c])]
        letters = [grade(float(q)) for q in scored]
        bar = shares({letter: float(letters.count(letter)) for letter in LETTERS}, "s")
        rate = f"{signal.sample_rate_hz:g} Hz" if signal else "–"
        unit = signal.unit if signal else "–"
        rows.append(
            f'<tr><td class="name">{escape(name)}</td><td>{escape(kind.upper())}</td><td class="n">{rate}</td>'
            f'<td>{escape(unit)}</td><td class="n">{_missing_percent(signal.samples if signal else None)}</td>'
            f"<td>{chip(grade(float(mean)))}</td><td>{meter(float(mean))}</td><td>{bar}</td></tr>"
        )
    rows.extend(
        f'<tr><td class="name">{escape(s.name)}</td><td>{escape(s.kind.upper())}</td>'
        f'<td class="n">{s.sample_rate_hz:g} Hz</td><td>{escape(s.unit)}</td>'
        f'<td class="n">{_missing_percent(s.samples)}</td><td class="none" colspan="3">not scored</td></tr>'
        for s in recording.signals
        if id(s) not in used
    )
    head = (
        '<tr><th>Channel</th><th>Kind</th><th class="n">Rate</th><th>Unit</th><th class="n">Missing</th><th>Grade</th>'
        "<th>Mean quality</th><th>Seconds in each grade</th></tr>"
    )
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _missing_percent(samples: np.ndarray | None) -> str:
    if samples is None or not len(samples):
        return "–"
    return f"{100 * float(np.isnan(samples).mean()):.1f} %"


def cause_table(line: Timeline) -> str:
    """Return for how many seconds each cause holds in each channel, most frequent cause first."""
    found = {cause: [_cause_seconds(line, c, cause) for c in range(len(line.names))] for cause in Cause if cause}
    found = {cause: seconds for cause, seconds in found.items() if any(seconds)}
    if not found:
        return "<p>No second of any channel has a cause for distrust.</p>"
    names = "".join(f'<th class="n">{escape(name)}</th>' for name in line.names)
    rows = []
    for cause, seconds in sorted(found.items(), key=lambda item: -sum(item[1])):
        cells = "".join(f'<td class="n">{s:,} s</td>' if s else '<td class="n none">–</td>' for s in seconds)
        rows.append(f'<tr><td class="name">{cause.words.capitalize()}</td>{cells}<td>{CAUSE_MEANINGS[cause]}</td></tr>')
    head = f"<tr><th>Cause</th>{names}<th>What it means</th></tr>"
    note = '<p class="note">Several causes can hold in one second, so columns need not add up to the duration.</p>'
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>{note}'


CAUSE_MEANINGS = {
    Cause.ABSENT: "The recording has no such channel.",
    Cause.DROPOUT: "Samples were not recorded.",
    Cause.FLAT: "The signal does not move: sensor off, clamped or flushed.",
    Cause.SATURATION: "The signal sticks to the limit of the converter.",
    Cause.BASELINE: "The baseline wanders, by breathing or electrode contact.",
    Cause.NOISE: "Wide-band noise, such as muscle activity.",
    Cause.MOTION: "Movement of the patient or the sensor.",
    Cause.SPIKE: "Short jumps that no heart makes.",
    Cause.LOW_AMPLITUDE: "Too small to trust, such as a PPG at low perfusion.",
    Cause.HIGH_AMPLITUDE: "Outside the range that physiology allows.",
    Cause.DISAGREEMENT: "ECG and pulse do not belong together.",
    Cause.POWER_LINE: "Hum of the mains, 50 or 60 Hz.",
    Cause.WRONG_RATE: "Time runs too fast or too slow: the file's sampling rate cannot be right.",
    Cause.INVERTED: "Upside down.",
}


def segment_table(score: QualityScore) -> str:
    """Return start, grade and quality of each segment; of a long recording the worst ones."""
    rows = score.segments
    names = [name for name in dict.fromkeys(score.names) if name is not None]
    note = ""
    if len(rows) > MAX_ROWS:
        order = np.sort(np.argsort(score.overall, kind="stable")[:MAX_ROWS])
        rows = [rows[s] for s in order]
        note = (
            f'<p class="note">The {MAX_ROWS} worst of {len(score.overall):,} segments, in time order. '
            "<code>qualityfm score</code> writes all of them.</p>"
        )
    body = []
    for row in rows:
        cells = "".join(f"<td>{meter(row[f'quality_{name}'])}</td>" for name in names)
        start = f'{clock(row["start_s"])} <span class="facts">({row["start_s"]:g} s)</span>'
        body.append(f"<tr><td>{start}</td><td>{chip(row['grade'])}</td><td>{meter(row['quality'])}</td>{cells}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    table = f"<table><tr><th>Start</th><th>Grade</th><th>Joint</th>{head}</tr>{''.join(body)}</table>"
    return f'{note}<div class="scroll">{table}</div>'


def zoom_heading(zoom: Zoom) -> str:
    """Return the heading over one close-up."""
    where = f"{clock(zoom.start_s)}–{clock(zoom.end_s)}, joint quality {zoom.quality:.2f}"
    return f'<h2>{zoom.title} {chip(grade(zoom.quality))}</h2><p class="note">{where}</p>'


def explanation(score: QualityScore) -> str:
    """Return what the number means, in plain words."""
    cuts = ", ".join(f"{letter} from {cut:g}" for letter, cut in GRADE_CUTS.items())
    model = (
        "<p>The thin ribbon marked <i>model</i> is the estimate of a pre-trained model's quality head for the same "
        "seconds. It is shown beside the measured quality, and does not enter it.</p>"
        if score.model_quality is not None
        else ""
    )
    return (
        "<h2>What the number means</h2>"
        "<p>Quality says how far a second of a channel can be trusted to show the patient rather than the sensor: 1 is "
        "a clean signal, 0 is useless. It is measured from the shape of the signal and not from the heart's rhythm: an "
        "arrhythmia in a clean recording is meant to stay good, a regular rhythm under motion is meant to be bad. It "
        "is not a diagnosis and says nothing about the patient's state.</p>"
        f"<p>Grades: {cuts}, E below. The joint quality of a segment is that of all its channels together; a channel "
        f"that the recording does not have takes no part.</p>{model}"
    )
