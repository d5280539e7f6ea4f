"""From a checkpoint to scores and embeddings of a recording, cut by the checkpoint's own recipe."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from qualityfm.errors import ConfigError, problem
from qualityfm.inference.scoring import Answers, Scorer
from qualityfm.models.checkpoint import CARD, TASK, load_checkpoint, read_card
from qualityfm.models.network import Network
from qualityfm.models.task_network import TaskNetwork
from qualityfm.training.runtime import find_device


class Predictor(Scorer):
    """A loaded model. It cuts and scales as its checkpoint says, whatever the defaults of today are.

    Args:
        network: In evaluation mode.
        card: The checkpoint's model.json.
    """

    network: Network | TaskNetwork

    def __init__(self, network: Network | TaskNetwork, card: dict[str, Any]) -> None:
        super().__init__(card, network.segments, has_quality=network.quality is not None)
        self.network = network

    @torch.inference_mode()
    def answer(self, values: Float32[np.ndarray, "segment channel time"]) -> Answers:
        """Return what the network says of scaled segments, NaN where a sample is missing."""
        network = self.network
        encoded = network.encoder(torch.from_numpy(values).to(next(network.parameters()).device))
        num_seconds = self.segments.num_seconds
        heads = [None if head is None else head(encoded, num_seconds) for head in (network.quality, network.causes)]
        quality, causes = (None if logits is None else logits.cpu().numpy() for logits in heads)
        return Answers(features=encoded.pooled.cpu().numpy(), quality=quality, causes=causes)

    def __repr__(self) -> str:
        millions = self.network.num_parameters / 1e6
        segments = self.segments
        slots = ", ".join(segments.channels)
        return (
            f"Predictor {self.name!r}: {millions:.2f} M parameters; "
            f"{segments.segment_s:g} s at {segments.sample_rate_hz:g} Hz; slots {slots}"
        )


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
