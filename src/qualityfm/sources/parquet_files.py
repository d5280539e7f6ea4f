"""Parquet files -> Recording, as a layout says: one row a sample, or one row a recording."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from qualityfm.errors import SignalError, SourceError
from qualityfm.records import Recording
from qualityfm.sources.found import Found
from qualityfm.sources.layout import Layout
from qualityfm.sources.parquet_footer import ParquetTable
from qualityfm.sources.parquet_rows import (
    ParquetRows,
    check_columns,
    list_lengths,
    list_row,
    sample_rows,
)
from qualityfm.sources.strict import check_regular_file, refusal
from qualityfm.sources.table_channels import (
    behind_the_end,
    check_lengths,
    column_places,
    found_problem,
    item_name,
    number_of_item,
    shipped_layout,
    table_channels,
    unknown_table,
)
from qualityfm.sources.table_clock import moment, rate_note, rate_of_rows, seconds_from_first
from qualityfm.sources.table_line import read_array
from qualityfm.sources.table_read import count_places, read_stretch


class ParquetSource:
    """Parquet files; which columns are channels, a layout says."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file itself, or the file with its name and the ending."""
        if not path.name:
            return ()
        return (path,) if path.suffix.lower() == ".parquet" else (path.with_name(f"{path.name}.parquet"),)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the files that the layout speaks of, or without one those with the columns of a layout that ships.

        Footers are read, and of the columns only times; where rows are recordings of different lengths, one channel is
        decoded to count its samples.
        """
        for name in names:
            if name.lower().endswith(".parquet") and (layout is None or layout.speaks_of("parquet", name)):
                path = folder / name
                described = layout or _shipped(path)
                if described is not None:
                    try:
                        yield from _found(_File(path, described))
                    except SourceError as error:
                        yield found_problem(path, path.stem, "parquet", error)

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it; row groups outside of the stretch are not decoded.

        Raises:
            SourceError: No layout describes the file, or it is not what the layout says.
            SignalError: The recording ends before `start_s`.
        """
        layout = layout or _shipped_layout(ParquetTable(path, check_regular_file(path)))
        if layout is None:
            raise unknown_table(path, ParquetTable(path, check_regular_file(path)).names)
        file = _File(path, layout)
        if layout.items:
            return _open_row(file, item, start_s, duration_s)
        if item is not None:
            raise refusal(path, "item", item, f"no item: in layout {layout.name} a file is one recording")
        return _open_samples(file, start_s, duration_s)


#: The one reader of Parquet files.
PARQUET = ParquetSource()


def _shipped(path: Path) -> Layout | None:
    """Return the shipped layout that describes a file; None for any other file, one that cannot be read included."""
    try:
        return _shipped_layout(ParquetTable(path, check_regular_file(path)))
    except SourceError:
        return None


def _shipped_layout(table: ParquetTable) -> Layout | None:
    return shipped_layout("parquet", table.path, {",": table.names})


class _File:
    """A Parquet file and what its layout makes of it."""

    def __init__(self, path: Path, layout: Layout) -> None:
        if layout.items not in ("", "rows"):
            raise refusal(path, "items", layout.items, 'items = "rows" or none in a layout of Parquet files')
        if layout.items and layout.time:
            raise refusal(path, "time", layout.time, "no time column where rows are recordings")
        self.path, self.table = path, ParquetTable(path, check_regular_file(path))
        places = column_places(path, layout, self.table.names)
        self.layout = _with_names_of(layout, self.table.names, places)
        places = {self.table.names[place]: place for place in places.values()}
        columns = [rule.column for rule in self.layout.channels]
        check_columns(self.table, self.layout.time, layout.time_unit, columns, are_lists=bool(layout.items))
        self.rate_hz = None if layout.items else self._rate()
        self.channels = table_channels(path, self.layout, places, self.rate_hz)

    def rows(self, columns: Sequence[str], first_group: int = 0) -> Iterator[ParquetRows]:
        """Yield the rows, samples each, from a row group on, for the clock and `columns`."""
        return sample_rows(self.table, self.layout.time, columns, first_group)

    def _rate(self) -> float:
        stated_hz = self.layout.sample_rate_hz
        times = next((rows.times for rows in self.rows([])), None)
        if self.table.num_rows == 0:
            raise refusal(self.path, "rows", 0, "at least one row of samples")
        if times is not None:
            return rate_of_rows(self.path, seconds_from_first(self.path, times, self.layout.time_unit), stated_hz)
        if stated_hz is None:
            advice = f"write sample_rate_hz or time into layout {self.layout.name}"
            raise refusal(self.path, "sample_rate_hz", None, "samples per second", advice)
        return stated_hz

    @property
    def start(self) -> dt.datetime | None:
        """Date and time of the first row, where the file has dates."""
        times = next((rows.times for rows in self.rows([])), None)
        return None if times is None or self.layout.time_unit != "datetime" else moment(times[0])


