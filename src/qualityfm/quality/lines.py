"""What every index reads: the channels of one kind as filled lines, cut into seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int64

from qualityfm.quality.by_second import (
    fall,
    find_limits,
    find_low_stretch,
    mark_usable,
    spread_highest,
    spread_lowest,
    sum_near,
)
from qualityfm.quality.measures import extent, middle_of, share
from qualityfm.records import Cause, ChannelKind
from qualityfm.segments import MAX_ABS_SAMPLE
from qualityfm.waveform.filters import fill_missing
from qualityfm.waveform.seconds import second_starts

#: Trust in [0, 1] of every second, by the fault it speaks of. 1 means that the fault is not there.
Trusts = dict[Cause, Float32[np.ndarray, "line second"]]

#: A line is held within this many times its usual range before it is filtered, so that one wild sample does not ring
#: through its neighbours. Our own choice, docs/decisions/0004.
MAX_RANGES = 5.0

#: Which of a line's ordered ranges counts as its usual one. Our own choice, docs/decisions/0004.
USUAL_QUANTILE = 0.6


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Channels of one kind and unit, ready for indices.

    Attributes:
        kind: What they measure.
        name: The file's name of the channel, such as "II".
        unit: Physical unit of `values`, as the file spells it.
        sample_rate_hz: Samples per second.
        values: Physical samples, all finite; straight lines where nothing was recorded.
        is_real: True where a usable sample was recorded.
        num_seconds: Seconds in a line, a begun one included.
        is_beatless: True for a second in which an ECG of the same heart shows no beat; None where no ECG was asked.
    """

    kind: ChannelKind
    name: str
    unit: str
    sample_rate_hz: float
    values: Float32[np.ndarray, "line time"]
    is_real: Bool[np.ndarray, "line time"]
    num_seconds: int
    is_beatless: Bool[np.ndarray, "line second"] | None = None

    @cached_property
    def has_samples(self) -> Bool[np.ndarray, "line second"]:
        """True for a second of which more than half was recorded."""
        return np.asarray(self.share(self.is_real) > 0.5)

    @cached_property
    def extent(self) -> tuple[Float32[np.ndarray, "line second"], Float32[np.ndarray, "line second"]]:
        """Lowest and highest sample of every second."""
        return extent(self.values, self.sample_rate_hz, self.num_seconds)

    def frames(self, values: np.ndarray) -> np.ndarray:
        """Return [line time] as [line second sample]; a second that the end cuts off repeats the last sample."""
        per_second = max(1, int(self.sample_rate_hz))
        num_lines, num_samples = values.shape
        if per_second == self.sample_rate_hz and num_samples == self.num_seconds * per_second:
            return values.reshape(num_lines, self.num_seconds, per_second)
        first = second_starts(self.num_seconds, self.sample_rate_hz)
        index = np.minimum(first[:, None] + np.arange(per_second), num_samples - 1)
        return np.asarray(values[:, index])

    def share(self, is_marked: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
        """Return the share of every second's samples that are marked."""
        return share(is_marked, self.sample_rate_hz, self.num_seconds)

    def bounded(self) -> Float32[np.ndarray, "line time"]:
        """Return the samples held within a few usual ranges of the line, for filters."""
        limits, is_free = np.empty((2, len(self.values)), np.float32), np.zeros(len(self.values), bool)
        if self.is_beatless is not None:
            self.is_beatless.any(axis=1, out=is_free)  # after the last beat the middle second is no measure
        if find_limits(*self.extent, MAX_RANGES, is_free, limits):
            return self.values
        return np.asarray(np.clip(self.values, limits[0, :, None], limits[1, :, None]))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the indices of one kind of channel found in its lines.

    Attributes:
        trusts: Trust in every second by cause.
        steepness: How steep each moment is, for agreement between channels; None where no beat is expected.
        steepness_rate_hz: Samples per second of `steepness`.
        signs: The four logarithms of which motion is judged; None where it is not.
        is_beatless: True for a second in which this ECG, or those beside this pulse, show a heart without beats; None
            where no ECG was asked.
        number: How many steep events every second has; None for what has no beats.
        rise: How long its steepest slope would take to cross its range, s, over that of a usual beat.
        sizes: Its range over the usual one.
        is_lost: True for a second of a pulse that is lost with those beats; None for what is no pulse.
    """

    trusts: Trusts
    steepness: Float32[np.ndarray, "line time"] | None = None
    steepness_rate_hz: float = 0.0
    signs: Float32[np.ndarray, "line second sign"] | None = None
    is_beatless: Bool[np.ndarray, "line second"] | None = None
    number: Int64[np.ndarray, "line second"] | None = None
    rise: Float32[np.ndarray, "line second"] | None = None
    sizes: Float32[np.ndarray, "line second"] | None = None
    is_lost: Bool[np.ndarray, "line second"] | None = None


def prepare_lines(
    kind: ChannelKind,
    name: str,
    unit: str,
    sample_rate_hz: float,
    values: Float32[np.ndarray, "line time"],
    is_real: Bool[np.ndarray, "line time"],
    num_seconds: int,
    is_beatless: Bool[np.ndarray, "line second"] | None = None,
) -> Lines:
    """Return lines whose unusable samples (missing, infinite, beyond any sensor) are filled and marked."""
    usable = np.empty(values.shape, bool)
    mark_usable(np.ascontiguousarray(values), np.ascontiguousarray(is_real), MAX_ABS_SAMPLE, usable)
    return Lines(
        kind=kind,
        name=name,
        unit=unit,
        sample_rate_hz=sample_rate_hz,
        values=fill_missing(values, usable),
        is_real=usable,
        num_seconds=num_seconds,
        is_beatless=is_beatless,
    )


def falling(
    ratio: Float32[np.ndarray, "*shape"], half: float, steepness: int = 2, free: float = 0.0
) -> Float32[np.ndarray, "*shape"]:
    """Return a trust that falls from 1 over 0.5 at `half` towards 0, and has no corner where it could tie.

    Args:
        ratio: What speaks against each second.
        half: What takes half of the trust.
        steepness: How sharply it is lost there.
        free: Ratio that costs nothing; `half` counts from there.

    Example:
        >>> falling(np.array([0.0, 2.0, 4.0]), half=2.0).round(2).tolist()
        [1.0, 0.5, 0.2]
    """
    trust = np.empty(ratio.shape, ratio.dtype)
    fall(np.ascontiguousarray(ratio).ravel(), half, steepness, free, trust.ravel())
    return trust


def usual_range(
    ranges: Float32[np.ndarray, "line second"], is_usable: Bool[np.ndarray, "line second"]
) -> Float32[np.ndarray, "line 1"]:
    """Return the size a line usually has: a high middle of the ranges of its usable seconds; 0 for a line without any.

    A little above the median, so that at 30 beats a minute, where every other second holds none, it is still a beat's.
    """
    return middle_of(ranges, is_usable, USUAL_QUANTILE)


def against_usual(
    sizes: Float32[np.ndarray, "line second"], usual: Float32[np.ndarray, "line 1"]
) -> Float32[np.ndarray, "line second"]:
    """Return sizes as multiples of the usual range; huge, not infinite, where a line has none."""
    return np.asarray(sizes / np.maximum(usual, 1e-9))


def highest_near(values: Float32[np.ndarray, "line second"]) -> Float32[np.ndarray, "line second"]:
    """Return every second's highest value among itself and the two seconds beside it."""
    spread = np.empty_like(values)
    spread_highest(values, spread)
    return spread


def lowest_near(values: Float32[np.ndarray, "line second"]) -> Float32[np.ndarray, "line second"]:
    """Return every second's lowest value among itself and the two seconds beside it."""
    spread = np.empty_like(values)
    spread_lowest(values, spread)
    return spread


def low_stretch(ranges: Float32[np.ndarray, "line second"], reach: int) -> Float32[np.ndarray, "line second"]:
    """Return the largest range in the smallest stretch of 2 * reach + 1 seconds that holds each second."""
    lowest = np.empty_like(ranges)
    find_low_stretch(ranges, reach, lowest)
    return lowest


def near_sum(values: np.ndarray) -> np.ndarray:
    """Return every second's sum with the two seconds beside it."""
    total = np.empty_like(values)
    sum_near(values, total)
    return total
