"""A signal on the common clock: resampled, short gaps filled, long ones left open; whole or stretch by stretch.

Nothing here depends on more of a signal than lies around an instant: not on its length, not on its ends, not on what
comes after a gap. So a stretch gives the same bits as the whole recording, and a stream the same as a file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.waveform.resampling import reach_of_resampling, recorded_ticks, resample_stretch, resampling_grid

#: A sample beyond this cannot come from a sensor; it is treated as missing (our own bound: float32 sums stay finite).
MAX_ABS_SAMPLE = 1e9


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Consecutive samples of a signal.

    Attributes:
        samples: Physical values; NaN where nothing was recorded.
        sample_rate_hz: Samples per second.
        start_s: Time of the signal's sample 0, s.
        first: Number of the first of `samples` in the signal; on the grid that `Clock.span` gives.
    """

    samples: Float32[np.ndarray, " time"]
    sample_rate_hz: float
    start_s: float = 0.0
    first: int = 0


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The rate to which all channels are brought; tick 0 is the start of the recording.

    Attributes:
        sample_rate_hz: Ticks per second.
        max_filled_gap_s: Longest gap that is interpolated, s.
    """

    sample_rate_hz: float
    max_filled_gap_s: float

    def read(
        self, stretch: Stretch, first_tick: int, num_ticks: int
    ) -> tuple[Float32[np.ndarray, " tick"], Bool[np.ndarray, " tick"]]:
        """Return values at consecutive ticks, NaN where missing, and where a sample was recorded.

        A gap that is longer than `max_filled_gap_s`, or touches an end of what is asked for, stays missing. To get
        what the whole signal gives for some ticks, ask for `gap_ticks` more on both sides and hold the samples of
        `span`.
        """
        samples, rate_hz = stretch.samples, stretch.sample_rate_hz
        with np.errstate(invalid="ignore"):
            real = np.abs(samples) < MAX_ABS_SAMPLE  # never true for a missing one
        line = np.full(num_ticks, np.nan, np.float32)
        if not real.any():
            return line, np.zeros(num_ticks, bool)
        if not real.all():
            samples = _filled(samples, real, self._longest_gap(rate_hz), self._reach(rate_hz))
        inside, is_real = recorded_ticks(
            real, stretch.start_s, rate_hz, self.sample_rate_hz, num_ticks, first_tick, stretch.first
        )
        first, resampled = resample_stretch(samples, stretch.first, rate_hz, self.sample_rate_hz)
        shift = stretch.start_s * self.sample_rate_hz
        if abs(shift - round(shift)) < 1e-6:
            place = round(shift) + first - first_tick
            begin = max(inside.start, place)
            end = max(begin, min(inside.stop, place + len(resampled)))
            line[begin:end] = resampled[begin - place : end - place]
        else:
            ticks = np.arange(first_tick + inside.start, first_tick + inside.stop)
            line[inside] = np.interp(ticks - shift, np.arange(first, first + len(resampled)), resampled)
        is_real &= np.isfinite(line)
        line[_long_gaps(is_real, round(self.max_filled_gap_s * self.sample_rate_hz))] = np.nan
        return line, is_real

    @property
    def gap_ticks(self) -> int:
        """Ticks around a stretch within which a gap shows whether it is long."""
        return round(self.max_filled_gap_s * self.sample_rate_hz) + 2

    def span(self, rate_hz: float, start_s: float, first_tick: int, end_tick: int) -> tuple[int, int]:
        """Return numbers of the first sample, on the grid, and of the end of what some ticks depend on."""
        margin = self.margin(rate_hz)
        first = int(np.floor((first_tick / self.sample_rate_hz - start_s) * rate_hz)) - margin
        end = int(np.ceil((end_tick / self.sample_rate_hz - start_s) * rate_hz)) + margin
        grid = resampling_grid(rate_hz, self.sample_rate_hz)
        return max(0, first // grid * grid), max(0, end)

    def margin(self, rate_hz: float) -> int:
        """Return how many samples around an instant can change the sample there, gaps included."""
        return self._reach(rate_hz) + self._longest_gap(rate_hz) + 2

    def _reach(self, rate_hz: float) -> int:
        return reach_of_resampling(rate_hz, self.sample_rate_hz)

    def _longest_gap(self, rate_hz: float) -> int:
        """Return the longest gap that is bridged by a line for the filter, in samples.

        It covers every gap that stays filled, and two reaches of the filter: from the middle of a longer one nothing
        reaches its ends.
        """
        filled = int(np.ceil((self.max_filled_gap_s + 2 / self.sample_rate_hz) * rate_hz)) + 2
        return max(filled, 2 * self._reach(rate_hz))


def _filled(
    samples: Float32[np.ndarray, " time"], real: Bool[np.ndarray, " time"], longest_gap: int, reach: int
) -> Float32[np.ndarray, " time"]:
    """Return samples without gaps: a line across short ones, the values of both ends held across long ones.

    What is put into a long gap keeps the filter quiet at its ends and is thrown away. A line would make the samples
    before the gap depend on what comes after it, at any distance.
    """
    at = np.flatnonzero(real)
    filled: Float32[np.ndarray, " time"] = np.interp(np.arange(len(samples)), at, samples[real]).astype(np.float32)
    for gap in np.flatnonzero(np.diff(at) - 1 > longest_gap):
        left, right = at[gap], at[gap + 1]
        filled[left : right - reach] = samples[left]
        filled[right - reach : right] = samples[right]
    return filled


def _long_gaps(is_real: Bool[np.ndarray, " tick"], max_length: int) -> Bool[np.ndarray, " tick"]:
    """Return where runs of unreal samples are longer than `max_length`, or touch an end of the signal."""
    long = np.zeros(len(is_real), bool)
    if is_real.all():
        return long
    edges = np.flatnonzero(np.diff(np.concatenate(([True], is_real, [True])).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        if end - begin > max_length or begin == 0 or end == len(is_real):
            long[begin:end] = True
    return long
