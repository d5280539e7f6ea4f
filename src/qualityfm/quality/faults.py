"""Faults that single samples show, whatever the channel measures: dropout, flat runs, clipping, spikes, mains hum."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.quality.disturbance import QUIET_OF_SINE
from qualityfm.quality.lines import Judgement, Lines, against_usual, falling, usual_range
from qualityfm.quality.measures import (
    MAINS_HZ,
    NEIGHBOUR_HZ,
    extent,
    mains_amplitude,
    needle_heights,
    second_edges,
)
from qualityfm.quality.resting import NEVER, share_of_expected, sum_resting
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
    flat, clipped = find_resting(lines, usual)
    trusts = {Cause.FLAT: flat_trust(flat, usual), Cause.SATURATION: saturation_trust(clipped)}
    return Judgement(trusts=trusts)


def dropout_trust(lines: Lines, is_expected: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
    """Return the share of the samples of every second that were recorded.

    Args:
        lines: Prepared lines.
        is_expected: True where the recording lasts; what lies behind its end is not missed.
    """
    trust = np.zeros((len(lines.values), lines.num_seconds), np.float32)
    if lines.values.size:
        edges = second_edges(lines.values.shape[1], lines.num_seconds, lines.sample_rate_hz)
        share_of_expected(lines.is_real, is_expected, edges, trust)
    return trust


def flat_trust(
    flat: Float32[np.ndarray, "line second"], usual: Float32[np.ndarray, "line 1"]
) -> Float32[np.ndarray, "line second"]:
    """Return the share of every second that is not flat; 0 for a line without any usual range, however short."""
    return np.where(usual > 0, 1 - flat, np.float32(0))


def saturation_trust(clipped: Float32[np.ndarray, "line second"]) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by a share of clipped samples: short clipping takes the peaks, which are what matters."""
    return falling(clipped, CLIPPED_HALF)


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
) -> tuple[Float32[np.ndarray, "line second"], Float32[np.ndarray, "line second"]]:
    """Return the share of every second's samples that rest: (flat, clipped).

    Flat is any run of at least `FLAT_S`. Clipped is a run of at least `CLIPPED_S` from which the line leaves to the
    same side before and after, and that lies far from the median: so a ceiling inside the range is found like a rail at
    its end, and a rest between two beats is not. A flat run that no sample of the line goes beyond is clipped as well,
    unless nothing else moves: a rail, too, is where a line rests for seconds. So are two rests of a pulse in a row at
    one level.
    """
    shares = np.zeros((2, len(lines.values), lines.num_seconds), np.float32)
    if lines.values.size:
        sum_resting(
            lines.values,
            lines.is_real,
            second_edges(lines.values.shape[1], lines.num_seconds, lines.sample_rate_hz),
            np.float32(RUN_TOLERANCE) * usual[:, 0],
            np.float32(CLIPPED_DISTANCE.get(lines.kind, CLIPPED_DISTANCE_ELSE)) * usual[:, 0],
            max(1, int(lines.sample_rate_hz // 6)),
            max(3, round(FLAT_S * lines.sample_rate_hz)),
            max(4, round(CLIPPED_S * lines.sample_rate_hz)),
            np.float32(REPEATED_DISTANCE) * usual[:, 0],
            max(4, round(REPEATED_S * lines.sample_rate_hz)) if lines.kind in PULSES else NEVER,
            round(REPEATED_WITHIN_S * lines.sample_rate_hz),
            shares,
        )
    return shares[0], shares[1]
