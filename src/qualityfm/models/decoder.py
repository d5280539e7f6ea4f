"""Decoders: from the student's tokens back to what the better segment looks like. Needed for pre-training only."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.models.config import ModelConfig
from qualityfm.models.encoder import Encoded, LayerStack
from qualityfm.models.patches import StackedConvolutions
from qualityfm.models.stems import ByKind
from qualityfm.records import ChannelKind


class SpectrumDecoder(nn.Module):
    """The paper's decoder: tokens read as channels -> amplitude and phase of the first bins of each channel's FFT.

    The 18 x 512 student output is taken as 18 channels of length 512 through a second tokeniser (512 -> 103 -> 11 -> 2
    positions, one a channel), the same layers, a linear layer, and two Linear-Tanh-Linear heads. Source as in
    `StackedConvolutions`.
    """

    def __init__(self, num_tokens: int, num_channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.tokeniser = StackedConvolutions(num_tokens, config.width)
        self.stack = LayerStack(config)
        self.final = nn.Linear(config.width, config.width)
        self.amplitude = _spectrum_head(config.width)
        self.phase = _spectrum_head(config.width)

    def forward(self, encoded: Encoded) -> Float[Tensor, "2 batch channel bin"]:
        """Return standardised amplitude and phase, `width` bins for each channel."""
        x = self.tokeniser(encoded.tokens)[:, None, : self.num_channels]
        is_valid = torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
        x = self.final(self.stack(x, is_valid))[:, 0]
        return torch.stack([self.amplitude(x), self.phase(x)])


def _spectrum_head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))


class WaveformDecoder(nn.Module):
    """Each token -> the samples of its patch in every channel; the spectral loss compares their short-time spectra."""

    def __init__(self, num_channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.to_samples = nn.Sequential(
            nn.Linear(config.width, 2 * config.width),
            nn.GELU(),
            nn.Linear(2 * config.width, num_channels * config.patch_samples),
        )

    def forward(self, encoded: Encoded) -> Float[Tensor, "batch channel time"]:
        """Return scaled samples, a whole number of patches long."""
        batch, num_patches, _ = encoded.tokens.shape
        samples = self.to_samples(encoded.tokens).view(batch, num_patches, self.num_channels, -1)
        return torch.as_tensor(samples.permute(0, 2, 1, 3).reshape(batch, self.num_channels, -1))


class ChannelDecoder(nn.Module):
    """Each channel's token -> the samples of its patch, by a network of its kind.

    A channel that the student lost is drawn from the mean of the others' tokens: what its neighbours know of it.
    """

    def __init__(self, kinds: tuple[ChannelKind, ...], config: ModelConfig) -> None:
        super().__init__()
        self.to_samples = ByKind(kinds, lambda: _patch_head(config))

    def forward(self, encoded: Encoded) -> Float[Tensor, "batch channel time"]:
        """Return scaled samples, a whole number of patches long."""
        assert encoded.by_channel is not None  # the network pairs this decoder with "channels"
        assert encoded.channel_valid is not None
        own = torch.where(encoded.channel_valid[..., None], encoded.by_channel, encoded.tokens[:, None])
        return torch.as_tensor(self.to_samples(own).flatten(2))


def _patch_head(config: ModelConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.width, 2 * config.width), nn.GELU(), nn.Linear(2 * config.width, config.patch_samples)
    )
