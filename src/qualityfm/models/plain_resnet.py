"""A plain 1-D residual network: what a fine-tuned encoder has to beat, with the same outside as the encoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.models.encoder import Encoded
from qualityfm.models.patches import split_missing

#: Widths of the stages; about 80,000 weights with four channels (our own choice, docs/decisions/0025).
STAGE_WIDTHS = (16, 24, 40, 56)

#: Samples to a token: the stem halves once, each stage once.
STRIDE = 2 ** (1 + len(STAGE_WIDTHS))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; the first halves the rate.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR (2016), in one dimension.
    """

    def __init__(self, inner: int, outer: int, kernel: int = 7) -> None:
        super().__init__()
        self.first = nn.Conv1d(inner, outer, kernel, stride=2, padding=kernel // 2, bias=False)
        self.second = nn.Conv1d(outer, outer, kernel, padding=kernel // 2, bias=False)
        self.shortcut = nn.Conv1d(inner, outer, 1, stride=2, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(outer), nn.BatchNorm1d(outer)])

    def forward(self, x: Float[Tensor, "batch inner time"]) -> Float[Tensor, "batch outer half"]:
        """Return half as many samples of more features."""
        y = F.relu(self.norms[0](self.first(x)))
        return torch.as_tensor(F.relu(self.norms[1](self.second(y)) + self.shortcut(x)))


class PlainResNet(nn.Module):
    """Scaled samples, NaN where missing, any length -> `Encoded`; a missing sample counts as 0."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        widths = STAGE_WIDTHS
        self.stem = nn.Conv1d(num_channels, widths[0], 11, stride=2, padding=5, bias=False)
        self.norm = nn.BatchNorm1d(widths[0])
        steps = zip((widths[0], *widths[:-1]), widths, strict=True)
        self.blocks = nn.Sequential(*(ResidualBlock(inner, outer) for inner, outer in steps))

    @property
    def width(self) -> int:
        """Features of a token."""
        return STAGE_WIDTHS[-1]

    def forward(self, values: Float[Tensor, "batch channel time"]) -> Encoded:
        """Return the tokens of a batch, one for `STRIDE` samples."""
        values, present = split_missing(values)
        tokens = self.blocks(F.relu(self.norm(self.stem(values)))).transpose(1, 2)
        there = F.adaptive_max_pool1d(present.any(1, keepdim=True).float(), tokens.shape[1])[:, 0] > 0
        return Encoded(tokens=tokens, is_valid=there)
