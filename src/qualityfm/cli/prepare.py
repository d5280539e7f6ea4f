"""`qualityfm prepare`: an archive of recordings -> a data set to train on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.terminal import LateProgress, name_problems, remark, say, say_facts, say_json

if TYPE_CHECKING:
    from qualityfm.prepare.archive import PrepareReport, Progress
    from qualityfm.prepare.selection import Selection

EXAMPLES = (
    "qualityfm prepare recordings/ --out dataset",
    "qualityfm prepare recordings/ --out dataset --select records.csv --where \"split == 'train'\"",
    '    --away-from "fold == 4" --within 6 --workers 2',
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `prepare`."""

    archive: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ARCHIVE")]
    """Folder of recordings."""
    out: Annotated[Path, tyro.conf.arg(metavar="DATASET")]
    """Data set folder: new, or of an interrupted run, which then goes on."""
    select: Annotated[Path | None, tyro.conf.arg(metavar="TABLE.csv")] = None
    """Table with one row for each recording, in a column `record`; only recordings in it are taken."""
    where: Annotated[str | None, tyro.conf.arg(metavar="CONDITION")] = None
    """Condition over the table's columns, such as "split == 'train' and fold != 4"."""
    away_from: Annotated[str | None, tyro.conf.arg(metavar="CONDITION")] = None
    """Leave out the rows that satisfy this condition, and every row near to one."""
    within: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """How near, in record numbers."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "qualityfm-tiny"
    """How to cut and scale: the preset that will be trained, or the path of a TOML file."""
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Processes; the result is the same for any number."""
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

    with LateProgress("preparing segments") as display:

        def show(done: Progress) -> None:
            note = f"shard {done.num_shards_done} of {done.num_shards}"
            display.show(done.segments_done, done.segments_planned, note)

        return prepare(
            options.archive,
            options.out,
            config=config,
            selection=_selection(options),
            workers=options.workers,
            on_problem=options.on_problem,
            dry_run=options.dry_run,
            progress=show,
        )


def _selection(options: Options) -> Selection | None:
    from qualityfm.errors import ConfigError, problem
    from qualityfm.prepare.selection import read_selection

    if options.select is not None:
        return read_selection(options.select, where=options.where, away_from=options.away_from, within=options.within)
    if options.where is not None or options.away_from is not None or options.within:
        expected = "--select TABLE.csv beside --where, --away-from or --within"
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
        "selection",
        "content_hash",
    )
    return {"out": str(report.out)} | {name: getattr(report, name) for name in names}
