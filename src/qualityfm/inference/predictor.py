"""From a checkpoint to scores and embeddings of a recording, cut by the checkpoint's own recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from scipy.special import expit

from qualityfm.config import from_mapping
from qualityfm.errors import ConfigError, problem
from qualityfm.models.calibration import NAMED_BELOW, Calibration
from qualityfm.models.checkpoint import CARD, TASK, load_checkpoint, read_card
from qualityfm.models.encoder import Encoded
from qualityfm.models.network import Network
from qualityfm.models.task_network import TaskNetwork
from qualityfm.quality.findings import find_signs
from qualityfm.quality.score import join_scores, score_block
from qualityfm.records import QualityScore, Recording
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_blocks, scale_values
from qualityfm.training.runtime import find_device
from qualityfm.waveform.seconds import second_starts

if TYPE_CHECKING:
    import pandas

#: Segments that go through the network together; 32 keeps a 30-s model below some 300 MB.
BATCH_SEGMENTS = 32


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
        return torch.from_numpy(self.vectors.copy())

    def __repr__(self) -> str:
        num_segments, width = self.vectors.shape
        return f"Embeddings of {self.recording_id!r}: {num_segments} segments x {width} features"


class Predictor:
    """A loaded model. It cuts and scales as its checkpoint says, whatever the defaults of today are.

    Args:
        network: In evaluation mode.
        card: The checkpoint's model.json.
    """

    network: Network | TaskNetwork

    def __init__(self, network: Network | TaskNetwork, card: dict[str, Any]) -> None:
        self.network = network
        self.card = card
        stored = card.get("calibration")
        #: What the quality head's numbers mean; None for a model that was never calibrated.
        self.calibration = (
            None if stored is None else from_mapping(Calibration, stored, where="calibration", is_complete=True)
        )

    @property
    def segments(self) -> SegmentConfig:
        """How recordings are cut for this model."""
        return self.network.segments

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
        if self.network.quality is None:
            return score
        answers = list(self._answers(block))
        logits, named, features = (np.concatenate(part) for part in zip(*answers, strict=True))
        is_there = _has_samples(block)
        score = replace(score, model_quality=np.where(is_there, expit(logits), 0).astype(np.float32))
        if self.calibration is None:
            return score
        good = np.where(is_there, self.calibration.good_probability(logits), 0).astype(np.float32)
        causes = np.where(is_there, self.calibration.causes(named), 0) if named.shape[-1] else None
        if causes is not None and self.network.sees_findings:
            causes = np.where(good < NAMED_BELOW, causes | score.causes, 0)
        return replace(
            score,
            model_good=good,
            model_causes=None if causes is None else causes.astype(np.uint16),
            model_knows=self.calibration.knows(features),
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
        vectors = np.concatenate([encoded.pooled.cpu().numpy() for encoded in self._encode(block)])
        vectors[~np.isfinite(block.values).any(axis=(1, 2))] = np.nan
        return np.asarray(vectors)

    @torch.inference_mode()
    def _encode(self, block: SegmentBlock) -> Iterator[Encoded]:
        device = next(self.network.parameters()).device
        for first in range(0, len(block), BATCH_SEGMENTS):
            values = scale_values(block.values[first : first + BATCH_SEGMENTS], self.segments).values
            yield self.network.encoder(torch.from_numpy(values).to(device))

    @torch.inference_mode()
    def _answers(self, block: SegmentBlock) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the logits of quality [segment channel second] and causes [... cause], and the pooled features."""
        assert isinstance(self.network, Network)  # `score` asked for its head before
        findings = torch.from_numpy(find_signs(block)) if self.network.sees_findings else None
        for number, encoded in enumerate(self._encode(block)):
            part = slice(number * BATCH_SEGMENTS, (number + 1) * BATCH_SEGMENTS)
            found = None if findings is None else findings[part].to(encoded.tokens.device)
            logits, named = self.network.judge(encoded, self.segments.num_seconds, found)
            yield logits.cpu().numpy(), named.cpu().numpy(), encoded.pooled.cpu().numpy()

    def __repr__(self) -> str:
        millions = self.network.num_parameters / 1e6
        segments = self.segments
        slots = ", ".join(segments.channels)
        return (
            f"Predictor {self.name!r}: {millions:.2f} M parameters; "
            f"{segments.segment_s:g} s at {segments.sample_rate_hz:g} Hz; slots {slots}"
        )


def _has_samples(block: SegmentBlock) -> Bool[np.ndarray, "segment channel second"]:
    """Return which seconds of each channel hold a sample."""
    config = block.config
    begins = second_starts(config.num_seconds, config.sample_rate_hz)
    return np.asarray(np.logical_or.reduceat(np.isfinite(block.values), begins, axis=2))


def load_model(name_or_folder: str | Path, device: str = "cpu") -> Predictor:
    """Return a model: a shipped one by its name, or the checkpoint in a folder (a run's folder will do).

    One that was fine-tuned for a task is a `TaskModel`, which has `predict_task` beside what every model has.

    Args:
        name_or_folder: Such as "qualityfm-tiny", "runs/first" or "runs/first/checkpoint".
        device: Torch device.

    Raises:
        ConfigError: Neither a shipped name nor a folder, or no such device.
        FormatError: The checkpoint is damaged or of another version.
    """
    folder = find_checkpoint(name_or_folder)
    place = str(find_device(device))
    if TASK in read_card(folder):
        from qualityfm.inference.task_predictor import load_task_model

        return load_task_model(folder, place)
    network, card = load_checkpoint(folder, place)
    return Predictor(network, card)


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    folder = Path(str(files("qualityfm"))) / "weights"
    return sorted(path.name for path in folder.iterdir() if (path / CARD).is_file()) if folder.is_dir() else []


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """Return the checkpoint folder behind a shipped name, a run's folder or a checkpoint's folder.

    Raises:
        ConfigError: Neither a shipped name nor a folder.
    """
    if str(name_or_folder) in shipped_models():
        return Path(str(files("qualityfm"))) / "weights" / str(name_or_folder)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        names = ", ".join(shipped_models()) or "none in this installation"
        expected = f"a folder, or a shipped model ({names})"
        raise ConfigError(
            problem("no such model", where="models", field="name", found=str(name_or_folder), expected=expected)
        )
    return folder / "checkpoint" if (folder / "checkpoint" / CARD).is_file() else folder
