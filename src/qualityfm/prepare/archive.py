"""Archive -> data set: plan, one shard a group, index. Interrupted at any point, it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qualityfm.cluster import map_unordered
from qualityfm.errors import ConfigError, FormatError, QualityFMError, SourceError, problem
from qualityfm.files import ASIDE_PREFIX, disk_problem, remove_leftovers, sha256_of, write_text
from qualityfm.prepare.plan import Group, Plan, make_plan
from qualityfm.prepare.selection import Selection
from qualityfm.prepare.steps import GroupStep
from qualityfm.segments import SegmentConfig
from qualityfm.shards.format import (
    FORMAT_NAME,
    FORMAT_VERSION,
    INDEX_FILE,
    SHARD_FILE,
    SHARD_NAME,
    DatasetIndex,
    FileEntry,
    RecordingNote,
    ShardEntry,
    ShardSummary,
    read_index,
    read_summary,
    to_json,
)
from qualityfm.shards.reader import check_sizes
from qualityfm.version import __version__

#: Says which plan an unfinished data set follows; gone when the index is there.
PLAN_FILE = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far prepare is."""

    num_shards_done: int
    num_shards: int
    segments_done: int
    segments_planned: int


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What prepare made, or would make.

    Attributes:
        out: The data set folder.
        is_dry_run: True where nothing was written; then the counts are those of the plan, an upper bound.
        num_recordings: Recordings with at least one segment.
        num_segments: Segments kept.
        hours: Hours inside the segments.
        num_shards: Shards of the data set.
        num_shards_resumed: Shards that an earlier run had finished.
        estimated_bytes: Size if every segment is kept.
        grades: Number of segments of each grade A to E; empty in a dry run.
        dropped: Segments dropped, by reason.
        refused: Recordings, or parts of them, that could not be read.
        left_out: Recordings that broke a rule of the settings.
        selection: The question to the table and its counts; None for the whole archive.
        content_hash: Identity of the data set; "" in a dry run.
    """

    out: Path
    is_dry_run: bool
    num_recordings: int
    num_segments: int
    hours: float
    num_shards: int
    num_shards_resumed: int
    estimated_bytes: int
    grades: dict[str, int]
    dropped: dict[str, int]
    refused: tuple[RecordingNote, ...]
    left_out: tuple[RecordingNote, ...]
    selection: dict[str, Any] | None
    content_hash: str


def prepare(
    archive: str | Path,
    out: str | Path,
    *,
    config: SegmentConfig,
    selection: Selection | None = None,
    workers: int = 1,
    on_problem: Literal["raise", "skip"] = "skip",
    dry_run: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> PrepareReport:
    """Cut, score and store the recordings of an archive.

    The result is the same, byte for byte, for any number of workers and any interruptions. A run that was stopped is
    continued by the same call; a finished data set is left as it is.

    Args:
        archive: Folder of recordings.
        out: Data set folder, new or of an interrupted run.
        config: How to cut and scale, and which segments to keep.
        selection: Which recordings; None for all.
        workers: Processes.
        on_problem: "skip" notes a recording that cannot be read and goes on, "raise" stops there.
        dry_run: Plan only, write nothing.
        progress: Called after each shard.

    Raises:
        SourceError: The archive cannot be listed; or, with "raise", a recording cannot be read.
        ConfigError: The selection is unclear or empty, or `out` holds something else.
        QualityFMError: Nothing was kept, the disk is full, or a worker was killed.
    """
    archive, out = Path(archive), Path(out)
    plan = make_plan(archive, config, selection, __version__)
    if on_problem == "raise" and plan.refused:
        raise SourceError(plan.refused[0].reason)
    if not plan.groups:
        raise _nothing_kept(archive, [*plan.refused, *plan.left_out], Counter())
    if dry_run:
        return _planned(plan, out)
    finished = _claim(out, plan)
    if finished is None:
        finished, num_resumed = _build(archive, out, plan, workers, on_problem, progress)
    else:
        num_resumed = len(finished.shards)
    return _report(finished, plan, out, num_resumed)


def _build(
    archive: Path,
    out: Path,
    plan: Plan,
    workers: int,
    on_problem: Literal["raise", "skip"],
    progress: Callable[[Progress], None] | None,
) -> tuple[DatasetIndex, int]:
    summaries = {group.name: summary for group in plan.groups if (summary := _finished_shard(out, group))}
    waiting = [group for group in plan.groups if group.name not in summaries]
    num_resumed = len(summaries)
    _refuse(summaries.values(), on_problem)
    step = GroupStep(archive=archive, out=out, config=plan.config)
    try:
        with closing(map_unordered(step, waiting, workers)) as results:  # closed, its workers are gone
            for place, summary in results:
                summaries[waiting[place].name] = summary
                _refuse([summary], on_problem)
                if progress is not None:
                    progress(_progress(plan, summaries))
    finally:
        remove_leftovers(out)
    ordered = [summaries[group.name] for group in plan.groups]
    index = make_index(plan, ordered, out)
    if not index.num_segments:
        _discard(out)
        raise _nothing_kept(archive, [*index.refused, *index.left_out], Counter(index.dropped))
    write_text(out / INDEX_FILE, to_json(index))
    (out / PLAN_FILE).unlink(missing_ok=True)
    return index, num_resumed


def make_index(plan: Plan, summaries: list[ShardSummary], out: Path) -> DatasetIndex:
    """Return the index over finished shards."""
    grades, dropped, kept = Counter[str](), Counter[str](), Counter[str]()
    reasons: dict[str, Counter[str]] = {}
    for summary in summaries:
        grades.update(summary.grades)
        for one in summary.recordings:
            kept[one.recording_id] += one.kept
            dropped.update(one.dropped)
            reasons.setdefault(one.recording_id, Counter()).update(one.dropped)
    refused = [note for summary in summaries for note in summary.refused]
    is_refused = {note.recording_id for note in refused}
    empty = [
        RecordingNote(recording_id=name, reason=f"no segment kept: {_counted(counts)}")
        for name, counts in reasons.items()
        if not kept[name] and name not in is_refused
    ]
    return DatasetIndex(
        format=FORMAT_NAME,
        format_version=FORMAT_VERSION,
        package_version=__version__,
        segments=plan.config,
        selection=plan.selection,
        plan_hash=plan.plan_hash,
        num_recordings=sum(count > 0 for count in kept.values()),
        num_segments=sum(s.num_rows for s in summaries),
        hours=sum(s.hours for s in summaries),
        grades=dict(grades),
        dropped=dict(sorted(dropped.items())),
        refused=tuple(sorted([*plan.refused, *refused], key=_by_name)),
        left_out=tuple(sorted([*plan.left_out, *empty], key=_by_name)),
        shards=tuple(_entry(out, s) for s in summaries),
    ).with_hash()


def _claim(out: Path, plan: Plan) -> DatasetIndex | None:
    """Make the folder ours, or find that it already holds this plan; return its index if it is finished."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        present = {path.name for path in out.iterdir()}
    except OSError as error:
        raise disk_problem(error, out) from error
    if INDEX_FILE in present:
        index = read_index(out)
        _same_plan(out, index.plan_hash, plan)
        for shard in index.shards:
            check_sizes(out, shard)
        (out / PLAN_FILE).unlink(missing_ok=True)
        return index
    if PLAN_FILE in present:
        _same_plan(out, _read_plan_hash(out / PLAN_FILE), plan)
    elif present:
        found, expected = sorted(present)[0], "an empty or new folder"
        raise ConfigError(problem("folder in use", where=out, field="out", found=found, expected=expected))
    else:
        write_text(out / PLAN_FILE, to_json({"plan_hash": plan.plan_hash}))
    return None


