"""What is asked of every living line first, ECG or pulse: how large it is, where it rests, and what lies under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.quality.disturbance import baseline_movement, quiet_size, without_mains
from qualityfm.quality.faults import find_resting, flat_trust, mains_level
from qualityfm.quality.lines import Lines, low_stretch, usual_range
from qualityfm.quality.measures import extent
from qualityfm.quality.standstill import usual_without_beats
from qualityfm.records import ChannelKind

#: Seconds of living signal from which the usual range is taken, at least. Our own choice, docs/decisions/0021.
LEAST_LIVING = 3

#: Seconds so many times smaller than usual, three in a row, that are as clean as this, noise over range, are of the
#: usual size if there are as many: a wrong gain took most of the others. A weak signal is not as clean.
#: Our own choice, docs/decisions/0035.
MAGNIFIED, SMALL_REACH, CLEAN, LEAST_SMALL = 6.0, 1, 0.008, 5

#: No noise is so many times the range of its second.
NEVER_DROWNED = 1e9


@dataclass(frozen=True, kw_only=True)
class Part:
    """A filtered part of lines.

    Attributes:
        values: Its samples.
        sample_rate_hz: Samples per second of `values`.
    """

    values: Float32[np.ndarray, "line time"]
    sample_rate_hz: float


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What the first look at lines of one kind found.

    Attributes:
        ranges: Range of the heart's waves in every second, in the line's unit.
        usual: Range that a living second of the line usually has.
        is_recorded: True for a second of which more than half was recorded.
        is_usable: True for a second that tells how the line usually is: recorded, not flat, not drowned in noise.
        flat: Trust left by flat runs.
        is_drowned: True for a line that holds next to nothing but noise.
        clipped: Share of samples at a ceiling.
        mains: Amplitude of mains hum, in usual ranges.
        noise: Size of other noise between the beats, in usual ranges.
        movement: Movement of the baseline, in usual ranges.
    """

    ranges: Float32[np.ndarray, "line second"]
    usual: Float32[np.ndarray, "line 1"]
    is_recorded: Bool[np.ndarray, "line second"]
    is_usable: Bool[np.ndarray, "line second"]
    flat: Float32[np.ndarray, "line second"]
    is_drowned: Bool[np.ndarray, "line 1"]
    clipped: Float32[np.ndarray, "line second"]
    mains: Float32[np.ndarray, "line second"]
    noise: Float32[np.ndarray, "line second"]
    movement: Float32[np.ndarray, "line second"]

    @property
    def known_ranges(self) -> Float32[np.ndarray, "line second"]:
        """Ranges with the usual one where nothing was recorded: what is missing is not weak."""
        return np.where(self.is_recorded, self.ranges, self.usual)


def open_lines(
    lines: Lines,
    waves: Part,
    baseline: Part,
    fast: Float32[np.ndarray, "line time"],
    noise_hz: float,
    drowned: float = NEVER_DROWNED,
) -> Opening:
    """Return the first look at some lines.

    Args:
        lines: Prepared lines.
        waves: Their part in the heart's band.
        baseline: Their part slower than any heart.
        fast: Their part above `noise_hz`, at the rate of the lines.
        noise_hz: Where noise begins.
        drowned: Noise over range of a second that holds no beat, only noise: it says nothing of the usual range.
    """
    lowest, highest = extent(waves.values, waves.sample_rate_hz, lines.num_seconds)
    ranges = highest - lowest
    whole_range = usual_range(ranges, lines.has_samples)
    resting, clipped = find_resting(lines, whole_range)
    flat = flat_trust(resting, whole_range)
    is_usable = lines.has_samples & (flat > 0.5)
    is_stopped = np.zeros((len(ranges), 1), bool)
    if lines.is_beatless is not None:
        is_beating = is_usable & ~lines.is_beatless
        is_stopped = np.asarray(lines.is_beatless.any(axis=1, keepdims=True))
        is_stopped &= is_beating.sum(axis=1, keepdims=True) < LEAST_LIVING
        is_usable = np.where(is_stopped, is_usable, is_beating)
    level = quiet_size(lines, fast, np.ones((len(ranges), 1), np.float32), noise_hz)
    is_living = is_usable & (level < drowned * ranges)
    is_drowned = is_living.sum(axis=1, keepdims=True) < LEAST_LIVING
    # Where the heart stands still for most of a segment, the size of what is left is that of its noise: measured by
    # it, the pulse before would be a giant, and the last digit a storm.
    is_usable = np.where(is_drowned, is_usable, is_living)
    usual = usual_range(ranges, is_usable)
    if lines.kind is ChannelKind.ECG:  # a pulse may well be so small, and clean
        usual = _of_small(ranges, level, is_usable, usual)
    if is_stopped.any():
        usual = np.where(is_stopped, usual_without_beats(lines, usual), usual)
    quiet = level / np.maximum(usual, 1e-9)
    mains = mains_level(lines, fast, quiet, usual)
    return Opening(
        ranges=ranges,
        usual=usual,
        is_usable=is_usable,
        is_recorded=lines.has_samples,
        flat=flat,
        is_drowned=is_drowned,
        clipped=clipped,
        mains=mains,
        noise=without_mains(quiet, mains),
        movement=baseline_movement(lines, baseline.values, baseline.sample_rate_hz, usual),
    )


def _of_small(
    ranges: Float32[np.ndarray, "line second"],
    level: Float32[np.ndarray, "line second"],
    is_usable: Bool[np.ndarray, "line second"],
    usual: Float32[np.ndarray, "line 1"],
) -> Float32[np.ndarray, "line 1"]:
    """Return the usual range of each line, that of its small seconds where the others are magnified."""
    if not (MAGNIFIED * ranges < usual).any():
        return usual
    is_small = is_usable & (MAGNIFIED * low_stretch(ranges, SMALL_REACH) < usual) & (level < CLEAN * ranges)
    is_magnified = is_small.sum(axis=1, keepdims=True) >= LEAST_SMALL
    if not is_magnified.any():
        return usual
    return np.where(is_magnified, usual_range(ranges, is_small), usual)
