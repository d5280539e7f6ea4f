"""Small networks on top of the encoder's tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.models.encoder import Encoded


class QualityHead(nn.Module):
    """Quality of each second of each channel slot, as a logit: the mean over the second's tokens, by their overlap."""

    def __init__(self, width: int, num_channels: int, token_s: float) -> None:
        super().__init__()
        self.token_s = token_s
        self.to_logit = nn.Linear(width, num_channels)

    def forward(self, encoded: Encoded, num_seconds: int) -> Float[Tensor, "batch channel second"]:
        """Return logits; a sigmoid makes them qualities in [0, 1].

        Args:
            encoded: Tokens that cover at least the seconds asked for, up to the length of one token.
            num_seconds: Seconds to judge.
        """
        logits = self.to_logit(encoded.tokens).transpose(1, 2)
        edge = torch.arange(logits.shape[2] + 1, device=logits.device) * self.token_s
        second = torch.arange(num_seconds, device=logits.device)
        overlap = torch.minimum(edge[1:, None], second + 1) - torch.maximum(edge[:-1, None], second)
        share = overlap.clamp(min=0).to(logits.dtype)
        return torch.as_tensor(logits @ (share / share.sum(0).clamp(min=1e-9)))


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
