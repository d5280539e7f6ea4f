"""The pure step that a worker takes: a group of stretches -> one shard and its summary."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.prepare.identity import Identity
from qualityfm.prepare.plan import Group, Stretch, one_line
from qualityfm.prepare.rules import keep_usable, take_segments
from qualityfm.prepare.truth import read_truth, with_truth
from qualityfm.quality.paper import paper_quality
from qualityfm.quality.score import score_block
from qualityfm.segments import SegmentConfig, cut_block, scale_values
from qualityfm.shards.format import RecordingCount, RecordingNote, ShardSummary
from qualityfm.shards.store import open_store
from qualityfm.shards.writer import PackedRows, pack_rows, write_shard
from qualityfm.sources import Layout, open_recording


@dataclass(frozen=True, kw_only=True)
class GroupStep:
    """Turns groups into shards; holds all it needs, so that it can travel to a worker.

    Attributes:
        archive: Folder of the recordings; messages name files from here on.
        out: Folder or URL of the data set.
        config: How to cut, scale and keep.
        layout: What the archive's files do not say themselves.
        identity: Names and dates under which patients enter the data set.
    """

    archive: Path
    out: str
    config: SegmentConfig
    layout: Layout | None = None
    identity: Identity = field(default_factory=Identity)

    def __call__(self, group: Group) -> ShardSummary:
        """Write the shard of a group. A recording that fails is noted, its neighbours are not touched.

        Raises:
            QualityFMError: The shard cannot be written.
        """
        rows: list[PackedRows] = []
        kept: Counter[str] = Counter()
        dropped: dict[str, Counter[str]] = {}
        repairs: dict[str, set[str]] = {}
        refused: list[RecordingNote] = []
        for stretch in group.stretches:
            name = self.identity.recording_id(stretch.recording_id)
            reasons = dropped.setdefault(name, Counter())
            try:
                cut = cut_stretch(stretch, self.config, self.layout, self.identity)
            except Exception as error:  # whatever a foreign file provokes must not cost its neighbours
                reason = one_line(_reason(error, stretch, self.config), self.archive)
                refused.append(self.identity.note(stretch.recording_id, reason))
                continue
            reasons.update(cut.dropped)
            repairs.setdefault(name, set()).update(cut.repairs)
            if cut.rows is not None:
                rows.append(cut.rows)
                kept[name] += len(cut.rows.table)
        counts = [
            RecordingCount(
                recording_id=name,
                kept=kept[name],
                dropped=dict(sorted(reasons.items())),
                repairs=tuple(sorted(repairs.get(name, ()))),
            )
            for name, reasons in dropped.items()
        ]
        store = open_store(self.out)
        with store.staging() as scratch:
            summary = write_shard(scratch, group.name, rows, recordings=counts, refused=refused)
            store.put_folder(scratch / group.name, group.name)
        return summary


@dataclass(frozen=True, kw_only=True)
class CutStretch:
    """What came of one stretch.

    Attributes:
        rows: The segments worth keeping; None where there is none.
        dropped: Segments dropped, by reason.
        repairs: Repairs under which the recording was read.
    """

    rows: PackedRows | None
    dropped: dict[str, int]
    repairs: tuple[str, ...]


def cut_stretch(
    stretch: Stretch, config: SegmentConfig, layout: Layout | None = None, identity: Identity | None = None
) -> CutStretch:
    """Return the segments of a stretch that are worth keeping, and how many were dropped for which reason.

    Stretches begin on the segment grid and reach as far as their last segment, so they give the segments that the whole
    recording gives. Two things are decided within a stretch: the resampling filter begins anew (the first and last
    0.1 s of a stretch differ a little from an uncut recording), and so does the choice of a live channel for each slot.

    Where the truth about a recording lies beside it, segments have that quality and those causes.

    Raises:
        QualityFMError: The recording cannot be read or has nothing to cut.
    """
    start_s = stretch.first_segment * config.step_s
    length_s = (stretch.num_segments - 1) * config.step_s + config.segment_s
    if stretch.is_whole:
        recording = open_recording(stretch.path, layout=layout)
    else:
        recording = open_recording(stretch.path, start_s=start_s, duration_s=length_s, layout=layout)
    identity = identity or Identity()
    subject_id = stretch.subject_id or recording.subject_id
    began = identity.start(recording.start, subject_id, stretch.recording_id)
    if began is not None and not stretch.is_whole:
        began -= dt.timedelta(seconds=start_s)  # a stretch begins later than its recording
    recording = replace(
        recording,
        recording_id=identity.recording_id(stretch.recording_id),
        subject_id=identity.subject_id(subject_id),
    )
    block = cut_block(recording, config)
    block = take_segments(block, np.arange(min(len(block), stretch.num_segments)))
    block, dropped = keep_usable(block, recording)
    if not len(block):
        return CutStretch(rows=None, dropped=dropped, repairs=recording.repairs)
    names, truth = block.names, read_truth(stretch.path)
    block = replace(block, names=identity.channel_words(block.names), units=identity.units(block.units))
    scaled, score, paper = scale_values(block.values, config), score_block(block), paper_quality(block)
    if truth is not None:
        score = with_truth(score, block, names, truth, start_s)
    rows = pack_rows(block, scaled, score, paper, start_s + block.start_s, began)
    return CutStretch(rows=rows, dropped=dropped, repairs=recording.repairs)


def _reason(error: Exception, stretch: Stretch, config: SegmentConfig) -> str:
    text = str(error) if isinstance(error, QualityFMError) else f"{type(error).__name__}: {error}"
    return text if stretch.is_whole else f"{text} (in the part from {stretch.first_segment * config.step_s:g} s)"
