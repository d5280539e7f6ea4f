"""Rows of segments -> one shard folder, whole or not there, the same bytes for the same rows."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32, Shaped

from qualityfm.records import GRADE_CUTS, QualityScore, grade
from qualityfm.segments import Scaled, SegmentBlock
from qualityfm.shards.checks import RowHasher
from qualityfm.shards.files import folder_aside, write_file
from qualityfm.shards.format import (
    ARRAYS,
    CHECK_TYPE,
    CHECKS_FILE,
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
        ("start", pa.timestamp("us")),
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
    recording_start: dt.datetime | None = None,
) -> PackedRows:
    """Return the segments of a block, quantised.

    Args:
        block: The segments; identity, names, units and realness are taken from it.
        scaled: Its scaled values.
        score: Its quality.
        paper_quality: Quality in [0, 1] by the published definition.
        start_s: Start of each segment in seconds after the start of the whole recording.
        recording_start: When the whole recording began, without time zone; dates of patients are shifted before they
            come here. None where no dates are kept.
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
        "start": _dates(recording_start, start_s),
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


def _dates(
    recording_start: dt.datetime | None, start_s: Float[np.ndarray, " segment"]
) -> Shaped[np.ndarray, " segment"]:
    """Return the date and time of each segment, to the microsecond; "not a time" where there are none."""
    if recording_start is None:
        return np.full(len(start_s), np.datetime64("NaT", "us"))
    return np.datetime64(recording_start, "us") + np.rint(start_s * 1e6).astype("timedelta64[us]")


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
    arrays = {name: np.concatenate([r.arrays[name] for r in rows]) for name in ARRAYS}
    checks = RowHasher(list(arrays.values())).hash_rows(np.arange(len(table))).astype(CHECK_TYPE)
    entries = [_write_array(aside / f"{name}.npy", array) for name, array in arrays.items()]
    entries.append(_write_array(aside / CHECKS_FILE, checks))
    entries.append(write_file(aside / ROWS_FILE, lambda stream: pq.write_table(table, stream, compression="zstd")))
    return entries


def _write_array(path: Path, array: np.ndarray) -> FileEntry:
    def save(stream: BinaryIO) -> None:
        np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)

    return write_file(path, save)
