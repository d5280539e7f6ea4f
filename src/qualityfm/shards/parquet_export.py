"""Data set -> folder of Parquet tables for people who do not use our reader."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from qualityfm.errors import ConfigError, problem
from qualityfm.files import ASIDE_PREFIX, disk_problem, write_atomically, write_text
from qualityfm.shards.format import ARRAYS, SHARD_NAME, ShardEntry, read_summary, to_json
from qualityfm.shards.parquet_form import (
    EXPORT_INDEX,
    ParquetNote,
    note_metadata,
    rows_hash,
    table_schema,
    to_table,
)
from qualityfm.shards.reader import ShardReader
from qualityfm.shards.shard import read_rows
from qualityfm.shards.writer import ROWS_SCHEMA

#: Rows of a table in one piece, in memory and in the file; with it the memory is bounded.
PIECE_ROWS = 512

#: Called with rows done and rows in all.
OnRows = Callable[[int, int], None]


def export_parquet(reader: ShardReader, out: str | Path, *, progress: OnRows | None = None) -> int:
    """Write a data set as one Parquet table for each shard and return the bytes written.

    Every row is compared with its checksum on the way. The export is complete once its index is there, which is
    written last; an interrupted one is written anew by the same call.

    Args:
        reader: The data set.
        out: Folder, new or of an interrupted export.
        progress: Called after every piece of a shard.

    Raises:
        ConfigError: The folder holds something else.
        FormatError: The data set is damaged, or the disk is full.
    """
    out = Path(out)
    _claim(out)
    number, num_done = 0, 0
    for shard in reader.index.shards:
        write = partial(_write_shard, reader, shard, number, _shifted(progress, num_done, len(reader)))
        write_atomically(out / f"{shard.name}.parquet", write)
        number += 1 if shard.num_rows else 0
        num_done += shard.num_rows
    write_text(out / EXPORT_INDEX, to_json(reader.index))
    return sum(path.stat().st_size for path in out.iterdir())


def _claim(out: Path) -> None:
    """Make the folder, unless something else lives there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in out.iterdir()}
    except OSError as error:
        raise disk_problem(error, out) from error
    foreign = sorted(n for n in names if not n.startswith(ASIDE_PREFIX) and not _is_table(n))
    if foreign:
        expected = "a new folder, or one of an interrupted export"
        raise ConfigError(problem("the folder is taken", where=out, field="--out", found=foreign[0], expected=expected))


def _is_table(name: str) -> bool:
    return name.endswith(".parquet") and SHARD_NAME.fullmatch(name.removesuffix(".parquet")) is not None


def _shifted(progress: OnRows | None, begin: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(begin + done, total) if progress is not None else None


def _write_shard(
    reader: ShardReader, shard: ShardEntry, number: int, progress: Callable[[int], None], path: Path
) -> None:
    """Write one table, piece by piece.

    Args:
        reader: The data set.
        shard: The shard.
        number: Its number among those that hold rows.
        progress: Called with the shard's rows done.
        path: File to write.
    """
    config = reader.index.segments
    rows = read_rows(reader.store, shard) if shard.num_rows else ROWS_SCHEMA.empty_table()
    note = ParquetNote(
        content_hash=reader.index.content_hash,
        segments=config,
        rows_hash=rows_hash(rows),
        shard=read_summary(reader.store, shard.name),
    )
    schema = table_schema(config).with_metadata(note_metadata(note))
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=ROWS_SCHEMA.names,  # samples hardly repeat
        write_page_checksum=True,
    ) as writer:
        for begin in range(0, shard.num_rows, PIECE_ROWS):
            part = slice(begin, min(begin + PIECE_ROWS, shard.num_rows))
            table = to_table(rows[part], _arrays(reader, number, part), config)
            writer.write_table(table.cast(schema), row_group_size=PIECE_ROWS)
            progress(part.stop)


def _arrays(reader: ShardReader, number: int, part: slice) -> dict[str, np.ndarray]:
    """Return some rows of a shard's arrays in their types on disk; an open shard has quality as bits."""
    rows = np.arange(part.start, part.stop) + reader.first_row(number)
    arrays = reader.checked_arrays(number, rows)
    return {name: array[part].view(ARRAYS[name]) for name, array in zip(ARRAYS, arrays, strict=True)}
