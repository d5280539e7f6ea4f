"""Rows of segments -> one shard folder, whole or not there, the same bytes for the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32

from qualityfm.records import GRADE_CUTS, QualityScore, grade
from qualityfm.segments import Scaled, SegmentBlock
from qualityfm.shards.files import folder_aside, write_file
from qualityfm.shards.format import (
    ARRAYS,
    ROWS_FILE,
    SHARD_FILE,
    FileEntry,
    RecordingCount,
    RecordingNote,
    ShardSummary,
    to_json,
)
from qualityfm.shards.quantise import pack_bits, quantise

#: Columns of rows.parquet, in this order.
ROWS_SCHEMA = pa.schema(
    [
        ("recording_id", pa.string()),
        ("subject_id", pa.string()),
        ("start_s", pa.float64()),
        ("length_s", pa.float64()),
        ("quality", pa.float32()),
        ("paper_quality", pa.float32()),
        ("names", pa.list_(pa.string())),
        ("units", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, kw_only=True)
class PackedRows:
    """Segments of one recording in the form they have on disk: arrays by file name, and the table of rows."""

    arrays: dict[str, np.ndarray]
    table: pa.Table


def pack_rows(
    block: SegmentBlock,
    scaled: Scaled,
    score: QualityScore,
    paper_quality: Float32[np.ndarray, " segment"],
    start_s: Float[np.ndarray, " segment"],
) -> PackedRows:
    """Return the segments of a block, quantised.

    Args:
        block: The segments; identity, names, units and realness are taken from it.
        scaled: Its scaled values.
        score: Its quality.
        paper_quality: Quality in [0, 1] by the published definition.
        start_s: Start of each segment in seconds after the start of the whole recording.
    """
    integers, step = quantise(scaled.values)
    arrays = {
        "values": integers,
        "is_real": pack_bits(block.is_real),
        "step": step,
        "center": scaled.center,
        "scale": scaled.scale,
        "quality": score.quality,
        "causes": score.causes,
    }
    n = len(block)
    columns = {
        "recording_id": [block.recording_id] * n,
        "subject_id": [block.subject_id or ""] * n,
        "start_s": start_s,
        "length_s": block.length_s,
        "quality": score.overall,
        "paper_quality": paper_quality,
        "names": [list(block.names)] * n,
        "units": [list(block.units)] * n,
    }
    return PackedRows(
        arrays={name: np.ascontiguousarray(arrays[name].astype(dtype)) for name, dtype in ARRAYS.items()},
        table=pa.table({f.name: pa.array(columns[f.name], f.type) for f in ROWS_SCHEMA}, ROWS_SCHEMA),
    )


def write_shard(
    folder: Path,
    name: str,
    rows: Sequence[PackedRows],
    *,
    recordings: Sequence[RecordingCount] = (),
    refused: Sequence[RecordingNote] = (),
) -> ShardSummary:
    """Write one shard folder inside `folder` and return its summary.

    The shard appears under its name only when all its files are on the disk; a shard without rows is a folder with
    nothing but its summary, so that an interrupted run knows it as done.

    Raises:
        FormatError: The disk is full or refuses; nothing of this shard is left.
    """
    table = pa.concat_tables([r.table for r in rows]).combine_chunks() if rows else ROWS_SCHEMA.empty_table()
    grades = Counter(grade(float(q)) for q in table["quality"].to_numpy())
    with folder_aside(folder / name) as aside:
        summary = ShardSummary(
            name=name,
            num_rows=len(table),
            hours=float(np.sum(table["length_s"].to_numpy())) / 3600,
            grades={letter: grades[letter] for letter in (*GRADE_CUTS, "E")},
            recordings=tuple(recordings),
            refused=tuple(refused),
            files=tuple(_write_files(aside, rows, table)) if len(table) else (),
        )
        write_file(aside / SHARD_FILE, lambda stream: stream.write(to_json(summary).encode()))
    return summary


def _write_files(aside: Path, rows: Sequence[PackedRows], table: pa.Table) -> list[FileEntry]:
    entries = []
    for name in ARRAYS:
        array = np.concatenate([r.arrays[name] for r in rows])

        def save(stream: BinaryIO, array: np.ndarray = array) -> None:
            np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)

        entries.append(write_file(aside / f"{name}.npy", save))
    entries.append(write_file(aside / ROWS_FILE, lambda stream: pq.write_table(table, stream, compression="zstd")))
    return entries
