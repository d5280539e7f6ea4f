"""A fine-tuned model: a body (encoder or plain ResNet) and a task's head, kept as a checkpoint like any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from qualityfm.config import from_mapping, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.models.checkpoint import CARD, TASK, read_card, save_checkpoint, weights_file
from qualityfm.models.config import ADDED_LATER, ModelConfig
from qualityfm.models.encoder import Encoded, Encoder
from qualityfm.models.plain_resnet import PlainResNet
from qualityfm.models.task_head import TaskHead, TaskHeadConfig
from qualityfm.segments import SegmentConfig


@dataclass(frozen=True, kw_only=True)
class TaskShape:
    """How a fine-tuned network is made, beside segments and encoder.

    Attributes:
        body: "encoder" is that of the pre-trained models, "resnet" the plain one.
        head: Shape of the head.
    """

    body: Literal["encoder", "resnet"]
    head: TaskHeadConfig


class TaskNetwork(nn.Module):
    """Scaled samples of a window, levels of its channels and its kind -> the task's outputs.

    Args:
        segments: Slots and rate of what it eats; `segment_s` is the length of the task's window.
        config: Shape of the encoder; without effect for another body.
        shape: Body and head.
    """

    #: A fine-tuned body no longer fits the heads of pre-training.
    quality: None = None
    causes: None = None

    def __init__(self, segments: SegmentConfig, config: ModelConfig, shape: TaskShape) -> None:
        super().__init__()
        self.segments = segments
        self.config = config
        self.shape = shape
        num_channels = len(segments.channels)
        self.encoder: Encoder | PlainResNet
        if shape.body == "resnet":
            self.encoder = PlainResNet(num_channels)
            width = self.encoder.width
        else:
            self.encoder = Encoder(segments.channels, config)
            width = config.width
        self.head = TaskHead(width, shape.head)

    @property
    def num_parameters(self) -> int:
        """Number of stored values, running statistics included."""
        return sum(value.numel() for value in self.state_dict().values())

    def encode(self, values: Float[Tensor, "batch channel time"]) -> Encoded:
        """Return the body's tokens."""
        encoded: Encoded = self.encoder(values)
        return encoded

    def forward(
        self,
        values: Float[Tensor, "batch channel time"],
        levels: Float[Tensor, "batch level"],
        kind: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch output"]:
        """Return logits of a classification, or standardised values of a regression."""
        return torch.as_tensor(self.head(self.encode(values), levels, kind))


def save_task_network(
    folder: Path, network: TaskNetwork, task: dict[str, Any], about: dict[str, Any], *, half_precision: bool = False
) -> None:
    """Write a fine-tuned network as a checkpoint.

    Args:
        folder: Made if missing.
        network: What to save.
        task: Plain values that using it needs: name, outputs, window, operating point.
        about: More of the card: name, data, metrics.
        half_precision: Store float16.

    Raises:
        FormatError: The disk refuses, or a number is not finite.
    """
    entry = {**task, "shape": to_plain(network.shape)}
    save_checkpoint(folder, network, {**about, TASK: entry}, half_precision=half_precision)


def load_task_network(folder: Path, device: str = "cpu") -> tuple[TaskNetwork, dict[str, Any]]:
    """Return the network of a fine-tuned checkpoint, in evaluation mode, and its card.

    Raises:
        FormatError: Missing or damaged files, another version, no task, or weights that do not fit the card.
    """
    card = read_card(folder)
    segments, config, shape = _shape(card, folder / CARD)
    weights = weights_file(card, folder)
    try:
        tensors = load_file(weights)
        num_stored = sum(value.numel() for value in tensors.values())
        if num_stored != card["num_parameters"]:  # before the network is built: it takes as much memory as it claims
            raise RuntimeError(f"found {num_stored} weights, expected {card['num_parameters']}")
        network = TaskNetwork(segments, config, shape)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise FormatError(f"damaged checkpoint: {weights}: weights do not fit {CARD}: {first_line}") from error
    return network.to(device).eval(), card


def _shape(card: dict[str, Any], path: Path) -> tuple[SegmentConfig, ModelConfig, TaskShape]:
    """Return the configs of a card, once they are known to describe a network of the size that it states."""
    stated, task = card["num_parameters"], card.get(TASK)
    if not isinstance(task, dict):
        expected, advice = "a fine-tuned model", "`qualityfm finetune` makes one"
        raise FormatError(
            problem("no task in this model", where=path, field=TASK, found=task, expected=expected, advice=advice)
        )
    try:
        segments = from_mapping(SegmentConfig, card["segments"], where=path, is_complete=True)
        config = from_mapping(ModelConfig, {**ADDED_LATER, **card["model"]}, where=path, is_complete=True)
        shape = from_mapping(TaskShape, task.get("shape", {}), where=path, is_complete=True)
        is_countable = shape.body == "resnet" or config.num_layers * config.width <= stated
        found = count_task_parameters(segments, config, shape) if is_countable else None
    except (ConfigError, TypeError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"damaged checkpoint: {path}: {str(error).partition(chr(10))[0]}") from error
    if found != stated:
        expected = f"{found or 'more'}, as segments, model and head give"
        raise FormatError(
            problem("damaged checkpoint", where=path, field="num_parameters", found=stated, expected=expected)
        )
    return segments, config, shape


def count_task_parameters(segments: SegmentConfig, config: ModelConfig, shape: TaskShape) -> int:
    """Return the number of stored values without making room for them."""
    with torch.device("meta"):
        return TaskNetwork(segments, config, shape).num_parameters
