"""Samples -> tokens: the paper's stacked convolutions, and patches embedded channel by channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

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
    """Each channel's patches embedded by its kind; a token is the sum over the channels that are there.

    A channel that is absent adds nothing, so a segment with an absent channel has the tokens of one without it.
    """

    def __init__(self, kinds: tuple[ChannelKind, ...], patch_samples: int, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.kinds = kinds
        self.patch_samples = patch_samples
        self.stems = nn.ModuleDict({kind: _stem(patch_samples, hidden, width) for kind in dict.fromkeys(kinds)})
        self.slot = nn.Parameter(torch.randn(len(kinds), width) * 0.02)

    def forward(
        self, values: Float[Tensor, "batch channel time"], present: Bool[Tensor, "batch channel time"]
    ) -> tuple[Float[Tensor, "batch patch width"], Bool[Tensor, "batch patch"]]:
        """Return tokens, and which of them have any channel at all."""
        tail = -values.shape[2] % self.patch_samples
        values, present = F.pad(values, (0, tail)), F.pad(present, (0, tail))
        batch, num_channels, num_samples = values.shape
        num_patches = num_samples // self.patch_samples
        share = present.view(batch, num_channels, num_patches, self.patch_samples).float().mean(-1)
        speaks = share >= MIN_PRESENT_SHARE

        total = values.new_zeros(batch, num_patches, self.slot.shape[1])
        for kind, stem in self.stems.items():
            slots = [c for c, k in enumerate(self.kinds) if k == kind]
            lines = values[:, slots].reshape(batch * len(slots), 1, num_samples)
            embedded = stem(lines).transpose(1, 2).view(batch, len(slots), num_patches, -1)
            embedded = embedded + self.slot[slots][None, :, None]
            total = total + (embedded * speaks[:, slots, :, None]).sum(1)
        count = speaks.sum(1)
        return total / count.clamp(min=1).sqrt()[..., None], count > 0


def _stem(patch_samples: int, hidden: int, width: int) -> nn.Sequential:
    """Return a small network from samples to one vector a patch; the first step looks a little beyond its stride."""
    first = next(step for step in (5, 4, 6, 3, 2, 1) if patch_samples % step == 0)
    return nn.Sequential(
        nn.Conv1d(1, hidden, kernel_size=first + 2, stride=first, padding=1),
        nn.GELU(),
        nn.Conv1d(hidden, width, kernel_size=patch_samples // first, stride=patch_samples // first),
    )
