"""Which complexes look ventricular beside the patient's usual one, and the runs they form: features of VT alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.special import expit

from qualityfm.tasks.beat_features import Figures
from qualityfm.tasks.beat_trains import BeatTrain
from qualityfm.tasks.trees import Trees, trees_from

#: Boosted trees on `shape_table`: ventricular against supraventricular complexes of MIT-BIH Arrhythmia, by their shape
#: alone and no interval, so that a run is not known by its rate. Made by benchmarks/fit_ventricular.py, figures in
#: docs/experiments/LOG.md 0023.
TREES = Path(__file__).with_name("ventricular.npz")
SHAPES = ("like", "size", "broadness", "sharpness", "spread")
#: Runs that are looked for: numbers of beats, and the rate per minute that they keep. Source: five ventricular beats
#: above 100, Clifford et al., CinC 2015:273; one limit on either side of it.
RUN_BEATS, RUN_BPM = (3, 5, 7), (90.0, 110.0)
#: Two leads show one complex within this time, s. Our own choice, docs/decisions/0037.
SAME_S = 0.15
#: Seconds at the end in which runs are looked for.
WINDOW_S = 16.0

Values = Float[np.ndarray, " beat"]


@dataclass(frozen=True, kw_only=True)
class LateBeats:
    """The complexes of a lead in the window.

    Attributes:
        times_s: Moment of each, seconds of the trace.
        chance: Probability of a ventricular one.
        quality: Of its second.
    """

    times_s: Values
    chance: Values
    quality: Values


@cache
def _trees() -> Trees:
    with np.load(TREES, allow_pickle=False) as kept:
        return trees_from({name: kept[name] for name in kept.files}, "", len(SHAPES), TREES)


def ventricular_chance(train: BeatTrain) -> Values:
    """Return the probability that each complex is ventricular, from its shape beside the usual one."""
    return np.asarray(expit(_trees().predict(shape_table(train))), np.float64)


def shape_table(train: BeatTrain) -> Float[np.ndarray, "beat shape"]:
    """Return what is known of each complex's shape."""
    return np.asarray(np.nan_to_num(np.stack([getattr(train, name) for name in SHAPES], axis=1)), np.float64)


def ventricular_features(
    trains: Mapping[str, BeatTrain], quality: Mapping[str, Float32[np.ndarray, " second"]], duration_s: float
) -> Figures:
    """Return features of ventricular runs at the end, by ECG lead, and over both leads.

    Args:
        trains: Complexes by lead.
        quality: Quality of each second by lead.
        duration_s: Length of the trace, s.
    """
    found: Figures = {}
    late: dict[str, LateBeats] = {}
    for lead, train in trains.items():
        if len(train) < 2:
            continue
        chance, is_late = ventricular_chance(train), train.times_s >= duration_s - WINDOW_S
        seconds = np.minimum(train.times_s[is_late].astype(int), len(quality[lead]) - 1)
        late[lead] = LateBeats(
            times_s=train.times_s[is_late], chance=chance[is_late], quality=quality[lead][seconds].astype(np.float64)
        )
        found |= _prefixed(lead, _of_lead(late[lead]) | _against_before(train.times_s, chance, is_late))
    found |= _over_leads(late) | _together(found)
    return found


def _of_lead(beats: LateBeats) -> Figures:
    found = run_features(beats.times_s, beats.chance) | _longest_run(beats)
    found |= _prefixed("trusted", run_features(beats.times_s, beats.chance * beats.quality, (5,)))
    return found | {"chance": float(beats.chance.mean()) if len(beats.chance) else np.nan}


def _against_before(times_s: Values, chance: Values, is_late: Bool[np.ndarray, " beat"]) -> Figures:
    """Return how ventricular the minutes before were, and how much more so the window is."""
    before = run_features(times_s[~is_late], chance[~is_late], (5,))["run5_90_mean"]
    late = run_features(times_s[is_late], chance[is_late], (5,))["run5_90_mean"]
    usual = float(chance[~is_late].mean()) if (~is_late).any() else np.nan
    now = float(chance[is_late].mean()) if is_late.any() else np.nan
    return {"before": usual, "run_before": before, "change": now - usual, "run_change": late - before}


def run_features(times_s: Values, chance: Values, numbers: tuple[int, ...] = RUN_BEATS) -> Figures:
    """Return the highest mean and lower quartile of the probabilities over beats in a row that are fast enough."""
    found: Figures = {}
    for number in numbers:
        starts = np.arange(len(times_s) - number + 1)
        spans = times_s[starts + number - 1] - times_s[starts] if len(starts) > 0 else np.zeros(0)
        for rate in RUN_BPM:
            rows = starts[: len(spans)][spans <= (number - 1) * 60 / rate]
            runs = np.sort(chance[rows[:, None] + np.arange(number)], axis=1)
            found[f"run{number}_{rate:g}_mean"] = float(runs.mean(axis=1).max(initial=0))
            found[f"run{number}_{rate:g}_quarter"] = float(runs[:, number // 4].max(initial=0))
    return found


def _longest_run(beats: LateBeats) -> Figures:
    """Return length, rate and evenness of the longest run of complexes that are more likely ventricular than not."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], beats.chance > 0.5, [False])).astype(np.int8)))
    spans = edges.reshape(-1, 2)
    first, end = spans[np.argmax(spans[:, 1] - spans[:, 0])] if len(spans) else (0, 0)
    gaps = np.diff(beats.times_s[first:end])
    is_run = len(gaps) >= 2
    return {
        "longest": float(end - first),
        "longest_s": float(gaps.sum()),
        "longest_bpm": float(60 / gaps.mean()) if is_run else np.nan,
        "longest_cv": float(gaps.std() / gaps.mean()) if is_run else np.nan,
    }


def _over_leads(late: Mapping[str, LateBeats]) -> Figures:
    """Return runs of which both leads say so, and of which they say so on average, weighted by quality."""
    found: Figures = {}
    if len(late) < 2:
        return found
    for lead, other in (tuple(late), tuple(late)[::-1]):
        mine, theirs = late[lead], late[other]
        if not len(mine.times_s) or not len(theirs.times_s):
            continue
        nearest = np.abs(mine.times_s[:, None] - theirs.times_s).argmin(axis=1)
        is_met = np.abs(mine.times_s - theirs.times_s[nearest]) < SAME_S
        chance, weight = np.where(is_met, theirs.chance[nearest], 0.0), theirs.quality[nearest]
        mean = (mine.chance * mine.quality + chance * weight) / (mine.quality + weight + 1e-3)
        found |= _prefixed(f"{lead}_both", run_features(mine.times_s, np.minimum(mine.chance, chance), (3, 5)))
        weighted = np.where(is_met, mean, mine.chance / 2)
        found |= _prefixed(f"{lead}_weighted", run_features(mine.times_s, weighted, (3, 5)))
        found[f"{lead}_met"] = float(is_met.mean())
    return found


def _together(found: Figures) -> Figures:
    """Return the lower and the higher lead for every feature."""
    out: Figures = {}
    names = sorted({name.partition("_")[2] for name in found})
    for name in names:
        values = [v for lead in ("ecg1", "ecg2") if np.isfinite(v := found.get(f"{lead}_{name}", np.nan))]
        if values:
            out |= {f"ecg_low_{name}": min(values), f"ecg_high_{name}": max(values)}
    return out


def _prefixed(prefix: str, figures: Figures) -> Figures:
    return {f"{prefix}_{name}": value for name, value in figures.items()}
