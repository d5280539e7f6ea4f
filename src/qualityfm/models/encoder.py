"""The encoder: tokens of a segment, each aware of its neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from qualityfm.models.attention import rotate_positions, sinusoidal_positions, windowed_attention
from qualityfm.models.config import ModelConfig
from qualityfm.models.patches import ChannelPatches, StackedConvolutions, split_missing
from qualityfm.records import ChannelKind


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What the encoder makes of a batch.

    Attributes:
        tokens: One vector a patch, in time order (a summary token is not among them).
        is_valid: False where no channel had data.
    """

    tokens: Float[Tensor, "batch patch width"]
    is_valid: Bool[Tensor, "batch patch"]

    @property
    def pooled(self) -> Float[Tensor, "batch width"]:
        """Mean over the valid tokens; zero for a segment without any."""
        weight = self.is_valid.to(self.tokens.dtype)[..., None]
        return (self.tokens * weight).sum(1) / weight.sum(1).clamp(min=1)


class Layer(nn.Module):
    """Attention and feed-forward with residuals, normalised before or after each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.to_qkv = nn.Linear(config.width, 3 * config.width)
        self.to_out = nn.Linear(config.width, config.width)
        self.norms = nn.ModuleList([nn.LayerNorm(config.width), nn.LayerNorm(config.width)])
        self.feed_forward = nn.Sequential(
            nn.Linear(config.width, config.feed_forward), nn.GELU(), nn.Linear(config.feed_forward, config.width)
        )
        self.dropout = nn.Dropout(config.dropout)

    def attend(
        self, x: Float[Tensor, "batch patch width"], is_valid: Bool[Tensor, "batch patch"]
    ) -> Float[Tensor, "batch patch width"]:
        """Return the attention part's output."""
        batch, num_tokens, width = x.shape
        heads = self.config.num_heads
        qkv = self.to_qkv(x).view(batch, num_tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        query_key, value = qkv[:2], qkv[2]
        if self.config.position == "rotary":
            query_key = rotate_positions(query_key)
        query, key = query_key
        mixed = windowed_attention(
            query,
            key,
            value,
            radius=self.config.attention_radius,
            num_global=self.config.num_global,
            is_valid=is_valid,
        )
        return torch.as_tensor(self.to_out(mixed.transpose(1, 2).reshape(batch, num_tokens, width)))

    def forward(
        self, x: Float[Tensor, "batch patch width"], is_valid: Bool[Tensor, "batch patch"]
    ) -> Float[Tensor, "batch patch width"]:
        """Return the tokens after one layer."""
        if self.config.norm == "pre":
            x = x + self.dropout(self.attend(self.norms[0](x), is_valid))
            return torch.as_tensor(x + self.dropout(self.feed_forward(self.norms[1](x))))
        x = self.norms[0](x + self.dropout(self.attend(x, is_valid)))
        return torch.as_tensor(self.norms[1](x + self.dropout(self.feed_forward(x))))


class LayerStack(nn.Module):
    """Positions and layers over tokens that exist already; encoder and the paper's decoder share it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.num_layers)])
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "batch patch width"], is_valid: Bool[Tensor, "batch patch"]
    ) -> Float[Tensor, "batch patch width"]:
        """Return the tokens after all layers."""
        if self.config.position == "sinusoidal":
            x = x + sinusoidal_positions(x.shape[1], x.shape[2], x.device).to(x.dtype)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, is_valid)
        return x


class Encoder(nn.Module):
    """Scaled samples, NaN where missing, any length -> `Encoded`."""

    def __init__(self, kinds: tuple[ChannelKind, ...], config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        if config.tokens == "convolution":
            self.tokeniser: StackedConvolutions | ChannelPatches = StackedConvolutions(len(kinds), config.width)
            self.final: nn.Module = nn.Linear(config.width, config.width)
        else:
            self.tokeniser = ChannelPatches(kinds, config.patch_samples, config.width)
            self.mask_token = nn.Parameter(torch.randn(config.width) * 0.02)
            self.final = nn.LayerNorm(config.width)
        if config.summary_token:
            self.summary = nn.Parameter(torch.randn(config.width) * 0.02)
        self.stack = LayerStack(config)

    def forward(
        self, values: Float[Tensor, "batch channel time"], masked: Bool[Tensor, "batch patch"] | None = None
    ) -> Encoded:
        """Return the tokens of a batch.

        Args:
            values: Scaled samples [batch channel time]; NaN where missing. A segment's output depends on it alone.
            masked: Patches whose content is hidden behind the mask token ("patches" only).
        """
        values, present = split_missing(values)
        if isinstance(self.tokeniser, StackedConvolutions):
            x = self.tokeniser(values)
            is_valid = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        else:
            x, is_valid = self.tokeniser(values, present)
            if masked is not None:
                x = torch.where(masked[..., None], self.mask_token, x)
        if not self.config.summary_token:
            return Encoded(tokens=self.final(self.stack(x, is_valid)), is_valid=is_valid)
        x = torch.cat([self.summary.expand(len(x), 1, -1), x], dim=1)
        seen = torch.cat([is_valid.new_ones(len(x), 1), is_valid], dim=1)
        return Encoded(tokens=self.final(self.stack(x, seen))[:, 1:], is_valid=is_valid)
