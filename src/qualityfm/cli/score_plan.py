"""`qualityfm score --dry-run`: what would be read, as the headers tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qualityfm.cli.terminal import remark, say_json, say_table
from qualityfm.records import ChannelKind
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.found import Found, FoundChannel

if TYPE_CHECKING:
    from qualityfm.cli.score import Options

#: Kinds of channels that are scored.
SCORED = frozenset({ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP})
NOTHING = "no channel of ECG, PPG or ABP"


def show_plan(options: Options) -> int:
    """List the recordings with their channels, and those that would be skipped with the reason."""
    rows = [_row(one) for one in _found(options)]
    hours = sum(row["duration_s"] for row in rows if row["problem"] is None) / 3600
    num_good = sum(row["problem"] is None for row in rows)
    if options.json:
        say_json({"num_recordings": num_good, "hours": round(hours, 4), "recordings": rows})
        return 0
    table = [
        (row["recording"], f"{row['duration_s']:g}", " ".join(row["channels"]), row["problem"] or "") for row in rows
    ]
    say_table(("recording", "seconds", "channels", "would be skipped"), table)
    remark(f"would score {num_good} recordings, {hours:.2f} h; {len(rows) - num_good} would be skipped")
    return 0


def _found(options: Options) -> list[Found]:
    path = options.recordings
    if path.is_dir():
        return [one for one in find_recordings(path, layout=options.layout) if one.aside is None]
    recording = open_recording(path, layout=options.layout)
    channels = tuple(
        FoundChannel(name=one.name, kind=one.kind, unit=one.unit, sample_rate_hz=one.sample_rate_hz)
        for one in recording.signals
    )
    known = Found(
        path=path,
        recording_id=recording.recording_id,
        subject_id=None,
        source="",
        duration_s=recording.duration_s,
        channels=channels,
    )
    return [known]


def _row(one: Found) -> dict[str, Any]:
    channels = [f"{channel.name}:{channel.kind}:{channel.sample_rate_hz:g}" for channel in one.channels]
    reason = one.problem or (None if SCORED & {channel.kind for channel in one.channels} else NOTHING)
    return {"recording": one.recording_id, "duration_s": one.duration_s, "channels": channels, "problem": reason}
