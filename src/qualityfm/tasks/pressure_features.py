"""What PPG and ECG say about pressure: the pulse's shape, when it arrives, how the heart beats.

The pressure line itself is hidden before anything is measured (`qualityfm.tasks.features.HIDDEN`). How large a PPG is
says nothing across patients, but its change says something of one: `CHANGE_NAMES` has it, `LEVEL_NAMES` has not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int64

from qualityfm.tasks.alarm_features import ECG_BAND, PULSE_BAND, PULSE_DELAY_S, filtered
from qualityfm.tasks.beat_features import Figures, beat_shapes, regularity_features
from qualityfm.tasks.pulse_wave import NUM_POINTS, usual_pulse, wave_features
from qualityfm.tasks.pulses import Pulses, find_pulses
from qualityfm.tasks.traces import RATE_HZ, SLOTS, Trace
from qualityfm.waveform.beats import find_qrs
from qualityfm.waveform.filters import Band

#: Band of a pulse's shape: its harmonics without the baseline. Our own choice, docs/decisions/0038.
SHAPE_BAND = Band(low_hz=0.4, high_hz=15.0)
#: Points of the usual pulse's course that are features.
SHAPE_SAMPLES = 24
#: Fewer pulses or beats than these say nothing.
MIN_BEATS = 5
#: A T wave's peak is looked for so long after the QRS complex, s, but before this share of the interval. Our own
#: choice, as above.
T_WAVE_S, T_WAVE_SHARE = (0.12, 0.6), 0.6

#: Features that tell of the measurement and not of the patient: no model of levels learns from them.
NOT_OF_PATIENT = ("quality", "ecg_quality", "num_pulses", "log_height", "like_share")
#: Features whose change since a calibration is learnt from: rate, size, arrival, length of the pulse. Source: what
#: moves with pressure within a patient, Mukkamala et al., IEEE TBME 62:1879, 2015.
CHANGE_NAMES = ("rate_bpm", "log_height", "arrival_foot_s", "width10_s", "width50_s")


def pressure_features(trace: Trace) -> Figures:
    """Return rate, regularity, pulse shape, arrival time and ECG figures of a window; nothing without PPG pulses."""
    raw = trace.values[SLOTS["ppg"]]
    ppg, shape = filtered(raw, PULSE_BAND), filtered(raw, SHAPE_BAND)
    pulses = None if ppg is None else find_pulses(ppg, RATE_HZ)
    if ppg is None or shape is None or pulses is None or len(pulses) < MIN_BEATS:
        return {}
    found = {"num_pulses": float(len(pulses)), "rate_bpm": float(60 / np.median(pulses.length_s))}
    found |= {f"pulse_{name}": value for name, value in regularity_features(pulses.length_s).items()}
    wave = usual_pulse(shape, pulses, RATE_HZ)
    if wave is not None:
        found |= wave_features(wave) | {"log_height": float(np.log(np.median(wave.height[wave.is_like]) + 1e-9))}
        points = np.interp(np.linspace(0, 1, SHAPE_SAMPLES), np.linspace(0, 1, NUM_POINTS), wave.shape)
        found |= {f"shape{k}": float(points[k]) for k in range(1, SHAPE_SAMPLES - 1)}
    found |= _heart_features(trace, ppg, pulses)
    if "arrival_foot_s" in found and "notch_s" in found:
        found["notch_from_beat_s"] = found["arrival_foot_s"] + found["notch_s"]
    return found | {"quality": float(trace.quality[SLOTS["ppg"]].mean())}


def _heart_features(trace: Trace, ppg: Float32[np.ndarray, " time"], pulses: Pulses) -> Figures:
    """Return what the better ECG says: intervals, the time to foot, rise and peak of the pulses, QRS and T wave."""
    slot = max((SLOTS["ecg1"], SLOTS["ecg2"]), key=lambda c: float(trace.quality[c].mean()))
    line = filtered(trace.values[slot], ECG_BAND)
    beats = np.zeros(0, np.int64) if line is None else np.flatnonzero(find_qrs(line[None], RATE_HZ)[0])
    if line is None or len(beats) < MIN_BEATS:
        return {}
    beats_s = beats / RATE_HZ
    intervals_s = np.diff(beats_s)
    found = {f"beat_{name}": value for name, value in regularity_features(intervals_s).items()}
    slope = np.diff(ppg, append=ppg[-1])
    steep = [f + int(slope[f : max(p, f + 1) + 1].argmax()) for f, p in zip(pulses.foot, pulses.peak, strict=True)]
    for name, at in (("foot", pulses.foot), ("steep", np.array(steep)), ("peak", pulses.peak)):
        found |= _arrival(name, beats_s, at / RATE_HZ)
    if "arrival_foot_s" in found:
        found["arrival_share"] = found["arrival_foot_s"] / float(np.median(intervals_s))
    return found | _complexes(line, beats) | {"ecg_quality": float(trace.quality[slot].mean())}


def _arrival(name: str, beats_s: Float[np.ndarray, " beat"], pulses_s: Float[np.ndarray, " pulse"]) -> Figures:
    """Return the median time from each QRS complex to its pulse, its spread, and how it follows the interval before.

    Source: pulse arrival time, Mukkamala et al., IEEE TBME 62:1879, 2015.
    """
    after = np.searchsorted(pulses_s, beats_s + PULSE_DELAY_S[0])
    delay = np.where(after < len(pulses_s), pulses_s[np.minimum(after, len(pulses_s) - 1)] - beats_s, np.inf)
    is_met = delay < PULSE_DELAY_S[1]
    if is_met.sum() < MIN_BEATS:
        return {}
    middle = float(np.median(delay[is_met]))
    found = {f"arrival_{name}_s": middle, f"arrival_{name}_spread_s": float(np.median(np.abs(delay[is_met] - middle)))}
    met = np.flatnonzero(is_met & (np.arange(len(beats_s)) > 0))
    before = beats_s[met] - beats_s[met - 1]
    if name == "foot" and len(met) >= MIN_BEATS and before.std() > 1e-3:
        found["arrival_slope"] = float(np.polyfit(before, delay[met], 1)[0])
    return found


def _complexes(line: Float32[np.ndarray, " time"], beats: Int64[np.ndarray, " beat"]) -> Figures:
    """Return size and breadth of the median QRS complex, and when its T wave peaks and how high."""
    usual = np.median(beat_shapes(line, beats), axis=0)
    size = float(np.ptp(usual))
    found = {"qrs_mv": size, "qrs_breadth": float((np.abs(usual) > 0.25 * np.abs(usual).max()).mean())}
    interval_s = float(np.median(np.diff(beats))) / RATE_HZ
    end_s = min(T_WAVE_SHARE * interval_s + T_WAVE_S[0], T_WAVE_S[1])
    places = np.arange(round(T_WAVE_S[0] * RATE_HZ), max(round(end_s * RATE_HZ), round(T_WAVE_S[0] * RATE_HZ) + 2))
    around = beats[:, None] + places
    around = around[around[:, -1] < len(line)]
    if len(around) < MIN_BEATS:
        return found
    course = np.median(line[around], axis=0)
    course = course - np.median(course)
    peak = int(np.abs(course).argmax())
    t_wave_s = float(places[peak] / RATE_HZ)
    height = float(abs(course[peak]) / (size + 1e-6))
    return found | {"t_wave_s": t_wave_s, "t_wave_share": t_wave_s / interval_s, "t_wave_height": height}
