"""When a simulated heart beats, and what kind of beat each one is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int8

Rhythm = Literal[
    "sinus", "af", "ectopy", "vt", "brady", "tachy", "svt", "flutter", "bigeminy", "paced", "vf", "asystole"
]
RHYTHMS: tuple[Rhythm, ...] = get_args(Rhythm)

#: Heart rate at rest of each rhythm, beats per minute: drawn evenly from the range. "vt": between its runs.
HEART_RATE_BPM = {
    "sinus": (55.0, 95.0),
    "af": (65.0, 130.0),
    "ectopy": (55.0, 90.0),
    "vt": (65.0, 100.0),
    "brady": (34.0, 50.0),
    "tachy": (105.0, 150.0),
    "svt": (60.0, 95.0),
    "flutter": (65.0, 150.0),
    "bigeminy": (55.0, 90.0),
    "paced": (60.0, 90.0),
    "vf": (60.0, 110.0),
    "asystole": (50.0, 90.0),
}

#: Rate of a run of ventricular tachycardia, beats per minute, and its length in beats.
VT_RATE_BPM = (130.0, 210.0)
VT_RUN_BEATS = (8, 40)

#: The same of supraventricular tachycardia.
SVT_RATE_BPM = (150.0, 220.0)
SVT_RUN_BEATS = (10, 80)

#: Rate of the atria in flutter, per minute. Source: typical flutter, Bun et al., Eur Heart J 36:2356 (2015).
FLUTTER_RATE_BPM = (240.0, 340.0)

#: The heart has beaten for so long when a simulation starts, s: pressure needs some beats to settle.
LEAD_IN_S = 12.0
LEAD_OUT_S = 2.0


class BeatKind(IntEnum):
    """Where a beat comes from: it decides the shape of the ECG and the strength of the pulse."""

    SINUS = 0
    AF = 1  # conducted from a fibrillating atrium: narrow, without P wave
    PVC = 2  # premature ventricular contraction
    VT = 3  # one of a run of ventricular tachycardia
    PAC = 4  # premature atrial contraction: narrow, with an early P wave of another shape
    SVT = 5  # one of a run of supraventricular tachycardia: narrow, its P wave hidden
    FLUTTER = 6  # conducted from fluttering atria: narrow, on saw-tooth waves
    PACED = 7  # paced from the ventricle: a pacing spike, then a broad beat


@dataclass(frozen=True, kw_only=True)
class Beats:
    """The beats of one heart.

    Attributes:
        times_s: Time of each R peak, s, increasing; negative ones came before the recording.
        kinds: `BeatKind` of each beat.
        rr_s: Interval since the beat before, s: the time the heart had to fill.
        standstill_s: Spans, from start to end in s, in which no beat comes.
        is_fibrillating: Whether the ventricles fibrillate in those spans; otherwise the line is silent.
        atrial_hz: Rate of the atria where they flutter, Hz; 0 where they do not.
    """

    times_s: Float64[np.ndarray, " beat"]
    kinds: Int8[np.ndarray, " beat"]
    rr_s: Float64[np.ndarray, " beat"]
    standstill_s: tuple[tuple[float, float], ...] = ()
    is_fibrillating: bool = False
    atrial_hz: float = 0.0


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
    atrial_hz = 0.0
    standstill: tuple[tuple[float, float], ...] = ()
    if rhythm == "af":
        times = _af_times(span_s, mean_rr_s, rng)
        kinds = np.full(len(times), BeatKind.AF, np.int8)
    elif rhythm == "flutter":
        times, atrial_hz = _flutter_times(span_s, mean_rr_s, rng)
        kinds = np.full(len(times), BeatKind.FLUTTER, np.int8)
    elif rhythm == "paced":
        times = np.arange(0, span_s, mean_rr_s)
        kinds = np.full(len(times), BeatKind.PACED, np.int8)
    else:
        times = _sinus_times(span_s, mean_rr_s, respiration_hz, rng)
        kinds = np.full(len(times), BeatKind.SINUS, np.int8)
    if rhythm == "ectopy":
        times, kinds = _with_pvcs(times, kinds, rng)
    elif rhythm == "bigeminy":
        times, kinds = _with_bigeminy(times, kinds, rng)
    elif rhythm == "vt":
        times, kinds = _with_runs(times, kinds, duration_s, BeatKind.VT, rng)
    elif rhythm == "svt":
        times, kinds = _with_runs(times, kinds, duration_s, BeatKind.SVT, rng)
    elif rhythm in ("vf", "asystole"):
        times, kinds, standstill = _with_standstill(times, kinds, duration_s, rhythm == "vf", rng)
    rr = np.diff(times, prepend=times[0] - mean_rr_s)
    return Beats(
        times_s=times - LEAD_IN_S,
        kinds=kinds,
        rr_s=rr,
        standstill_s=standstill,
        is_fibrillating=rhythm == "vf",
        atrial_hz=atrial_hz,
    )


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


def _with_runs(
    times: Float64[np.ndarray, " beat"],
    kinds: Int8[np.ndarray, " beat"],
    duration_s: float,
    kind: BeatKind,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats with runs of a tachycardia, about two a minute and at least one."""
    rate_bpm, run_beats = (VT_RATE_BPM, VT_RUN_BEATS) if kind == BeatKind.VT else (SVT_RATE_BPM, SVT_RUN_BEATS)
    run_rr_s = 60 / rng.uniform(*rate_bpm)
    start = LEAD_IN_S + rng.uniform(0.1, 0.5) * min(duration_s, 30.0)
    all_times, all_kinds, done_s = [], [], 0.0
    while start < LEAD_IN_S + duration_s:
        before = (times >= done_s) & (times < start)
        num_beats = int(rng.integers(*run_beats, endpoint=True))
        first = (times[before][-1] if before.any() else start) + 0.62 * float(np.median(np.diff(times)))
        intervals = run_rr_s * (1 + 0.02 * rng.standard_normal(num_beats))
        run = first + np.cumsum(intervals) - intervals[0]
        all_times += [times[before], run]
        all_kinds += [kinds[before], np.full(num_beats, kind, np.int8)]
        done_s = run[-1] + 1.1 * float(np.median(np.diff(times)))
        start = done_s + rng.uniform(8, 30)
    rest = times >= done_s
    return np.concatenate([*all_times, times[rest]]), np.concatenate([*all_kinds, kinds[rest]])


