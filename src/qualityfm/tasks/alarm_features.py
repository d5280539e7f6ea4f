"""Hand-made features of an alarm: a thousand numbers of the last seconds before it, and the minutes that led there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int64

from qualityfm.tasks.alarm_criteria import criteria_features
from qualityfm.tasks.alarms import ALARM_KINDS
from qualityfm.tasks.beat_features import Figures, rate_features, shape_features
from qualityfm.tasks.line_features import level_features, quality_features, shape_of_samples, spectrum_features
from qualityfm.tasks.pulses import Pulses, find_pulses
from qualityfm.tasks.traces import RATE_HZ, SLOTS, Trace
from qualityfm.waveform.beats import find_qrs
from qualityfm.waveform.filters import Band, fill_missing, split_bands

#: Seconds before the alarm that most features are of: an alarm may need ten seconds of beats, and ring some later.
WINDOW_S = 16.0
#: Band of an ECG without baseline, and of a pulse. Source: 0.5 to 40 Hz, the range of monitors; see `pulses.PULSE`.
ECG_BAND, PULSE_BAND = Band(low_hz=0.7, high_hz=40.0), Band(low_hz=0.5, high_hz=8.0)
#: A pulse follows its QRS complex within these seconds, what a monitor delays it by included. Our own choice, 0024.
PULSE_DELAY_S = (0.05, 0.9)

#: Features of the criteria that define the kinds of alarm begin with this word.
CRITERION = "criterion_"

Beats = Float[np.ndarray, " beat"]


def alarm_features(trace: Trace, kind: str) -> Figures:
    """Return the features of one alarm; NaN for what the channels that are there cannot say.

    Args:
        trace: What precedes the alarm, up to it.
        kind: Kind of the alarm, one of `ALARM_KINDS`.
    """
    found: Figures = {f"kind_{name.lower()}": float(kind == name) for name in ALARM_KINDS}
    beats: dict[str, Beats] = {}
    for slot in ("ecg1", "ecg2"):
        figures, beats[slot] = ecg_features(trace, SLOTS[slot])
        found |= {f"{slot}_{name}": value for name, value in figures.items()}
    for slot in ("ppg", "abp"):
        figures, beats[slot] = pulse_features(trace, SLOTS[slot])
        found |= {f"{slot}_{name}": value for name, value in figures.items()}
    criteria = criteria_features(known_lines(trace), trace)
    found |= {f"{CRITERION}{name}": value for name, value in criteria.items()}
    return found | leads_together(found) | channels_together(beats, trace)


def known_lines(trace: Trace) -> dict[str, Float32[np.ndarray, " time"]]:
    """Return the band-passed line of every slot that has any signal."""
    bands = {slot: ECG_BAND if slot.startswith("ecg") else PULSE_BAND for slot in SLOTS}
    lines = {slot: filtered(trace.values[SLOTS[slot]], band) for slot, band in bands.items()}
    return {slot: line for slot, line in lines.items() if line is not None}


def ecg_features(trace: Trace, slot: int) -> tuple[Figures, Beats]:
    """Return the features of an ECG slot, and the times of its beats in seconds of the trace."""
    quality = quality_features(trace.quality[slot], trace.causes[slot], int(WINDOW_S))
    line = filtered(trace.values[slot], ECG_BAND)
    if line is None:
        return quality, np.zeros(0)
    beats = np.flatnonzero(find_qrs(line[None], RATE_HZ)[0]).astype(np.int64)
    begin_s = max(0.0, trace.duration_s - WINDOW_S)
    found = quality | rate_features(beats / RATE_HZ, begin_s, trace.duration_s)
    found |= shape_features(line, beats, begin_s) | spectrum_features(line, WINDOW_S)
    found |= shape_of_samples(line[-round(WINDOW_S * RATE_HZ) :])
    return found | _against_before(beats, begin_s, trace.duration_s), beats / RATE_HZ


def filtered(line: Float32[np.ndarray, " time"], band: Band) -> Float32[np.ndarray, " time"] | None:
    """Return a line in a band, its gaps bridged; None for a line without samples or without any change."""
    known = np.isfinite(line)
    if known.sum() < RATE_HZ or np.ptp(line[known]) < 1e-6:
        return None
    return np.asarray(split_bands(fill_missing(line[None], known[None]), RATE_HZ, band)[0][0])


def _against_before(beats: Int64[np.ndarray, " beat"], begin_s: float, end_s: float) -> Figures:
    """Return the rate of the window over the usual rate of the minutes before it."""
    before = beats[beats < begin_s * RATE_HZ] / RATE_HZ
    late = beats[beats >= begin_s * RATE_HZ] / RATE_HZ
    if len(before) < 5 or len(late) < 3:
        return {"rate_change": np.nan, "usual_interval_s": np.nan}
    usual = float(np.median(np.diff(before)))
    return {"rate_change": usual / float(np.median(np.diff(late))), "usual_interval_s": usual}


def pulse_features(trace: Trace, slot: int) -> tuple[Figures, Beats]:
    """Return the features of a PPG or pressure slot, and the times of its pulses in seconds of the trace."""
    quality = quality_features(trace.quality[slot], trace.causes[slot], int(WINDOW_S))
    line = filtered(trace.values[slot], PULSE_BAND)
    if line is None:
        return quality, np.zeros(0)
    pulses = find_pulses(line, RATE_HZ)
    feet_s = pulses.foot / RATE_HZ
    begin_s = max(0.0, trace.duration_s - WINDOW_S)
    found = quality | rate_features(feet_s, begin_s, trace.duration_s) | spectrum_features(line, WINDOW_S)
    found |= shape_of_samples(line[-round(WINDOW_S * RATE_HZ) :]) | _strengths(pulses, begin_s)
    found |= _against_before(pulses.foot, begin_s, trace.duration_s)
    if slot == SLOTS["abp"]:
        found |= level_features(trace.values[slot], WINDOW_S)
    return found, feet_s


def _strengths(pulses: Pulses, begin_s: float) -> Figures:
    """Return how strong the window's pulses are against those of the minutes before."""
    strength = pulses.high - pulses.low
    is_late = pulses.foot >= begin_s * RATE_HZ
    if is_late.sum() < 2:
        return dict.fromkeys(
            ("strength_min", "strength_median", "strength_max", "strength_cv", "strength_last"), np.nan
        )
    late = strength[is_late] / (np.median(strength[~is_late]) if (~is_late).sum() >= 5 else np.median(strength))
    return {
        "strength_min": float(late.min()),
        "strength_median": float(np.median(late)),
        "strength_max": float(late.max()),
        "strength_cv": float(late.std() / (late.mean() + 1e-9)),
        "strength_last": float(late[-1]),
    }


