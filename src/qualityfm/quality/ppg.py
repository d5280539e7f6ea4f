"""Trust in a pulse wave, PPG or arterial pressure: is it blood, whatever the rhythm?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from qualityfm.quality.disturbance import baseline_trust, motion_trust, noise_trust
from qualityfm.quality.faults import find_resting, flat_trust, saturation_trust, spike_trust
from qualityfm.quality.lines import Lines, Trusts, falling, highest_near, usual_range
from qualityfm.records import Cause, ChannelKind
from qualityfm.waveform.filters import Band, split_bands

#: The pulse lies in this band. Source: Elgendi, Norton, Brearley, Abbott, Schuurmans, PLoS ONE 8:e76585, 2013.
PULSE_HZ = (0.5, 8.0)
#: All that follows is our own choice, docs/decisions/0004.
BASELINE_HZ = 0.2  # slower than most breathing; an irregular pulse's changing mean leaves little below
NOISE_HZ = 12.0  # above this a pulse has little but its upstrokes
#: Movement of the baseline, in usual ranges: breathing moves a pulse, and a pressure really rises and falls.
BASELINE_HALF = {ChannelKind.PPG: 0.35, ChannelKind.ABP: 0.7}
NOISE_HALF = 0.012  # size of the noise between upstrokes, in usual ranges
MOTION_HALF = 3.0  # range of a second, in usual ranges
SPIKE_HALF = 0.4  # needle, in usual ranges
LOW_HALF = 0.1  # largest range in three seconds, in usual ranges
LAST_DIGIT = 1e-4  # range of a segment as a share of its level: nothing but the last digit moves
OUTSIDE_HALF = 0.1  # share of the samples of a second outside of arterial pressures
#: An arterial pressure lies inside, and its pulse is higher. Source: Sun, Reisner, Mark, Computers in Cardiology
#: 33:13, 2006; half of their 20 mmHg of pulse pressure takes half the trust, because shock undercuts them.
PRESSURE_MMHG = (20.0, 300.0)
PULSE_MMHG = 10.0


def pulse_trusts(lines: Lines) -> Trusts:
    """Return the trust in every second of PPG or pressure lines, by cause."""
    baseline, pulse, fast = split_bands(
        lines.bounded(),
        lines.sample_rate_hz,
        Band(high_hz=BASELINE_HZ),
        Band(low_hz=PULSE_HZ[0], high_hz=PULSE_HZ[1]),
        Band(low_hz=NOISE_HZ, order=4),
    )
    ranges = np.ptp(lines.frames(pulse), axis=2)
    is_flat, is_clipped = find_resting(lines, usual_range(ranges, lines.has_samples))
    flat = flat_trust(lines, is_flat)
    usual = usual_range(ranges, lines.has_samples & (flat > 0.5))
    low, high = pressure_trusts(lines, usual)
    return {
        Cause.FLAT: flat,
        Cause.SATURATION: saturation_trust(lines, is_clipped),
        Cause.BASELINE: baseline_trust(lines, baseline, usual, BASELINE_HALF.get(lines.kind, 0.35)),
        Cause.NOISE: noise_trust(lines, fast, usual, NOISE_HALF, NOISE_HZ),
        Cause.MOTION: motion_trust(ranges, usual, MOTION_HALF),
        Cause.SPIKE: spike_trust(lines, usual, SPIKE_HALF),
        Cause.LOW_AMPLITUDE: low * fading_trust(lines, ranges, usual),
        Cause.HIGH_AMPLITUDE: high,
    }


def fading_trust(
    lines: Lines, ranges: Float32[np.ndarray, "line second"], usual: Float32[np.ndarray, "line 1"]
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left where the pulse all but vanishes for three seconds, or is never more than a last digit."""
    vanishing = falling(LOW_HALF * usual / np.maximum(highest_near(ranges), 1e-9), 1, steepness=4)
    level = np.abs(lines.values).mean(axis=1, keepdims=True)
    return np.asarray(vanishing * falling(LAST_DIGIT * level / np.maximum(usual, 1e-9), 1, steepness=4))


def pressure_trusts(
    lines: Lines, usual: Float32[np.ndarray, "line 1"]
) -> tuple[Float32[np.ndarray, "line second"], Float32[np.ndarray, "line second"]]:
    """Return the trust left by pressures below and above what an artery has, (low, high); 1 for what is not in mmHg."""
    if lines.kind != ChannelKind.ABP or lines.unit.strip().lower() != "mmhg":
        whole = np.ones((len(usual), lines.num_seconds), np.float32)
        return whole, whole
    low_mmhg, high_mmhg = PRESSURE_MMHG
    too_low = lines.mean((lines.values < low_mmhg).astype(np.float32))
    too_high = lines.mean((lines.values > high_mmhg).astype(np.float32))
    pulse = falling(PULSE_MMHG / np.maximum(usual, 1e-9), 1, steepness=4)
    return falling(too_low, OUTSIDE_HALF) * pulse, falling(too_high, OUTSIDE_HALF)
