"""Trust in a pulse wave, PPG or arterial pressure: is it blood, whatever the rhythm?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.quality.disturbance import (
    MotionModel,
    burst_trust,
    likeness_trust,
    motion_signs,
)
from qualityfm.quality.faults import MAINS_HALF, saturation_trust, spike_trust
from qualityfm.quality.likeness import compare_events
from qualityfm.quality.lines import Judgement, Lines, against_usual, falling, highest_near, low_stretch, lowest_near
from qualityfm.quality.measures import extent
from qualityfm.quality.opening import Part, open_lines
from qualityfm.quality.standstill import excuse_pulse, lost_seconds
from qualityfm.quality.timescale import timescale_trust
from qualityfm.records import Cause, ChannelKind
from qualityfm.waveform.filters import Band, split_bands

#: The pulse lies in this band. Source: Elgendi, Norton, Brearley, Abbott, Schuurmans, PLoS ONE 8:e76585, 2013.
PULSE_HZ = (0.5, 8.0)
#: All that follows is our own choice, docs/decisions/0004.
BASELINE_HZ = 0.2  # slower than most breathing; an irregular pulse's changing mean leaves little below
NOISE_HZ = 12.0  # above this a pulse has little but its upstrokes
#: What the heart and breathing may do for free, and what more than that takes half the trust, in usual ranges:
#: movement of the baseline (a pressure really rises and falls), noise between upstrokes, needles.
BASELINE_FREE = {ChannelKind.PPG: 0.09, ChannelKind.ABP: 0.1}
BASELINE_HALF = {ChannelKind.PPG: 0.3, ChannelKind.ABP: 0.45}
NOISE_FREE, NOISE_HALF = 0.0008, 0.0113
SPIKE_HALF = 0.35
BASELINE_RATE_HZ, PULSE_RATE_HZ = 12.0, 60.0  # at least; enough for what is left in these bands
UPSTROKE_REACH_S = 0.05  # a difference over twice this time answers most to upstrokes (5 Hz)
MOTION = {
    ChannelKind.PPG: MotionModel(disturbed=(0.46, 3.13, 0.94, 4.21, 16.6), is_motion=(3.43, -2.54, -1.34, -5.21)),
    ChannelKind.ABP: MotionModel(disturbed=(2.64, -0.15, 0.99, 0.64, 5.0), is_motion=(6.59, -7.09, -1.9, -21.18)),
}
FLUSH_HALF = 1.0  # lowest sample of a second above the usual peak, in usual ranges
LOW_PEAKS = 0.25  # which of the ordered peaks is the usual one
FALL_HALF = 1.4  # steepest fall over steepest rise
HIGH_HALF = 6.0  # range of a second, in usual ranges
BEATING = 0.4  # range of a second that holds a beat, in usual ranges
USUAL_RISE_S = {ChannelKind.PPG: 0.14, ChannelKind.ABP: 0.115}  # time that an upstroke takes to cross the range
BURST_HALF = 3.0  # range of a second, in usual ranges
NOISE_RISES = 2.0  # noise of a second, over that of the still ones, at which its pulse is not small but drowning
LOW_HALF = 0.15  # size of such a second, in usual ranges
LOST_REACH, LOST_HALF = 2, 0.04  # five seconds, as in the ECG, in a row without a pulse, and their size
DROWNED = 0.1  # noise over range; white noise has 0.3, a clean pulse less than 0.01
LAST_DIGIT = 1e-4  # range of a segment as a share of its level: nothing but the last digit moves
LAST_NOISE = 0.02  # the same where it moves like noise only
OUTSIDE_HALF = 0.1  # share of the samples of a second outside of arterial pressures
#: An arterial pressure lies inside, and its pulse is higher. Source: Sun, Reisner, Mark, Computers in Cardiology
#: 33:13, 2006; half of their 20 mmHg of pulse pressure takes half the trust, because shock undercuts them.
PRESSURE_MMHG = (20.0, 300.0)
PULSE_MMHG = 10.0


def judge_pulse(lines: Lines) -> Judgement:
    """Return the trust in every second of PPG or pressure lines, by cause."""
    rate_hz = lines.sample_rate_hz
    slow_step, pulse_step = max(1, int(rate_hz / BASELINE_RATE_HZ)), max(1, int(rate_hz / PULSE_RATE_HZ))
    baseline, pulse, fast = split_bands(
        lines.bounded(),
        rate_hz,
        Band(high_hz=BASELINE_HZ, step=slow_step),
        Band(low_hz=PULSE_HZ[0], high_hz=PULSE_HZ[1], step=pulse_step),
        Band(low_hz=NOISE_HZ, order=4),
    )
    opening = open_lines(
        lines,
        Part(values=pulse, sample_rate_hz=rate_hz / pulse_step),
        Part(values=baseline, sample_rate_hz=rate_hz / slow_step),
        fast,
        NOISE_HZ,
        DROWNED,
    )
    ranges, usual, noise = opening.ranges, opening.usual, opening.noise
    slope = pulse_slope(pulse, rate_hz / pulse_step)
    steepness = np.maximum(slope, 0)
    events = compare_events(pulse, steepness, rate_hz / pulse_step, lines.num_seconds)
    departure = against_usual(events.departure, usual)
    falls, rises = extent(slope, rate_hz / pulse_step, lines.num_seconds)
    rise_s = 2 * UPSTROKE_REACH_S * ranges / np.maximum(rises, 1e-9)
    signs = motion_signs(departure, noise, opening.movement, opening.is_usable)
    low, high = pressure_trusts(lines, usual)
    high = high * falling(against_usual(ranges, usual), HIGH_HALF, steepness=8) * flush_trust(lines, usual)
    trusts = {
        Cause.FLAT: opening.flat * moving_trust(lines, usual, opening.is_drowned),
        Cause.SATURATION: saturation_trust(opening.clipped),
        Cause.BASELINE: falling(opening.movement, BASELINE_HALF[lines.kind], free=BASELINE_FREE[lines.kind]),
        Cause.NOISE: falling(noise, NOISE_HALF, free=NOISE_FREE),
        Cause.POWER_LINE: falling(opening.mains, MAINS_HALF),
        Cause.MOTION: burst_trust(ranges, usual, BURST_HALF) * likeness_trust(signs, MOTION[lines.kind]),
        Cause.SPIKE: spike_trust(lines, fast, noise, usual, SPIKE_HALF, opening.is_usable),
        Cause.LOW_AMPLITUDE: low * fading_trust(opening.known_ranges, signs, usual),
        Cause.HIGH_AMPLITUDE: high,
        Cause.INVERTED: np.maximum(inverted_trust(falls, rises), ranges < BEATING * usual).astype(np.float32),
        **timescale_trust(events.number, rise_s, USUAL_RISE_S[lines.kind], ranges > BEATING * usual),
    }
    is_lost = lost_seconds(lines, ranges, usual)
    excuse_pulse(trusts, is_lost)
    return Judgement(
        trusts=trusts,
        steepness=steepness,
        steepness_rate_hz=rate_hz / pulse_step,
        signs=signs,
        number=events.number,
        rise=rise_s / USUAL_RISE_S[lines.kind],
        sizes=against_usual(opening.known_ranges, usual),
        is_beatless=lines.is_beatless,
        is_lost=is_lost,
    )


def pulse_slope(pulse: Float32[np.ndarray, "line time"], sample_rate_hz: float) -> Float32[np.ndarray, "line time"]:
    """Return how much every moment rises over a tenth of a second; negative where it falls."""
    reach = max(1, round(UPSTROKE_REACH_S * sample_rate_hz))
    slope = np.zeros_like(pulse)
    if pulse.shape[1] > 2 * reach:
        slope[:, reach:-reach] = pulse[:, 2 * reach :] - pulse[:, : -2 * reach]
    return slope


def inverted_trust(
    falls: Float32[np.ndarray, "line second"], rises: Float32[np.ndarray, "line second"]
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left where a pulse falls faster than it rises, for three seconds: blood arrives in a stroke."""
    ratio = highest_near(-falls) / np.maximum(highest_near(rises), 1e-9)
    return falling(lowest_near(ratio), FALL_HALF, steepness=8)