def _read_plan_hash(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["plan_hash"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _same_plan(out: Path, found: object, plan: Plan) -> None:
    if found != plan.plan_hash:
        raise ConfigError(
            problem(
                "folder holds another data set",
                where=out,
                field="plan",
                found=found,
                expected=plan.plan_hash,
                advice="settings, selection or recordings differ: choose another --out, or delete this folder",
            )
        )


def _finished_shard(out: Path, group: Group) -> ShardSummary | None:
    """Return the summary of a shard that an earlier run finished; a damaged one is deleted and made again."""
    folder = out / group.name
    if not folder.exists():
        return None
    try:
        summary = read_summary(folder)
        check_sizes(out, ShardEntry(name=group.name, num_rows=summary.num_rows, files=summary.files))
        return summary
    except FormatError:
        shutil.rmtree(folder)
        return None


def _entry(out: Path, summary: ShardSummary) -> ShardEntry:
    path = out / summary.name / SHARD_FILE
    own = FileEntry(name=SHARD_FILE, num_bytes=path.stat().st_size, sha256=sha256_of(path))
    return ShardEntry(name=summary.name, num_rows=summary.num_rows, files=(*summary.files, own))


def _refuse(summaries: Iterable[ShardSummary], on_problem: Literal["raise", "skip"]) -> None:
    if on_problem == "raise":
        for summary in summaries:
            for note in summary.refused:
                raise SourceError(f"{note.recording_id}: {note.reason}")


def _nothing_kept(archive: Path, notes: list[RecordingNote], dropped: Counter[str]) -> QualityFMError:
    reasons = Counter(note.reason for note in notes)
    found = _counted(dropped) if dropped else _counted(Counter(dict(reasons.most_common(3)))) or "no recording"
    return QualityFMError(
        problem("nothing kept", where=archive, field="segments", found=found, expected="at least one usable segment")
    )


def _discard(out: Path) -> None:
    """Remove what an unsuccessful run made, and nothing else."""
    for path in out.iterdir():
        if SHARD_NAME.fullmatch(path.name):
            shutil.rmtree(path)
        elif path.name == PLAN_FILE or path.name.startswith(ASIDE_PREFIX):
            path.unlink()
    if not any(out.iterdir()):
        out.rmdir()


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.items()))


