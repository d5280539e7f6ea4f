"""Random rows out of a data set, memory-mapped, many shards in one call."""

from __future__ import annotations

import resource
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int, UInt16

from qualityfm.segments import SegmentConfig
from qualityfm.shards.decode import HALF_FLOATS, decode_rows
from qualityfm.shards.format import ARRAYS, array_shape, read_index
from qualityfm.shards.shard import OpenShard, compare_sizes, read_rows
from qualityfm.shards.store import Store, as_store
from qualityfm.shards.writer import ROWS_SCHEMA

#: Descriptors taken where the system sets no bound.
MANY_DESCRIPTORS = 2**16

_descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
if _descriptors == resource.RLIM_INFINITY:
    _descriptors = MANY_DESCRIPTORS

#: Shards kept mapped at a time: each holds a descriptor for each array, and half of them are left to the rest of the
#: process. Where a data set has many more shards, `ulimit -n 65536` before the start makes random reading faster.
MAX_MAPPED_SHARDS = max(8, _descriptors // 2 // len(ARRAYS))

#: Tables of rows read at a time; object stores answer slowly but many at once.
NUM_THREADS = 8


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
    file is found here. Samples are read when asked for; a row is handed out once its checksum agrees. From an object
    store, a shard's arrays are copied to this machine when the shard is first used, and kept.

    Args:
        place: The data set: a folder, a URL such as `s3://bucket/dataset`, or a store.

    Attributes:
        store: Where it lies.
        index: What it holds and how it was made.
        rows: One array for each column, one entry for each row: recording_id, subject_id ("" where unknown), start
            (date and time, NaT where not known), start_s, length_s, quality and paper_quality (both in [0, 1]).

    Raises:
        FormatError: There is no data set, it has another version, or a file is missing or has the wrong size.

    Example:
        ::

            reader = ShardReader("dataset")
            batch = reader.read(np.arange(8))
    """

    def __init__(self, place: str | Path | Store) -> None:
        self.store = as_store(place)
        self.index = read_index(self.store)
        self._shards = tuple(s for s in self.index.shards if s.num_rows)
        table = self._read_tables()
        self.rows: dict[str, np.ndarray] = {
            name: _column(table[name]) for name in ROWS_SCHEMA.names if name not in ("names", "units")
        }
        self._names, self._units = table["names"], table["units"]
        self._first_row = np.concatenate(([0], np.cumsum([s.num_rows for s in self._shards]))).astype(np.int64)
        self._is_checked = np.zeros(len(self), np.bool_)
        self._open: OrderedDict[int, OpenShard] = OrderedDict()

    @property
    def url(self) -> str:
        """Path or URL of the data set."""
        return self.store.url

    @property
    def segments(self) -> SegmentConfig:
        """How its segments were cut and scaled."""
        return self.index.segments

    def __len__(self) -> int:
        return int(self._first_row[-1])

    def __repr__(self) -> str:
        index = self.index
        return f"ShardReader({self.url!r}: {len(self)} segments, {index.num_recordings} recordings)"

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
            FormatError: A row, or a whole file, is not what was written.
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
            arrays = self.checked_arrays(shard, rows[places])
            decode_rows(arrays, rows[places] - self._first_row[shard], places, outputs, HALF_FLOATS)
        return batch

    def checked_arrays(self, shard: int, rows: Int[np.ndarray, " row"]) -> tuple[np.ndarray, ...]:
        """Return the arrays of one of the shards that hold rows, in the order of `ARRAYS`.

        A row is hashed when it is first asked for, and again if its shard was closed in between.

        Args:
            shard: Number of the shard among those that hold rows.
            rows: Rows of the data set, all of this shard, that will be used.

        Raises:
            FormatError: One of the rows, or a whole file, is not what was written.
        """
        opened = self._open_shard(shard)
        fresh = rows[~self._is_checked[rows]]
        if len(fresh):
            opened.check(fresh - self._first_row[shard])
            self._is_checked[fresh] = True
        return opened.arrays

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

    def first_row(self, shard: int) -> int:
        """Return the data set's row with which one of the shards that hold rows begins."""
        return int(self._first_row[shard])

    def _open_shard(self, number: int) -> OpenShard:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        opened = OpenShard(self.store, self._shards[number], self.index.segments)
        self._open[number] = opened
        if len(self._open) > MAX_MAPPED_SHARDS:
            closed, _ = self._open.popitem(last=False)
            self._is_checked[self._first_row[closed] : self._first_row[closed + 1]] = False
        return opened

    def _read_tables(self) -> pa.Table:
        """Return the rows of all shards, after comparing every file's size."""
        sizes = self.store.sizes()
        for shard in self._shards:
            compare_sizes(self.url, shard, sizes)
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            tables = list(threads.map(lambda shard: read_rows(self.store, shard), self._shards))
        return pa.concat_tables(tables) if tables else ROWS_SCHEMA.empty_table()


def _column(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as numpy; equal strings share one object, so a long recording's name is held once."""
    if not pa.types.is_string(column.type):
        return np.asarray(column.to_numpy())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    words = np.array(encoded.dictionary.to_pylist() or [""], dtype=object)
    return np.asarray(words[encoded.indices.to_numpy(zero_copy_only=False)])
