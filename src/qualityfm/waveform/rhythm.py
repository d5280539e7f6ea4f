"""When a simulated heart beats, and what kind of beat each one is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int8

Rhythm = Literal["sinus", "af", "ectopy", "vt", "brady", "tachy"]
RHYTHMS: tuple[Rhythm, ...] = get_args(Rhythm)

#: Heart rate at rest of each rhythm, beats per minute: drawn evenly from the range. "vt": between its runs.
HEART_RATE_BPM = {
    "sinus": (55.0, 95.0),
    "af": (65.0, 130.0),
    "ectopy": (55.0, 90.0),
    "vt": (65.0, 100.0),
    "brady": (34.0, 50.0),
    "tachy": (105.0, 150.0),
}

#: Rate of a run of ventricular tachycardia, beats per minute, and its length in beats.
VT_RATE_BPM = (130.0, 210.0)
VT_RUN_BEATS = (8, 40)

#: The heart has beaten for so long when a simulation starts, s: pressure needs some beats to settle.
LEAD_IN_S = 12.0
LEAD_OUT_S = 2.0


class BeatKind(IntEnum):
    """Where a beat comes from: it decides the shape of the ECG and the strength of the pulse."""

    SINUS = 0
    AF = 1  # conducted from a fibrillating atrium: narrow, without P wave
    PVC = 2  # premature ventricular contraction
    VT = 3  # one of a run of ventricular tachycardia


@dataclass(frozen=True, kw_only=True)
class Beats:
    """The beats of one heart.

    Attributes:
        times_s: Time of each R peak, s, increasing; negative ones came before the recording.
        kinds: `BeatKind` of each beat.
        rr_s: Interval since the beat before, s: the time the heart had to fill.
    """

    times_s: Float64[np.ndarray, " beat"]
    kinds: Int8[np.ndarray, " beat"]
    rr_s: Float64[np.ndarray, " beat"]


def make_beats(
    rhythm: Rhythm, duration_s: float, heart_rate_bpm: float, respiration_hz: float, rng: np.random.Generator
) -> Beats:
    """Return the beats from `LEAD_IN_S` before the start of a recording to `LEAD_OUT_S` after its end.

    Args:
        rhythm: One of `RHYTHMS`.
        duration_s: Length of the recording, s.
        heart_rate_bpm: Mean rate of the conducted beats, per minute.
        respiration_hz: Breaths per second, for respiratory sinus arrhythmia.
        rng: Every draw is made from it.
    """
    span_s = duration_s + LEAD_IN_S + LEAD_OUT_S
    mean_rr_s = 60 / heart_rate_bpm
    if rhythm == "af":
        times = _af_times(span_s, mean_rr_s, rng)
        kinds = np.full(len(times), BeatKind.AF, np.int8)
    else:
        times = _sinus_times(span_s, mean_rr_s, respiration_hz, rng)
        kinds = np.full(len(times), BeatKind.SINUS, np.int8)
    if rhythm == "ectopy":
        times, kinds = _with_pvcs(times, kinds, rng)
    elif rhythm == "vt":
        times, kinds = _with_vt_runs(times, kinds, duration_s, rng)
    rr = np.diff(times, prepend=times[0] - mean_rr_s)
    return Beats(times_s=times - LEAD_IN_S, kinds=kinds, rr_s=rr)


def _sinus_times(
    span_s: float, mean_rr_s: float, respiration_hz: float, rng: np.random.Generator
) -> Float64[np.ndarray, " beat"]:
    """Return R times paced by respiration and by 0.1-Hz (Mayer) waves, on top of a little noise.

    A fast heart varies less: both waves shrink with the RR interval. Source: the two bands are those of McSharry et
    al., IEEE TBME 50(3):289 (2003).
    """
    arrhythmia = rng.uniform(0.01, 0.06) * min(1.0, mean_rr_s)
    mayer = rng.uniform(0.01, 0.04) * min(1.0, mean_rr_s)
    mayer_hz = rng.uniform(0.08, 0.12)
    phases = rng.uniform(0, 2 * np.pi, 2)
    times, now = [], 0.0
    while now < span_s:
        swing = arrhythmia * np.sin(2 * np.pi * respiration_hz * now + phases[0])
        swing += mayer * np.sin(2 * np.pi * mayer_hz * now + phases[1])
        now += mean_rr_s * (1 + swing + 0.006 * rng.standard_normal())
        times.append(now)
    return np.array(times)


def _af_times(span_s: float, mean_rr_s: float, rng: np.random.Generator) -> Float64[np.ndarray, " beat"]:
    """Return R times without order: independent intervals, the atrioventricular node sets the shortest."""
    shortest_s = rng.uniform(0.32, 0.4)
    spread = rng.uniform(0.18, 0.28)  # coefficient of variation, before the shortest interval cuts it
    shape = ((mean_rr_s - shortest_s) / (spread * mean_rr_s)) ** 2
    num_beats = int(3 * span_s / mean_rr_s) + 10
    intervals = shortest_s + rng.gamma(shape, (mean_rr_s - shortest_s) / shape, num_beats)
    times = np.cumsum(intervals)
    return np.asarray(times[: np.searchsorted(times, span_s) + 1])


def _with_pvcs(
    times: Float64[np.ndarray, " beat"], kinds: Int8[np.ndarray, " beat"], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats with premature ones in place of some: the sinus beat they replace is what makes the pause."""
    times, kinds = times.copy(), kinds.copy()
    share = rng.uniform(0.08, 0.2)
    coupling = rng.uniform(0.55, 0.72)
    k = int(rng.integers(2, 5))
    while k < len(times) - 1:
        times[k] = times[k - 1] + (times[k] - times[k - 1]) * (coupling + rng.normal(0, 0.02))
        kinds[k] = BeatKind.PVC
        k += 2 + rng.geometric(min(1.0, share / (1 - 2 * share)))
    return times, kinds


def _with_vt_runs(
    times: Float64[np.ndarray, " beat"], kinds: Int8[np.ndarray, " beat"], duration_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats with runs of ventricular tachycardia, about two a minute and at least one."""
    run_rr_s = 60 / rng.uniform(*VT_RATE_BPM)
    start = LEAD_IN_S + rng.uniform(0.1, 0.5) * min(duration_s, 30.0)
    all_times, all_kinds, done_s = [], [], 0.0
    while start < LEAD_IN_S + duration_s:
        before = (times >= done_s) & (times < start)
        num_beats = int(rng.integers(*VT_RUN_BEATS, endpoint=True))
        first = (times[before][-1] if before.any() else start) + 0.62 * float(np.median(np.diff(times)))
        intervals = run_rr_s * (1 + 0.02 * rng.standard_normal(num_beats))
        run = first + np.cumsum(intervals) - intervals[0]
        all_times += [times[before], run]
        all_kinds += [kinds[before], np.full(num_beats, BeatKind.VT, np.int8)]
        done_s = run[-1] + 1.1 * float(np.median(np.diff(times)))
        start = done_s + rng.uniform(8, 30)
    rest = times >= done_s
    return np.concatenate([*all_times, times[rest]]), np.concatenate([*all_kinds, kinds[rest]])
