"""The time column of a table: where on the recording's even grid each of its rows belongs."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from qualityfm.sources.strict import refusal

#: A rate is wrong if the time column says another by more than this share; also how steady an unstated one must be.
RATE_TOLERANCE = 0.01

#: A row stays in its place while its time is this near to it, in rows: text rounds times (8 ms steps written as 0.01 s
#: are up to 0.63 rows off), a doubled row is a whole one off. Our own bound.
PLACE_TOLERANCE = 0.75

#: A row at less than this share of a step after the row before is at the same time. Our own bound.
SAME_TIME = 0.1

#: Rows that are late but followed by ones on time are late deliveries of a device, no gap; seconds looked ahead.
LATE_S = 1.0

#: Longest time from first to last row, s; beyond it a time is a misprint. Our own bound.
MAX_SPAN_S = 366 * 86400.0

#: Share of rows at which time may jump or drift by a row before it is no time column. Our own bound.
MAX_STEPS_SHARE, MIN_STEPS_REFUSED = 0.02, 20

#: A measured rate this near to a whole number is that number: times are rounded.
WHOLE_RATE_TOLERANCE = 1e-4

SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "datetime": 1e-9}


def num_rows_ahead(rate_hz: float) -> int:
    """Return how many rows beyond a batch `RowClock.place` wants to see."""
    return max(8, min(1024, math.ceil(LATE_S * rate_hz)))


def measured_rate(seconds: Float64[np.ndarray, " row"]) -> tuple[float, bool]:
    """Return the rate that times of consecutive rows show, Hz, and whether it is steady.

    Blocks of rows vote, so that a few gaps and late rows do not matter; steady means that three of four blocks agree to
    `RATE_TOLERANCE`.

    Args:
        seconds: Times that do not run backwards; at least two of them, first and last unequal.
    """
    block = max(1, (len(seconds) - 1) // max(1, min(16, (len(seconds) - 1) // 8)))
    rates = block / np.maximum(np.diff(seconds[::block]), 1e-12)
    rate_hz = float(np.median(rates))
    is_steady = float(np.mean(np.abs(rates / rate_hz - 1) <= RATE_TOLERANCE)) >= 0.75
    if abs(rate_hz / max(1.0, round(rate_hz)) - 1) <= WHOLE_RATE_TOLERANCE:
        rate_hz = float(round(rate_hz))
    return rate_hz, is_steady


def seconds_from_first(path: Path, times: Shaped[np.ndarray, " row"], unit: str) -> Float64[np.ndarray, " row"]:
    """Return seconds after the first of some times, as the file has them.

    Raises:
        SourceError: They run backwards, or further than a recording can.
    """
    seconds = _seconds_after(times[:1], times, unit)
    _check_order(path, seconds, 0.0, 0)
    return seconds


def _seconds_after(
    origin: Shaped[np.ndarray, " first"], times: Shaped[np.ndarray, " row"], unit: str
) -> Float64[np.ndarray, " row"]:
    with np.errstate(invalid="ignore", over="ignore"):  # a time that is no number is refused by the check of order
        return np.asarray(times - origin, np.float64) * SECONDS_PER_UNIT[unit]


def _check_order(path: Path, seconds: Float64[np.ndarray, " row"], last_s: float, num_rows: int) -> None:
    if len(seconds) and not seconds.max() <= MAX_SPAN_S:
        raise refusal(path, "time", f"{seconds.max():g} s after the first row", f"at most {MAX_SPAN_S:g} s")
    steps = np.diff(seconds, prepend=last_s)
    if not (steps >= 0).all():
        row = int(np.argmin(steps >= 0))
        found = f"{seconds[row]:g} s after {seconds[row] - steps[row]:g} s in row {num_rows + row + 1}"
        raise refusal(path, "time", found, "times that do not run backwards")


def rate_of_rows(path: Path, seconds: Float64[np.ndarray, " row"], stated_hz: float | None) -> float:
    """Return rows per second: the stated rate, if the time column bears it out, or else the one that it shows.

    Raises:
        SourceError: Stated and shown rate differ, or no steady rate can be told.
    """
    if len(seconds) < 2 or seconds[-1] <= seconds[0]:
        if stated_hz is None:
            raise refusal(path, "time", f"{len(seconds)} rows", "rows from which a rate can be told")
        return stated_hz
    shown_hz, is_steady = measured_rate(seconds)
    if stated_hz is None:
        if not (is_steady and 0 < shown_hz <= 1e6):
            advice = "write sample_rate_hz into the layout"
            raise refusal(path, "time", f"about {shown_hz:.6g} Hz, unsteady", "steps steady to 1 %", advice)
        return float(f"{shown_hz:.9g}")
    if abs(shown_hz / stated_hz - 1) > RATE_TOLERANCE:
        expected = f"{shown_hz:.6g} Hz, as the time column says"
        raise refusal(path, "sample_rate_hz", stated_hz, expected, "correct the layout: rate, time or time_unit")
    return stated_hz


def rate_note(rate_hz: float) -> str:
    """Return the note of a recording whose rate no layout states."""
    return f"rate {rate_hz:g} Hz taken from the time column"


def moment(nanoseconds: int | np.generic) -> dt.datetime | None:
    """Return the date and time that a number of nanoseconds after 1970 means; None beyond the calendar."""
    date = np.datetime64(int(nanoseconds), "ns").astype("datetime64[us]").item()
    return date if isinstance(date, dt.datetime) else None


class RowClock:
    """Places of rows on the grid, batch after batch from the first row on.

    Place n is n / rate seconds after the first row. Rows follow one another from place to place for as long as their
    times agree; a jump in time leaves places empty, and a clock that drifts against the rate slips by a row.

    Attributes:
        num_rows: Rows so far.
        num_gaps: Jumps forward so far.
        num_slips: Rows left out because time ran slower than the rate.
        num_places: Places so far, empty ones included.
    """

    def __init__(self, path: Path, rate_hz: float, unit: str) -> None:
        self._path, self._rate_hz, self._unit = path, rate_hz, unit
        self._origin: np.ndarray | None = None
        self.num_rows = 0
        self._offset = 0
        self._phase = 0.0
        self._last_s = 0.0
        self.num_gaps = self.num_slips = self.num_places = 0

    def place(
        self, times: Shaped[np.ndarray, " row"], following: Shaped[np.ndarray, " ahead"]
    ) -> Int64[np.ndarray, " row"]:
        """Return the place of each row, -1 for one that is left out.

        Args:
            times: As in the file, in its unit; at least one.
            following: The first times of the next batch, `num_rows_ahead` of them where there are as many.

        Raises:
            SourceError: Time runs backwards, is doubled, or is no steady time at all.
        """
        if self._origin is None:
            self._origin = times[:1]
        seconds = _seconds_after(self._origin, np.concatenate((times, following)), self._unit)
        _check_order(self._path, seconds[: len(times)], self._last_s, self.num_rows)
        rows = self.num_rows + np.arange(len(seconds))
        ahead = seconds * self._rate_hz - rows
        if self.num_rows == 0:
            self._phase = _phase(ahead[: num_rows_ahead(self._rate_hz)])
        ahead -= self._phase
        places = rows[: len(times)] + self._offset
        if (np.abs(ahead[: len(times)] - self._offset) > PLACE_TOLERANCE).any():
            places = self._follow(ahead, rows, len(times))
        self.num_rows += len(times)
        self._last_s = float(seconds[len(times) - 1])
        self.num_places = max(self.num_places, int(places.max()) + 1)
        return np.asarray(places, np.int64)

    def count(self, num_rows: int) -> Int64[np.ndarray, " row"]:
        """Return the places of rows without times: one after the other."""
        self.num_rows += num_rows
        self.num_places = self.num_rows
        return np.arange(self.num_rows - num_rows, self.num_rows)

    def _follow(self, ahead: np.ndarray, rows: np.ndarray, num_rows: int) -> np.ndarray:
        """Return places where time and count of rows part, step by step."""
        window = num_rows_ahead(self._rate_hz)
        lowest, highest = _extremes_ahead(ahead, window)
        places = np.empty(num_rows, np.int64)
        begin = 0
        while begin < num_rows:
            end = min(num_rows, begin + 4096)
            late = lowest[begin:end] - self._offset > PLACE_TOLERANCE
            early = highest[begin:end] - self._offset < -PLACE_TOLERANCE
            where = np.flatnonzero(late | early)
            stop = begin + int(where[0]) if len(where) else end
            places[begin:stop] = rows[begin:stop] + self._offset
            begin = stop
            if len(where):
                begin += self._step(ahead, begin, window, bool(late[where[0]]), places, rows)
        return places

    def _step(
        self, ahead: np.ndarray, row: int, window: int, is_late: bool, places: np.ndarray, rows: np.ndarray
    ) -> int:
        """Move the grid under the rows at one row; return how many rows that settles."""
        if is_late:
            coming = ahead[row : row + window]
            on_time = coming[coming <= coming.min() + 2 * PLACE_TOLERANCE]  # neither late rows nor a second gap
            self._offset = max(self._offset + 1, round(float(np.median(on_time))))
            self.num_gaps += 1
        else:
            last = self._last_s * self._rate_hz - (self.num_rows - 1) - self._phase
            before = ahead[row - 1] if row else last
            if ahead[row] - before + 1 < SAME_TIME:
                found = f"row {self.num_rows + row + 1} at the time of the row before"
                advice = "leave `time` out of the layout if rows are evenly spaced all the same"
                raise refusal(self._path, "time", found, "a time for each row", advice)
            self._offset -= 1
            self.num_slips += 1
            places[row] = -1
        num_steps, num_seen = self.num_gaps + self.num_slips, self.num_rows + row + 1
        if num_steps > MIN_STEPS_REFUSED and num_steps > MAX_STEPS_SHARE * num_seen:
            found, expected = f"{num_steps} jumps in {num_seen} rows", f"rows {1 / self._rate_hz:g} s apart"
            raise refusal(self._path, "time", found, expected, "the rate in the layout may be wrong")
        return 0 if is_late else 1


def _phase(ahead: Float64[np.ndarray, " row"]) -> float:
    """Return how far the first rows lie before the grid that begins with the first: it may have been delivered late."""
    phase = float(np.median(ahead)) if len(ahead) else 0.0
    return phase if -0.9 < phase < -0.1 else 0.0


def _extremes_ahead(ahead: Float64[np.ndarray, " row"], window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest and highest value among each row and the `window` - 1 behind it."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    lowest = minimum_filter1d(ahead, window, mode="nearest", origin=-(window // 2))
    return lowest, maximum_filter1d(ahead, window, mode="nearest", origin=-(window // 2))
