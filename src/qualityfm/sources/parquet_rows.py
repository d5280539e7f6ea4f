"""Rows of a Parquet file: samples (plain columns) or whole recordings (columns of lists)."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped

from qualityfm.sources.parquet_footer import BATCH_ROWS, ParquetTable, is_list, is_numeric, moments, numbers
from qualityfm.sources.strict import refusal

#: Numbers decoded at once from a column of lists.
BATCH_VALUES = 1 << 20


class ParquetRows:
    """Some consecutive samples; a channel is decoded when it is asked for, and not before."""

    def __init__(self, group: _Group, index: int, num_rows: int, times: Shaped[np.ndarray, " row"] | None) -> None:
        self._group, self._index = group, index
        self._num_rows, self._times = num_rows, times

    @property
    def mark(self) -> int | None:
        """The row group that begins with them, if one does."""
        return self._group.number if self._index == 0 else None

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return self._num_rows

    @property
    def times(self) -> Shaped[np.ndarray, " row"] | None:
        """The time column; nanoseconds as whole numbers where it holds dates."""
        return self._times

    def values(self, column: str) -> Float64[np.ndarray, " row"]:
        """Return one column's numbers."""
        return self._group.values(column, self._index)


class _Group:
    """One row group, whose channels are decoded batch by batch from when the first of them is wanted."""

    def __init__(self, table: ParquetTable, group: int, columns: Sequence[str]) -> None:
        self._table, self.number, self._columns = table, group, list(columns)
        self._batches: Iterator[Any] | None = None
        self._num_taken = 0
        self._batch: Any = None

    def values(self, column: str, index: int) -> Float64[np.ndarray, " row"]:
        if self._batches is None:
            self._batches = self._table.batches(self._columns, self.number)
        while self._num_taken <= index:
            self._batch = next(self._batches)
            self._num_taken += 1
        return numbers(self._batch.column(self._columns.index(column)))


def sample_rows(table: ParquetTable, time: str, columns: Sequence[str], first_group: int = 0) -> Iterator[ParquetRows]:
    """Yield the rows of a table with one row a sample; only the time column is decoded on the way.

    Raises:
        SourceError: A row group is too large, its bytes are no Parquet data, or a row has no time.
    """
    for i, num_rows in list(enumerate(table.group_rows))[first_group:]:
        group = _Group(table, i, columns)
        for index in range(-(-num_rows // BATCH_ROWS) if not time else 0):
            yield ParquetRows(group, index, min(BATCH_ROWS, num_rows - index * BATCH_ROWS), None)
        for index, batch in enumerate(table.batches([time], i) if time else ()):
            if batch.column(0).null_count:
                raise refusal(table.path, f"column {time}", "a row without time", "a time for each row")
            yield ParquetRows(group, index, batch.num_rows, moments(batch.column(0)))


def check_columns(table: ParquetTable, time: str, time_unit: str, columns: Sequence[str], *, are_lists: bool) -> None:
    """Refuse columns of other things than numbers, or lists of numbers.

    Raises:
        SourceError: One holds something else.
    """
    import pyarrow.types as types

    if time and types.is_timestamp(table.type_of(time)) != (time_unit == "datetime"):
        raise refusal(table.path, f"column {time}", table.type_words(time), f"times in {time_unit}")
    for column in [time] * bool(time and time_unit != "datetime") + list(columns):
        kind = table.type_of(column)
        in_lists = are_lists and column != time
        is_right = is_list(kind) and is_numeric(kind.value_type) if in_lists else is_numeric(kind)
        if not is_right:
            expected = "lists of numbers, one list a recording" if in_lists else "numbers, one row a sample"
            raise refusal(
                table.path, f"column {column}", table.type_words(column), expected, 'see `items = "rows"` of the layout'
            )


def list_lengths(table: ParquetTable, column: str, words: str) -> Iterator[tuple[int, str | None]]:
    """Yield the number of samples in each row of a column of lists, and what another column calls it.

    Raises:
        SourceError: A row group is too large, or its bytes are no Parquet data.
    """
    import pyarrow.compute as compute

    for group in range(len(table.group_rows)):
        columns = [column, words] if words else [column]
        for batch in table.batches(columns, group, _batch_rows(table, column, group)):
            lengths = compute.list_value_length(batch.column(0)).to_pylist()
            names = batch.column(1).to_pylist() if words else [None] * len(lengths)
            yield from (
                (length or 0, None if name is None else str(name)) for length, name in zip(lengths, names, strict=True)
            )


def _batch_rows(table: ParquetTable, column: str, group: int) -> int:
    mean = table.num_values(column, group) / max(1, table.group_rows[group])
    return max(1, min(BATCH_ROWS, int(BATCH_VALUES / max(1.0, mean))))


def list_row(table: ParquetTable, columns: Sequence[str], index: int) -> dict[str, Any]:
    """Return one row: numbers of each list, other values as they are.

    Rows are mostly read one after another: where the last reading stopped, the next goes on.

    Raises:
        SourceError: The row group is too large, or its bytes are no Parquet data.
    """
    ends = list(itertools.accumulate(table.group_rows))
    group = int(np.searchsorted(ends, index, side="right"))
    try:
        status = os.stat(table.path)
    except OSError as error:
        raise refusal(table.path, "file", error.strerror, "a readable file") from error
    walk = _walk(table.path, status.st_size, status.st_mtime_ns, group, tuple(columns))
    batch, row = walk.row(index - (ends[group] - table.group_rows[group]))
    return {column: _entry(batch.column(i), row) for i, column in enumerate(columns)}


def _entry(values: Any, row: int) -> Any:
    if not is_list(values.type):
        return values[row].as_py()
    entry = values[row]
    return numbers(entry.values) if entry.is_valid else np.zeros(0)


class _Walk:
    """A place in a row group, from which later rows are reached without decoding the earlier ones again."""

    def __init__(self, table: ParquetTable, group: int, columns: tuple[str, ...]) -> None:
        self._table, self._group, self._columns = table, group, columns
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        rows = min(_batch_rows(self._table, column, self._group) for column in self._columns)
        self._batches = self._table.batches(self._columns, self._group, rows)
        self._begin = self._end = 0
        self._batch: Any = None

    def row(self, index: int) -> tuple[Any, int]:
        """Return the batch that holds a row, and the row's number in it."""
        with self._lock:
            if index < self._begin:
                self._restart()
            while index >= self._end:
                self._batch = next(self._batches)
                self._begin, self._end = self._end, self._end + self._batch.num_rows
            return self._batch, index - self._begin


@lru_cache(maxsize=1)
def _walk(path: Path, num_bytes: int, changed_ns: int, group: int, columns: tuple[str, ...]) -> _Walk:
    """Return a walk through a row group; the file's size and time are there so that a changed file is read anew."""
    return _Walk(ParquetTable(path, num_bytes), group, columns)
