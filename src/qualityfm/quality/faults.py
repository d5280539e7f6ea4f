"""Faults that single samples show, whatever the channel measures: dropout, flat runs, clipping, spikes, mains hum."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from numba import njit

from qualityfm.quality.disturbance import QUIET_OF_SINE
from qualityfm.quality.lines import Judgement, Lines, against_usual, falling, usual_range
from qualityfm.quality.measures import MAINS_HZ, NEIGHBOUR_HZ, extent, mains_amplitude, needle_heights
from qualityfm.records import Cause, ChannelKind

#: All thresholds of this file are our own choice, docs/decisions/0004 and 0020.
FLAT_S = 0.5  # a living channel never rests this long within the tolerance
CLIPPED_S = 0.1  # a peak never stays this long within the tolerance
RUN_TOLERANCE = 0.001  # of the line's usual range; resampling makes a constant run ripple a little
#: A ceiling lies at least this share of the usual range from the median: an ECG has its middle near one end, and a
#: pulse that is written in few steps rests at its peaks and feet.
CLIPPED_DISTANCE = {ChannelKind.ECG: 0.06}
CLIPPED_DISTANCE_ELSE = 0.2
PULSES = (ChannelKind.PPG, ChannelKind.ABP)
#: Shorter rests of a pulse count where two within so many seconds are at one level that the line does not go beyond,
#: and where it moves until they begin and from their end on: a line in coarse steps comes and goes in rests.
#: Our own choice, docs/decisions/0035.
REPEATED_S, REPEATED_WITHIN_S, REPEATED_DISTANCE = 0.08, 2.0, 0.1
CLIPPED_HALF = 0.1  # share of clipped samples in a second at which half the trust is gone
SPIKE_S = (0.016, 0.04)  # half widths of what is too narrow for a heart
NEEDLE_OF_NOISE = 12.0  # height of the highest needle in a second of white noise, over the level of that noise
BURST_FREE = 1.2  # size of fast activity, over the line's usual one, that is no needle
MAINS_HALF = 0.03  # amplitude of mains hum, in usual ranges, that takes half the trust
MAINS_LEAST = 0.01  # amplitude that is not looked for
MAINS_STANDS_OUT = 3.0  # and how much larger it is than what is beside it: a steep beat is as large everywhere


def judge_faults(lines: Lines) -> Judgement:
    """Return the trust in every second of lines of which nothing is known but their samples, by cause."""
    lowest, highest = lines.extent
    usual = usual_range(highest - lowest, lines.has_samples)
    is_flat, is_clipped = find_resting(lines, usual)
    trusts = {Cause.FLAT: flat_trust(lines, is_flat, usual), Cause.SATURATION: saturation_trust(lines, is_clipped)}
    return Judgement(trusts=trusts)


def dropout_trust(lines: Lines, is_expected: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
    """Return the share of the samples of every second that were recorded.

    Args:
        lines: Prepared lines.
        is_expected: True where the recording lasts; what lies behind its end is not missed.
    """
    expected, present = lines.share(is_expected), lines.share(lines.is_real & is_expected)
    return np.where(expected > 0, present / np.maximum(expected, 1e-9), 0).astype(np.float32)


def flat_trust(
    lines: Lines, is_flat: Bool[np.ndarray, "line time"], usual: Float32[np.ndarray, "line 1"]
) -> Float32[np.ndarray, "line second"]:
    """Return the share of every second that is not flat; 0 for a line without any usual range, however short."""
    return np.where(usual > 0, 1 - lines.share(is_flat), 0).astype(np.float32)


def saturation_trust(lines: Lines, is_clipped: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by clipped samples: short clipping takes the peaks, which are what matters."""
    return falling(lines.share(is_clipped), CLIPPED_HALF)