#: Figures of which the lower and the higher lead are told as well: two leads must agree on an arrhythmia.
_COMPARED = (
    *("rate_bpm", "fastest5_bpm", "slowest4_bpm", "longest_gap_s", "like_mean", "unlike_run", "unlike_fast"),
    *("purity_max", "repeat", "quality_mean", "interval_cv", "band2_max", "kurtosis", "width_median"),
)
_PULSE_COMPARED = (
    *("rate_bpm", "fastest5_bpm", "slowest4_bpm", "longest_gap_s", "interval_cv", "strength_min"),
    *("repeat", "quality_mean", "steady_share"),
)


def leads_together(found: Figures) -> Figures:
    """Return the lower and the higher of both leads, and of both pulse channels, for the most telling figures."""
    joined: Figures = {}
    for group, slots, names in (("ecg", ("ecg1", "ecg2"), _COMPARED), ("pulse", ("ppg", "abp"), _PULSE_COMPARED)):
        for name in names:
            values = [v for v in (found.get(f"{slot}_{name}", np.nan) for slot in slots) if np.isfinite(v)]
            joined[f"{group}_low_{name}"] = min(values, default=np.nan)
            joined[f"{group}_high_{name}"] = max(values, default=np.nan)
    return joined


def channels_together(beats: dict[str, Beats], trace: Trace) -> Figures:
    """Return how well ECG and pulse belong together in the window: pulses that follow beats, and both rates."""
    begin_s = max(0.0, trace.duration_s - WINDOW_S)
    late = {slot: times[times >= begin_s] for slot, times in beats.items()}
    found: Figures = {}
    for ecg in ("ecg1", "ecg2"):
        for pulse in ("ppg", "abp"):
            name = f"{ecg}_{pulse}"
            share, spread = followed(late[ecg], late[pulse], trace.duration_s)
            found |= {f"{name}_followed": share, f"{name}_delay_spread_s": spread}
            found[f"{name}_rates"] = _ratio_of(late[pulse], late[ecg])
    found["ecg_leads_followed"] = _met(late["ecg1"], late["ecg2"])
    found["ecg_leads_rates"] = _ratio_of(late["ecg1"], late["ecg2"])
    return found


def followed(beats_s: Beats, pulses_s: Beats, end_s: float) -> tuple[float, float]:
    """Return the share of beats that a pulse follows in time, and the spread of the delays in seconds."""
    beats_s = beats_s[beats_s < end_s - PULSE_DELAY_S[1]]
    if len(beats_s) < 3 or len(pulses_s) < 2:
        return np.nan, np.nan
    after = np.searchsorted(pulses_s, beats_s + PULSE_DELAY_S[0])
    delay = np.where(after < len(pulses_s), pulses_s[np.minimum(after, len(pulses_s) - 1)] - beats_s, np.inf)
    is_met = delay < PULSE_DELAY_S[1]
    return float(is_met.mean()), float(delay[is_met].std()) if is_met.sum() > 2 else np.nan


def _met(first_s: Beats, second_s: Beats, within_s: float = 0.15) -> float:
    """Return the share of beats of one lead that the other one shows as well."""
    if len(first_s) < 2 or len(second_s) < 2:
        return np.nan
    return float((np.abs(first_s[:, None] - second_s).min(axis=1) < within_s).mean())


def _ratio_of(first_s: Beats, second_s: Beats) -> float:
    return float(len(first_s) / len(second_s)) if len(second_s) >= 3 else np.nan
