"""The encoder: tokens of a segment, each aware of its neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from qualityfm.models.attention import (
    across_channels,
    rotary_turn,
    rotate_positions,
    shifted_blocks_attention,
    sinusoidal_positions,
    windowed_attention,
)
from qualityfm.models.config import ModelConfig
from qualityfm.models.patches import ChannelPatches, StackedConvolutions, SummedPatches, split_missing
from qualityfm.models.stems import ByKind
from qualityfm.records import ChannelKind


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What the encoder makes of a batch.

    Attributes:
        tokens: One vector a patch, in time order (a summary token is not among them); where each channel has tokens of
            its own, their mean over the channels that are there.
        is_valid: False where no channel had data.
        by_channel: The tokens of each channel; None where channels share them.
        channel_valid: False where that channel had no data; None like `by_channel`.
    """

    tokens: Float[Tensor, "batch patch width"]
    is_valid: Bool[Tensor, "batch patch"]
    by_channel: Float[Tensor, "batch channel patch width"] | None = None
    channel_valid: Bool[Tensor, "batch channel patch"] | None = None

    @property
    def pooled(self) -> Float[Tensor, "batch width"]:
        """Mean over the valid tokens; zero for a segment without any."""
        weight = self.is_valid.to(self.tokens.dtype)[..., None]
        return (self.tokens * weight).sum(1) / weight.sum(1).clamp(min=1)


