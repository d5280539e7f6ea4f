"""CSV files (.csv, .tsv, .txt, also gzipped) -> Recording, as a layout says. Read as a stream, never as a whole."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qualityfm.errors import SourceError
from qualityfm.records import Recording
from qualityfm.sources.csv_rows import CsvRows, CsvTable
from qualityfm.sources.csv_text import CsvText
from qualityfm.sources.found import Found
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import check_regular_file, refusal
from qualityfm.sources.table_channels import (
    TableChannel,
    column_places,
    found_problem,
    shipped_layout,
    table_channels,
    unknown_table,
)
from qualityfm.sources.table_clock import moment, rate_note, rate_of_rows, seconds_from_first
from qualityfm.sources.table_read import count_places, read_stretch

ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")

UNFINISHED_NOTE = "the last line has no line end, may be cut and is left out"

_ENDING = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.IGNORECASE)


class CsvSource:
    """CSV files: one recording each, one row a sample, columns as a layout says.

    A file that no layout describes is no recording: archives are full of tables. Layouts that ship are known by the
    names of their columns.
    """

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file itself, or the files with its name and an ending."""
        if not path.name:
            return ()
        if path.name.lower().endswith(".gz"):
            return (path,) if _ENDING.search(path.name) else ()
        if _ENDING.search(path.name):
            return (path, path.with_name(f"{path.name}.gz"))
        return tuple(path.with_name(f"{path.name}{ending}") for ending in ENDINGS)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the files that the layout speaks of, or without one those with the columns of a layout that ships.

        The head of each file is read. How long it is, its last line tells; a compressed file, or one without times, is
        read once to its end for that.
        """
        for name in names:
            if _ENDING.search(name) and (layout is None or layout.speaks_of("csv", name)):
                described = layout or _shipped(folder / name)
                if described is not None:
                    yield _found(folder / name, described)

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it; the file is streamed from its beginning to the end of the stretch.

        Raises:
            SourceError: No layout describes the file, or it is not what the layout says.
            SignalError: The recording ends before `start_s`.
        """
        if item is not None:
            raise refusal(path, "item", item, "no item: a CSV file is one recording")
        text = CsvText(path, check_regular_file(path))
        layout = layout or _shipped_layout(text)
        if layout is None:
            raise unknown_table(path, text.columns("\t" if "\t" in text.head else ","))
        opened = _open_table(text, layout)
        read = read_stretch(
            path,
            lambda mark: _of_one_subject(opened, mark),
            opened.channels,
            rate_hz=opened.rate_hz,
            time_unit=opened.table.layout.time_unit,
            missing=opened.table.layout.missing,
            start_s=start_s,
            duration_s=duration_s,
        )
        return Recording(
            recording_id=_recording_id(path),
            subject_id=opened.subject_id,
            start=_later(opened.start, start_s),
            signals=read.signals,
            notes=(*opened.notes, *read.notes, *[UNFINISHED_NOTE] * text.is_unfinished),
            repairs=(*read.repairs, *["unfinished-last-line"] * text.is_unfinished),
        )


#: The one reader of CSV files.
CSV = CsvSource()


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A CSV file whose head is understood."""

    table: CsvTable
    rate_hz: float
    channels: list[TableChannel]
    subject_id: str | None
    start: dt.datetime | None
    first: CsvRows
    notes: tuple[str, ...]


def _shipped(path: Path) -> Layout | None:
    """Return the shipped layout that describes a file; None for any other file, one that cannot be read included."""
    try:
        return _shipped_layout(CsvText(path, check_regular_file(path)))
    except SourceError:
        return None


def _shipped_layout(text: CsvText) -> Layout | None:
    return shipped_layout("csv", text.path, {separator: text.columns(separator) for separator in ",;\t"})


def _open_table(text: CsvText, layout: Layout) -> _Opened:
    path = text.path
    if layout.items:
        raise refusal(path, "items", layout.items, "no items in a layout of CSV files")
    places = column_places(path, layout, text.columns(layout.separator))
    table = CsvTable(text=text, layout=layout, places=places)
    first = next(table.rows(), None)
    if first is None:
        raise refusal(path, "rows", 0, "at least one row of samples")
    rate_hz, notes = _rate(path, layout, first)
    return _Opened(
        table=table,
        rate_hz=rate_hz,
        channels=table_channels(path, layout, places, rate_hz),
        subject_id=_subject(path, layout, first),
        start=_start(layout, first),
        first=first,
        notes=notes,
    )


def _rate(path: Path, layout: Layout, first: CsvRows) -> tuple[float, tuple[str, ...]]:
    times = first.times
    if times is None:
        if layout.sample_rate_hz is None:
            advice = f"write sample_rate_hz or time into layout {layout.name}"
            raise refusal(path, "sample_rate_hz", None, "samples per second", advice)
        return layout.sample_rate_hz, ()
    seconds = seconds_from_first(path, times, layout.time_unit)
    rate_hz = rate_of_rows(path, seconds, layout.sample_rate_hz)
    if layout.sample_rate_hz is None:
        return rate_hz, (rate_note(rate_hz),)
    return rate_hz, ()


def _subject(path: Path, layout: Layout, first: CsvRows) -> str | None:
    if layout.subject_column:
        (subject, *others) = sorted(first.words(layout.subject_column))
        if others:
            raise _two_subjects(path, layout)
        return subject or None
    return layout.subject_of(path.as_posix())


def _of_one_subject(opened: _Opened, mark: tuple[int, int] | None) -> Iterator[CsvRows]:
    """Yield all rows from a mark on; a file that goes over to another patient is no recording."""
    layout = opened.table.layout
    for rows in opened.table.rows(mark):
        if layout.subject_column and rows.words(layout.subject_column) != {opened.subject_id or ""}:
            raise _two_subjects(opened.table.text.path, layout)
        yield rows


def _two_subjects(path: Path, layout: Layout) -> SourceError:
    return refusal(path, f"column {layout.subject_column}", "several patients", "one patient in a recording")


def _start(layout: Layout, first: CsvRows) -> dt.datetime | None:
    """Return date and time of the first row; in UTC where the file gives an offset from it."""
    if layout.time_unit != "datetime" or first.times is None:
        return None
    return moment(first.times[0])


def _later(start: dt.datetime | None, seconds: float) -> dt.datetime | None:
    return None if start is None else start + dt.timedelta(seconds=seconds)


def _recording_id(path: Path) -> str:
    return _ENDING.sub("", path.name)


def _found(path: Path, layout: Layout) -> Found:
    try:
        opened = _open_table(CsvText(path, check_regular_file(path)), layout)
        num_places = _num_places(opened)
    except SourceError as error:
        return found_problem(path, _recording_id(path), "csv", error)
    return Found(
        path=path,
        recording_id=_recording_id(path),
        subject_id=opened.subject_id,
        source="csv",
        duration_s=num_places / opened.rate_hz,
        channels=tuple(channel.found for channel in opened.channels),
    )


def _num_places(opened: _Opened) -> int:
    """Return how many samples long the table is: from the time in its last line, or by reading it once."""
    table, layout, path = opened.table, opened.table.layout, opened.table.text.path
    first = opened.first.times
    last = None if first is None or table.text.is_compressed else table.last_time()
    if first is not None and last is not None:
        seconds = seconds_from_first(path, np.append(first[:1], last), layout.time_unit)
        return round(float(seconds[1]) * opened.rate_hz) + 1
    wanted = [layout.time or opened.channels[0].column]
    return count_places(path, table.rows(wanted=wanted), opened.rate_hz, layout.time_unit)