def spike_trust(
    lines: Lines,
    fast: Float32[np.ndarray, "line time"],
    noise: Float32[np.ndarray, "line second"],
    usual: Float32[np.ndarray, "line 1"],
    half_ranges: float,
    is_usable: Bool[np.ndarray, "line second"],
    is_wave: Bool[np.ndarray, "line second"] | None = None,
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by needles narrower than any wave of the heart.

    A needle stands out from the samples 16 or 40 ms before and after it, both, to the same side, and out of the noise
    around it; and it is faster than what the line holds in its other seconds, which a QRS complex is not.

    Args:
        lines: Prepared lines.
        fast: Their part above what the heart has most.
        noise: Size of the noise between beats, in usual ranges.
        usual: Usual range of every line.
        half_ranges: Height of a needle, in usual ranges, that takes half the trust.
        is_usable: True for a second that tells how fast the line usually is.
        is_wave: True for a second that is one fast oscillation, whose crests are as narrow as a broad needle.
    """
    lowest, highest = extent(fast, lines.sample_rate_hz, lines.num_seconds)
    burst = against_usual(highest - lowest, usual_range(highest - lowest, is_usable))
    is_fast = burst > BURST_FREE
    asked = (is_fast, is_fast if is_wave is None else is_fast & ~is_wave)
    heights = [needle_heights(lines.values, lines.sample_rate_hz, s, a) for s, a in zip(SPIKE_S, asked, strict=True)]
    height = against_usual(np.maximum(*heights), usual) - NEEDLE_OF_NOISE * noise
    return falling(np.maximum(height, 0) / half_ranges * np.clip(burst - BURST_FREE, 0, 1), 1, steepness=4)


def mains_level(
    lines: Lines,
    fast: Float32[np.ndarray, "line time"],
    quiet: Float32[np.ndarray, "line second"],
    usual: Float32[np.ndarray, "line 1"],
) -> Float32[np.ndarray, "line second"]:
    """Return the amplitude of mains hum in every second, in usual ranges; 0 where nothing stands out.

    Args:
        lines: Prepared lines.
        fast: Their part above what the heart has most.
        quiet: How large it is between the beats, in usual ranges: lines too quiet to hold any hum are passed over.
        usual: Usual range of every line.
    """
    level = np.zeros((len(fast), lines.num_seconds), np.float32)
    loud = np.flatnonzero((quiet > QUIET_OF_SINE * MAINS_LEAST).any(axis=1))
    if not fast.size or not len(loud):
        return level
    frames = lines.frames(fast[loud])
    for mains_hz in MAINS_HZ:
        if lines.sample_rate_hz > 2 * (mains_hz + 1) and frames.shape[2] > len(NEIGHBOUR_HZ):
            amplitude, beside = mains_amplitude(frames, lines.sample_rate_hz, mains_hz)
            stands_out = np.clip(amplitude / np.maximum(beside, 1e-12) - MAINS_STANDS_OUT + 1, 0, 1)
            level[loud] = np.maximum(level[loud], stands_out * against_usual(amplitude, usual[loud]))
    return level


def find_resting(
    lines: Lines, usual: Float32[np.ndarray, "line 1"]
) -> tuple[Bool[np.ndarray, "line time"], Bool[np.ndarray, "line time"]]:
    """Return where samples rest: (flat, clipped).

    Flat is any run of at least `FLAT_S`. Clipped is a run of at least `CLIPPED_S` from which the line leaves to the
    same side before and after, and that lies far from the median: so a ceiling inside the range is found like a rail at
    its end, and a rest between two beats is not. A flat run that no sample of the line goes beyond is clipped as well,
    unless nothing else moves: a rail, too, is where a line rests for seconds.
    """
    is_flat, is_clipped = np.zeros(lines.values.shape, bool), np.zeros(lines.values.shape, bool)
    if lines.values.size:
        median = np.median(lines.values[:, :: max(1, int(lines.sample_rate_hz // 6))], axis=1)
        _mark_resting(
            lines.values,
            lines.is_real,
            (RUN_TOLERANCE * usual[:, 0]).astype(np.float32),
            median.astype(np.float32),
            (CLIPPED_DISTANCE.get(lines.kind, CLIPPED_DISTANCE_ELSE) * usual[:, 0]).astype(np.float32),
            max(3, round(FLAT_S * lines.sample_rate_hz)),
            max(4, round(CLIPPED_S * lines.sample_rate_hz)),
            is_flat,
            is_clipped,
        )
        if lines.kind in PULSES:
            _mark_repeated(
                lines.values,
                (RUN_TOLERANCE * usual[:, 0]).astype(np.float32),
                median.astype(np.float32),
                (REPEATED_DISTANCE * usual[:, 0]).astype(np.float32),
                max(4, round(REPEATED_S * lines.sample_rate_hz)),
                round(REPEATED_WITHIN_S * lines.sample_rate_hz),
                is_clipped,
            )
    return is_flat, is_clipped


@njit(cache=True)
def _goes_beyond(values: np.ndarray, first: int, last: int, level: float, is_ceiling: bool, tolerance: float) -> bool:
    highest = np.float32(-np.inf)
    for t in range(first, last):
        highest = max(highest, values[t] - level if is_ceiling else level - values[t])
    return bool(highest > tolerance)


@njit(cache=True)
def _mark_repeated(
    values: np.ndarray,
    tolerance: np.ndarray,
    median: np.ndarray,
    distance: np.ndarray,
    length: int,
    within: int,
    is_clipped: np.ndarray,
) -> None:
    """Mark two rests in a row that are at one level, if the line does not go beyond it between them."""
    num_samples = values.shape[1]
    for i in range(values.shape[0]):
        before = np.full((2, 2), -within)  # begin and end of the last rest at a floor, and of that at a ceiling
        begin = 2
        while begin < num_samples - length - 2:
            anchor = values[i, begin]
            if abs(values[i, begin + length - 1] - anchor) > tolerance[i] or abs(anchor - median[i]) <= distance[i]:
                begin += 1
                continue
            end = begin + 1
            while end < num_samples - 2 and abs(values[i, end] - anchor) <= tolerance[i]:
                end += 1
            enters, leaves = values[i, begin - 1] - anchor, values[i, end] - anchor
            is_rest = end - begin >= length and (enters > 0) == (leaves > 0)
            is_rest &= abs(values[i, begin - 2] - values[i, begin - 1]) > tolerance[i]
            is_rest &= abs(values[i, end + 1] - values[i, end]) > tolerance[i]
            if is_rest:
                side = int(enters < 0)
                first, last = before[side]
                before[side, 0], before[side, 1] = begin, end
                is_level = begin - first < within and abs(values[i, first] - anchor) <= 2 * tolerance[i]
                if is_level and not _goes_beyond(values[i], last, begin, anchor, side == 1, 2 * tolerance[i]):
                    is_clipped[i, first:last] = True
                    is_clipped[i, begin:end] = True
            begin = max(end, begin + 1) if is_rest else begin + 1


@njit(cache=True)
def _mark_resting(
    values: np.ndarray,
    is_real: np.ndarray,
    tolerance: np.ndarray,
    median: np.ndarray,
    distance: np.ndarray,
    flat_length: int,
    clipped_length: int,
    is_flat: np.ndarray,
    is_clipped: np.ndarray,
) -> None:
    num_samples = values.shape[1]
    for i in range(values.shape[0]):
        begin, lowest, highest = 0, np.float32(np.inf), np.float32(-np.inf)
        while begin < num_samples:
            if not is_real[i, begin]:
                begin += 1
                continue
            end, anchor = begin + 1, values[i, begin]
            while end < num_samples and is_real[i, end] and abs(values[i, end] - anchor) <= tolerance[i]:
                end += 1
            if end - begin >= flat_length:
                is_flat[i, begin:end] = True
            if end - begin >= clipped_length and abs(anchor - median[i]) > distance[i]:
                enters_above = begin > 0 and values[i, begin - 1] > anchor
                leaves_above = end < num_samples and values[i, end] > anchor
                if begin == 0 or end == num_samples or enters_above == leaves_above:
                    is_clipped[i, begin:end] = True
            if end - begin >= flat_length and not is_clipped[i, begin]:
                if lowest > highest:  # sought where it is needed only
                    for t in range(num_samples):
                        if is_real[i, t]:
                            lowest, highest = min(lowest, values[i, t]), max(highest, values[i, t])
                is_moving = highest - lowest > distance[i]
                if is_moving and (anchor <= lowest + tolerance[i] or anchor >= highest - tolerance[i]):
                    is_clipped[i, begin:end] = True
            begin = end
