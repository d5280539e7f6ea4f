"""Samples of one channel -> what a screen can show of a stretch: extremes of each column, and where samples miss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32

from qualityfm.records import Signal

#: Samples in a block whose extremes are kept, so that a whole day is drawn without touching each sample. Our choice.
BLOCK_SAMPLES = 64


@dataclass(frozen=True, kw_only=True)
class ChannelView:
    """What is drawn of one channel.

    Attributes:
        times_s: Seconds from the start of the recording, increasing.
        values: Physical values, NaN where nothing is drawn. Where columns hold several samples, the lowest and the
            highest of each column follow one another.
        gaps_s: Stretches in which samples are missing, start and end in s; a stretch is never narrower than a column.
    """

    times_s: Float[np.ndarray, " point"]
    values: Float32[np.ndarray, " point"]
    gaps_s: list[tuple[float, float]]


class Reducer:
    """Views of one channel at any zoom, in a time that does not grow with its length.

    Args:
        signal: The channel as found.
    """

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    @cached_property
    def _blocks(
        self,
    ) -> tuple[Float32[np.ndarray, " block"], Float32[np.ndarray, " block"], Bool[np.ndarray, " block"]]:
        samples = self._signal.samples
        return _extremes(samples, np.arange(0, len(samples), BLOCK_SAMPLES))

    def prepare(self) -> None:
        """Find the extremes of all blocks now, not at the first view."""
        _ = self._blocks

    def view(self, start_s: float, end_s: float, num_columns: int) -> ChannelView:
        """Return what `num_columns` columns can show of a stretch; samples themselves where they are few enough."""
        signal = self._signal
        rate, num_samples = signal.sample_rate_hz, len(signal.samples)
        first = int(np.clip(np.floor((start_s - signal.start_s) * rate), 0, num_samples))
        last = int(np.clip(np.ceil((end_s - signal.start_s) * rate) + 1, first, num_samples))
        if last - first <= 2 * num_columns:
            values = signal.samples[first:last]
            times_s = signal.start_s + np.arange(first, last) / rate
            return ChannelView(
                times_s=times_s, values=values, gaps_s=self._gaps(np.arange(first, last + 1), np.isnan(values))
            )
        bounds, lowest, highest, is_missing = self._columns(first, last, num_columns)
        middle = (bounds[:-1] + bounds[1:]) / 2
        times_s = signal.start_s + np.column_stack([bounds[:-1], middle]).ravel() / rate
        values = np.column_stack([lowest, highest]).ravel()
        return ChannelView(times_s=times_s, values=values, gaps_s=self._gaps(bounds, is_missing))

    def _columns(
        self, first: int, last: int, num_columns: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the columns' bounds in samples (one more than columns), extremes, and whether a sample is missing."""
        if last - first < 4 * BLOCK_SAMPLES * num_columns:
            bounds = np.linspace(first, last, num_columns + 1).astype(np.int64)
            return bounds, *_extremes(self._signal.samples[first:last], bounds[:-1] - first)
        lowest, highest, is_missing = self._blocks
        first_block, last_block = first // BLOCK_SAMPLES, -(-last // BLOCK_SAMPLES)
        blocks = np.linspace(first_block, last_block, num_columns + 1).astype(np.int64)
        part, starts = slice(first_block, last_block), blocks[:-1] - first_block
        bounds = np.minimum(blocks * BLOCK_SAMPLES, len(self._signal.samples))
        return (
            bounds,
            np.fmin.reduceat(lowest[part], starts),
            np.fmax.reduceat(highest[part], starts),
            np.logical_or.reduceat(is_missing[part], starts),
        )

    def _gaps(self, bounds: np.ndarray, is_missing: Bool[np.ndarray, " column"]) -> list[tuple[float, float]]:
        """Return runs of columns with missing samples as stretches in s."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_missing, [False]]).astype(np.int8)))
        times_s = self._signal.start_s + bounds[edges] / self._signal.sample_rate_hz
        return [(float(a), float(b)) for a, b in times_s.reshape(-1, 2)]


def _extremes(
    samples: Float32[np.ndarray, " time"], starts: np.ndarray
) -> tuple[Float32[np.ndarray, " column"], Float32[np.ndarray, " column"], Bool[np.ndarray, " column"]]:
    """Return lowest, highest and whether any is missing, from each start to the next; NaN where all are missing."""
    if not len(samples):
        nothing = np.zeros(0, np.float32)
        return nothing, nothing, np.zeros(0, bool)
    is_missing = np.logical_or.reduceat(np.isnan(samples), starts)
    return np.fmin.reduceat(samples, starts), np.fmax.reduceat(samples, starts), is_missing