def _by_name(note: RecordingNote) -> tuple[str, str]:
    return note.recording_id, note.reason


def _progress(plan: Plan, summaries: dict[str, ShardSummary]) -> Progress:
    planned = {group.name: sum(stretch.num_segments for stretch in group.stretches) for group in plan.groups}
    return Progress(
        num_shards_done=len(summaries),
        num_shards=len(plan.groups),
        segments_done=sum(planned[name] for name in summaries),
        segments_planned=plan.num_segments,
    )


def _planned(plan: Plan, out: Path) -> PrepareReport:
    return PrepareReport(
        out=out,
        is_dry_run=True,
        num_recordings=plan.num_recordings,
        num_segments=plan.num_segments,
        hours=plan.hours,
        num_shards=len(plan.groups),
        num_shards_resumed=0,
        estimated_bytes=plan.estimated_bytes,
        grades={},
        dropped={},
        refused=plan.refused,
        left_out=plan.left_out,
        selection=plan.selection,
        content_hash="",
    )


def _report(index: DatasetIndex, plan: Plan, out: Path, num_resumed: int) -> PrepareReport:
    return PrepareReport(
        out=out,
        is_dry_run=False,
        num_recordings=index.num_recordings,
        num_segments=index.num_segments,
        hours=index.hours,
        num_shards=len(index.shards),
        num_shards_resumed=num_resumed,
        estimated_bytes=plan.estimated_bytes,
        grades=index.grades,
        dropped=index.dropped,
        refused=index.refused,
        left_out=index.left_out,
        selection=index.selection,
        content_hash=index.content_hash,
    )
