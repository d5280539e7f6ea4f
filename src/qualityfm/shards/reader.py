"""Random rows out of a data set, memory-mapped, many shards in one call."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int, UInt16

from qualityfm.errors import FormatError, problem
from qualityfm.shards.decode import HALF_FLOATS, decode_rows
from qualityfm.shards.format import ARRAYS, ROWS_FILE, ShardEntry, array_shape, read_index
from qualityfm.shards.writer import ROWS_SCHEMA

#: Shards kept mapped at a time; each holds seven descriptors, and systems commonly allow 1024 to a process.
MAX_MAPPED_SHARDS = 96


@dataclass(frozen=True, kw_only=True)
class ShardBatch:
    """Some rows of a data set, in the order they were asked for.

    Attributes:
        values: Scaled samples; NaN where missing. `values * scale + center` are physical units again.
        is_real: True where a sample was recorded.
        center: Physical value that became 0.
        scale: Physical size of 1.
        quality: Quality in [0, 1] of each second.
        causes: `Cause` flags of each second.
    """

    values: Float32[np.ndarray, "row channel time"]
    is_real: Bool[np.ndarray, "row channel time"]
    center: Float32[np.ndarray, "row channel"]
    scale: Float32[np.ndarray, "row channel"]
    quality: Float32[np.ndarray, "row channel second"]
    causes: UInt16[np.ndarray, "row channel second"]

    def __len__(self) -> int:
        return len(self.values)


class ShardReader:
    """A data set opened for reading.

    Opening reads the index and the table of rows and compares every file's size with the index, so that a truncated
    file is found here; checksums are compared by `verify`. Samples are read when asked for.

    Attributes:
        folder: The data set folder.
        index: What it holds and how it was made.
        rows: One array for each column, one entry for each row: recording_id, subject_id ("" where unknown), start_s,
            length_s, quality and paper_quality (both in [0, 1]).

    Raises:
        FormatError: The folder is no data set, has another version, or a file is missing or has the wrong size.

    Example:
        ::

            reader = ShardReader("dataset")
            batch = reader.read(np.arange(8))
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.index = read_index(self.folder)
        self._shards = tuple(s for s in self.index.shards if s.num_rows)
        for shard in self._shards:
            check_sizes(self.folder, shard)
        tables = [read_rows(self.folder, shard) for shard in self._shards]
        table = pa.concat_tables(tables) if tables else ROWS_SCHEMA.empty_table()
        self.rows: dict[str, np.ndarray] = {
            name: _column(table[name]) for name in ROWS_SCHEMA.names if name not in ("names", "units")
        }
        self._names, self._units = table["names"], table["units"]
        self._first_row = np.concatenate(([0], np.cumsum([s.num_rows for s in self._shards]))).astype(np.int64)
        self._mapped: OrderedDict[int, tuple[np.ndarray, ...]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._first_row[-1])

    def __repr__(self) -> str:
        index = self.index
        return f"ShardReader({str(self.folder)!r}: {len(self)} segments, {index.num_recordings} recordings)"

    def names(self, row: int) -> tuple[str | None, ...]:
        """Return the file's channel name in each slot of a row; None for an empty slot."""
        return tuple(self._names[int(row)].as_py())

    def units(self, row: int) -> tuple[str, ...]:
        """Return the physical unit of each slot of a row; "" for an empty slot."""
        return tuple(self._units[int(row)].as_py())

    def read(self, rows: Int[np.ndarray, " row"]) -> ShardBatch:
        """Return rows in the order given; a row may be asked for more than once.

        Raises:
            IndexError: A row number is negative or too large.
            FormatError: A file is not the array that the index promises.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows must lie in 0 .. {len(self) - 1}, found {rows.min()} .. {rows.max()}")
        batch = self._empty_batch(len(rows))
        outputs = (batch.values, batch.is_real, batch.center, batch.scale, batch.quality, batch.causes)
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], self._first_row)  # where each shard begins in the sorted rows
        for shard in np.flatnonzero(np.diff(edges)).tolist():
            places = order[edges[shard] : edges[shard + 1]]
            decode_rows(self._map(shard), rows[places] - self._first_row[shard], places, outputs, HALF_FLOATS)
        return batch

    def _empty_batch(self, num_rows: int) -> ShardBatch:
        config = self.index.segments
        samples = array_shape("values", num_rows, config)
        seconds = array_shape("quality", num_rows, config)
        return ShardBatch(
            values=np.empty(samples, np.float32),
            is_real=np.empty(samples, np.bool_),
            center=np.empty(samples[:2], np.float32),
            scale=np.empty(samples[:2], np.float32),
            quality=np.empty(seconds, np.float32),
            causes=np.empty(seconds, np.uint16),
        )

    def _map(self, shard: int) -> tuple[np.ndarray, ...]:
        """Return a shard's arrays in the order of `ARRAYS`, quality as the bits of its float16."""
        if shard in self._mapped:
            self._mapped.move_to_end(shard)
            return self._mapped[shard]
        entry, config = self._shards[shard], self.index.segments
        check_sizes(self.folder, entry)
        arrays = {
            name: map_array(self.folder / entry.name / f"{name}.npy", dtype, array_shape(name, entry.num_rows, config))
            for name, dtype in ARRAYS.items()
        }
        arrays["quality"] = arrays["quality"].view(np.uint16)
        self._mapped[shard] = tuple(arrays.values())
        if len(self._mapped) > MAX_MAPPED_SHARDS:
            self._mapped.popitem(last=False)
        return self._mapped[shard]


def check_sizes(folder: Path, shard: ShardEntry) -> None:
    """Refuse a shard of which a file is missing or has another size than the index says.

    Raises:
        FormatError: So it is.
    """
    for entry in shard.files:
        path = folder / shard.name / entry.name
        try:
            num_bytes = path.stat().st_size
        except OSError as error:
            raise FormatError(
                problem("missing file", where=path, field="file", found=error.strerror, expected="a file")
            ) from error
        if num_bytes != entry.num_bytes:
            raise FormatError(
                problem(
                    "truncated or changed file",
                    where=path,
                    field="size in bytes",
                    found=num_bytes,
                    expected=str(entry.num_bytes),
                    advice="copy the data set again or prepare it anew",
                )
            )


def map_array(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return a read-only memory map of one array file.

    Raises:
        FormatError: The file is not an array of this type and shape.
    """
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise FormatError(f"damaged file: {path}: {error}") from error
    if array.dtype != dtype or array.shape != shape:
        found, expected = f"{array.dtype} {array.shape}", f"{dtype} {shape}"
        raise FormatError(problem("damaged file", where=path, field="array", found=found, expected=expected))
    return array


def read_rows(folder: Path, shard: ShardEntry) -> pa.Table:
    """Return the table of a shard's rows.

    Raises:
        FormatError: It is damaged or has another number of rows or other columns.
    """
    path = folder / shard.name / ROWS_FILE
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows != shard.num_rows or file.schema_arrow != ROWS_SCHEMA:
            found = f"{file.metadata.num_rows} rows of {', '.join(file.schema_arrow.names)}"
            expected = f"{shard.num_rows} rows of {', '.join(ROWS_SCHEMA.names)}"
            raise FormatError(problem("damaged file", where=path, field="table", found=found, expected=expected))
        return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"damaged file: {path}: {error}") from error


def _column(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as numpy; equal strings share one object, so a long recording's name is held once."""
    if not pa.types.is_string(column.type):
        return np.asarray(column.to_numpy())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    words = np.array(encoded.dictionary.to_pylist() or [""], dtype=object)
    return np.asarray(words[encoded.indices.to_numpy(zero_copy_only=False)])
