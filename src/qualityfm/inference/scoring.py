"""What every runtime of a model shares: batches of scaled segments in, calibrated scores and embeddings out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.special import expit

from qualityfm.config import from_mapping
from qualityfm.models.calibration import NAMED_BELOW, Calibration
from qualityfm.quality.findings import find_signs
from qualityfm.quality.score import join_scores, score_block
from qualityfm.records import QualityScore, Recording
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_blocks, scale_values
from qualityfm.waveform.seconds import second_starts

if TYPE_CHECKING:
    import pandas
    import torch

#: Segments that go through the network together; 32 keeps a 30-s model below some 300 MB.
BATCH_SEGMENTS = 32


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a network says of a batch of segments.

    Attributes:
        features: Mean of the encoder's tokens over each segment.
        quality: Logit of each second's quality; None without a quality head.
        causes: Logit of each cause; None without a cause head.
    """

    features: Float32[np.ndarray, "segment width"]
    quality: Float32[np.ndarray, "segment channel second"] | None = None
    causes: Float32[np.ndarray, "segment channel second cause"] | None = None


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """One vector for each segment of a recording.

    Attributes:
        recording_id: The recording.
        segment_start_s: Start of each segment, s.
        vectors: Mean of the encoder's tokens over the segment; NaN for a segment without any sample.
    """

    recording_id: str
    segment_start_s: Float[np.ndarray, " segment"]
    vectors: Float32[np.ndarray, "segment width"]

    def to_pandas(self) -> pandas.DataFrame:
        """Return a frame with recording, start_s and one column for each feature."""
        import pandas as pd

        frame = pd.DataFrame(self.vectors, columns=[f"feature_{i}" for i in range(self.vectors.shape[1])])
        frame.insert(0, "start_s", self.segment_start_s)
        frame.insert(0, "recording", self.recording_id)
        return frame

    def to_tensor(self) -> torch.Tensor:
        """Return the vectors as a float32 tensor [segment width]."""
        import torch

        return torch.from_numpy(self.vectors.copy())

    def __repr__(self) -> str:
        num_segments, width = self.vectors.shape
        return f"Embeddings of {self.recording_id!r}: {num_segments} segments x {width} features"


class Scorer(ABC):
    """A model's scores and embeddings, whatever computes its network: a runtime adds `answer`.

    Args:
        card: The checkpoint's model.json.
        segments: How recordings are cut for this model.
        has_quality: The network has a quality head.
        sees_findings: Its heads judge by the findings of the classical indices too.
    """

    def __init__(
        self, card: dict[str, Any], segments: SegmentConfig, *, has_quality: bool, sees_findings: bool = False
    ) -> None:
        self.card = card
        self.segments = segments
        self.has_quality = has_quality
        self.sees_findings = sees_findings
        stored = card.get("calibration")
        #: What the quality head's numbers mean; None for a model that was never calibrated.
        self.calibration = (
            None if stored is None else from_mapping(Calibration, stored, where="calibration", is_complete=True)
        )

    @property
    def name(self) -> str:
        """The name on the checkpoint's card."""
        return str(self.card.get("name", "unnamed"))

    def score(self, recording: Recording) -> QualityScore:
        """Return the classical quality of every second, with the model's estimate beside it.

        A second without samples has quality 0 for both. A model without a quality head (the `paper-*` family) leaves
        `model_quality` None. A calibrated one adds the probability that a second is good, the causes it names, and
        whether it knows such signals at all: where it does not, its numbers are no better than a guess.

        Raises:
            SignalError: The recording has no channel that the model takes.
        """
        return join_scores([self.score_block(block) for block in cut_blocks(recording, self.segments)])

    def score_block(self, block: SegmentBlock) -> QualityScore:
        """Return the same for segments that were cut by `segments` before, as a stream has them."""
        score = score_block(block)
        if not self.has_quality:
            return score
        answers = self._answers(block, find_signs(block) if self.sees_findings else None)
        assert answers.quality is not None  # the head was asked for above
        logits, named = answers.quality, answers.causes
        is_there = _has_samples(block)
        score = replace(score, model_quality=np.where(is_there, expit(logits), 0).astype(np.float32))
        if self.calibration is None:
            return score
        good = np.where(is_there, self.calibration.good_probability(logits), 0).astype(np.float32)
        causes = None if named is None else np.where(is_there, self.calibration.causes(named), 0)
        if causes is not None and self.sees_findings:
            causes = np.where(good < NAMED_BELOW, causes | score.causes, 0)
        return replace(
            score,
            model_good=good,
            model_causes=None if causes is None else causes.astype(np.uint16),
            model_knows=self.calibration.knows(answers.features),
        )

    def embed(self, recording: Recording) -> Embeddings:
        """Return one vector for each segment.

        Raises:
            SignalError: The recording has no channel that the model takes.
        """
        parts = [(block.start_s, self._embed_block(block)) for block in cut_blocks(recording, self.segments)]
        start_s, vectors = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Embeddings(recording_id=recording.recording_id, segment_start_s=start_s, vectors=vectors)

    def _embed_block(self, block: SegmentBlock) -> Float32[np.ndarray, "segment width"]:
        vectors = self._answers(block).features.copy()
        vectors[~np.isfinite(block.values).any(axis=(1, 2))] = np.nan
        return vectors

    @abstractmethod
    def answer(
        self,
        values: Float32[np.ndarray, "segment channel time"],
        findings: Float32[np.ndarray, "segment channel second finding"] | None = None,
    ) -> Answers:
        """Return what the network says of scaled segments, NaN where a sample is missing."""

    def _answers(
        self, block: SegmentBlock, findings: Float32[np.ndarray, "segment channel second finding"] | None = None
    ) -> Answers:
        parts = []
        for first in range(0, len(block), BATCH_SEGMENTS):
            part = slice(first, first + BATCH_SEGMENTS)
            values = scale_values(block.values[part], self.segments).values
            parts.append(self.answer(values, None if findings is None else findings[part]))
        return Answers(
            features=np.concatenate([part.features for part in parts]),
            quality=_joined([part.quality for part in parts]),
            causes=_joined([part.causes for part in parts]),
        )


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def _has_samples(block: SegmentBlock) -> Bool[np.ndarray, "segment channel second"]:
    """Return which seconds of each channel hold a sample."""
    config = block.config
    begins = second_starts(config.num_seconds, config.sample_rate_hz)
    return np.asarray(np.logical_or.reduceat(np.isfinite(block.values), begins, axis=2))