class Layer(nn.Module):
    """Attention and feed-forward with residuals, normalised before or after each.

    Args:
        config: Its shape.
        number: Its place in the stack. With "channels" every second layer looks across the channels at the same moment
            instead of along time; with blocks, every second one along time shifts them.
    """

    def __init__(self, config: ModelConfig, number: int) -> None:
        super().__init__()
        self.config = config
        turns = config.tokens == "channels"
        self.is_across = turns and number % 2 == 1
        self.is_shifted = (number // 2 if turns else number) % 2 == 1
        self.to_qkv = nn.Linear(config.width, 3 * config.width)
        self.to_out = nn.Linear(config.width, config.width)
        self.norms = nn.ModuleList([nn.LayerNorm(config.width), nn.LayerNorm(config.width)])
        self.feed_forward = nn.Sequential(
            nn.Linear(config.width, config.feed_forward), nn.GELU(), nn.Linear(config.feed_forward, config.width)
        )
        self.dropout = nn.Dropout(config.dropout)

    def attend(
        self,
        x: Float[Tensor, "batch channel patch width"],
        is_valid: Bool[Tensor, "batch channel patch"],
        turn: tuple[Tensor, Tensor] | None,
    ) -> Float[Tensor, "batch channel patch width"]:
        """Return the attention part's output."""
        heads = self.config.num_heads
        qkv = self.to_qkv(x).unflatten(-1, (3, heads, -1))
        if self.is_across:
            mixed = across_channels(qkv[..., 0, :, :], qkv[..., 1, :, :], qkv[..., 2, :, :], is_valid)
        else:
            mixed = self._along_time(qkv.flatten(0, 1), is_valid.flatten(0, 1), turn)
        return torch.as_tensor(self.to_out(mixed.reshape(x.shape)))

    def _along_time(
        self,
        qkv: Float[Tensor, "line patch 3 head feature"],
        is_valid: Bool[Tensor, "line patch"],
        turn: tuple[Tensor, Tensor] | None,
    ) -> Float[Tensor, "line patch head feature"]:
        qkv = qkv.permute(2, 0, 3, 1, 4)
        # Split, not indexed: the gradient is then written once, where each index would fill a whole tensor of zeros.
        query_key, last = torch.split(qkv, [2, 1])
        if turn is not None:
            query_key = rotate_positions(query_key, turn)
        (query, key), value = query_key, last.squeeze(0)
        radius, num_global = self.config.attention_radius, self.config.num_global
        if self.config.attention == "sliding":
            mixed = windowed_attention(query, key, value, radius=radius, num_global=num_global, is_valid=is_valid)
        else:
            mixed = shifted_blocks_attention(
                query,
                key,
                value,
                radius=radius,
                num_global=num_global,
                is_valid=is_valid,
                is_shifted=self.is_shifted,
            )
        return mixed.transpose(1, 2)

    def forward(
        self,
        x: Float[Tensor, "batch channel patch width"],
        is_valid: Bool[Tensor, "batch channel patch"],
        turn: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "batch channel patch width"]:
        """Return the tokens after one layer; `turn` is what rotary positions turn by."""
        if self.config.norm == "pre":
            x = x + self.dropout(self.attend(self.norms[0](x), is_valid, turn))
            return torch.as_tensor(x + self.dropout(self.feed_forward(self.norms[1](x))))
        x = self.norms[0](x + self.dropout(self.attend(x, is_valid, turn)))
        return torch.as_tensor(self.norms[1](x + self.dropout(self.feed_forward(x))))


class LayerStack(nn.Module):
    """Positions and layers over tokens that exist already; encoder and the paper's decoder share it.

    With "channels" every second layer looks across channels. Source of the alternation: CEReBrO, arXiv 2501.10885.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList([Layer(config, number) for number in range(config.num_layers)])
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "batch channel patch width"], is_valid: Bool[Tensor, "batch channel patch"]
    ) -> Float[Tensor, "batch channel patch width"]:
        """Return the tokens after all layers."""
        if self.config.position == "sinusoidal":
            x = x + sinusoidal_positions(x.shape[2], x.shape[3], x.device).to(x.dtype)
        x = self.dropout(x)
        turn = None
        if self.config.position == "rotary":
            turn = rotary_turn(x.shape[2], x.shape[3] // self.config.num_heads, x.device)
        for layer in self.layers:
            x = layer(x, is_valid, turn)
        return x


class Encoder(nn.Module):
    """Scaled samples, NaN where missing, any length -> `Encoded`."""

    def __init__(self, kinds: tuple[ChannelKind, ...], config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tokeniser: StackedConvolutions | ChannelPatches
        self.final: nn.Module = nn.LayerNorm(config.width)
        if config.tokens == "convolution":
            self.tokeniser = StackedConvolutions(len(kinds), config.width)
            self.final = nn.Linear(config.width, config.width)
        elif config.tokens == "patches":
            self.tokeniser = SummedPatches(kinds, config)
        else:
            self.tokeniser = ChannelPatches(kinds, config)
            self.kind = ByKind(kinds, lambda: AddedVector(config.width))
        if config.tokens != "convolution":
            self.mask_token = nn.Parameter(torch.randn(config.width) * 0.02)
        if config.summary_token:
            self.summary = nn.Parameter(torch.randn(config.width) * 0.02)
        self.stack = LayerStack(config)

    def forward(
        self, values: Float[Tensor, "batch channel time"], masked: Bool[Tensor, "batch patch"] | None = None
    ) -> Encoded:
        """Return the tokens of a batch.

        Args:
            values: Scaled samples [batch channel time]; NaN where missing. A segment's output depends on it alone.
            masked: Patches whose content is hidden behind the mask token (not with "convolution").
        """
        values, present = split_missing(values)
        if isinstance(self.tokeniser, StackedConvolutions):
            x = self.tokeniser(values)[:, None]
            is_valid = torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
            return Encoded(tokens=self.final(self.stack(x, is_valid))[:, 0], is_valid=is_valid[:, 0])
        if masked is not None and self.config.stem == "wavelet":
            values = hide_samples(values, masked, self.config.patch_samples)
        x, is_valid = self.tokeniser(values, present)
        if masked is not None:
            x = torch.where(masked[:, None, :, None], self.mask_token, x)
        seen = is_valid
        if self.config.summary_token:
            x = torch.cat([self.summary.expand(*x.shape[:2], 1, -1), x], dim=2)
            seen = torch.cat([self._sees_summary(is_valid), is_valid], dim=2)
        if self.config.tokens == "channels":
            x = self.kind(x)
        x = self.final(self.stack(x, seen))[:, :, -is_valid.shape[2] :]
        if self.config.tokens == "patches":
            return Encoded(tokens=x[:, 0], is_valid=is_valid[:, 0])
        joint = mean_where(x, is_valid)
        return Encoded(tokens=joint, is_valid=is_valid.any(1), by_channel=x, channel_valid=is_valid)

    def _sees_summary(self, is_valid: Bool[Tensor, "batch channel patch"]) -> Bool[Tensor, "batch channel 1"]:
        """Return where the summary token counts: with "channels" an absent channel's would tell that it has a slot."""
        if self.config.tokens == "channels":
            return is_valid.any(2, keepdim=True)
        return torch.ones_like(is_valid[:, :, :1])


class AddedVector(nn.Module):
    """A learned vector added to every token: what kind of channel it is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Return the tokens with the vector added."""
        return x + self.vector


def mean_where(
    x: Float[Tensor, "batch channel patch width"], is_valid: Bool[Tensor, "batch channel patch"]
) -> Float[Tensor, "batch patch width"]:
    """Return the mean over the channels that are there; zero where none is."""
    weight = is_valid.to(x.dtype)[..., None]
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


def hide_samples(
    values: Float[Tensor, "batch channel time"], masked: Bool[Tensor, "batch patch"], patch_samples: int
) -> Float[Tensor, "batch channel time"]:
    """Return samples with 0 in masked patches, so that filters reaching beyond a patch do not see into them."""
    by_sample = masked.repeat_interleave(patch_samples, dim=1)[:, : values.shape[2]]
    return values.masked_fill(by_sample[:, None], 0.0)
