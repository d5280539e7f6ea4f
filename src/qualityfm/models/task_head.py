"""From the tokens of a window to the answer of a clinical task: pooling, levels of the channels, one linear map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from qualityfm.errors import ConfigError, problem
from qualityfm.models.encoder import Encoded

#: Smallest spread by which a feature is divided, so that a feature that never moves stays quiet.
MIN_SPREAD = 1e-3

#: Attending vectors of "attention" pooling.
NUM_QUERIES = 4


@dataclass(frozen=True, kw_only=True)
class TaskHeadConfig:
    """Shape of a task's head.

    Attributes:
        num_outputs: Numbers that the head gives a window.
        num_levels: Plain numbers that stand beside the tokens (see `qualityfm.tasks.windows.channel_levels`).
        num_kinds: Kinds of examples, such as alarm types, that get a deviation of their own; 0 for none.
        pooling: "statistics" takes mean, deviation and largest value of each feature over the tokens; "attention" lets
            learned vectors choose the tokens whose mean is taken, beside the deviation.
        dropout: Share of the pooled features zeroed while training.
    """

    num_outputs: int
    num_levels: int
    num_kinds: int = 0
    pooling: Literal["statistics", "attention"] = "statistics"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        bounds = (("num_outputs", 1, 1000), ("num_levels", 0, 10_000), ("num_kinds", 0, 1000))
        for field, low, high in bounds:
            self._require(field, low <= getattr(self, field) <= high, f"{low} to {high}")
        self._require("dropout", 0 <= self.dropout < 1, "0 <= x < 1")

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            found = getattr(self, field)
            raise ConfigError(problem("wrong setting", where="head", field=field, found=found, expected=expected))


class TaskHead(nn.Module):
    """Pools the tokens of a window and maps them, standardised, to the task's outputs.

    Each kind of example has weights of its own that are added to the shared ones, so that one head learns what all
    kinds have in common and what sets each apart. An unknown kind (-1) uses the shared weights alone.

    Args:
        width: Features of a token.
        config: Its shape.
    """

    center: Tensor
    spread: Tensor
    output_center: Tensor
    output_spread: Tensor

    def __init__(self, width: int, config: TaskHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.width = width
        if config.pooling == "attention":
            self.queries = nn.Parameter(torch.randn(NUM_QUERIES, width) * 0.02)
        num_pooled = (NUM_QUERIES + 1 if config.pooling == "attention" else 3) * width
        self.num_features = num_pooled + config.num_levels
        self.dropout = nn.Dropout(config.dropout)
        self.to_output = nn.Linear(self.num_features, config.num_outputs)
        self.deviation = nn.Parameter(torch.zeros(config.num_kinds, config.num_outputs, self.num_features + 1))
        self.register_buffer("center", torch.zeros(self.num_features))
        self.register_buffer("spread", torch.ones(self.num_features))
        self.register_buffer("output_center", torch.zeros(config.num_outputs))
        self.register_buffer("output_spread", torch.ones(config.num_outputs))

    def features(self, encoded: Encoded, levels: Float[Tensor, "batch level"]) -> Float[Tensor, "batch feature"]:
        """Return what the linear map sees, before it is standardised."""
        if self.config.pooling == "attention":
            pooled = torch.cat([self._attended(encoded), _statistics(encoded)[:, 1]], dim=1)
        else:
            pooled = _statistics(encoded).flatten(1)
        return torch.cat([pooled, levels], dim=1)

    def _attended(self, encoded: Encoded) -> Float[Tensor, "batch feature"]:
        scores = encoded.tokens @ self.queries.T
        weights = scores.masked_fill(~encoded.is_valid[..., None], -1e9).softmax(dim=1)
        return (weights.transpose(1, 2) @ encoded.tokens).flatten(1)

    def standardise(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
        """Return features in deviations from the training examples' mean."""
        return torch.as_tensor((features - self.center) / self.spread)

    def fit_standard(self, features: Float[Tensor, "example feature"]) -> None:
        """Take mean and spread of the features from training examples."""
        with torch.no_grad():
            self.center.copy_(features.mean(0))
            self.spread.copy_(features.std(0, correction=0).clamp(min=MIN_SPREAD))

    def map(
        self, standard: Float[Tensor, "batch feature"], kind: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch output"]:
        """Return the outputs of standardised features, in units of `output_spread`."""
        shared = self.to_output(standard)
        if not self.config.num_kinds:
            return torch.as_tensor(shared)
        own = self.deviation[kind.clamp(min=0)] * (kind >= 0)[:, None, None]
        return torch.as_tensor(shared + torch.einsum("bof,bf->bo", own[..., :-1], standard) + own[..., -1])

    def forward(
        self, encoded: Encoded, levels: Float[Tensor, "batch level"], kind: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch output"]:
        """Return logits of a classification, or values of a regression in units of `output_spread`."""
        return self.map(self.dropout(self.standardise(self.features(encoded, levels))), kind)

    def in_units(self, outputs: Float[Tensor, "batch output"]) -> Float[Tensor, "batch output"]:
        """Return a regression's outputs in the units of its labels; logits stay as they are."""
        return torch.as_tensor(outputs * self.output_spread + self.output_center)


def _statistics(encoded: Encoded) -> Float[Tensor, "batch 3 width"]:
    """Return mean, deviation and maximum of each feature over the valid tokens; 0 for a window without any."""
    valid = encoded.is_valid[..., None]
    count = valid.sum(1).clamp(min=1)
    mean = (encoded.tokens * valid).sum(1) / count
    variance = ((encoded.tokens - mean[:, None]).square() * valid).sum(1) / count
    highest = encoded.tokens.masked_fill(~valid, float("-inf")).amax(1)
    highest = torch.where(valid.any(1), highest, torch.zeros_like(highest))
    return torch.stack([mean, (variance + 1e-6).sqrt(), highest], dim=1)
