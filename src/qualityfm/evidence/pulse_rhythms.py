"""AF from a pulse alone: PPG simulated on real beats, against sinus, ectopy, VT, other tachycardia and bradycardia.

No open set has PPG of intensive care with AF labels at hand, so pulses are made from the annotated beats of real
patients: the model learns from the training cases and is asked about the test cases, which no other part of it met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from qualityfm.errors import ConfigError
from qualityfm.evidence.intervals import Estimate, auc, bootstrap
from qualityfm.records import ChannelKind
from qualityfm.tasks.alarm_features import PULSE_BAND, filtered
from qualityfm.tasks.beat_features import Figures
from qualityfm.tasks.boosting import SETTINGS, boosted
from qualityfm.tasks.features import feature_row
from qualityfm.tasks.pulses import find_pulses
from qualityfm.tasks.rhythm_features import interval_features
from qualityfm.tasks.rhythms import WINDOW_S
from qualityfm.tasks.traces import RATE_HZ
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.rhythm import Rhythm
from qualityfm.waveform.rhythm_bank import LABELS, RhythmBank
from qualityfm.waveform.simulate import SimulationConfig, simulate

MODEL = "intervals of pulses simulated on real beats"
AF: Rhythm = "af"
#: Cases of each rhythm at most, to learn from and to be asked. Our own choice.
NUM_TAUGHT, NUM_ASKED = 60, 40
#: The patients around the beats have seeds apart from each other's and from those of other benchmarks.
SEEDS = {"train": 710_000, "test": 720_000}


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Windows of simulated pulses.

    Attributes:
        figures: Statistics of the intervals of each window.
        rhythm: Of each window.
        case: Whose beats they are.
    """

    figures: tuple[Figures, ...]
    rhythm: Shaped[np.ndarray, " window"]
    case: Shaped[np.ndarray, " window"]

    @property
    def is_af(self) -> Bool[np.ndarray, " window"]:
        """Where the rhythm is AF."""
        return np.asarray(self.rhythm == AF)


def pulse_rhythm_rows(
    beat_lists: Path, *, num_taught: int = NUM_TAUGHT, num_asked: int = NUM_ASKED, num_rounds: int = 500
) -> list[tuple[str, str, Estimate]]:
    """Return (model, figure, estimate): the AUC of AF against all other rhythms, and against each of them.

    Args:
        beat_lists: Where the annotations of `vitaldb_arrhythmia_annotations` lie.
        num_taught: Training cases of each rhythm, at most.
        num_asked: Test cases of each rhythm, at most.
        num_rounds: Bootstrap rounds over cases.

    Raises:
        SourceError: There are no annotations, or a file is not what it should be.
    """
    taught, asked = _simulated(beat_lists, "train", num_taught), _simulated(beat_lists, "test", num_asked)
    names = sorted(set().union(*taught.figures))
    known, new = (np.array([feature_row(row, names) for row in part.figures]) for part in (taught, asked))
    score = boosted(known, taught.is_af, SETTINGS, 0).predict(new)
    rows = [(MODEL, "auc", _area(asked, score, np.ones(len(score), bool), num_rounds))]
    for rhythm in LABELS:
        is_other = asked.rhythm == rhythm
        if rhythm != AF and is_other.any():
            rows.append((MODEL, f"auc against {rhythm}", _area(asked, score, asked.is_af | is_other, num_rounds)))
    return rows


def _area(asked: _Windows, score: np.ndarray, is_in: np.ndarray, num_rounds: int) -> Estimate:
    truth, score, case = asked.is_af[is_in], score[is_in], asked.case[is_in]
    return bootstrap(lambda r: auc(truth[r], score[r]), case, num_rounds=num_rounds)


def _simulated(folder: Path, part: Literal["train", "test"], num_cases: int) -> _Windows:
    """Return the windows of so many cases of each rhythm, in random order."""
    bank = RhythmBank.from_folder(folder, part)
    figures: list[Figures] = []
    rhythms: list[str] = []
    cases: list[int] = []
    for number, rhythm in enumerate(LABELS):
        found = 0
        for k in np.random.default_rng([SEEDS[part], number]).permutation(len(bank.cases)):
            case = bank.cases[k]
            seed = SEEDS[part] + 1_000 * number + int(k)
            rows = [_of_intervals(line) for line in _lines(RhythmBank((case,)), rhythm, seed)]
            figures += rows
            rhythms += [rhythm] * len(rows)
            cases += [case.case_id] * len(rows)
            found += bool(rows)
            if found == num_cases:
                break
    return _Windows(figures=tuple(figures), rhythm=np.array(rhythms), case=np.array(cases))


def _lines(bank: RhythmBank, rhythm: Rhythm, seed: int) -> Iterator[Float32[np.ndarray, " time"]]:
    """Yield the windows of a minute of clean PPG on one case's beats; none where it has no such stretch."""
    settings = SimulationConfig(duration_s=2 * WINDOW_S, rhythm=rhythm, faults_per_minute=0.0)
    try:
        clean = simulate(seed, settings, rhythms=bank).clean
    except ConfigError:
        return
    (signal,) = clean.of_kind(ChannelKind.PPG)
    line = resample(signal.samples, signal.sample_rate_hz, RATE_HZ).astype(np.float32)
    length = round(WINDOW_S * RATE_HZ)
    for first in range(0, len(line) - length + 1, length):
        yield line[first : first + length]


def _of_intervals(line: Float32[np.ndarray, " time"]) -> Figures:
    shown = filtered(line, PULSE_BAND)
    return interval_features(find_pulses(shown, RATE_HZ).length_s if shown is not None else np.zeros(0))
