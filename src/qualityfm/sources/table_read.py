"""Rows of a table, batch by batch -> the samples of a stretch. No more than the stretch is held in memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from qualityfm.errors import SignalError
from qualityfm.records import Signal
from qualityfm.sources.strict import check_num_samples, refusal
from qualityfm.sources.table_channels import TableChannel, behind_the_end
from qualityfm.sources.table_clock import RowClock, num_rows_ahead
from qualityfm.sources.table_line import Line

#: Rows from one bookmark to the next at least: an hour at 125 Hz is about two of them apart. Our own choice.
BOOKMARK_ROWS = 200_000


class RowBatch(Protocol):
    """Some consecutive rows of a table."""

    @property
    def mark(self) -> Any:
        """Where in the file the rows begin, so that they can be read from there; None if they cannot."""
        ...

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def times(self) -> Shaped[np.ndarray, " row"] | None:
        """The time column as the file has it, in its unit; None for a table without one."""
        ...

    def values(self, column: str) -> Float64[np.ndarray, " row"]:
        """Return the numbers of one of the layout's columns; NaN where the file has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """A place in a file from which it can be read on, and what is to be known of the rows before it."""

    mark: Any
    clock: RowClock
    counters: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class TableRead:
    """Samples of a stretch.

    Attributes:
        signals: One for each channel; their time runs from the start of the stretch.
        num_gaps: Jumps in time from the first row to the end of the stretch.
        num_slips: Rows left out there because they come faster than the rate.
    """

    signals: tuple[Signal, ...]
    num_gaps: int
    num_slips: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What the time column showed, one line each."""
        gaps = f"gaps in the time column, filled with missing samples: {self.num_gaps}"
        slips = f"rows left out because they come faster than the rate: {self.num_slips}"
        return tuple(note for note, count in ((gaps, self.num_gaps), (slips, self.num_slips)) if count)

    @property
    def repairs(self) -> tuple[str, ...]:
        """Names of what was put right."""
        return ("clock-drift",) if self.num_slips else ()


def read_stretch(
    path: Path,
    rows_from: Callable[[Any], Iterable[RowBatch]],
    channels: Sequence[TableChannel],
    *,
    rate_hz: float,
    time_unit: str,
    missing: tuple[float, ...],
    start_s: float,
    duration_s: float | None,
) -> TableRead:
    """Return the samples at start_s <= t < start_s + duration_s, streaming past what lies before.

    Where an earlier reading of the file by this process has left a bookmark, rows before it are not read again.

    Args:
        path: The file.
        rows_from: Returns all rows from a mark on, None for the first row; no more are taken than needed.
        channels: What to read.
        rate_hz: Rows per second.
        time_unit: Unit of the batches' times.
        missing: Values of the file that stand for a missing sample.
        start_s: Seconds after the first row.
        duration_s: Seconds to read; None for all.

    Raises:
        SourceError: The rows cannot be true, or are more than fit into memory.
        SignalError: The table ends before `start_s`.
    """
    end_s = math.inf if duration_s is None else start_s + duration_s
    lines = [Line(path, channel, missing, start_s, end_s) for channel in channels]
    bookmarks = _bookmarks_of(path, (tuple(channels), rate_hz, time_unit, missing))
    mark, clock = _resume(bookmarks, lines, RowClock(path, rate_hz, time_unit), start_s * rate_hz)
    last_place = max(line.end for line in lines)
    is_at_end = True
    for batch, before in _one_behind(rows_from(mark)):
        _leave_bookmark(bookmarks, batch, clock, lines)
        places = _places(batch, before, clock, rate_hz)
        for line in lines:
            if line.wants(places):
                line.take(batch.values(line.channel.column), places)
        check_num_samples(path, sum(line.num_samples for line in lines))
        if clock.num_places >= last_place:
            is_at_end = False
            break
    if start_s >= clock.num_places / rate_hz:
        raise SignalError(behind_the_end(path, start_s, clock.num_places / rate_hz))
    last_place = clock.num_places if is_at_end else last_place
    signals = tuple(line.finish(last_place) for line in lines)
    return TableRead(signals=signals, num_gaps=clock.num_gaps, num_slips=clock.num_slips)


def count_places(path: Path, batches: Iterable[RowBatch], rate_hz: float, time_unit: str) -> int:
    """Return how many places all rows of a table take, empty ones included."""
    clock = RowClock(path, rate_hz, time_unit)
    for batch, following in _one_behind(batches):
        _places(batch, following, clock, rate_hz)
    return clock.num_places


def _one_behind(batches: Iterable[RowBatch]) -> Iterator[tuple[RowBatch, RowBatch | None]]:
    """Yield each batch with the one behind it, so that the clock can look ahead."""
    waiting: RowBatch | None = None
    for batch in batches:
        if waiting is not None:
            yield waiting, batch
        waiting = batch
    if waiting is not None:
        yield waiting, None


def _places(batch: RowBatch, following: RowBatch | None, clock: RowClock, rate_hz: float) -> Int64[np.ndarray, " row"]:
    times = batch.times
    if times is None:
        return clock.count(batch.num_rows)
    ahead = None if following is None else following.times
    return clock.place(times, times[:0] if ahead is None else ahead[: num_rows_ahead(rate_hz)])


@lru_cache(maxsize=8)
def _bookmarks(path: Path, num_bytes: int, changed_ns: int, reading: Any) -> list[Bookmark]:
    """Return the bookmarks left so far in a file of this size and time, read in this way."""
    return []


def _bookmarks_of(path: Path, reading: Any) -> list[Bookmark]:
    try:
        status = path.stat()
    except OSError as error:
        raise refusal(path, "file", error.strerror, "a readable file") from error
    return _bookmarks(path, status.st_size, status.st_mtime_ns, reading)


def _resume(
    bookmarks: list[Bookmark], lines: Sequence[Line], clock: RowClock, first_place: float
) -> tuple[Any, RowClock]:
    """Return where to begin so that nothing from `first_place` on is missed, and the clock as it stood there."""
    usable = [bookmark for bookmark in bookmarks if bookmark.clock.num_places <= first_place]
    if not usable:
        return None, clock
    for line, counter in zip(lines, usable[-1].counters, strict=True):
        line.counter = counter
    return usable[-1].mark, copy.copy(usable[-1].clock)


def _leave_bookmark(bookmarks: list[Bookmark], batch: RowBatch, clock: RowClock, lines: Sequence[Line]) -> None:
    last = bookmarks[-1].clock.num_rows if bookmarks else 0
    if batch.mark is not None and clock.num_rows >= last + BOOKMARK_ROWS:
        counters = tuple(line.counter for line in lines)
        bookmarks.append(Bookmark(mark=batch.mark, clock=copy.copy(clock), counters=counters))