def _flutter_times(span_s: float, mean_rr_s: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return R times and the rate of the atria, Hz: every second, third or fourth flutter wave is conducted."""
    atrial_hz = float(rng.uniform(*FLUTTER_RATE_BPM)) / 60
    usual = int(np.clip(round(mean_rr_s * atrial_hz), 2, 4))
    is_fixed = rng.random() < 0.6
    num_beats = int(span_s * atrial_hz / 2) + 2
    ratios = np.full(num_beats, usual) if is_fixed else rng.choice([2, 3, 4], num_beats)
    times = np.cumsum(ratios / atrial_hz + 0.006 * rng.standard_normal(num_beats))
    return np.asarray(times[: np.searchsorted(times, span_s) + 1]), atrial_hz


def _with_bigeminy(
    times: Float64[np.ndarray, " beat"], kinds: Int8[np.ndarray, " beat"], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats with a premature ventricular one in place of every second, its coupling nearly fixed."""
    times, kinds = times.copy(), kinds.copy()
    every_second = np.arange(1, len(times) - 1, 2)
    coupling = rng.uniform(0.55, 0.7) + 0.01 * rng.standard_normal(len(every_second))
    times[every_second] = times[every_second - 1] + (times[every_second] - times[every_second - 1]) * coupling
    kinds[every_second] = BeatKind.PVC
    return times, kinds


def _with_standstill(
    times: Float64[np.ndarray, " beat"],
    kinds: Int8[np.ndarray, " beat"],
    duration_s: float,
    is_final: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[float, float], ...]]:
    """Return the beats without those of a standstill, and its span: to the end where it is final, else 4 to 15 s."""
    begin = LEAD_IN_S + rng.uniform(0.25, 0.6) * duration_s
    end = times[-1] + 1 if is_final else min(begin + rng.uniform(4, 15), LEAD_IN_S + 0.9 * duration_s)
    kept = (times < begin) | (times >= end)
    # The standstill begins when the last beat's T wave is over.
    begin = float(times[times < begin][-1]) + 0.5
    return times[kept], kinds[kept], ((begin - LEAD_IN_S, float(end) - LEAD_IN_S),)
