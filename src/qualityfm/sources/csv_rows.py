"""Lines of a CSV file -> numbers, block by block, by pyarrow; what is no number is refused by row and column."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped

from qualityfm.errors import SourceError
from qualityfm.sources.csv_text import CsvText
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import refusal, shown

#: What stands for a missing number, in any case and with blanks around it.
MISSING_WORDS = ("nan", "na", "n/a", "null", "none", "-", "--", "?", "#n/a")

A_DATE = "a date and time such as 2026-01-31 23:59:59.999"

_CELL = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid value '(.*)'", re.DOTALL)
_RAGGED = re.compile(r"CSV parse error: (?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_ZONE = re.compile(r":\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)\W*$")


class CsvRows:
    """Some consecutive rows of a CSV file."""

    def __init__(self, table: Any, time: str, places: dict[str, int], mark: tuple[int, int]) -> None:
        self._table, self._time, self._places, self._mark = table, time, places, mark

    @property
    def mark(self) -> tuple[int, int]:
        """Where they begin in the text, byte and line behind the head line."""
        return self._mark

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self._table.num_rows)

    @property
    def times(self) -> Shaped[np.ndarray, " row"] | None:
        """The time column; nanoseconds as whole numbers where it holds dates."""
        if not self._time:
            return None
        times = self._column(self._time)
        return times.astype(np.int64) if times.dtype.kind == "M" else times

    def values(self, column: str) -> Float64[np.ndarray, " row"]:
        """Return one column's numbers."""
        return self._column(column).astype(np.float64)

    def words(self, column: str) -> set[str]:
        """Return the different texts of a column."""
        return {(word or "").strip() for word in self._table.column(str(self._places[column])).unique().to_pylist()}

    def _column(self, column: str) -> np.ndarray:
        return np.asarray(self._table.column(str(self._places[column])).to_numpy())


@dataclass(frozen=True, kw_only=True)
class CsvTable:
    """A CSV file and where the columns lie that its layout names."""

    text: CsvText
    layout: Layout
    places: dict[str, int]

    def rows(self, mark: tuple[int, int] | None = None, wanted: list[str] | None = None) -> Iterator[CsvRows]:
        """Yield the rows of the file.

        A last line without line end may be cut inside a number: it is left out. So are rows that are empty but for
        their separators, as spreadsheets append them.

        Args:
            mark: Where to begin, as of an earlier batch of rows; None for the first.
            wanted: Columns to convert; None for all that the layout names.

        Raises:
            SourceError: A row has too many or too few cells, a cell holds no number, or a row of samples has no time.
        """
        columns = list(self.places) if wanted is None else wanted
        start, num_rows = mark or (None, 0)
        for begin, block in self.text.blocks(start):
            if not block.endswith((b"\n", b"\r")):
                self._check_last_line(block)
                return
            table = self._parse(block, columns, num_rows)
            here, num_rows = (begin, num_rows), num_rows + table.num_rows
            table = self._without_empty_rows(table, columns)
            if table.num_rows:
                yield CsvRows(table, self.layout.time, self.places, here)

    def last_time(self) -> Shaped[np.ndarray, " one"] | None:
        """Return the time in the last line that has one, in the file's unit; None where no line near the end does.

        Raises:
            SourceError: The file is cut short, or the line is none of the table.
        """
        lines, unfinished = self.text.last_lines()
        if unfinished:
            self._check_last_line(unfinished)
        for line in reversed(lines):
            if line.strip():
                table = self._parse(line + b"\n", [self.layout.time], 0).drop_null()
                if table.num_rows:
                    return CsvRows(table, self.layout.time, self.places, (0, 0)).times
        return None

    def _check_last_line(self, line: bytes) -> None:
        cells = next(csv.reader([line.decode("utf-8", errors="replace")], delimiter=self.layout.separator), [])
        if len(cells) != self._num_columns:
            found, expected = f"{len(cells)} cells", f"{self._num_columns}, as in the head line"
            raise refusal(self.text.path, "last line", found, expected, "the file is cut short")

    @cached_property
    def _num_columns(self) -> int:
        return len(self.text.columns(self.layout.separator))

    def _parse(self, block: bytes, columns: list[str], num_rows: int) -> Any:
        """Return the numbers in some whole lines that come after `num_rows` rows."""
        import pyarrow as pa
        from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

        names = [str(i) for i in range(self._num_columns)]
        convert = ConvertOptions(
            check_utf8=False,
            include_columns=[str(self.places[column]) for column in columns],
            column_types={str(self.places[column]): self._type(column) for column in columns},
            null_values=_missing_words(),
            quoted_strings_can_be_null=True,
            decimal_point=self.layout.decimal,
        )
        try:
            return read_csv(
                pa.BufferReader(block),
                read_options=ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
                parse_options=ParseOptions(delimiter=self.layout.separator),
                convert_options=convert,
            )
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise self._refused(str(error), num_rows) from error

    def _type(self, column: str) -> Any:
        import pyarrow as pa

        if column == self.layout.subject_column:
            return pa.string()
        if column == self.layout.time and self.layout.time_unit == "datetime":
            return pa.timestamp("ns", self._zone)
        return pa.float64()

    @cached_property
    def _zone(self) -> str | None:
        """UTC, if the first time is written with an offset from it; then all must be."""
        _, block = next(self.text.blocks(), (0, b""))
        first = block.splitlines()[:1]
        cells = first[0].decode("utf-8", errors="replace").split(self.layout.separator) if first else []
        place = self.places[self.layout.time]
        return "UTC" if place < len(cells) and _ZONE.search(cells[place]) else None

    def _refused(self, says: str, num_rows: int) -> SourceError:
        """Return the refusal for what pyarrow says; no text of a cell is repeated, it may name a patient."""
        path = self.text.path
        if match := _RAGGED.search(says):
            found, expected = f"{match[3]} cells", f"{match[2]}, as in the head line"
            return refusal(path, f"row {num_rows + int(match[1] or 1)}", found, expected, "the file may be cut short")
        match = _CELL.search(says)
        if match is None:
            return refusal(path, "rows", "no table", f"cells between {self.layout.separator!r}")
        column = next((name for name, place in self.places.items() if place == int(match[1])), match[1])
        field = f"column {column}, row {num_rows + int(match[2] or 1)}"
        if column == self.layout.time and self.layout.time_unit == "datetime":
            return refusal(path, field, shown(match[3]), A_DATE)
        advice = 'write decimal = "," into the layout' if re.fullmatch(r"[-+ 0-9]+,[0-9]+ *", match[3]) else ""
        return refusal(path, field, shown(match[3]), "a number", advice)

    def _without_empty_rows(self, table: Any, columns: list[str]) -> Any:
        time = self.layout.time
        if time not in columns:
            return table
        is_empty = table.column(str(self.places[time])).is_null().to_numpy()
        if not is_empty.any():
            return table
        for column in columns:
            if column not in (time, self.layout.subject_column):
                is_empty = is_empty & table.column(str(self.places[column])).is_null().to_numpy()
        if table.column(str(self.places[time])).null_count > is_empty.sum():
            raise refusal(self.text.path, f"column {time}", "no time in a row with samples", "a time for each row")
        return table.filter(~is_empty)


def _missing_words() -> list[str]:
    words = [spelling for word in MISSING_WORDS for spelling in (word, word.upper(), word.title(), "NaN")]
    padded = [f"{before}{word}{after}" for word in words for before in ("", " ", "  ") for after in ("", " ", "  ")]
    return list(dict.fromkeys(["", " ", "  ", "\t", *padded]))
