"""What defines each kind of alarm, measured on every channel and over the channels together: features of an alarm.

A bedside monitor's alarm has a definition: no beat for 4 s, below 40 a minute over five beats, above 140 over 17, five
ventricular beats above 100, a fibrillating line for 4 s. Each is evaluated on each channel, and a channel whose usual
beats go on speaks against all of them.

Source: the approach of entries of the 2015 challenge, Plesinger et al., CinC 2015:281; Kalidas, Tamil, CinC 2015:285;
Fallet et al., CinC 2015:273. Figures and limits are our own, docs/decisions/0037.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy.lib.stride_tricks import sliding_window_view

from qualityfm.tasks.beat_features import Figures, extreme_rate, longest_run
from qualityfm.tasks.beat_trains import BeatTrain, ecg_train, pulse_train
from qualityfm.tasks.bursts import burst_features
from qualityfm.tasks.line_series import series_features
from qualityfm.tasks.traces import RATE_HZ, SLOTS, Trace
from qualityfm.tasks.ventricular import ventricular_features

#: Stretches at the end that criteria are evaluated in, s: monitors ring up to ten seconds late. Our own choice, 0037.
ENDS_S = (16.0, 10.0, 6.0)
#: Resolution of what usual beats explain, Hz.
GRID_HZ = 10.0
#: A beat of less than this share of the usual size may be noise: some gaps and rates go by larger ones alone. Ours.
SOLID = 0.4
#: A line is at rest where it moves by less than these shares of a usual beat. Our own choice, docs/decisions/0037.
QUIET = (0.2, 0.35)
#: Time in which a beat moves the line: the QRS complex, and the greater part of a pulse, s.
MOVE_S = {"ecg": 0.25, "pulse": 0.8}
#: Intervals in a row of the lowest and highest rates. Source: five beats for bradycardia, 17 for tachycardia, Clifford
#: et al., CinC 2015:273, and fewer, since a beat may be missed.
SLOW, FAST = (3, 4, 5), (6, 12, 17)

GROUPS = {"ecg": ("ecg1", "ecg2"), "pulse": ("ppg", "abp"), "any": ("ecg1", "ecg2", "ppg", "abp")}
Lines = Mapping[str, Float32[np.ndarray, " time"]]
Mask = Bool[np.ndarray, " tick"]


def criteria_features(lines: Lines, trace: Trace) -> Figures:
    """Return the criteria of all kinds of alarm.

    Args:
        lines: Slots that have any signal, band-passed, by name.
        trace: The same as recorded, with its quality.
    """
    begin_s, end_s = max(0.0, trace.duration_s - ENDS_S[0]), trace.duration_s
    trains = {
        slot: (ecg_train if slot.startswith("ecg") else pulse_train)(line, begin_s) for slot, line in lines.items()
    }
    found: Figures = {}
    for slot, train in trains.items():
        width_s = MOVE_S["ecg" if slot.startswith("ecg") else "pulse"]
        figures = rate_criteria(train, end_s) | beat_spread(train, begin_s)
        figures |= quiet_criteria(lines[slot], train.usual_size, width_s)
        found |= {f"{slot}_{name}": value for name, value in figures.items()}
    found |= over_channels(found) | explained_features(trains, end_s)
    leads = {slot: trains[slot] for slot in GROUPS["ecg"] if slot in trains}
    found |= ventricular_features(leads, {slot: trace.quality[SLOTS[slot]] for slot in leads}, end_s)
    found |= {f"burst_{name}": value for name, value in burst_features(lines).items()}
    return found | series_features({slot: lines[slot] for slot in leads})


def rate_criteria(train: BeatTrain, end_s: float) -> Figures:
    """Return longest gaps, s, and lowest and highest rates, per minute, in the last seconds."""
    found: Figures = {}
    for length_s in ENDS_S[:2]:
        begin_s, tail = max(0.0, end_s - length_s), f"in_{length_s:g}"
        is_late = train.times_s >= begin_s
        late, solid = train.times_s[is_late], train.times_s[is_late & (train.size >= SOLID)]
        found[f"gap_{tail}"], found[f"solid_gap_{tail}"] = (longest_gap(one, begin_s, end_s) for one in (late, solid))
        found |= {f"slow{number}_{tail}": extreme_rate(late, number, fastest=False) for number in SLOW}
        found[f"solid_slow4_{tail}"] = extreme_rate(solid, 4, fastest=False)
        found |= {f"fast{number}_{tail}": extreme_rate(late, number, fastest=True) for number in FAST}
    return found


def longest_gap(times_s: Float[np.ndarray, " beat"], begin_s: float, end_s: float) -> float:
    """Return the longest time without a beat between two moments, s.

    Example:
        >>> longest_gap(np.array([1.0, 2.0, 7.0]), 0.0, 8.0)
        5.0
    """
    return float(np.diff(np.concatenate(([begin_s], times_s, [end_s]))).max())


def beat_spread(train: BeatTrain, begin_s: float) -> Figures:
    """Return the patient's norm, and how the window's beats lie beside it."""
    found: Figures = {"norm_unlike": train.unlike_before, "norm_bpm": 60 / train.usual_interval_s}
    is_late = train.times_s >= begin_s
    for name, every in (("like", train.like), ("size", train.size), ("interval", train.interval)):
        values = every[is_late & np.isfinite(every)]
        for quantile in (10, 50, 90):
            found[f"{name}_{quantile}"] = float(np.percentile(values, quantile)) if len(values) else np.nan
    return found


def quiet_criteria(line: Float32[np.ndarray, " time"], usual_size: float, width_s: float) -> Figures:
    """Return the longest rest of the line at the end, s, and its least movement over 3 s beside a usual beat."""
    width, step = round(width_s * RATE_HZ), 4
    late = line[-round((ENDS_S[0] + width_s) * RATE_HZ) :]
    if len(late) <= width or not np.isfinite(usual_size):
        return {f"quiet_{share:g}": np.nan for share in QUIET} | {"least_move": np.nan}
    moves = np.ptp(sliding_window_view(late, width)[::step], axis=1) / (usual_size + 1e-9)
    found = {f"quiet_{share:g}": longest_run(moves < share) * step / RATE_HZ for share in QUIET}
    means = sliding_window_view(moves, min(len(moves), round(3 * RATE_HZ / step))).mean(axis=1)
    return found | {"least_move": float(means.min())}


def over_channels(found: Figures) -> Figures:
    """Return the lowest and the highest of both leads, of both pulses and of all channels, and their median."""
    names = sorted({name.partition("_")[2] for name in found})
    out: Figures = {}
    for group, slots in GROUPS.items():
        for name in names:
            values = [v for slot in slots if np.isfinite(v := found.get(f"{slot}_{name}", np.nan))]
            out[f"{group}_lowest_{name}"] = min(values, default=np.nan)
            out[f"{group}_highest_{name}"] = max(values, default=np.nan)
            if group == "any":
                out[f"any_middle_{name}"] = float(np.median(values)) if values else np.nan
    return out


def explained_features(trains: Mapping[str, BeatTrain], end_s: float) -> Figures:
    """Return how much of the end usual beats explain, and the longest stretch they leave, by channel and together."""
    masks = {slot: _explained(train, end_s) for slot, train in trains.items()}
    found: Figures = {}
    for slot, mask in masks.items():
        found |= _of_mask(slot, mask)
    for group, slots in GROUPS.items():
        known = [masks[slot] for slot in slots if slot in masks]
        found |= _of_mask(f"{group}_one", np.any(known, axis=0)) if known else {}
        found |= _of_mask(f"{group}_all", np.all(known, axis=0)) if known else {}
    return found


def _explained(train: BeatTrain, end_s: float) -> Mask:
    num = round(ENDS_S[0] * GRID_HZ)
    ticks_s = end_s - (np.arange(num)[::-1] + 0.5) / GRID_HZ
    spans = train.usual_spans()
    if not len(spans):
        return np.zeros(num, bool)
    before = np.searchsorted(spans[:, 0], ticks_s, side="right") - 1
    return np.asarray((before >= 0) & (ticks_s < spans[np.maximum(before, 0), 1]))


def _of_mask(name: str, mask: Mask, ends_s: Sequence[float] = ENDS_S) -> Figures:
    found: Figures = {}
    for length_s in ends_s:
        late = mask[-round(length_s * GRID_HZ) :]
        found[f"{name}_usual_in_{length_s:g}"] = float(late.mean())
        found[f"{name}_unusual_run_in_{length_s:g}"] = longest_run(~late) / GRID_HZ
    return found
