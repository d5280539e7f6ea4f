"""Small networks on top of the encoder's tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.models.encoder import Encoded


class QualityHead(nn.Module):
    """Quality of each second of each channel slot, as a logit: the mean over the tokens that begin in that second."""

    def __init__(self, width: int, num_channels: int, tokens_per_second: float) -> None:
        super().__init__()
        self.tokens_per_second = tokens_per_second
        self.to_logit = nn.Linear(width, num_channels)

    def forward(self, encoded: Encoded) -> Float[Tensor, "batch channel second"]:
        """Return logits; a sigmoid makes them qualities in [0, 1]."""
        logits = self.to_logit(encoded.tokens).transpose(1, 2)
        num_tokens = logits.shape[2]
        second = (torch.arange(num_tokens, device=logits.device) / self.tokens_per_second + 1e-6).long()
        num_seconds = int(second[-1]) + 1
        share = F.one_hot(second, num_seconds).to(logits.dtype)
        return torch.as_tensor(logits @ (share / share.sum(0).clamp(min=1)))


class ProjectionHead(nn.Module):
    """Features -> logits over prototypes, on which student and teacher are compared; thrown away after pre-training.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers (DINO), arXiv 2104.14294 (2021).
    """

    def __init__(self, width: int, num_prototypes: int, bottleneck: int = 64) -> None:
        super().__init__()
        self.to_bottleneck = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, bottleneck))
        self.prototypes = nn.Parameter(torch.randn(num_prototypes, bottleneck))

    def forward(self, features: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch prototype"]:
        """Return cosine similarities to every prototype."""
        direction = F.normalize(self.to_bottleneck(features), dim=-1)
        return direction @ F.normalize(self.prototypes, dim=-1).T