def flush_trust(lines: Lines, usual: Float32[np.ndarray, "line 1"]) -> Float32[np.ndarray, "line second"]:
    """Return the trust left in seconds that lie above the others' peaks by more than a pulse, as in a flushed line."""
    if lines.kind != ChannelKind.ABP:
        return np.ones((len(usual), lines.num_seconds), np.float32)
    lowest, highest = lines.extent
    rank = int(LOW_PEAKS * (lines.num_seconds - 1))  # a flush may take most of a segment
    above = against_usual(lowest - np.partition(highest, rank, axis=1)[:, rank, None], usual)
    return falling(above, FLUSH_HALF, steepness=4)


def fading_trust(
    ranges: Float32[np.ndarray, "line second"],
    signs: Float32[np.ndarray, "line second sign"],
    usual: Float32[np.ndarray, "line 1"],
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left where the pulse all but vanishes: a small pulse is no fault as long as it is as clean.

    A second counts where the noise rises as the pulse shrinks, as with a loose probe; fast runs of a heart that fills
    badly are small and quiet. What vanishes quietly counts after five seconds: perfusion is lost.
    """
    is_rising = signs[..., 3] > np.log(NOISE_RISES)
    weak = np.where(is_rising, ranges, low_stretch(ranges, LOST_REACH))
    half = np.where(is_rising, LOW_HALF, LOST_HALF)
    return falling(half * usual / np.maximum(weak, 1e-9), 1, steepness=4)


def moving_trust(
    lines: Lines, usual: Float32[np.ndarray, "line 1"], is_drowned: Bool[np.ndarray, "line 1"]
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left in a line of which next to nothing moves: it is as good as flat.

    Next to nothing is the last digit, or more of it where all that moves is noise, as after the last beat.
    """
    lowest, highest = lines.extent
    level = np.abs(lowest + highest).mean(axis=1, keepdims=True) / 2
    share = np.where(is_drowned, LAST_NOISE, LAST_DIGIT)
    trust = falling(share * level / np.maximum(usual, 1e-9), 1, steepness=4)
    return np.broadcast_to(trust, lowest.shape).astype(np.float32)


def pressure_trusts(
    lines: Lines, usual: Float32[np.ndarray, "line 1"]
) -> tuple[Float32[np.ndarray, "line second"], Float32[np.ndarray, "line second"]]:
    """Return the trust left by pressures below and above what an artery has, (low, high); 1 for what is not in mmHg."""
    if lines.kind != ChannelKind.ABP or lines.unit.strip().lower() != "mmhg":
        whole = np.ones((len(usual), lines.num_seconds), np.float32)
        return whole, whole
    low_mmhg, high_mmhg = PRESSURE_MMHG
    too_low = lines.share(lines.values < low_mmhg)
    too_high = lines.share(lines.values > high_mmhg)
    pulse = falling(PULSE_MMHG / np.maximum(usual, 1e-9), 1, steepness=4)
    return falling(too_low, OUTSIDE_HALF) * pulse, falling(too_high, OUTSIDE_HALF)
