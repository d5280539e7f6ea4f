"""What is fine-tuned: a pre-trained encoder, the same encoder untrained, or a plain ResNet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from qualityfm.models.checkpoint import load_checkpoint
from qualityfm.models.config import ModelConfig
from qualityfm.models.task_head import TaskHeadConfig
from qualityfm.models.task_network import TaskNetwork, TaskShape
from qualityfm.segments import SegmentConfig
from qualityfm.tasks.windows import LEVELS_PER_SLOT, window_config

#: Facts of a pre-trained model that a fine-tuned one carries on, so that an overlap with a test can be found later.
INHERITED = ("name", "weights_sha256", "data", "licence", "attribution", "heldout", "status")


@dataclass(frozen=True, kw_only=True)
class Body:
    """Where a fine-tuned network begins.

    Attributes:
        name: Of the model, or of the arm of a comparison.
        kind: "encoder" or "resnet".
        segments: How recordings are cut for it.
        model: Shape of the encoder.
        weights: Of the encoder; None begins untrained.
        origin: What its card says about pre-training; empty for an untrained one.
    """

    name: str
    kind: Literal["encoder", "resnet"]
    segments: SegmentConfig
    model: ModelConfig
    weights: dict[str, Tensor] | None
    origin: dict[str, Any]

    def network(self, head: TaskHeadConfig, window_s: float) -> TaskNetwork:
        """Return a new network with this body and an untrained head, for windows of a length."""
        segments = window_config(self.segments, window_s)
        network = TaskNetwork(segments, self.model, TaskShape(body=self.kind, head=head))
        if self.weights is not None:
            network.encoder.load_state_dict(self.weights)
        return network

    @property
    def num_levels(self) -> int:
        """Plain numbers that stand beside the tokens."""
        return LEVELS_PER_SLOT * len(self.segments.channels)


def pretrained_body(folder: Path) -> Body:
    """Return the encoder of a checkpoint.

    Raises:
        FormatError: The checkpoint is damaged, or fine-tuned already.
    """
    network, card = load_checkpoint(folder)
    return Body(
        name=str(card.get("name", folder.name)),
        kind="encoder",
        segments=network.segments,
        model=network.config,
        weights=network.encoder.state_dict(),
        origin={field: card[field] for field in INHERITED if field in card},
    )


def untrained(body: Body) -> Body:
    """Return the same encoder without its training, as an arm of a comparison."""
    return replace(body, name=f"scratch:{body.name}", weights=None, origin={})


def plain_resnet(segments: SegmentConfig) -> Body:
    """Return the plain ResNet for recordings cut in this way."""
    return Body(name="resnet", kind="resnet", segments=segments, model=ModelConfig(), weights=None, origin={})
