"""`qualityfm scan`: what lies in an archive, from headers alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from qualityfm.cli.terminal import name_problems, say, say_json, say_table

if TYPE_CHECKING:
    from qualityfm.sources import Found

EXAMPLES = (
    "qualityfm scan recordings/",
    "qualityfm scan recordings/ --json > archive.json",
    "qualityfm scan bidmc_csv/ --layout bidmc-csv",
)

#: Records and channel names that a screen holds; --json gives all.
MAX_RECORDS, MAX_CHANNELS = 20, 25


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `scan`."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Folder to look through, with the folders below it."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    json: bool = False
    """Print JSON, every record included."""


def run(options: Options) -> int:
    """List the recordings in a folder; unreadable files are named, they are no failure of the scan."""
    from qualityfm.errors import SourceError, problem
    from qualityfm.sources import find_recordings

    found = find_recordings(options.folder, layout=options.layout, passed_over=True)
    usable = [f for f in found if f.problem is None and f.aside is None]
    summary = _summary(options.folder, found)
    if options.json:
        say_json(summary | {"records": [_record(f) for f in found]})
    else:
        _show(summary, usable)
    if not usable:
        expected = "at least one readable recording"
        raise SourceError(
            problem("nothing to read", where=options.folder, field="recordings", found=len(usable), expected=expected)
        )
    return 0


def _summary(folder: Path, found: list[Found]) -> dict[str, Any]:
    usable = [f for f in found if f.problem is None and f.aside is None]
    channels: dict[tuple[str, str], Counter[str]] = {}
    hours: defaultdict[tuple[str, str], float] = defaultdict(float)
    gaps: defaultdict[tuple[str, str], float] = defaultdict(float)
    for one in usable:
        for channel in one.channels:
            key = (channel.name, str(channel.kind))
            channels.setdefault(key, Counter())[f"{channel.sample_rate_hz:g} Hz {channel.unit}"] += 1
            hours[key] += (one.duration_s - channel.gap_s) / 3600
            gaps[key] += channel.gap_s / 3600
    return {
        "folder": str(folder),
        "num_records": len(usable),
        "num_subjects": len({f.subject_id for f in usable if f.subject_id}),
        "sources": dict(Counter(f.source for f in usable).most_common()),
        "hours": round(sum(f.duration_s for f in usable) / 3600, 4),
        "channels": [
            {
                "name": name,
                "kind": kind,
                "num_records": sum(forms.values()),
                "hours": round(hours[name, kind], 2),
                "gap_hours": round(gaps[name, kind], 2),
                "forms": dict(forms.most_common()),
            }
            for (name, kind), forms in sorted(channels.items(), key=lambda item: -sum(item[1].values()))
        ],
        "unreadable": [{"recording": f.recording_id, "reason": str(f.problem)} for f in found if f.problem],
        "asides": [{"recording": f.recording_id, "reason": str(f.aside)} for f in found if f.aside],
    }


def _record(found: Found) -> dict[str, Any]:
    return {
        "recording": found.recording_id,
        "subject": found.subject_id,
        "source": found.source,
        "duration_s": found.duration_s,
        "channels": [
            {
                "name": c.name,
                "kind": str(c.kind),
                "unit": c.unit,
                "sample_rate_hz": c.sample_rate_hz,
                "gap_s": round(c.gap_s, 3),
            }
            for c in found.channels
        ],
        "problem": found.problem,
        "aside": found.aside,
    }


def _show(summary: dict[str, Any], usable: list[Found]) -> None:
    subjects = f" of {_counted(summary['num_subjects'], 'patient')}" if summary["num_subjects"] else ""
    formats = f" ({', '.join(summary['sources'])})" if summary["sources"] else ""
    say(
        f"{summary['folder']}: {_counted(summary['num_records'], 'record')}{formats}{subjects}, "
        f"{summary['hours']:.2f} h, {len(summary['unreadable'])} unreadable, "
        f"{len(summary['asides'])} that are no recordings"
    )
    if usable:
        say()
        rows = [
            (
                c["name"],
                c["kind"],
                c["num_records"],
                f"{c['hours']:.2f}",
                f"{c['gap_hours']:.2f}",
                ", ".join(list(c["forms"])[:3]),
            )
            for c in summary["channels"][:MAX_CHANNELS]
        ]
        say_table(("channel", "kind", "records", "hours", "gaps h", "rate and unit"), rows)
        _more(len(summary["channels"]), MAX_CHANNELS, "channels")
        say()
        say_table(
            ("record", "minutes", "gaps min", "channels"),
            [
                (f.recording_id, f"{f.duration_s / 60:.1f}", _longest_gap(f), " ".join(c.name for c in f.channels))
                for f in usable[:MAX_RECORDS]
            ],
        )
        _more(len(usable), MAX_RECORDS, "records")
    name_problems(summary["unreadable"], "unreadable")
    name_problems(summary["asides"], "aside")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _longest_gap(found: Found) -> str:
    """Return the minutes that the least recorded channel lacks, as its header tells; "-" for none."""
    gap_s = max((channel.gap_s for channel in found.channels), default=0.0)
    return f"{gap_s / 60:.1f}" if gap_s else "-"


def _more(number: int, shown: int, noun: str) -> None:
    if number > shown:
        say(f"... and {number - shown} more {noun}; --json lists them all")
