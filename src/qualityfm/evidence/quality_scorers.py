"""One road for every score that is measured: a recording in, quality and causes of each second of its channels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, UInt16

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.quality_data import RATE_HZ, UNITS
from qualityfm.quality import score_quality
from qualityfm.records import ChannelKind, QualityScore, Recording, Signal
from qualityfm.segments import SegmentConfig

if TYPE_CHECKING:
    from qualityfm.inference.predictor import Predictor

CLASSICAL = "QualityFM"


@dataclass(frozen=True, kw_only=True)
class ScoredSeconds:
    """What a score says of a recording, second by second.

    Attributes:
        channels: Names of the channels that were scored.
        quality: In [0, 1].
        causes: `Cause` flags; None where the score names none.
        good: Probability that a second is of grade B or better; None where the score gives none.
        knows: Whether the score knows such signals; None where it does not say.
    """

    channels: tuple[str, ...]
    quality: Float[np.ndarray, "channel second"]
    causes: UInt16[np.ndarray, "channel second"] | None
    good: Float[np.ndarray, "channel second"] | None = None
    knows: Bool[np.ndarray, " second"] | None = None


Scorer = Callable[[Recording], ScoredSeconds]


def classical(config: SegmentConfig | None = None) -> Scorer:
    """Return the classical score of recordings that are cut as given."""

    def score(recording: Recording) -> ScoredSeconds:
        found = score_quality(recording, config)
        quality, causes = _seconds(found, found.quality), _seconds(found, found.causes)
        return ScoredSeconds(channels=_names(found), quality=quality, causes=causes)

    return score


def learned(predictor: Predictor) -> Scorer:
    """Return the score of a model's quality head.

    Raises:
        TaskError: The model has no such head, or its segments overlap.
    """
    segments = predictor.segments
    if predictor.network.quality is None:
        raise TaskError(
            problem("nothing to measure", where=predictor.name, field="quality_head", found=False, expected="true")
        )
    if segments.step_s != segments.segment_s:
        expected = f"{segments.segment_s:g}, as long as a segment"
        raise TaskError(
            problem("segments overlap", where=predictor.name, field="step_s", found=segments.step_s, expected=expected)
        )

    def score(recording: Recording) -> ScoredSeconds:
        found = predictor.score(recording)
        assert found.model_quality is not None  # the head is there
        causes, good, knows = found.model_causes, found.model_good, found.model_knows
        return ScoredSeconds(
            channels=_names(found),
            quality=_seconds(found, found.model_quality),
            causes=None if causes is None else _seconds(found, causes),
            good=None if good is None else _seconds(found, good),
            knows=None if knows is None else np.repeat(knows, found.quality.shape[2]),
        )

    return score


def _names(score: QualityScore) -> tuple[str, ...]:
    return tuple(name for name in score.names if name is not None)


def _seconds(score: QualityScore, values: np.ndarray) -> np.ndarray:
    """Return [segment slot second] as [channel second], without the slots that are empty."""
    filled = [slot for slot, name in enumerate(score.names) if name is not None]
    return np.asarray(values[:, filled].transpose(1, 0, 2).reshape(len(filled), -1))


def as_recording(lines: Float[np.ndarray, "line time"], kind: ChannelKind, name: str = "x") -> Recording:
    """Return lines of one channel at `RATE_HZ`, one behind the other, as a recording."""
    samples = np.ascontiguousarray(lines, np.float32).ravel()
    unit = UNITS.get(kind, "NU")
    signal = Signal(name=name, kind=kind, unit=unit, sample_rate_hz=RATE_HZ, samples=samples)
    return Recording(recording_id="lines", subject_id=None, start=None, signals=(signal,))


def line_quality(
    scorer: Scorer, lines: Float[np.ndarray, "line time"], kind: ChannelKind
) -> Float[np.ndarray, "line second"]:
    """Return the quality of every second of lines of one channel at `RATE_HZ`."""
    seconds = scorer(as_recording(lines, kind)).quality[0]
    return np.asarray(seconds[: lines.size // int(RATE_HZ)].reshape(len(lines), -1))
