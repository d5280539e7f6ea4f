"""One track of QualityFM: encoder, decoder and quality head, built from two configs."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import nn

from qualityfm.errors import ConfigError, problem
from qualityfm.models.config import ModelConfig
from qualityfm.models.decoder import ChannelDecoder, SpectrumDecoder, WaveformDecoder
from qualityfm.models.encoder import Encoded, Encoder
from qualityfm.models.heads import CauseHead, FindingsHead, QualityHead
from qualityfm.records import Cause, ChannelKind
from qualityfm.segments import SegmentConfig

#: Samples per token of the stacked convolutions (strides 5 x 10 x 10).
STACKED_STRIDE = 500


class Network(nn.Module):
    """Encoder, decoder and (where configured) quality head. The published parameter counts are those of this module.

    Args:
        segments: Slots, rate and length of what it eats.
        config: Its shape.

    Raises:
        ConfigError: The two do not fit together.
    """

    def __init__(self, segments: SegmentConfig, config: ModelConfig) -> None:
        super().__init__()
        self.segments = segments
        self.config = config
        num_channels = len(segments.channels)
        self.encoder = Encoder(segments.channels, config)
        self.decoder: SpectrumDecoder | WaveformDecoder | ChannelDecoder
        if config.decoder == "paper":
            num_tokens = -(-segments.num_samples // STACKED_STRIDE)
            _check_paper_shape(segments, config)
            self.decoder = SpectrumDecoder(num_tokens, num_channels, config)
        elif config.tokens == "patches":
            self.decoder = WaveformDecoder(num_channels, config)
        else:
            self.decoder = ChannelDecoder(segments.channels, config)
        token_samples = STACKED_STRIDE if config.tokens == "convolution" else config.patch_samples
        token_s = token_samples / segments.sample_rate_hz
        #: What the readouts of heads are made for: slots that share tokens, or kinds that have their own.
        self.slots = segments.channels if config.tokens == "channels" else num_channels
        self.quality: QualityHead | FindingsHead | None = None
        self.causes: CauseHead | FindingsHead | None = None
        num_causes = len(Cause.learnable())
        if config.quality_head:
            self.quality = QualityHead(config.width, self.slots, token_s)
        if config.cause_head:
            self.causes = CauseHead(config.width, self.slots, num_causes, token_s)
        if self.sees_findings:
            self.quality = FindingsHead(config.width, num_channels, 1, token_s) if config.quality_head else None
            self.causes = FindingsHead(config.width, num_channels, num_causes, token_s) if config.cause_head else None

    @property
    def sees_findings(self) -> bool:
        """Whether the heads judge by the findings of the classical indices too."""
        return self.config.heads_see == "tokens and findings"

    def judge(
        self,
        encoded: Encoded,
        num_seconds: int,
        findings: Float[torch.Tensor, "batch channel second finding"] | None = None,
    ) -> tuple[Float[torch.Tensor, "batch channel second"], Float[torch.Tensor, "batch channel second cause"]]:
        """Return the logits of quality and of causes; no causes without such a head.

        Args:
            encoded: What the encoder made of the segments.
            num_seconds: Seconds to judge.
            findings: Of the classical indices, for heads that see them; None where they were not asked.

        Raises:
            ConfigError: The network has no quality head.
        """
        if self.quality is None:
            expected = "quality_head = true"
            raise ConfigError(
                problem("cannot judge", where="model", field="quality_head", found=False, expected=expected)
            )
        asked = (encoded, num_seconds, findings) if self.sees_findings else (encoded, num_seconds)
        logits = self.quality(*asked)
        if self.sees_findings:
            logits = logits[..., 0]
        named = logits.new_zeros(*logits.shape, 0) if self.causes is None else self.causes(*asked)
        return logits, named

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.parameters())

    def with_channels(self, channels: tuple[ChannelKind, ...]) -> Network:
        """Return a copy for other slots, such as twelve ECG leads; weights belong to kinds, not to slots.

        Args:
            channels: Kind of each slot.

        Raises:
            ConfigError: The network's weights belong to slots, or a kind is new to it.
        """
        foreign = sorted(set(channels) - set(self.segments.channels))
        if self.config.tokens != "channels" or foreign or not channels:
            own = ", ".join(dict.fromkeys(self.segments.channels))
            expected = (
                f"kinds out of {own}" if self.config.tokens == "channels" else "a network with tokens = 'channels'"
            )
            found = ", ".join(foreign) or self.config.tokens
            raise ConfigError(
                problem("cannot take other channels", where="model", field="channels", found=found, expected=expected)
            )
        other = Network(replace(self.segments, channels=channels), self.config)
        own_weights = self.state_dict()
        other.load_state_dict({name: own_weights[name] for name in other.state_dict()})
        return other.train(self.training)


def count_parameters(segments: SegmentConfig, config: ModelConfig) -> int:
    """Return the number of weights without making room for them.

    Example:
        >>> count_parameters(SegmentConfig(), ModelConfig()) < 2_000_000
        True
    """
    with torch.device("meta"):
        return Network(segments, config).num_parameters


def _check_paper_shape(segments: SegmentConfig, config: ModelConfig) -> None:
    """Raise ConfigError unless the decoder's tokeniser yields at least one position a channel."""
    num_positions = math.ceil(math.ceil(math.ceil(config.width / 5) / 10) / 10)
    if num_positions < len(segments.channels):
        raise ConfigError(
            problem(
                "model and segments do not fit",
                where="model",
                field="width",
                found=config.width,
                expected=f"wide enough for {len(segments.channels)} channels in the paper's decoder (500 for each 1)",
            )
        )
