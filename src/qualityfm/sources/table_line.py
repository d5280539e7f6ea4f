"""One channel of a table: numbers of its rows -> the samples of a stretch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64

from qualityfm.records import Signal
from qualityfm.sources.strict import check_num_samples, refusal
from qualityfm.sources.table_channels import TableChannel

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


class Line:
    """The samples of one channel at start_s <= t < end_s, growing as rows come in.

    Attributes:
        end: First place on the table's grid that lies behind the stretch.
        num_samples: Samples so far.
        counter: Turns of a counter that wraps, and its last value: what later rows need to know of earlier ones.
    """

    def __init__(
        self, path: Path, channel: TableChannel, missing: tuple[float, ...], start_s: float, end_s: float
    ) -> None:
        """Begin a stretch; times in seconds, `end_s` may be infinite."""
        # The nudge takes 29.999999999 for 30: times that are products of decimal numbers.
        rate_hz, self._every = channel.sample_rate_hz, channel.every
        self._path, self.channel, self._missing = path, channel, missing
        self._start_s = start_s
        self._begin = math.ceil(start_s * rate_hz - 1e-6)
        self.end: float = math.inf if math.isinf(end_s) else math.ceil(end_s * rate_hz - 1e-6) * channel.every
        self._pieces: list[Float32[np.ndarray, " time"]] = []
        self.num_samples = 0
        self.counter = (0.0, math.nan)

    def wants(self, places: Int64[np.ndarray, " row"]) -> bool:
        """Tell whether rows at these places matter to the stretch; a counter that wraps is followed from the start."""
        return bool(self.channel.wraps_at) or bool(self._inside(places).any())

    def take(self, values: Float64[np.ndarray, " row"], places: Int64[np.ndarray, " row"]) -> None:
        """Put in the samples that lie in the stretch.

        Args:
            values: As in the file, NaN where it has none.
            places: Where on the table's grid they belong, increasing; -1 for a row that is left out.

        Raises:
            SourceError: There are values between the samples of a slow channel, or more than fit into memory.
        """
        inside = self._inside(places)
        values, places = self._physical(values)[inside], places[inside]
        if self._every > 1:
            places, values = self._thinned(places, values)
        if len(places):
            self._append(places // self._every - self._begin, values)

    def _inside(self, places: Int64[np.ndarray, " row"]) -> np.ndarray:
        return np.asarray((places >= self._begin * self._every) & (places < self.end))

    def _physical(self, values: Float64[np.ndarray, " row"]) -> Float32[np.ndarray, " row"]:
        if self._missing:
            values = np.where(np.isin(values, self._missing), np.nan, values)
        if self.channel.wraps_at:
            values = self._unrolled(values)
        with np.errstate(over="ignore", invalid="ignore"):
            values = values * self.channel.factor + self.channel.offset
        return np.where(np.abs(values) <= LARGEST_FLOAT32, values, np.nan).astype(np.float32)

    def _unrolled(self, values: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
        """Undo jumps of more than half the counter's range, counted from the first row of the file."""
        real = np.isfinite(values)
        if not real.any():
            return values
        known, half = values[real], self.channel.wraps_at / 2
        first_turns, last_value = self.counter
        steps = np.diff(known, prepend=known[0] if math.isnan(last_value) else last_value)
        turns = first_turns + np.cumsum((steps < -half).astype(float) - (steps > half))
        self.counter = float(turns[-1]), float(known[-1])
        unrolled = values.copy()
        unrolled[real] += turns * self.channel.wraps_at
        return unrolled

    def _thinned(
        self, places: Int64[np.ndarray, " row"], values: Float32[np.ndarray, " row"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that hold samples of a channel slower than the rows; between them must be nothing."""
        is_sample = places % self._every == 0
        if np.isfinite(values[~is_sample]).any():
            raise refusal(
                self._path,
                f"channel {self.channel.name}: sample_rate_hz",
                "values in rows between its samples",
                f"one every {self._every} rows at {self.channel.sample_rate_hz:g} Hz",
            )
        return places[is_sample], values[is_sample]

    def _append(self, samples: Int64[np.ndarray, " row"], values: Float32[np.ndarray, " row"]) -> None:
        length = int(samples[-1]) + 1 - self.num_samples
        check_num_samples(self._path, self.num_samples + length)
        piece = np.full(length, np.nan, np.float32)
        piece[samples - self.num_samples] = values
        self._pieces.append(piece)
        self.num_samples += length

    def finish(self, num_places: float) -> Signal:
        """Return the channel, filled up with missing samples to the end of the stretch or of the table's places."""
        size = max(0, math.ceil(min(num_places, self.end) / self._every) - self._begin)
        check_num_samples(self._path, size)
        rest = np.full(size - self.num_samples, np.nan, np.float32)
        start_s = self._begin / self.channel.sample_rate_hz - self._start_s
        return Signal(
            name=self.channel.name,
            kind=self.channel.kind,
            unit=self.channel.unit,
            sample_rate_hz=self.channel.sample_rate_hz,
            samples=np.concatenate((*self._pieces, rest)),
            start_s=0.0 if abs(start_s) < 1e-6 else start_s,
        )


def read_array(
    path: Path,
    channel: TableChannel,
    values: Float64[np.ndarray, " time"],
    missing: tuple[float, ...],
    start_s: float,
    duration_s: float | None,
) -> Signal:
    """Return a channel of which all samples are at hand, or a stretch of it."""
    line = Line(path, channel, missing, start_s, math.inf if duration_s is None else start_s + duration_s)
    line.take(values, np.arange(len(values)))
    return line.finish(len(values))
