"""The rows of a data set as what they were: lines of samples, one for each recording and channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float32

from qualityfm.records import Cause, ChannelKind
from qualityfm.shards.reader import ShardReader

#: Longest line read at a time, s; with it the memory is bounded however long a recording is.
STRETCH_S = 1200.0


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a recording, with what lies next to it.

    Attributes:
        values: Samples in physical units, NaN where missing or flat.
        start_s: Time of the first of them.
        own_start_s: Where the part itself begins.
        own_stop_s: Where it ends, and the next one begins.
    """

    values: Float32[np.ndarray, "channel time"]
    start_s: float
    own_start_s: float
    own_stop_s: float


class RecordingLines:
    """The recordings of a data set, each put together again from its rows.

    Attributes:
        names: Recording ids, in the order of their first rows.
        kinds: What each channel slot holds.
        sample_rate_hz: Samples per second.

    Args:
        reader: The data set.
    """

    def __init__(self, reader: ShardReader) -> None:
        config = reader.index.segments
        self._reader = reader
        self.kinds: tuple[ChannelKind, ...] = config.channels
        self.sample_rate_hz = config.sample_rate_hz
        self._num_samples = config.num_samples
        codes, names = pd.factorize(reader.rows["recording_id"])
        self.names = [str(name) for name in names]
        start_s = reader.rows["start_s"]
        self._rows = np.lexsort((start_s, codes))
        self._first = np.searchsorted(codes[self._rows], np.arange(len(names) + 1))
        self._starts = np.round(start_s[self._rows] * self.sample_rate_hz).astype(np.int64)
        self._stop_s = start_s + reader.rows["length_s"]
        self._second_of = (np.arange(self._num_samples) / self.sample_rate_hz).astype(np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def num_rows(self, recording: int) -> int:
        """Return how many rows a recording has."""
        return int(self._first[recording + 1] - self._first[recording])

    def span_s(self, recording: int) -> tuple[float, float]:
        """Return when a recording's first row begins and its last one ends."""
        mine = slice(self._first[recording], self._first[recording + 1])
        start_s = self._starts[self._first[recording]] / self.sample_rate_hz
        return float(start_s), float(self._stop_s[self._rows[mine]].max())

    def channel_names(self, recording: int) -> tuple[str | None, ...]:
        """Return the file's channel name in each slot; None for an empty one."""
        return self._reader.names(self._rows[self._first[recording]])

    def stretches(self, recording: int, around_s: float) -> Iterator[Stretch]:
        """Yield a recording piece by piece, each with up to `around_s` of its neighbours; holes are passed over."""
        starts = self._starts[self._first[recording] : self._first[recording + 1]]
        holes = np.flatnonzero(np.diff(starts) > self._num_samples) + 1
        length = round(STRETCH_S * self.sample_rate_hz)
        around = round(around_s * self.sample_rate_hz)
        for run in np.split(starts, holes):
            stop = int(run[-1]) + self._num_samples
            for start in range(int(run[0]), stop, length):
                own_stop = min(start + length, stop)
                first, last = max(int(run[0]), start - around), min(stop, own_stop + around)
                yield Stretch(
                    values=self._read(recording, first, last),
                    start_s=first / self.sample_rate_hz,
                    own_start_s=start / self.sample_rate_hz,
                    own_stop_s=own_stop / self.sample_rate_hz,
                )

    def read(self, recording: int, start_s: float, num_samples: int) -> Float32[np.ndarray, "channel time"]:
        """Return samples of a recording in physical units, NaN where it has none."""
        start = round(start_s * self.sample_rate_hz)
        return self._read(recording, start, start + num_samples)

    def _read(self, recording: int, start: int, stop: int) -> Float32[np.ndarray, "channel time"]:
        """Return samples `start` to `stop`; seconds found flat are left out, for they look alike everywhere."""
        values = np.full((len(self.kinds), stop - start), np.nan, np.float32)
        first, last = self._first[recording], self._first[recording + 1]
        begin = first + np.searchsorted(self._starts[first:last], start - self._num_samples, side="right")
        end = first + np.searchsorted(self._starts[first:last], stop, side="left")
        if end <= begin:
            return values
        batch = self._reader.read(self._rows[begin:end])
        physical = batch.values * batch.scale[..., None] + batch.center[..., None]
        is_flat = (batch.causes & np.uint16(Cause.FLAT)) != 0
        physical[is_flat[..., self._second_of]] = np.nan
        for row, row_start in zip(physical, self._starts[begin:end].tolist(), strict=True):
            low, high = max(row_start, start), min(row_start + self._num_samples, stop)
            values[:, low - start : high - start] = row[:, low - row_start : high - row_start]
        return values
