"""Trust in an ECG: is it the heart's electricity, whatever the rhythm?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from qualityfm.quality.disturbance import (
    MIRRORED_TRUST,
    MotionModel,
    burst_trust,
    likeness_trust,
    mirror_trust,
    motion_signs,
    weak_ranges,
)
from qualityfm.quality.faults import MAINS_HALF, saturation_trust, spike_trust
from qualityfm.quality.likeness import compare_events, oscillation_leakage
from qualityfm.quality.lines import Judgement, Lines, Trusts, against_usual, falling
from qualityfm.quality.measures import extent
from qualityfm.quality.opening import Part, open_lines
from qualityfm.quality.standstill import beatless_seconds, near_seconds
from qualityfm.quality.timescale import timescale_trust
from qualityfm.records import Cause
from qualityfm.waveform.filters import Band, split_bands

#: Waves of the heart lie above this. Source: Kligfield et al., Circulation 115:1306, 2007 (zero-phase filters).
WAVES_HZ = 0.67
#: All that follows is our own choice, docs/decisions/0004 and 0020.
BASELINE_HZ = 0.3  # 18 beats a minute; the area of a broad ectopic beat leaves next to nothing below
SHAPE_HZ = 12.0  # the shape of a beat, without muscle noise and without jitter of its sampling
NOISE_HZ = 20.0  # above this an ECG has little but the QRS complexes themselves
BASELINE_RATE_HZ, SHAPE_RATE_HZ = 12.0, 60.0  # at least; enough for what is left in these bands
QRS_REACH_S = 0.016  # a difference over twice this time answers most to QRS complexes (16 Hz)
#: What the heart and breathing may do for free, and what more than that takes half the trust, in usual ranges.
BASELINE_FREE, BASELINE_HALF = 0.03, 0.28  # movement of the baseline
RUN_FREE, RUN_REACH_S = 0.35, 2  # the same so near, s, to a row of broad beats, which has a level of its own
NOISE_FREE, NOISE_HALF = 0.001, 0.0145  # size of the noise between QRS complexes
MOTION = MotionModel(disturbed=(2.65, 0.55, -0.7, 2.84, 8.6), is_motion=(4.3, -3.27, -1.63, -7.39))
STEADY_LEAKAGE = (0.4, 0.5)  # an oscillation is steady below, and not above
BEATING = 0.4  # range of a second that holds a beat, in usual ranges
USUAL_RISE_S = 0.02  # time that the steepest part of a QRS complex takes to cross its range
#: Weights of the steps of a mean beat of lead II that is upright, fitted by benchmarks/fit_polarity.py; trust falls
#: where their sum lies between these figures below 0.
UPRIGHT_II = (0.9, 1.01, -4.23, 1.63, 1.38, -2.49, -0.23, -0.25, 5.37, -1.4, -2.09, 0.92)
UPSIDE_DOWN = (1.5, 3.0)
STEADY_SHARE = 0.2  # share of steady oscillation from which on a segment is not asked
BURST_HALF = 4.0  # range of a second, in usual ranges
SPIKE_HALF = 0.9  # needle, in usual ranges
WEAK_REACH = 2  # five seconds in a row: asystole, too, is named at last
NOISE_RISES = 1.5  # or one second whose noise is so many times that of the still ones
LOW_HALF = 0.18  # size of a weak stretch, in usual ranges
HIGH_HALF = 6.0  # range of a second, in usual ranges
LOW_HALF_MV = 0.05  # usual range of a segment
HIGH_HALF_MV = 15.0
#: Millivolts in one unit; the limits of amplitude are left out for a unit that is not here.
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}


def judge_ecg(lines: Lines) -> Judgement:
    """Return the trust in every second of ECG lines, by cause."""
    rate_hz = lines.sample_rate_hz
    slow_step, shape_step = max(1, int(rate_hz / BASELINE_RATE_HZ)), max(1, int(rate_hz / SHAPE_RATE_HZ))
    baseline, waves, shape, fast = split_bands(
        lines.bounded(),
        rate_hz,
        Band(high_hz=BASELINE_HZ, step=slow_step),
        Band(low_hz=WAVES_HZ),
        Band(low_hz=WAVES_HZ, high_hz=SHAPE_HZ, step=shape_step),
        Band(low_hz=NOISE_HZ, order=4),
    )
    opening = open_lines(
        lines,
        Part(values=waves, sample_rate_hz=rate_hz),
        Part(values=baseline, sample_rate_hz=rate_hz / slow_step),
        fast,
        NOISE_HZ,
    )
    ranges, usual, noise = opening.ranges, opening.usual, opening.noise
    steepness = qrs_steepness(shape, rate_hz / shape_step)
    events = compare_events(shape, steepness, rate_hz / shape_step, lines.num_seconds)
    unsteady = unsteadiness(shape, rate_hz / shape_step, lines.num_seconds)
    departure = against_usual(events.departure, usual) * unsteady
    signs = motion_signs(departure, noise, opening.movement, opening.is_usable)
    weak = weak_ranges(opening.known_ranges, signs, WEAK_REACH, NOISE_RISES)
    free = np.where(near_seconds(unsteady <= 0, RUN_REACH_S), RUN_FREE, BASELINE_FREE).astype(np.float32)
    rise_s = rise_time(waves, ranges, lines)
    trusts = {
        Cause.FLAT: opening.flat,
        Cause.SATURATION: saturation_trust(lines, opening.is_clipped),
        Cause.BASELINE: falling(np.maximum(opening.movement - free, 0), BASELINE_HALF),
        Cause.NOISE: falling(np.maximum(noise - NOISE_FREE, 0), NOISE_HALF),
        Cause.POWER_LINE: falling(opening.mains, MAINS_HALF),
        Cause.MOTION: burst_trust(ranges, usual, BURST_HALF) * likeness_trust(signs, MOTION),
        Cause.SPIKE: spike_trust(lines, fast, noise, usual, SPIKE_HALF, lines.has_samples, unsteady <= 0),
        Cause.INVERTED: mirror_trust(events.num_mirrored * (unsteady > 0), events.number)
        * polarity_trust(lines.name, events.beat, unsteady)[:, None],
        **timescale_trust(events.number, rise_s, USUAL_RISE_S, (ranges > BEATING * usual) & (unsteady > 0)),
        **amplitude_trusts(lines, ranges, weak, usual),
    }
    return Judgement(
        trusts=trusts,
        steepness=steepness,
        steepness_rate_hz=rate_hz / shape_step,
        signs=signs,
        number=events.number,
        rise=rise_s / USUAL_RISE_S,
        sizes=against_usual(opening.known_ranges, usual),
        is_beatless=beatless_seconds(opening.known_ranges, usual, opening.is_usable, unsteady),
    )


def polarity_trust(
    name: str, beat: Float32[np.ndarray, "line step"], unsteady: Float32[np.ndarray, "line second"]
) -> Float32[np.ndarray, " line"]:
    """Return the trust left by the mean beat of lead II, which is like that of other people or like its mirror image.

    Of a chest lead, whose place is not known, half are like the mirror image of the others: it is not asked.
    """
    if name.upper().split()[-1:] not in (["II"], ["MLII"]):
        return np.ones(len(beat), np.float32)
    upside_down = -(beat * np.array(UPRIGHT_II, np.float32)).sum(axis=1)  # a product would hang on the batch's size
    lost = np.clip((upside_down - UPSIDE_DOWN[0]) / (UPSIDE_DOWN[1] - UPSIDE_DOWN[0]), 0, 1)
    lost[(unsteady <= 0).mean(axis=1) > STEADY_SHARE] = 0  # a fibrillation or flutter has no upright
    return np.asarray(1 - (1 - MIRRORED_TRUST) * lost, np.float32)


def unsteadiness(
    shape: Float32[np.ndarray, "line time"], sample_rate_hz: float, num_seconds: int
) -> Float32[np.ndarray, "line second"]:
    """Return 0 where a second is one steady oscillation, as in fibrillation or flutter, and 1 where it is not."""
    low, high = STEADY_LEAKAGE
    return np.clip((oscillation_leakage(shape, sample_rate_hz, num_seconds) - low) / (high - low), 0, 1)


def rise_time(
    waves: Float32[np.ndarray, "line time"], ranges: Float32[np.ndarray, "line second"], lines: Lines
) -> Float32[np.ndarray, "line second"]:
    """Return how long the steepest slope of every second would take to cross its range, s."""
    lowest, highest = extent(waves[:, 1:] - waves[:, :-1], lines.sample_rate_hz, lines.num_seconds)
    steepest = np.maximum(highest, -lowest) * lines.sample_rate_hz
    return np.asarray(ranges / np.maximum(steepest, 1e-9), np.float32)


def qrs_steepness(shape: Float32[np.ndarray, "line time"], sample_rate_hz: float) -> Float32[np.ndarray, "line time"]:
    """Return how steep every moment is, up or down."""
    reach = max(1, round(QRS_REACH_S * sample_rate_hz))
    steepness = np.zeros_like(shape)
    if shape.shape[1] > 2 * reach:
        np.abs(shape[:, 2 * reach :] - shape[:, : -2 * reach], out=steepness[:, reach:-reach])
    return steepness


def amplitude_trusts(
    lines: Lines,
    ranges: Float32[np.ndarray, "line second"],
    weak: Float32[np.ndarray, "line second"],
    usual: Float32[np.ndarray, "line 1"],
) -> Trusts:
    """Return the trust left by the size: of the whole segment in millivolts, and of three seconds against the others.

    A segment in an unknown unit is only compared with itself.
    """
    vanishing = falling(LOW_HALF * usual / np.maximum(weak, 1e-9), 1, steepness=4)
    magnified = falling(against_usual(ranges, usual), HIGH_HALF, steepness=8)
    factor = MILLIVOLTS.get(lines.unit.strip().lower())
    if factor is None:
        return {Cause.LOW_AMPLITUDE: vanishing, Cause.HIGH_AMPLITUDE: magnified}
    size_mv = np.maximum(usual * factor, 1e-9)
    return {
        Cause.LOW_AMPLITUDE: vanishing * falling(LOW_HALF_MV / size_mv, 1, steepness=4),
        Cause.HIGH_AMPLITUDE: magnified * falling(size_mv, HIGH_HALF_MV, steepness=4),
    }
