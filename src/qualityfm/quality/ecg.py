"""Trust in an ECG: is it the heart's electricity, whatever the rhythm?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from qualityfm.quality.disturbance import baseline_trust, motion_trust, noise_trust
from qualityfm.quality.faults import find_resting, flat_trust, saturation_trust, spike_trust
from qualityfm.quality.lines import Lines, Trusts, falling, usual_range
from qualityfm.records import Cause
from qualityfm.waveform.filters import Band, split_bands

#: Waves of the heart lie above this. Source: Kligfield et al., Circulation 115:1306, 2007 (zero-phase filters).
WAVES_HZ = 0.67
#: All that follows is our own choice, docs/decisions/0004.
BASELINE_HZ = 0.3  # 18 beats a minute; the area of a broad ectopic beat leaves next to nothing below
NOISE_HZ = 20.0  # above this an ECG has little but the QRS complexes themselves
BASELINE_HALF = 0.3  # movement of the baseline, in usual ranges
NOISE_HALF = 0.015  # size of the noise between QRS complexes, in usual ranges
MOTION_HALF = 4.0  # range of a second, in usual ranges
SPIKE_HALF = 2.0  # needle, in usual ranges: no QRS complex is a needle higher than itself
LOW_HALF_MV = 0.05  # usual range of a segment
HIGH_HALF_MV = 15.0
#: Millivolts in one unit; the limits of amplitude are left out for a unit that is not here.
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}


def ecg_trusts(lines: Lines) -> Trusts:
    """Return the trust in every second of ECG lines, by cause."""
    baseline, waves, fast = split_bands(
        lines.bounded(),
        lines.sample_rate_hz,
        Band(high_hz=BASELINE_HZ),
        Band(low_hz=WAVES_HZ),
        Band(low_hz=NOISE_HZ, order=4),
    )
    ranges = np.ptp(lines.frames(waves), axis=2)
    is_flat, is_clipped = find_resting(lines, usual_range(ranges, lines.has_samples))
    flat = flat_trust(lines, is_flat)
    usual = usual_range(ranges, lines.has_samples & (flat > 0.5))
    return {
        Cause.FLAT: flat,
        Cause.SATURATION: saturation_trust(lines, is_clipped),
        Cause.BASELINE: baseline_trust(lines, baseline, usual, BASELINE_HALF),
        Cause.NOISE: noise_trust(lines, fast, usual, NOISE_HALF, NOISE_HZ),
        Cause.MOTION: motion_trust(ranges, usual, MOTION_HALF),
        Cause.SPIKE: spike_trust(lines, usual, SPIKE_HALF),
        **amplitude_trusts(lines, usual),
    }


def amplitude_trusts(lines: Lines, usual: Float32[np.ndarray, "line 1"]) -> Trusts:
    """Return the trust left by the size of the whole segment in millivolts; empty for an unknown unit."""
    factor = MILLIVOLTS.get(lines.unit.strip().lower())
    if factor is None:
        return {}
    size_mv = np.maximum(usual * factor, 1e-9)
    shape = (len(usual), lines.num_seconds)
    return {
        Cause.LOW_AMPLITUDE: np.broadcast_to(falling(LOW_HALF_MV / size_mv, 1, steepness=4), shape),
        Cause.HIGH_AMPLITUDE: np.broadcast_to(falling(size_mv, HIGH_HALF_MV, steepness=4), shape),
    }
