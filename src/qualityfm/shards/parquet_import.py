"""Folder of exported Parquet tables -> data set, the same as the one that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.files import ASIDE_PREFIX
from qualityfm.shards.format import INDEX_FILE, DatasetIndex, ShardEntry, ShardSummary, read_index, shard_entry, to_json
from qualityfm.shards.local_store import LocalStore
from qualityfm.shards.parquet_export import PIECE_ROWS, OnRows
from qualityfm.shards.parquet_form import (
    CELLS,
    EXPORT_INDEX,
    ParquetNote,
    cell_width,
    from_table,
    read_note,
    rows_hash,
    slot_labels,
    table_schema,
)
from qualityfm.shards.shard import ADVICE
from qualityfm.shards.store import Store, as_store
from qualityfm.shards.writer import PackedRows, write_shard

#: Most bytes that the text of one row may take; real ones take a hundredth.
MAX_TEXT_BYTES = 2**16


def import_parquet(folder: str | Path, out: str | Path | Store, *, progress: OnRows | None = None) -> DatasetIndex:
    """Write the data set that was exported into a folder and return its index.

    Arrays are compared with the checksums of the data set that was exported, so nothing that was changed in between
    comes back unnoticed. One shard at a time is in memory.

    Args:
        folder: What `export_parquet` wrote.
        out: Folder or store of the data set, new or of an interrupted import.
        progress: Called after every shard.

    Raises:
        FormatError: A table is damaged, foreign or was changed; or the disk is full.
        ConfigError: `out` holds something else.
    """
    folder, store = Path(folder), as_store(out)
    index = read_index(folder, EXPORT_INDEX)
    _claim(store, index)
    entries, num_done = [], 0
    for shard in index.shards:
        entries.append(_import_shard(folder, shard, index, store))
        num_done += shard.num_rows
        if progress is not None:
            progress(num_done, index.num_segments)
    made = replace(index, shards=tuple(entries)).with_hash()
    store.write_bytes(INDEX_FILE, to_json(made).encode())
    return made


def _claim(store: Store, index: DatasetIndex) -> None:
    """Refuse a place that holds anything but shards of this data set."""
    ours = {shard.name for shard in index.shards}
    foreign = sorted(name for name in store.names() - ours if not name.startswith(ASIDE_PREFIX))
    if foreign:
        expected = "a new place, or one of an interrupted import"
        raise ConfigError(
            problem("the place is taken", where=store.url, field="--out", found=foreign[0], expected=expected)
        )


def _import_shard(folder: Path, shard: ShardEntry, index: DatasetIndex, store: Store) -> ShardEntry:
    path = LocalStore(folder=folder).local(f"{shard.name}.parquet")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            note = read_note(file.schema_arrow.metadata, path)
            _check_table(file, note, shard, index, path)
            rows = list(_packed_rows(file, index))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"cannot read: {path}: {' '.join(str(error).split())}") from error
    _check_rows(rows, note, path)
    with store.staging() as scratch:
        summary = write_shard(scratch, shard.name, rows, recordings=note.shard.recordings, refused=note.shard.refused)
        _check_arrays(summary, shard, path)
        store.put_folder(scratch / shard.name, shard.name)
    return shard_entry(summary)


def _check_table(file: pq.ParquetFile, note: ParquetNote, shard: ShardEntry, index: DatasetIndex, path: Path) -> None:
    """Refuse a table that is not what the index promises, before any of it is unpacked."""
    facts: list[tuple[str, object, object]] = [
        ("content_hash", note.content_hash, index.content_hash),
        ("shard", note.shard.name, shard.name),
        ("segments", note.segments, index.segments),
        ("rows", file.metadata.num_rows, shard.num_rows),
        ("columns", file.schema_arrow.remove_metadata(), table_schema(index.segments)),
        ("cells", list(_wrong_cells(file.metadata, index)), []),
    ]
    for field, found, expected in facts:
        if found != expected:
            shown = (" ".join(str(one).split()) for one in (found, expected))
            raise FormatError(
                problem("wrong table", where=path, field=field, found=next(shown), expected=next(shown), advice=ADVICE)
            )


def _wrong_cells(metadata: pq.FileMetaData, index: DatasetIndex) -> Iterator[str]:
    """Yield the columns that announce more entries or text than their rows can have, which would fill the memory."""
    config = index.segments
    widths = {f"{label}_{name}": cell_width(name, config) or 1 for label in slot_labels(config) for name in CELLS}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            width = widths.get(column.path_in_schema.partition(".")[0])
            if width is not None and column.num_values != width * group.num_rows:
                yield column.path_in_schema
            if width is None and column.total_uncompressed_size > MAX_TEXT_BYTES * (group.num_rows + 1):
                yield column.path_in_schema


def _packed_rows(file: pq.ParquetFile, index: DatasetIndex) -> Iterator[PackedRows]:
    for batch in file.iter_batches(PIECE_ROWS):
        arrays, rows = from_table(pa.Table.from_batches([batch]), index.segments)
        yield PackedRows(arrays=arrays, table=rows)


def _check_rows(rows: list[PackedRows], note: ParquetNote, path: Path) -> None:
    if not rows:
        return
    found = rows_hash(pa.concat_tables([piece.table for piece in rows]))
    if found != note.rows_hash:
        field = "columns that describe the rows"
        raise FormatError(problem("changed table", where=path, field=field, found=found, expected=note.rows_hash))


def _check_arrays(made: ShardSummary, shard: ShardEntry, path: Path) -> None:
    """Refuse a table whose arrays are not those that were exported."""
    expected = {file.name: file.sha256 for file in shard.files}
    for file in made.files:
        if file.name.endswith(".npy") and file.sha256 != expected[file.name]:
            raise FormatError(
                problem(
                    "changed table",
                    where=path,
                    field=file.name.removesuffix(".npy"),
                    found=file.sha256,
                    expected=f"{expected[file.name]}, as exported",
                )
            )
