"""How well the QRS detector finds annotated beats, counted as ANSI/AAMI EC57 asks: for each record, and gross."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qualityfm.evidence.quality_data import RATE_HZ, AnnotatedEcg
from qualityfm.evidence.quality_figures import Figure, figure_of
from qualityfm.waveform.beats import find_qrs

#: A detection belongs to a beat that is no further away, and the first minutes are for learning.
#: Source: ANSI/AAMI EC57:2012.
MATCH_S, LEARNING_S = 0.15, 300.0


@dataclass(frozen=True, kw_only=True)
class BeatCount:
    """What was found in one record.

    Attributes:
        record: Its name.
        num_matched: Annotated beats with a detection of their own.
        num_annotated: Annotated beats.
        num_detected: Detections.
    """

    record: str
    num_matched: int
    num_annotated: int
    num_detected: int

    @property
    def sensitivity(self) -> float:
        """Share of the beats that are found."""
        return self.num_matched / max(self.num_annotated, 1)

    @property
    def positive_predictivity(self) -> float:
        """Share of the detections that are beats."""
        return self.num_matched / max(self.num_detected, 1)


def count_beats(record: AnnotatedEcg) -> BeatCount:
    """Return how the detector does on one record; ventricular flutter, which has no beats, is left out."""
    line = np.nan_to_num(record.block.values[:, 0]).reshape(1, -1)
    found_s = np.flatnonzero(find_qrs(line, RATE_HZ)[0]) / RATE_HZ
    found_s, beats_s = (_judged(times_s, record) for times_s in (found_s, record.beats_s))
    return BeatCount(
        record=record.record,
        num_matched=match(beats_s, found_s),
        num_annotated=len(beats_s),
        num_detected=len(found_s),
    )


def _judged(times_s: Float[np.ndarray, " beat"], record: AnnotatedEcg) -> Float[np.ndarray, " beat"]:
    second = np.minimum(times_s.astype(int), len(record.rhythm) - 1)
    is_inside = (times_s >= LEARNING_S) & (times_s < record.block.length_s.sum())
    return np.asarray(times_s[is_inside & (record.rhythm[second] != "(VFL")])


def match(beats_s: Float[np.ndarray, " beat"], found_s: Float[np.ndarray, " beat"]) -> int:
    """Return how many beats have a detection of their own within `MATCH_S`; both in time order.

    Example:
        >>> match(np.array([1.0, 2.0]), np.array([1.1, 1.14, 3.0]))
        1
    """
    count = k = 0
    for beat_s in beats_s:
        while k < len(found_s) and found_s[k] < beat_s - MATCH_S:
            k += 1
        if k < len(found_s) and found_s[k] <= beat_s + MATCH_S:
            count += 1
            k += 1
    return count


def beat_figures(records: list[AnnotatedEcg], rounds: int) -> list[Figure]:
    """Return gross sensitivity and positive predictivity, and the worst record's."""
    counts = [count_beats(record) for record in records]
    matched, annotated, detected = (
        np.array([getattr(c, name) for c in counts]) for name in ("num_matched", "num_annotated", "num_detected")
    )
    groups = np.array([c.record for c in counts])
    figures = []
    for measure, whole in (("gross sensitivity", annotated), ("gross positive predictivity", detected)):
        names = ("beats", "ecg, first lead", "QualityFM", measure)
        value = lambda i, whole=whole: float(matched[i].sum() / whole[i].sum())  # noqa: E731
        figures.append(figure_of(names, value, groups, rounds))
        names = ("beats", "ecg, first lead", "QualityFM", measure.replace("gross", "lowest record's"))
        value = lambda i, whole=whole: float((matched[i] / np.maximum(whole[i], 1)).min())  # noqa: E731
        figures.append(figure_of(names, value, groups, rounds))
    return figures
