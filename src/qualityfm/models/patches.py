"""Samples -> tokens: the paper's stacked convolutions, and patches embedded channel by channel, summed or apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

from qualityfm.models.config import ModelConfig
from qualityfm.models.stems import ByKind, make_stem
from qualityfm.records import ChannelKind

#: Scaled samples beyond this are poison (clipping bounds honest ones far below); they count as missing.
MAX_ABS_SCALED = 1e4

#: A channel speaks in a patch if at least this share of its samples is there (our own choice, docs/decisions/0005).
MIN_PRESENT_SHARE = 0.5


def split_missing(
    values: Float[Tensor, "batch channel time"],
) -> tuple[Float[Tensor, "batch channel time"], Bool[Tensor, "batch channel time"]]:
    """Return samples with 0 where missing (NaN, infinite or absurd), and where they are present."""
    present = values.abs() < MAX_ABS_SCALED  # False for NaN
    return torch.where(present, values, torch.zeros_like(values)), present


class StackedConvolutions(nn.Module):
    """All channels through three strided convolutions: 9000 samples of 2 channels become 18 tokens.

    Source: reconstructed from public descriptions of arXiv 2509.06516: kernels 201/101/51, strides 5/10/10,
    GroupNorm + GELU, channels in -> 5 -> 51 -> width.
    """

    KERNELS, STRIDES = (201, 101, 51), (5, 10, 10)

    def __init__(self, num_channels: int, width: int) -> None:
        super().__init__()
        sizes = (num_channels, 5, 51, width)
        self.parts = nn.Sequential()
        for inner, outer, kernel, stride in zip(sizes[:-1], sizes[1:], self.KERNELS, self.STRIDES, strict=True):
            self.parts.append(nn.Conv1d(inner, outer, kernel, stride, padding=kernel // 2))
            self.parts.append(nn.GroupNorm(1, outer))
            self.parts.append(nn.GELU())

    def forward(self, values: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch patch width"]:
        """Return tokens of finite samples."""
        return torch.as_tensor(self.parts(values)).transpose(1, 2)


class ChannelPatches(nn.Module):
    """Each channel's patches embedded by its kind, a token for each channel.

    A channel that is absent has tokens that nobody may see; its neighbours' tokens do not depend on it.
    """

    def __init__(self, kinds: tuple[ChannelKind, ...], config: ModelConfig) -> None:
        super().__init__()
        self.patch_samples = config.patch_samples
        self.stems = ByKind(kinds, lambda: make_stem(config.stem, config.patch_samples, config.width))

    def forward(
        self, values: Float[Tensor, "batch channel time"], present: Bool[Tensor, "batch channel time"]
    ) -> tuple[Float[Tensor, "batch channel patch width"], Bool[Tensor, "batch channel patch"]]:
        """Return tokens, and in which of them the channel speaks."""
        tail = -values.shape[2] % self.patch_samples
        values, present = F.pad(values, (0, tail)), F.pad(present, (0, tail))
        share = present.view(*present.shape[:2], -1, self.patch_samples).float().mean(-1)
        tokens = self.stems(values[:, :, None]).transpose(2, 3)
        return tokens, share >= MIN_PRESENT_SHARE


class SummedPatches(ChannelPatches):
    """A token is the sum over the channels that are there.

    A channel that is absent adds nothing, so a segment with an absent channel has the tokens of one without it.
    """

    def __init__(self, kinds: tuple[ChannelKind, ...], config: ModelConfig) -> None:
        super().__init__(kinds, config)
        self.slot = nn.Parameter(torch.randn(len(kinds), config.width) * 0.02)

    def forward(
        self, values: Float[Tensor, "batch channel time"], present: Bool[Tensor, "batch channel time"]
    ) -> tuple[Float[Tensor, "batch 1 patch width"], Bool[Tensor, "batch 1 patch"]]:
        """Return tokens, and which of them have any channel at all."""
        embedded, speaks = super().forward(values, present)
        total = ((embedded + self.slot[:, None]) * speaks[..., None]).sum(1, keepdim=True)
        count = speaks.sum(1, keepdim=True)
        return total / count.clamp(min=1).sqrt()[..., None], count > 0