def _with_names_of(layout: Layout, names: Sequence[str], places: dict[str, int]) -> Layout:
    """Return the layout with the columns that are there, spelled as in the file."""
    channels = tuple(
        replace(rule, column=names[places[rule.column]], name=rule.shown_name)
        for rule in layout.channels
        if rule.column in places
    )
    time = names[places[layout.time]] if layout.time else ""
    subject_column = names[places[layout.subject_column]] if layout.subject_column else ""
    return replace(layout, channels=channels, time=time, subject_column=subject_column)


def _open_samples(file: _File, start_s: float, duration_s: float | None) -> Recording:
    layout, rate_hz = file.layout, file.rate_hz or 0.0
    read = read_stretch(
        file.path,
        lambda mark: file.rows([channel.column for channel in file.channels], mark or 0),
        file.channels,
        rate_hz=rate_hz,
        time_unit=layout.time_unit,
        missing=layout.missing,
        start_s=start_s,
        duration_s=duration_s,
    )
    return Recording(
        recording_id=file.path.stem,
        subject_id=_subject(file),
        start=None if file.start is None else file.start + dt.timedelta(seconds=start_s),
        signals=read.signals,
        notes=(*_rate_notes(file), *read.notes),
        repairs=read.repairs,
    )


def _rate_notes(file: _File) -> tuple[str, ...]:
    return (rate_note(file.rate_hz),) if file.rate_hz and file.layout.sample_rate_hz is None else ()


def _subject(file: _File) -> str | None:
    """Return the one patient of a file whose rows are samples."""
    column = file.layout.subject_column
    if not column:
        return file.layout.subject_of(file.path.as_posix())
    names = {
        str(name)
        for group in range(len(file.table.group_rows))
        for batch in file.table.batches([column], group)
        for name in batch.column(0).unique().to_pylist()
    }
    if len(names) > 1:
        raise refusal(file.path, f"column {column}", "several patients", "one patient in a recording")
    return names.pop() if names else None


def _open_row(file: _File, item: str | None, start_s: float, duration_s: float | None) -> Recording:
    number = number_of_item(file.path, item, file.table.num_rows)
    subject_column = file.layout.subject_column
    columns = [channel.column for channel in file.channels]
    row = list_row(file.table, columns + [subject_column] * bool(subject_column), number)
    lengths_s = [len(row[channel.column]) / channel.sample_rate_hz for channel in file.channels]
    check_lengths(file.path / str(item), "sample_rate_hz", file.channels, lengths_s)
    if start_s >= max(lengths_s):
        raise SignalError(behind_the_end(file.path / str(item), start_s, max(lengths_s)))
    subject = row.get(subject_column)
    return Recording(
        recording_id=f"{file.path.stem}/{item}",
        subject_id=file.layout.subject_of(file.path.as_posix()) if subject is None else str(subject),
        start=None,
        signals=tuple(
            read_array(file.path, channel, row[channel.column], file.layout.missing, start_s, duration_s)
            for channel in file.channels
        ),
    )


def _found(file: _File) -> Iterator[Found]:
    if file.layout.items:
        yield from _found_rows(file)
        return
    rate_hz = file.rate_hz or 0.0
    num_places = count_places(file.path, file.rows([]), rate_hz, file.layout.time_unit)
    yield Found(
        path=file.path,
        recording_id=file.path.stem,
        subject_id=_subject(file),
        source="parquet",
        duration_s=num_places / rate_hz,
        channels=tuple(channel.found for channel in file.channels),
    )


def _found_rows(file: _File) -> Iterator[Found]:
    first, num_items = file.channels[0], file.table.num_rows
    channels = tuple(channel.found for channel in file.channels)
    of_path = file.layout.subject_of(file.path.as_posix())
    for index, (length, subject) in enumerate(list_lengths(file.table, first.column, file.layout.subject_column)):
        item = item_name(index, num_items)
        yield Found(
            path=file.path / item,
            recording_id=f"{file.path.stem}/{item}",
            subject_id=subject or of_path,
            source="parquet",
            duration_s=length / first.sample_rate_hz,
            channels=channels,
            is_item=True,
        )
