"""Arrays with a time beside them -> samples on an even grid, with the same clock as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from qualityfm.records import Recording
from qualityfm.sources.array_channels import BLOCK_VALUES, ArrayLine, channels_at, only_line
from qualityfm.sources.array_place import Place, find_place, shown_names
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import refusal
from qualityfm.sources.table_channels import TableChannel
from qualityfm.sources.table_clock import rate_note, rate_of_rows, seconds_from_first
from qualityfm.sources.table_read import count_places, read_stretch


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Some consecutive samples of every channel, as `read_stretch` takes them; `mark` finds them again."""

    clock: ArrayLine
    lines: dict[str, ArrayLine]
    begin: int
    num_rows: int
    mark: int | None

    @property
    def times(self) -> Float64[np.ndarray, " row"]:
        """The times, in the layout's unit."""
        return self.clock.samples(self.begin, self.begin + self.num_rows)

    def values(self, column: str) -> Float64[np.ndarray, " row"]:
        """Return the numbers of one channel."""
        return self.lines[column].samples(self.begin, self.begin + self.num_rows)


class TimedArrays:
    """The channels of a recording whose layout names an array of times.

    Attributes:
        channels: What they are.
    """

    def __init__(self, place: Place, layout: Layout) -> None:
        """Look at the first times.

        Raises:
            SourceError: A channel or the time is missing, their lengths differ, or the times show another rate.
        """
        self._place, self._layout = place, layout
        self._lines: dict[str, ArrayLine] = {}
        self._clock = _clock_of(place, layout)
        seconds = seconds_from_first(place.path, next(self._rows(0)).times, layout.time_unit)
        self._rate_hz = rate_of_rows(place.path, seconds, layout.sample_rate_hz)
        found = channels_at(place, layout, self._rate_hz)
        self._lines = {one.channel.name: one.line for one in found}
        # Several channels may lie in one array, so that rows know them by their names.
        self.channels: Sequence[TableChannel] = [replace(one.channel, column=one.channel.name) for one in found]
        for name, line in self._lines.items():
            if line.num_samples != self._clock.num_samples:
                expected = f"{self._clock.num_samples}, one for each time"
                raise refusal(place.path, f"{place.label}: channel {name}", f"{line.num_samples} samples", expected)

    def duration_s(self) -> float:
        """Return the length of the recording, gaps included; all times are read for it."""
        return count_places(self._place.path, self._rows(0), self._rate_hz, self._layout.time_unit) / self._rate_hz

    def recording(self, name: str, subject_id: str | None, start_s: float, duration_s: float | None) -> Recording:
        """Return the recording or a stretch of it; times before the stretch are read, samples are not.

        Raises:
            SourceError: The times cannot be those of samples.
            SignalError: The recording ends before `start_s`.
        """
        read = read_stretch(
            self._place.path,
            lambda mark: self._rows(mark or 0),
            self.channels,
            rate_hz=self._rate_hz,
            time_unit=self._layout.time_unit,
            missing=self._layout.missing,
            start_s=start_s,
            duration_s=duration_s,
        )
        notes = (rate_note(self._rate_hz),) if self._layout.sample_rate_hz is None else ()
        return Recording(
            recording_id=name,
            subject_id=subject_id,
            start=None,
            signals=read.signals,
            notes=(*notes, *read.notes),
            repairs=read.repairs,
        )

    def _rows(self, first: int) -> Iterator[_Rows]:
        for at in range(first, self._clock.num_samples, BLOCK_VALUES):
            num_rows = min(BLOCK_VALUES, self._clock.num_samples - at)
            # Bookmarks are kept for a file, not for each of its items.
            mark = None if self._layout.items else at
            yield _Rows(clock=self._clock, lines=self._lines, begin=at, num_rows=num_rows, mark=mark)


def _clock_of(place: Place, layout: Layout) -> ArrayLine:
    if layout.time_unit == "datetime":
        raise refusal(place.path, "time_unit", layout.time_unit, "s, ms or us: arrays hold numbers")
    below = find_place(place, layout.time)
    if below is None:
        found = shown_names(place.child_names())
        raise refusal(place.path, f"time {layout.time}", found, f"an array {layout.time!r}")
    line = only_line(place.path, below.label, below.array())
    if not line.num_samples:
        raise refusal(place.path, below.label, "no numbers", "a time for each sample")
    return line
