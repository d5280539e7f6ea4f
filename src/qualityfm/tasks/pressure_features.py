"""What PPG and ECG say about pressure: the pulse's shape and when it arrives; the pressure slot is not read."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from qualityfm.tasks.alarm_features import ECG_BAND, PULSE_BAND, PULSE_DELAY_S, filtered
from qualityfm.tasks.beat_features import Figures, regularity_features
from qualityfm.tasks.pulses import Pulses, find_pulses
from qualityfm.tasks.traces import RATE_HZ, SLOTS, Trace
from qualityfm.waveform.beats import find_qrs

#: Parts of the height at which a pulse's width is measured. Source: pulse widths, Kurylyak, Lamonaca, Grimaldi, IEEE
#: I2MTC 2013:280.
HEIGHTS = (0.25, 0.5, 0.75)
#: Samples that a pulse is stretched to, for its mean shape.
SHAPE_SAMPLES = 16


def pressure_features(trace: Trace) -> Figures:
    """Return rate, regularity, pulse shape (medians over the pulses) and arrival time of a window."""
    ppg = filtered(trace.values[SLOTS["ppg"]], PULSE_BAND)
    if ppg is None:
        return {}
    pulses = find_pulses(ppg, RATE_HZ)
    if len(pulses) < 5:
        return {"num_pulses": float(len(pulses))}
    found = {"num_pulses": float(len(pulses)), "rate_bpm": float(60 / np.median(pulses.length_s))}
    found |= regularity_features(pulses.length_s) | _shapes(ppg, pulses)
    found["strength_cv"] = float((pulses.high - pulses.low).std() / ((pulses.high - pulses.low).mean() + 1e-9))
    return found | _arrivals(trace, pulses) | {"quality": float(trace.quality[SLOTS["ppg"]].mean())}


def _shapes(ppg: Float32[np.ndarray, " time"], pulses: Pulses) -> Figures:
    """Return the medians of each pulse's rise time, widths, and shape in 16 points of its length."""
    rows, points = [], []
    for foot, peak, length_s in zip(pulses.foot, pulses.peak, pulses.length_s, strict=True):
        end = foot + round(length_s * RATE_HZ)
        pulse = ppg[foot : end + 1] - ppg[foot]
        pulse = pulse / max(float(pulse.max()), 1e-9)
        widths = [float((pulse >= height).sum() / RATE_HZ) for height in HEIGHTS]
        rows.append([(peak - foot) / RATE_HZ, *widths, float(pulse.mean()), float(np.diff(pulse).max() * RATE_HZ)])
        points.append(np.interp(np.linspace(0, 1, SHAPE_SAMPLES), np.linspace(0, 1, len(pulse)), pulse))
    names = ("rise_s", *(f"width{round(100 * h)}_s" for h in HEIGHTS), "area", "steepest")
    found = dict(zip(names, map(float, np.median(rows, axis=0)), strict=True))
    return found | {f"shape{k}": float(v) for k, v in enumerate(np.median(points, axis=0))}


def _arrivals(trace: Trace, pulses: Pulses) -> Figures:
    """Return the median time from each QRS complex to the foot of its pulse, and its spread, s."""
    slots = [SLOTS["ecg1"], SLOTS["ecg2"]]
    line = filtered(trace.values[max(slots, key=lambda c: float(trace.quality[c].mean()))], ECG_BAND)
    if line is None:
        return {}
    beats = np.flatnonzero(find_qrs(line[None], RATE_HZ)[0]) / RATE_HZ
    feet: Float[np.ndarray, " beat"] = pulses.foot / RATE_HZ
    after = np.searchsorted(feet, beats + PULSE_DELAY_S[0])
    delay = np.where(after < len(feet), feet[np.minimum(after, len(feet) - 1)] - beats, np.inf)
    delay = delay[delay < PULSE_DELAY_S[1]]
    if len(delay) < 5:
        return {}
    return {"arrival_s": float(np.median(delay)), "arrival_spread_s": float(delay.std())}
