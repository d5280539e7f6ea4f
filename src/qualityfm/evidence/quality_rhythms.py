"""Blindness beyond annotated sinus: fibrillation, true alarms of intensive care, pulses made of beat sequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from qualityfm.evidence.quality_data import SEGMENT_S, read_rows
from qualityfm.evidence.quality_figures import Figure, auc_figure
from qualityfm.evidence.quality_scorers import Scorer
from qualityfm.quality import score_block
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock
from qualityfm.sources import open_recording, read_annotations
from qualityfm.waveform.rhythm import RHYTHMS, BeatKind, Rhythm
from qualityfm.waveform.rhythm_bank import LABELS, RhythmBank
from qualityfm.waveform.simulate import Simulation, SimulationConfig, simulate

MEASURE = "AUC of a low score against sinus"
AIM = "0.40 to 0.60"

#: The alarm of the 2015 challenge sounds at 300 s, at most ten seconds after what it tells of began.
ALARM_S, BEFORE_S = (286, 299), (30, 270)
#: A lead that is never worth anything before the alarm says nothing about the rhythm.
LEAST_BEST = 0.5


def fibrillation_figures(folder: Path, scorers: Mapping[str, Scorer], rounds: int) -> list[Figure]:
    """Return how well a low score tells ventricular fibrillation from the minutes before it; draws segments."""
    path = folder / "cu01"
    recording = open_recording(path)
    marks = read_annotations(path, "atr")
    onset = int(next(s for s, c in zip(marks.times_s, marks.symbols, strict=True) if c == "["))
    is_vf = np.arange(int(recording.duration_s)) > onset
    groups = np.arange(len(is_vf)) // SEGMENT_S
    figures = []
    for method, scorer in scorers.items():
        names = ("rhythm blindness", "ecg, ventricular fibrillation (cu01)", method, MEASURE)
        figures.append(auc_figure(names, is_vf, scorer(recording).quality[0, : len(is_vf)], groups, rounds, AIM))
    return figures


def alarm_figures(folder: Path, blocks: list[SegmentBlock], rounds: int) -> list[Figure]:
    """Return how well a low score tells the seconds of true alarms from the minutes before, by alarm and channel."""
    truth = {r["record"]: r["alarm"] for r in read_rows(folder / "records.csv") if r["true_alarm"] == "1"}
    parts: dict[tuple[str, ChannelKind], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    for block in blocks:
        alarm = truth.get(Path(block.recording_id).name)
        if alarm is None:
            continue
        quality = score_block(block).quality
        for c, name in enumerate(block.names):
            line = quality[:, c].ravel()
            if name is None or len(line) < ALARM_S[1] or line[: ALARM_S[0]].max() < LEAST_BEST:
                continue
            inside, before = line[slice(*ALARM_S)], line[slice(*BEFORE_S)]
            is_alarm = np.r_[np.ones(len(inside), bool), np.zeros(len(before), bool)]
            group = np.full(len(is_alarm), block.recording_id, object)
            parts[alarm, block.config.channels[c]].append((is_alarm, np.r_[inside, before], group))
    figures = []
    for (alarm, kind), found in sorted(parts.items()):
        is_alarm, seconds, groups = (np.concatenate(p) for p in zip(*found, strict=True))
        if len(np.unique(groups)) >= 2:
            case = f"{kind.value}, true {alarm.replace('_', ' ').lower()} alarms"
            names = ("rhythm blindness", case, "QualityFM", "AUC of a low score against the minutes before")
            aim = "" if alarm == "Asystole" else AIM
            figures.append(auc_figure(names, is_alarm, seconds, groups, rounds, aim))
    return figures


def pulse_figures(
    per_rhythm: int, scorers: Mapping[str, Scorer], rounds: int, rhythms: RhythmBank | None = None
) -> list[Figure]:
    """Return the same for clean pulses simulated in each rhythm.

    Args:
        per_rhythm: Patients of each rhythm.
        scorers: By name.
        rounds: Bootstrap rounds over patients.
        rhythms: Beats of real patients for the rhythms that it knows; without it all are modelled.
    """
    wanted = [r for r in RHYTHMS if rhythms is None or r in LABELS]
    patients = {rhythm: _patients(rhythm, per_rhythm, rhythms) for rhythm in wanted}
    origin = "simulated ppg" if rhythms is None else "simulated ppg of real beats"
    figures = []
    for method, scorer in scorers.items():
        seconds = {
            rhythm: [_pulse_seconds(p, rhythm, scorer, i) for i, p in enumerate(simulated)]
            for rhythm, simulated in patients.items()
        }
        sinus, sinus_groups = (np.concatenate(p) for p in zip(*seconds.pop("sinus"), strict=True))
        for name, parts in seconds.items():
            other, groups = (np.concatenate(p) for p in zip(*parts, strict=True))
            is_other = np.r_[np.ones(len(other), bool), np.zeros(len(sinus), bool)]
            names = ("rhythm blindness", f"{origin}, {name}", method, MEASURE)
            scores, both = np.r_[other, sinus], np.r_[groups, sinus_groups]
            figures.append(auc_figure(names, is_other, scores, both, rounds, AIM))
    return figures


def _patients(rhythm: Rhythm, number: int, rhythms: RhythmBank | None) -> list[Simulation]:
    settings = SimulationConfig(duration_s=60.0, rhythm=rhythm, faults_per_minute=0.0)
    return [simulate(60_000 + i, settings, rhythms=rhythms) for i in range(number)]


def _pulse_seconds(patient: Simulation, rhythm: str, scorer: Scorer, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the quality of each second, of "ectopy" and "vt" only next to abnormal beats, and its patient."""
    pulse = replace(patient.clean, signals=patient.clean.of_kind(ChannelKind.PPG))
    quality = scorer(pulse).quality[0, : int(patient.clean.duration_s)]
    if rhythm in ("ectopy", "vt"):
        is_abnormal = np.isin(patient.beats.kinds, (BeatKind.PVC, BeatKind.VT))
        marks = np.zeros(len(quality))
        marks[np.minimum(patient.beats.times_s[is_abnormal].astype(int), len(quality) - 1)] = 1
        quality = quality[np.convolve(marks, [1, 1, 1], "same") > 0]
    return quality, np.full(len(quality), number)
