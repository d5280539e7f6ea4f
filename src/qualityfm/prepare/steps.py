"""The pure step that a worker takes: a group of stretches -> one shard and its summary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.prepare.plan import Group, Stretch, one_line
from qualityfm.prepare.rules import keep_usable, take_segments
from qualityfm.quality.paper import paper_quality
from qualityfm.quality.score import score_block
from qualityfm.segments import SegmentConfig, cut_block, scale_values
from qualityfm.shards.format import RecordingCount, RecordingNote, ShardSummary
from qualityfm.shards.writer import PackedRows, pack_rows, write_shard
from qualityfm.sources import open_recording


@dataclass(frozen=True, kw_only=True)
class GroupStep:
    """Turns groups into shards; holds all it needs, so that it can travel to a worker.

    Attributes:
        archive: Folder of the recordings; messages name files from here on.
        out: Folder of the data set.
        config: How to cut, scale and keep.
    """

    archive: Path
    out: Path
    config: SegmentConfig

    def __call__(self, group: Group) -> ShardSummary:
        """Write the shard of a group. A recording that fails is noted, its neighbours are not touched.

        Raises:
            QualityFMError: The shard cannot be written.
        """
        rows: list[PackedRows] = []
        kept: Counter[str] = Counter()
        dropped: dict[str, Counter[str]] = {}
        refused: list[RecordingNote] = []
        for stretch in group.stretches:
            reasons = dropped.setdefault(stretch.recording_id, Counter())
            try:
                packed, reasons_here = cut_stretch(stretch, self.config)
            except Exception as error:  # whatever a foreign file provokes must not cost its neighbours
                reason = one_line(_reason(error, stretch, self.config), self.archive)
                refused.append(RecordingNote(recording_id=stretch.recording_id, reason=reason))
                continue
            reasons.update(reasons_here)
            if packed is not None:
                rows.append(packed)
                kept[stretch.recording_id] += len(packed.table)
        counts = [
            RecordingCount(recording_id=name, kept=kept[name], dropped=dict(sorted(reasons.items())))
            for name, reasons in dropped.items()
        ]
        return write_shard(self.out, group.name, rows, recordings=counts, refused=refused)


def cut_stretch(stretch: Stretch, config: SegmentConfig) -> tuple[PackedRows | None, dict[str, int]]:
    """Return the segments of a stretch that are worth keeping, and how many were dropped for which reason.

    Stretches begin on the segment grid and reach as far as their last segment, so they give the segments that the whole
    recording gives. Two things are decided within a stretch: the resampling filter begins anew (the first and last
    0.1 s of a stretch differ a little from an uncut recording), and so does the choice of a live channel for each slot.

    Raises:
        QualityFMError: The recording cannot be read or has nothing to cut.
    """
    start_s = stretch.first_segment * config.step_s
    length_s = (stretch.num_segments - 1) * config.step_s + config.segment_s
    if stretch.is_whole:
        recording = open_recording(stretch.path)
    else:
        recording = open_recording(stretch.path, start_s=start_s, duration_s=length_s)
    recording = replace(
        recording, recording_id=stretch.recording_id, subject_id=stretch.subject_id or recording.subject_id
    )
    block = cut_block(recording, config)
    block = take_segments(block, np.arange(min(len(block), stretch.num_segments)))
    block, dropped = keep_usable(block, recording)
    if not len(block):
        return None, dropped
    scaled, score, paper = scale_values(block.values, config), score_block(block), paper_quality(block)
    return pack_rows(block, scaled, score, paper, start_s + block.start_s), dropped


def _reason(error: Exception, stretch: Stretch, config: SegmentConfig) -> str:
    text = str(error) if isinstance(error, QualityFMError) else f"{type(error).__name__}: {error}"
    return text if stretch.is_whole else f"{text} (in the part from {stretch.first_segment * config.step_s:g} s)"
