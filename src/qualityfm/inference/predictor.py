"""From a checkpoint to scores and embeddings of a recording, cut by the checkpoint's own recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from qualityfm.inference.scoring import Answers, Scorer
from qualityfm.models.checkpoint import TASK, load_checkpoint, read_card
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
        sees_findings = isinstance(network, Network) and network.sees_findings
        super().__init__(card, network.segments, has_quality=network.quality is not None, sees_findings=sees_findings)
        self.network = network

    @torch.inference_mode()
    def answer(
        self,
        values: Float32[np.ndarray, "segment channel time"],
        findings: Float32[np.ndarray, "segment channel second finding"] | None = None,
    ) -> Answers:
        """Return what the network says of scaled segments, NaN where a sample is missing."""
        network = self.network
        device = next(network.parameters()).device
        encoded = network.encoder(torch.from_numpy(values).to(device))
        features = encoded.pooled.cpu().numpy()
        if not self.has_quality or not isinstance(network, Network):
            return Answers(features=features)
        found = None if findings is None else torch.from_numpy(findings).to(device)
        quality, causes = network.judge(encoded, self.segments.num_seconds, found)
        named = None if network.causes is None else causes.cpu().numpy()
        return Answers(features=features, quality=quality.cpu().numpy(), causes=named)

    def __repr__(self) -> str:
        millions = self.network.num_parameters / 1e6
        segments = self.segments
        slots = ", ".join(segments.channels)
        return (
            f"Predictor {self.name!r}: {millions:.2f} M parameters; "
            f"{segments.segment_s:g} s at {segments.sample_rate_hz:g} Hz; slots {slots}"
        )


def load_predictor(folder: Path, device: str = "cpu") -> Predictor:
    """Return the model of a checkpoint's folder, run by torch; a `TaskModel` if it was fine-tuned for a task.

    Raises:
        ConfigError: No such device.
        FormatError: The checkpoint is damaged or of another version.
    """
    place = str(find_device(device))
    if TASK in read_card(folder):
        from qualityfm.inference.task_predictor import load_task_model

        return load_task_model(folder, place)
    network, card = load_checkpoint(folder, place)
    return Predictor(network, card)
