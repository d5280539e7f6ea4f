"""A small data set with known content, written by the real writer."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qualityfm.files import write_text
from qualityfm.records import ChannelKind, QualityScore
from qualityfm.segments import Scaled, SegmentBlock, SegmentConfig
from qualityfm.shards.format import FORMAT_NAME, FORMAT_VERSION, DatasetIndex, shard_entry, to_json
from qualityfm.shards.writer import PackedRows, pack_rows, write_shard

CONFIG = SegmentConfig(channels=(ChannelKind.ECG, ChannelKind.PPG), sample_rate_hz=25.0, segment_s=3.0, step_s=3.0)


@dataclass(frozen=True)
class Written:
    """What went into a data set, row by row."""

    values: np.ndarray
    is_real: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    quality: np.ndarray
    causes: np.ndarray


def make_rows(recording_id: str, subject_id: str | None, num_rows: int, seed: int) -> tuple[PackedRows, Written]:
    rng = np.random.default_rng(seed)
    shape = (num_rows, len(CONFIG.channels), CONFIG.num_samples)
    values = rng.uniform(-20, 20, shape).astype(np.float32)
    values[rng.random(shape) < 0.1] = np.nan
    written = Written(
        values=values,
        is_real=np.isfinite(values) & (rng.random(shape) > 0.1),
        center=rng.normal(size=shape[:2]).astype(np.float32),
        scale=rng.uniform(0.1, 9, shape[:2]).astype(np.float32),
        quality=rng.random((*shape[:2], CONFIG.num_seconds)).astype(np.float32),
        causes=rng.integers(0, 2048, (*shape[:2], CONFIG.num_seconds)).astype(np.uint16),
    )
    start_s = np.arange(num_rows) * CONFIG.step_s
    block = SegmentBlock(
        recording_id=recording_id,
        subject_id=subject_id,
        config=CONFIG,
        names=("II", None),
        units=("mV", ""),
        start_s=start_s,
        length_s=np.full(num_rows, CONFIG.segment_s),
        values=values,
        is_real=written.is_real,
    )
    score = QualityScore(
        recording_id=recording_id,
        segment_start_s=start_s,
        segment_length_s=block.length_s,
        kinds=CONFIG.channels,
        names=block.names,
        quality=written.quality,
        causes=written.causes,
        overall=rng.random(num_rows).astype(np.float32),
    )
    scaled = Scaled(values=values, center=written.center, scale=written.scale)
    return pack_rows(block, scaled, score, rng.random(num_rows).astype(np.float32), start_s), written


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[[list[list[tuple[str, str | None, int]]]], tuple[Path, Written]]:
    """Return a function: shards as lists of (recording, subject, rows) -> (folder, what was written)."""

    def make(shards: list[list[tuple[str, str | None, int]]]) -> tuple[Path, Written]:
        folder = tmp_path / "dataset"
        folder.mkdir()
        entries, parts_written, seed = [], [], 0
        for number, parts in enumerate(shards):
            rows = []
            for recording_id, subject_id, num_rows in parts:
                packed, written = make_rows(recording_id, subject_id, num_rows, seed)
                rows.append(packed)
                parts_written.append(written)
                seed += 1
            summary = write_shard(folder, f"shard-{number:05d}", rows)
            entries.append(shard_entry(summary))
        index = DatasetIndex(
            format=FORMAT_NAME,
            format_version=FORMAT_VERSION,
            package_version="0",
            segments=CONFIG,
            selection=None,
            plan_hash="",
            num_recordings=len({part[0] for parts in shards for part in parts}),
            num_segments=sum(e.num_rows for e in entries),
            hours=1.0,
            grades={},
            dropped={},
            refused=(),
            left_out=(),
            shards=tuple(entries),
        ).with_hash()
        write_text(folder / "index.json", to_json(index))
        whole = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts_written])
            for f in dataclasses.fields(Written)
        }
        return folder, Written(**whole)

    return make
