"""What a network is made of. Plain data: reading it needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qualityfm.errors import ConfigError, problem

#: Settings that came after the first checkpoints, with what those were made with.
ADDED_LATER: Mapping[str, object] = {"stem": "patch", "attention": "sliding", "heads_see": "tokens"}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of encoder, decoder and heads; both families are settings of the same code.

    Attributes:
        tokens: "convolution" stacks all channels through three strided convolutions (the paper); "patches" embeds each
            channel's patches by kind and sums what is present, so that any subset of channels works; "channels" keeps
            a token for each channel and patch, and its layers look along a channel and across channels in turn.
        stem: How a patch is embedded: "patch" by itself, "wavelet" by learned octaves of the signal around it.
        patch_samples: Samples in a patch (not with "convolution").
        width: Features of a token.
        num_heads: Attention heads.
        num_layers: Layers of the encoder, and of the paper's decoder.
        feed_forward: Hidden features of a layer's feed-forward part.
        attention_radius: Tokens that a token sees to either side.
        attention: "sliding" sees `attention_radius` to either side; "blocks" sees a block of twice that, which every
            second layer along time shifts by half: cheaper, and off by up to a block at its border.
        num_global: Leading tokens that see and are seen by all.
        summary_token: Put one learned token in front, with "channels" one in front of each (not with "convolution").
        norm: "post" normalises after each residual sum (the paper), "pre" before each part.
        position: "sinusoidal" vectors are added once; "rotary" turns queries and keys.
        dropout: Share of features zeroed after each part while training.
        decoder: "paper" predicts the spectrum of 30 s; "waveform" predicts each patch's samples.
        quality_head: Whether a head estimates quality per second and channel.
        cause_head: Whether a second head names the causes.
        heads_see: What both judge by: "tokens", or "tokens and findings" of the classical indices, which know physical
            sizes that scaled samples have lost (quality/findings.py; only with "patches").
    """

    tokens: Literal["convolution", "patches", "channels"] = "patches"
    stem: Literal["patch", "wavelet"] = "patch"
    patch_samples: int = 25
    width: int = 128
    num_heads: int = 4
    num_layers: int = 6
    feed_forward: int = 512
    attention_radius: int = 16
    attention: Literal["sliding", "blocks"] = "sliding"
    num_global: int = 1
    summary_token: bool = True
    norm: Literal["post", "pre"] = "pre"
    position: Literal["sinusoidal", "rotary"] = "rotary"
    dropout: float = 0.0
    decoder: Literal["paper", "waveform"] = "waveform"
    quality_head: bool = True
    cause_head: bool = True
    heads_see: Literal["tokens", "tokens and findings"] = "tokens"

    def __post_init__(self) -> None:
        for field in ("patch_samples", "width", "num_heads", "num_layers", "feed_forward", "attention_radius"):
            self._require(field, getattr(self, field) >= 1, "at least 1")
        self._require("width", self.width % (2 * self.num_heads) == 0, "a multiple of twice num_heads")
        self._require("dropout", 0 <= self.dropout < 1, "0 <= x < 1")
        self._require("num_global", self.num_global >= 0, "at least 0")
        stacked = self.tokens == "convolution"
        self._require("stem", not (stacked and self.stem != "patch"), "'patch' with tokens = 'convolution'")
        self._require("summary_token", not (stacked and self.summary_token), "false with tokens = 'convolution'")
        is_sighted = self.heads_see == "tokens" or self.tokens == "patches"
        self._require("heads_see", is_sighted, "'tokens' unless tokens = 'patches'")
        self._require("decoder", stacked == (self.decoder == "paper"), "'paper' with 'convolution', else 'waveform'")

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            found = getattr(self, field)
            raise ConfigError(problem("wrong setting", where="model", field=field, found=found, expected=expected))
