"""Archive -> data set: plan, one shard a group, index. Interrupted at any point, it goes on where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qualityfm.cluster import Engine, map_unordered
from qualityfm.errors import QualityFMError, SourceError, problem
from qualityfm.prepare.identity import Identity
from qualityfm.prepare.place import PLAN_FILE, claim, clear, discard, finished_shards
from qualityfm.prepare.plan import Group, Plan, make_plan
from qualityfm.prepare.selection import Selection
from qualityfm.prepare.steps import GroupStep
from qualityfm.prepare.tally import Tally, counted
from qualityfm.segments import SegmentConfig
from qualityfm.shards.format import INDEX_FILE, DatasetIndex, RecordingNote, ShardSummary, to_json
from qualityfm.shards.store import Store, open_store
from qualityfm.sources import Layout
from qualityfm.version import __version__


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far prepare is.

    Attributes:
        num_shards_done: Shards that are there, those of earlier runs included.
        num_shards: Shards that there will be.
        segments_done: Segments read for them.
        segments_resumed: Those among them that earlier runs had read.
        segments_planned: Segments to read in all.
        hours_read: Hours of recording that this run has read.
    """

    num_shards_done: int
    num_shards: int
    segments_done: int
    segments_resumed: int
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
        raise _nothing_kept(archive, [*plan.refused, *plan.left_out])
    if dry_run:
        return _planned(plan, store)
    index = claim(store, plan)
    if index is not None:
        return _report(index, plan, store, len(index.shards))
    tally = Tally()
    for summary in finished_shards(store, plan):
        _refuse(summary, on_problem)
        tally.add(summary)
    num_resumed = len(tally)
    show = _Display(plan, tally, progress)
    waiting = [group for group in plan.groups if group.name not in tally]
    step = GroupStep(archive=archive, out=store.url, config=config, layout=layout, identity=identity)
    try:
        # Closed, its workers are gone.
        with closing(map_unordered(step, waiting, workers, engine=engine, address=address)) as results:
            for place, summary in results:
                _refuse(summary, on_problem)
                tally.add(summary)
                show.finished(waiting[place])
    finally:
        clear(store)
    return _report(_finish(archive, store, plan, tally), plan, store, num_resumed)


def _finish(archive: Path, store: Store, plan: Plan, tally: Tally) -> DatasetIndex:
    """Write the index over the finished shards; with it the data set is there."""
    index = tally.index(plan)
    if not index.num_segments:
        discard(store)
        raise _nothing_kept(archive, [*index.refused, *index.left_out], Counter(index.dropped))
    store.write_bytes(INDEX_FILE, to_json(index).encode())
    store.remove(PLAN_FILE)
    return index


class _Display:
    """Counts what this run has done and shows it."""

    def __init__(self, plan: Plan, tally: Tally, show: Callable[[Progress], None] | None) -> None:
        self._plan, self._tally, self._show = plan, tally, show
        self._num_resumed = sum(_num_segments(group) for group in plan.groups if group.name in tally)
        self._num_read = 0

    def finished(self, group: Group) -> None:
        """Show that one more shard is there."""
        self._num_read += _num_segments(group)
        if self._show is None:
            return
        self._show(
            Progress(
                num_shards_done=len(self._tally),
                num_shards=len(self._plan.groups),
                segments_done=self._num_resumed + self._num_read,
                segments_resumed=self._num_resumed,
                segments_planned=self._plan.num_segments,
                hours_read=self._num_read * self._plan.config.step_s / 3600,
            )
        )


def _num_segments(group: Group) -> int:
    return sum(stretch.num_segments for stretch in group.stretches)


def _refuse(summary: ShardSummary, on_problem: Literal["raise", "skip"]) -> None:
    if on_problem == "raise":
        for note in summary.refused:
            raise SourceError(f"{note.recording_id}: {note.reason}")


def _nothing_kept(archive: Path, notes: Iterable[RecordingNote], dropped: Counter[str] | None = None) -> QualityFMError:
    reasons = Counter(note.reason for note in notes)
    found = counted(dropped) if dropped else counted(Counter(dict(reasons.most_common(3)))) or "no recording"
    return QualityFMError(
        problem("nothing kept", where=archive, field="segments", found=found, expected="at least one usable segment")
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
