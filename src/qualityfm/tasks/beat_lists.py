"""Windows of AF and other rhythms from lists of beats without waveforms: more patients for a model of RR intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import feature_row
from qualityfm.tasks.rhythm_features import interval_features
from qualityfm.tasks.rhythms import MIN_SHARE, WINDOW_S
from qualityfm.waveform.rhythm_bank import RhythmBank, RhythmCase

#: Rhythm of a beat list that is AF; atrial flutter is not told from it there. Source: the archive's description.
AF_LABEL = "AFIB/AFL"
#: Labels that name no rhythm.
NO_RHYTHM = ("nan", "Unclassifiable")
#: One window in this time, s: neighbouring windows of a patient say the same. Our own choice, docs/decisions/0037.
STEP_S = 60.0
#: A window with fewer beats has no statistics of its intervals.
FEWEST_BEATS = 8


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Examples that teach and are never tested, with their features.

    Attributes:
        values: Features, in the order of the table that they are added to.
        examples: Where they come from; there is no recording.
    """

    values: Float64[np.ndarray, "example feature"]
    examples: tuple[Example, ...]


def beat_list_lessons(folder: Path, names: Sequence[str], part: Literal["train", "test"] = "train") -> Lessons:
    """Return the windows of one part of the cases in `vitaldb_arrhythmia_annotations`.

    Args:
        folder: Where `annotations.tar.xz`, or the CSV files from it, lie.
        names: Features that are wanted; what beats alone cannot say is NaN.
        part: Which cases, see `RhythmBank.from_folder`.

    Raises:
        SourceError: There are no annotations, or a file is not what it should be.
    """
    found = [(e, beats) for case in RhythmBank.from_folder(folder, part).cases for e, beats in windows_of(case)]
    rows = [feature_row(interval_features(np.diff(beats_s)), names) for _, beats_s in found]
    values = np.array(rows, np.float64).reshape(len(rows), len(names))
    return Lessons(values=values, examples=tuple(example for example, _ in found))


def windows_of(case: RhythmCase) -> Iterator[tuple[Example, Float64[np.ndarray, " beat"]]]:
    """Yield the windows of a case without gaps whose rhythm fills at least half of them, with their beats."""
    breaks = np.flatnonzero(~case.is_joined)
    for rows in np.split(np.arange(len(case.times_s)), breaks[breaks > 0]):
        times_s, labels = case.times_s[rows], case.labels[rows]
        for start_s in np.arange(times_s[0], times_s[-1] - WINDOW_S, STEP_S):
            is_inside = (times_s >= start_s) & (times_s < start_s + WINDOW_S)
            rhythms, counts = np.unique(labels[is_inside], return_counts=True)
            rhythm, share = str(rhythms[counts.argmax()]), counts.max() / counts.sum()
            if is_inside.sum() >= FEWEST_BEATS and share >= MIN_SHARE and rhythm not in NO_RHYTHM:
                yield _example(case.case_id, float(start_s), rhythm), times_s[is_inside]


def _example(case_id: int, start_s: float, rhythm: str) -> Example:
    return Example(
        recording="",
        name=f"case {case_id}",
        start_s=start_s,
        length_s=WINDOW_S,
        subject=f"case {case_id}",
        group=f"case {case_id}",
        label=(float(rhythm == AF_LABEL),),
        kind=rhythm,
    )
