"""What the footer of a Parquet file declares, read strictly and by itself.

pyarrow ends the whole process on some damaged footers when asked for the sizes of a column (apache/arrow 45283 is one
of these), so they are read here: rows, values and bytes of each column of each row group.

Source: Thrift compact protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md, and
parquet.thrift of https://github.com/apache/parquet-format (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Most values in a footer, and how deep they are nested. Our own bounds.
MAX_VALUES, MAX_DEPTH = 5_000_000, 12

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


@dataclass(frozen=True, kw_only=True)
class ColumnChunk:
    """A column of a row group, as the footer declares it.

    Attributes:
        path: Its name; nested names after one another.
        num_values: Numbers in it, missing ones included, entries of lists counted one by one.
        num_bytes: Its size, not compressed.
    """

    path: tuple[str, ...]
    num_values: int
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Some consecutive rows."""

    num_rows: int
    columns: tuple[ColumnChunk, ...]


@dataclass(frozen=True, kw_only=True)
class Footer:
    """Rows in the file, and its row groups."""

    num_rows: int
    row_groups: tuple[RowGroup, ...]


def read_footer(data: bytes) -> Footer:
    """Return what a footer declares.

    Raises:
        ValueError: It is none.
    """
    try:
        fields = _Reader(data).struct(0)
        groups = tuple(_row_group(group) for group in fields.get(4, []))
        return Footer(num_rows=_count(fields[3]), row_groups=groups)
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError("no footer") from error


def _row_group(fields: dict[int, Any]) -> RowGroup:
    return RowGroup(num_rows=_count(fields[3]), columns=tuple(_column(chunk[3]) for chunk in fields[1]))


def _column(fields: dict[int, Any]) -> ColumnChunk:
    path = tuple(part.decode("utf-8") for part in fields[3])
    return ColumnChunk(path=path, num_values=_count(fields[5]), num_bytes=_count(fields[6]))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("no count")
    return value


class _Reader:
    """Values of the compact protocol: structs as dicts by field number, lists, numbers, bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._num_values = data, 0, 0

    def struct(self, depth: int) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            if number in fields:
                raise ValueError("a field twice")
            kind = head & 15
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        self._num_values += 1
        if self._num_values > MAX_VALUES or depth > MAX_DEPTH:
            raise ValueError("too many values")
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind in (I16, I32, I64):
            return self._zigzag()
        if kind == DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (LIST, SET):
            return self._list(depth)
        if kind == STRUCT:
            return self.struct(depth)
        raise ValueError("a type that footers do not have")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self._data) - self._at:
            raise ValueError("a list longer than the footer")
        return [self._value(head & 15, depth + 1) for _ in range(size)]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError("a text longer than the footer")
        self._at += size
        return self._data[self._at - size : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
