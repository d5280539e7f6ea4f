"""Archive -> data set: plan, one shard a group, index. Interrupted at any point, it goes on where it stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qualityfm.cluster import Engine, map_unordered
from qualityfm.config import to_plain
from qualityfm.errors import ConfigError, FormatError, QualityFMError, SourceError, problem
from qualityfm.files import ASIDE_PREFIX, remove_leftovers
from qualityfm.prepare.identity import Identity
from qualityfm.prepare.plan import Plan, make_plan
from qualityfm.prepare.selection import Selection
from qualityfm.prepare.steps import GroupStep
from qualityfm.segments import SegmentConfig
from qualityfm.shards.format import (
    FORMAT_NAME,
    FORMAT_VERSION,
    INDEX_FILE,
    SHARD_NAME,
    DatasetIndex,
    RecordingNote,
    ShardSummary,
    read_index,
    read_summary,
    shard_entry,
    to_json,
)
from qualityfm.shards.local_store import LocalStore
from qualityfm.shards.shard import compare_sizes
from qualityfm.shards.store import Store, open_store
from qualityfm.sources import Layout
from qualityfm.version import __version__

#: Says which plan an unfinished data set follows; gone when the index is there.
PLAN_FILE = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far prepare is.

    Attributes:
        num_shards_done: Shards that are there, those of earlier runs included.
        num_shards: Shards that there will be.
        segments_done: Segments read for them.
        segments_planned: Segments to read in all.
        hours_read: Hours of recording that this run has read.
    """

    num_shards_done: int
    num_shards: int
    segments_done: int
    segments_planned: int
    hours_read: float


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What prepare made, or would make.

    Attributes:
        out: Folder or URL of the data set.
        is_dry_run: True where nothing was written; then the counts are those of the plan, an upper bound.
        num_recordings: Recordings with at least one segment.
        num_segments: Segments kept.
        hours: Hours inside the segments.
        num_shards: Shards of the data set.
        num_shards_resumed: Shards that an earlier run had finished.
        estimated_bytes: Size if every segment is kept.
        grades: Number of segments of each grade A to E; empty in a dry run.
        dropped: Segments dropped, by reason.
        repairs: Recordings that were read under a repair of a known misprint, by its name; empty in a dry run.
        refused: Recordings, or parts of them, that could not be read.
        left_out: Recordings that broke a rule of the settings.
        selection: The question to the table and its counts; None for the whole archive.
        content_hash: Identity of the data set; "" in a dry run.
    """

    out: str
    is_dry_run: bool
    num_recordings: int
    num_segments: int
    hours: float
    num_shards: int
    num_shards_resumed: int
    estimated_bytes: int
    grades: dict[str, int]
    dropped: dict[str, int]
    repairs: dict[str, int]
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
    layout: Layout | None = None,
    identity: Identity | None = None,
    workers: int = 1,
    engine: Engine = "processes",
    address: str | None = None,
    on_problem: Literal["raise", "skip"] = "skip",
    dry_run: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> PrepareReport:
    """Cut, score and store the recordings of an archive.

    The result is the same, byte for byte, for any number of workers, either engine and any interruptions. A run that
    was stopped is continued by the same call; a finished data set is left as it is.

    Args:
        archive: Folder of recordings.
        out: Folder or URL (`s3://bucket/dataset`) of the data set, new or of an interrupted run.
        config: How to cut and scale, and which segments to keep.
        selection: Which recordings; None for all.
        layout: What the archive's files do not say themselves.
        identity: Pseudonyms and shifted dates; by default names stay as they are and dates are left out.
        workers: Shards worked on at a time, each by one process.
        engine: "processes" of this machine, or a "ray" cluster.
        address: A running Ray cluster to join; it must see `archive` and `out` under the same names.
        on_problem: "skip" notes a recording that cannot be read and goes on, "raise" stops there.
        dry_run: Plan only, write nothing.
        progress: Called after each shard.

    Raises:
        SourceError: The archive cannot be listed; or, with "raise", a recording cannot be read.
        ConfigError: The selection is unclear or empty, or `out` holds something else.
        QualityFMError: Nothing was kept, the disk is full, or a worker was killed.
    """
    archive, store, identity = Path(archive), open_store(out), identity or Identity()
    plan = make_plan(archive, config, selection, __version__, layout, identity)
    if on_problem == "raise" and plan.refused:
        raise SourceError(plan.refused[0].reason)
    if not plan.groups:
        raise _nothing_kept(archive, [*plan.refused, *plan.left_out], Counter())
    if dry_run:
        return _planned(plan, store)
    finished = _claim(store, plan)
    if finished is not None:
        return _report(finished, plan, store, len(finished.shards))
    summaries = _finished_shards(store, plan)
    num_resumed = len(summaries)
    _refuse(summaries.values(), on_problem)
    waiting = [group for group in plan.groups if group.name not in summaries]
    step = GroupStep(archive=archive, out=store.url, config=config, layout=layout, identity=identity)
    try:
        # Closed, its workers are gone.
        with closing(map_unordered(step, waiting, workers, engine=engine, address=address)) as results:
            for place, summary in results:
                summaries[waiting[place].name] = summary
                _refuse([summary], on_problem)
                if progress is not None:
                    progress(_progress(plan, summaries, num_resumed))
    finally:
        _clear(store)
    index = _finish(archive, store, plan, summaries)
    return _report(index, plan, store, num_resumed)


def _finish(archive: Path, store: Store, plan: Plan, summaries: dict[str, ShardSummary]) -> DatasetIndex:
    """Write the index over the finished shards; with it the data set is there."""
    index = make_index(plan, [summaries[group.name] for group in plan.groups])
    if not index.num_segments:
        _discard(store)
        raise _nothing_kept(archive, [*index.refused, *index.left_out], Counter(index.dropped))
    store.write_bytes(INDEX_FILE, to_json(index).encode())
    store.remove(PLAN_FILE)
    return index


def make_index(plan: Plan, summaries: list[ShardSummary]) -> DatasetIndex:
    """Return the index over finished shards."""
    grades, dropped, kept = Counter[str](), Counter[str](), Counter[str]()
    reasons: dict[str, Counter[str]] = {}
    repairs: dict[str, set[str]] = {}
    for summary in summaries:
        grades.update(summary.grades)
        for one in summary.recordings:
            kept[one.recording_id] += one.kept
            dropped.update(one.dropped)
            reasons.setdefault(one.recording_id, Counter()).update(one.dropped)
            for repair in one.repairs:
                repairs.setdefault(repair, set()).add(one.recording_id)
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
        shards=tuple(map(shard_entry, summaries)),
        repairs={name: len(recordings) for name, recordings in sorted(repairs.items())},
    ).with_hash()


def _claim(store: Store, plan: Plan) -> DatasetIndex | None:
    """Make the place ours, or find that it already holds this plan; return its index if it is finished."""
    if isinstance(store, LocalStore) and store.folder.exists() and not store.folder.is_dir():
        expected = "a folder, new, empty or of an interrupted run"
        raise ConfigError(problem("not a folder", where=store.url, field="out", found="a file", expected=expected))
    _clear(store)
    present = store.names()
    if INDEX_FILE in present:
        index = read_index(store)
        _same_plan(store, {"plan_hash": index.plan_hash, "settings": _settings_of(index)}, plan)
        sizes = store.sizes()
        for shard in index.shards:
            compare_sizes(store.url, shard, sizes)
        store.remove(PLAN_FILE)
        return index
    if PLAN_FILE in present:
        _same_plan(store, _read_plan(store), plan)
    elif present:
        found, expected = sorted(present)[0], "an empty or new folder"
        raise ConfigError(problem("folder in use", where=store.url, field="out", found=found, expected=expected))
    else:
        content = {"plan_hash": plan.plan_hash, "settings": plan.settings}
        store.write_bytes(PLAN_FILE, to_json(content).encode())
    return None


def _clear(store: Store) -> None:
    """Remove what a killed process was still writing; an object store never shows it."""
    if isinstance(store, LocalStore):
        remove_leftovers(store.folder)


def _settings_of(index: DatasetIndex) -> dict[str, Any]:
    """Return the settings that a finished data set still knows."""
    return {
        "package_version": index.package_version,
        "segments": to_plain(index.segments),
        "selection": index.selection,
    }


def _read_plan(store: Store) -> dict[str, Any]:
    try:
        plain = json.loads(store.read_bytes(PLAN_FILE))
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _same_plan(store: Store, found: dict[str, Any], plan: Plan) -> None:
    if found.get("plan_hash") == plan.plan_hash:
        return
    field, was, wanted = _first_difference(found.get("settings"), plan.settings)
    raise ConfigError(
        problem(
            "folder holds another data set",
            where=store.url,
            field=field,
            found=was,
            expected=wanted,
            advice="choose another --out, repeat the earlier settings, or delete this folder",
        )
    )


def _first_difference(found: Any, wanted: dict[str, Any]) -> tuple[str, object, str]:
    """Return name and both values of the first setting in which two plans differ; else it is the recordings."""
    for name in wanted if isinstance(found, dict) else ():
        if name in found and found[name] != wanted[name]:
            if isinstance(found[name], dict) and isinstance(wanted[name], dict):
                inner, was, now = _first_difference(found[name], wanted[name])
                return f"{name}.{inner}", was, now
            return name, found[name], repr(wanted[name])
    return "recordings", "others, or files of other sizes", "those of the earlier run"


def _finished_shards(store: Store, plan: Plan) -> dict[str, ShardSummary]:
    """Return the shards that an earlier run finished; a damaged one is deleted and made again."""
    present, sizes = store.names(), store.sizes()
    summaries = {}
    for name in (group.name for group in plan.groups if group.name in present):
        try:
            summary = read_summary(store, name)
            compare_sizes(store.url, shard_entry(summary), sizes)
            summaries[name] = summary
        except FormatError:
            store.remove(name)
    return summaries


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


def _discard(store: Store) -> None:
    """Remove what an unsuccessful run made, and nothing else."""
    for name in store.names():
        if SHARD_NAME.fullmatch(name) or name == PLAN_FILE or name.startswith(ASIDE_PREFIX):
            store.remove(name)
    if isinstance(store, LocalStore) and not store.names():
        store.folder.rmdir()


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.items()))


def _by_name(note: RecordingNote) -> tuple[str, str]:
    return note.recording_id, note.reason


def _progress(plan: Plan, summaries: dict[str, ShardSummary], num_resumed: int) -> Progress:
    planned = {group.name: sum(stretch.num_segments for stretch in group.stretches) for group in plan.groups}
    ours = list(summaries)[num_resumed:]  # those of an earlier run came first
    return Progress(
        num_shards_done=len(summaries),
        num_shards=len(plan.groups),
        segments_done=sum(planned[name] for name in summaries),
        segments_planned=plan.num_segments,
        hours_read=sum(planned[name] for name in ours) * plan.config.step_s / 3600,
    )


def _planned(plan: Plan, store: Store) -> PrepareReport:
    return PrepareReport(
        out=store.url,
        is_dry_run=True,
        num_recordings=plan.num_recordings,
        num_segments=plan.num_segments,
        hours=plan.hours,
        num_shards=len(plan.groups),
        num_shards_resumed=0,
        estimated_bytes=plan.estimated_bytes,
        grades={},
        dropped={},
        repairs={},
        refused=plan.refused,
        left_out=plan.left_out,
        selection=plan.selection,
        content_hash="",
    )


def _report(index: DatasetIndex, plan: Plan, store: Store, num_resumed: int) -> PrepareReport:
    return PrepareReport(
        out=store.url,
        is_dry_run=False,
        num_recordings=index.num_recordings,
        num_segments=index.num_segments,
        hours=index.hours,
        num_shards=len(index.shards),
        num_shards_resumed=num_resumed,
        estimated_bytes=plan.estimated_bytes,
        grades=index.grades,
        dropped=index.dropped,
        repairs=index.repairs,
        refused=index.refused,
        left_out=index.left_out,
        selection=index.selection,
        content_hash=index.content_hash,
    )
