"""`qualityfm prepare`: an archive of recordings -> a data set to train on."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.batches import num_processors
from qualityfm.cli.terminal import LateProgress, name_problems, remark, say, say_facts, say_json

if TYPE_CHECKING:
    from qualityfm.prepare.archive import PrepareReport, Progress
    from qualityfm.prepare.selection import Selection
    from qualityfm.sources import Layout

EXAMPLES = (
    "qualityfm prepare recordings/ --out dataset",
    "qualityfm prepare recordings/ --out dataset --select records.csv --where \"split == 'train'\"",
    '    --away-from "fold == 4" --within 6 --workers 2',
    "qualityfm prepare vtac/ --layout vtac --where \"split == 'train'\" --out s3://bucket/vtac",
    "qualityfm prepare hospital/ --key secret.txt --engine ray --out dataset",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `prepare`."""

    archive: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ARCHIVE")]
    """Folder of recordings."""
    out: Annotated[str, tyro.conf.arg(metavar="DATASET")]
    """Folder or URL (s3://bucket/dataset) of the data set: new, or of an interrupted run, which then goes on."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    select: Annotated[Path | None, tyro.conf.arg(metavar="TABLE.csv")] = None
    """Table with one row for each recording, in a column `record`; only recordings in it are taken."""
    where: Annotated[str | None, tyro.conf.arg(metavar="CONDITION")] = None
    """Condition over the table's columns, such as "split == 'train' and fold != 4"; `record_number` is the number in a
    record's name."""
    away_from: Annotated[str | None, tyro.conf.arg(metavar="CONDITION")] = None
    """Leave out the rows that satisfy this condition, and every row near to one."""
    within: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """How near, in record numbers."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "qualityfm-tiny"
    """How to cut and scale: the preset that will be trained, or the path of a TOML file."""
    key: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Secret key: names become pseudonyms and dates are shifted by patient. Without it no dates are stored."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Shards worked on at a time, one process each; the same result for any number. By default all processors."""
    engine: Literal["processes", "ray"] = "processes"
    """Processes of this machine, or a Ray cluster (extra `ray`)."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """A running Ray cluster to join; without it one is started on this machine."""
    on_problem: Literal["raise", "skip"] = "skip"
    """What to do about a recording that cannot be read: stop, or note it and go on."""
    dry_run: bool = False
    """Plan only: read headers, write nothing."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Prepare a data set; skipped recordings are counted and named."""
    from qualityfm.pretrain.preset import load_preset

    report = make_dataset(options, load_preset(options.preset).segments)
    problems = [{"recording": one.recording_id, "reason": one.reason} for one in report.refused]
    left_out = [{"recording": one.recording_id, "reason": one.reason} for one in report.left_out]
    if options.json:
        say_json(_summary(report) | {"refused": problems, "left_out": left_out})
        return 0
    name_problems(problems, "refused")
    if report.repairs:
        remark(f"read under a repair: {_counts(report.repairs)}")
    lost = (report.selection or {}).get("num_rows_without_recording", 0)
    if lost:
        remark(f"{lost} chosen rows of the table match no recording of the archive")
    verb = "would make" if report.is_dry_run else "made"
    facts: dict[str, Any] = {
        "segments": f"{report.num_segments:,}{' at most' if report.is_dry_run else ''}",
        "recordings": f"{report.num_recordings:,}",
        "hours": f"{report.hours:.2f}",
        "shards": f"{report.num_shards} ({report.num_shards_resumed} from an earlier run)",
        "grades": "  ".join(f"{letter} {count:,}" for letter, count in sorted(report.grades.items())) or "-",
        "dropped segments": _counts(report.dropped),
        "refused recordings": len(report.refused),
        "repaired recordings": _counts(report.repairs),
        "left out recordings": _counts(Counter(one.reason for one in report.left_out)),
    }
    if report.is_dry_run:
        facts["size"] = f"{report.estimated_bytes / 1e6:,.1f} MB at most"
    say_facts(f"{verb} {report.out}", facts)
    if not report.is_dry_run:
        say(f"next: qualityfm pretrain {options.preset} --data {report.out} --out RUN")
    return 0


def make_dataset(options: Options, config: Any) -> PrepareReport:
    """Prepare with a progress display."""
    from qualityfm.prepare.archive import prepare
    from qualityfm.prepare.identity import read_key
    from qualityfm.sources import read_layout

    layout = None if options.layout is None else read_layout(options.layout)
    began = time.monotonic()
    with LateProgress("preparing segments") as display:

        def show(done: Progress) -> None:
            rate = done.hours_read / max(time.monotonic() - began, 1e-3)
            note = f"shard {done.num_shards_done} of {done.num_shards}  {rate:.1f} h/s"
            resumed = done.segments_resumed  # took no time in this run
            display.show(done.segments_done - resumed, done.segments_planned - resumed, note)

        return prepare(
            options.archive,
            options.out,
            config=config,
            selection=_selection(options, layout),
            layout=layout,
            identity=None if options.key is None else read_key(options.key),
            workers=num_processors() if options.workers is None else options.workers,
            engine=options.engine,
            address=options.ray_address,
            on_problem=options.on_problem,
            dry_run=options.dry_run,
            progress=show,
        )


def _selection(options: Options, layout: Layout | None) -> Selection | None:
    from qualityfm.errors import ConfigError, problem
    from qualityfm.prepare.selection import read_selection, selection_from_layout

    if layout is not None:
        return selection_from_layout(
            options.archive,
            layout,
            where=options.where,
            away_from=options.away_from,
            within=options.within,
            table_path=options.select,
        )
    if options.select is not None:
        return read_selection(options.select, where=options.where, away_from=options.away_from, within=options.within)
    if options.where is not None or options.away_from is not None or options.within:
        expected = "--select TABLE.csv, or --layout NAME, beside --where, --away-from or --within"
        raise ConfigError(problem("no table", where="prepare", field="--select", found=None, expected=expected))
    return None


def _counts(counts: dict[str, int] | Counter[str]) -> str:
    return "; ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "0"


def _summary(report: PrepareReport) -> dict[str, Any]:
    names = (
        "is_dry_run",
        "num_recordings",
        "num_segments",
        "hours",
        "num_shards",
        "num_shards_resumed",
        "estimated_bytes",
        "grades",
        "dropped",
        "repairs",
        "selection",
        "content_hash",
    )
    return {"out": str(report.out)} | {name: getattr(report, name) for name in names}
