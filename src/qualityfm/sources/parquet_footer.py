"""A Parquet file behind a check of what its footer declares; columns are decoded by pyarrow, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped

from qualityfm.sources.parquet_thrift import ColumnChunk, Footer, read_footer
from qualityfm.sources.strict import refusal

#: Rows decoded at once.
BATCH_ROWS = 65_536

#: Most bytes that the wanted columns of a row group may declare: pages are decoded whole. Our own bound.
MAX_GROUP_BYTES = 1 << 30

#: Most bytes of a footer, and most entries in one of its lists. Our own bounds.
MAX_FOOTER_BYTES, MAX_FOOTER_ENTRIES = 64 << 20, 1_000_000

MAGIC = b"PAR1"


class ParquetTable:
    """A Parquet file whose footer is believable.

    Attributes:
        path: The file.
        names: Its columns.
        group_rows: Rows in each of its row groups.
    """

    def __init__(self, path: Path, num_bytes: int) -> None:
        """Read the footer of a regular file of `num_bytes`.

        Raises:
            SourceError: It is no Parquet file, is cut short, or its footer cannot be true.
        """
        import pyarrow.parquet as pq

        self.path = path
        self._footer = _footer(path, num_bytes)
        self._file = self._decoded(
            "footer",
            lambda: pq.ParquetFile(
                path,
                pre_buffer=False,
                page_checksum_verification=True,
                thrift_string_size_limit=MAX_FOOTER_BYTES,
                thrift_container_size_limit=MAX_FOOTER_ENTRIES,
            ),
        )
        self._schema = self._decoded("footer", lambda: self._file.schema_arrow)
        self.names: list[str] = self._decoded("footer", lambda: list(self._schema.names))
        self.group_rows = [group.num_rows for group in self._footer.row_groups]
        if sum(self.group_rows) != self._footer.num_rows:
            expected = f"{sum(self.group_rows)}, as its row groups say"
            raise refusal(path, "number of rows", self._footer.num_rows, expected)

    @property
    def num_rows(self) -> int:
        """Rows in the file."""
        return sum(self.group_rows)

    def type_of(self, name: str) -> Any:
        """Return the Arrow type of a column."""
        return self._schema.field(self.names.index(name)).type

    def type_words(self, name: str) -> str:
        """Return the name of a column's type."""
        return str(self._decoded("footer", lambda: str(self.type_of(name))))

    def num_values(self, column: str, group: int) -> int:
        """Return how many numbers a column declares in a row group, entries of lists counted one by one."""
        return sum(chunk.num_values for chunk in self._chunks([column], group))

    def batches(self, columns: Sequence[str], group: int, batch_rows: int = BATCH_ROWS) -> Iterator[Any]:
        """Yield columns of one row group as Arrow record batches of `batch_rows` rows, the last with the rest.

        Raises:
            SourceError: The row group is too large, or its bytes are no Parquet data.
        """
        field = f"row group {group}"
        self._check_size(columns, group)
        batches = self._decoded(
            field,
            lambda: self._file.iter_batches(
                batch_size=batch_rows, row_groups=[group], columns=list(columns), use_threads=False
            ),
        )
        num_rows = 0
        while (batch := self._decoded(field, lambda: next(batches, None))) is not None:
            num_rows += batch.num_rows
            yield batch.select(list(columns))
        if num_rows != self.group_rows[group]:
            raise refusal(self.path, field, f"{num_rows} rows", f"{self.group_rows[group]} rows, as the footer says")

    def _check_size(self, columns: Sequence[str], group: int) -> None:
        size = sum(max(chunk.num_bytes, 8 * chunk.num_values) for chunk in self._chunks(columns, group))
        if size > MAX_GROUP_BYTES:
            advice = "write the file with smaller row groups"
            raise refusal(self.path, f"row group {group}", f"{size} bytes", f"at most {MAX_GROUP_BYTES}", advice)

    def _chunks(self, columns: Sequence[str], group: int) -> list[ColumnChunk]:
        return [chunk for chunk in self._footer.row_groups[group].columns if chunk.path and chunk.path[0] in columns]

    def _decoded(self, field: str, decode: Callable[[], Any]) -> Any:
        """Return what a call into pyarrow returns; its errors name neither file nor field."""
        import pyarrow as pa

        try:
            return decode()
        except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError) as error:
            raise refusal(self.path, field, "damaged data", "Parquet data that pyarrow can decode") from error


def _footer(path: Path, num_bytes: int) -> Footer:
    """Return what a file's footer declares, before pyarrow sees the file.

    Raises:
        SourceError: It does not begin and end as Parquet files do, or its footer cannot be true.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(4)
            file.seek(max(0, num_bytes - 8))
            end = file.read(8)
            size, most = int.from_bytes(end[:4], "little"), min(num_bytes - 12, MAX_FOOTER_BYTES)
            if num_bytes < 12 or begin != MAGIC or end[4:] != MAGIC:
                raise refusal(path, "file", "no PAR1 at its begin and end", "a whole Parquet file, not encrypted")
            if not 0 < size <= most:
                raise refusal(path, "footer", f"{size} bytes", f"1 to {most} bytes")
            file.seek(num_bytes - 8 - size)
            return read_footer(file.read(size))
    except OSError as error:
        raise refusal(path, "file", error.strerror, "a readable file") from error
    except ValueError as error:
        raise refusal(path, "footer", str(error), "the footer of a Parquet file") from error


def is_numeric(kind: Any) -> bool:
    """Tell whether an Arrow type is one of numbers."""
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_list(kind: Any) -> bool:
    """Tell whether an Arrow type is one of lists."""
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def numbers(values: Any) -> Float64[np.ndarray, " row"]:
    """Return an Arrow array of numbers, NaN where it has none."""
    import pyarrow as pa

    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def moments(values: Any) -> Shaped[np.ndarray, " row"]:
    """Return an Arrow array of times without gaps: numbers as they are, dates as nanoseconds."""
    import pyarrow as pa

    if not pa.types.is_timestamp(values.type):
        return numbers(values)
    return np.asarray(values.cast(pa.timestamp("ns"), safe=False).cast(pa.int64()).to_numpy(zero_copy_only=False))
