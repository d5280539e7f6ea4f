"""Small networks on top of the encoder's tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.models.encoder import Encoded
from qualityfm.models.stems import ByKind
from qualityfm.quality.findings import NUM_FINDINGS
from qualityfm.records import ChannelKind

#: Hidden features of a head that sees findings, and how many neighbouring seconds it sees at once (our own choice,
#: docs/decisions/0029).
FINDINGS_WIDTH, SECONDS_SEEN = 128, 5


class QualityHead(nn.Module):
    """Quality of each second of each channel slot, as a logit: the mean over the second's tokens, by their overlap.

    Args:
        width: Features of a token.
        channels: Number of slots that share their tokens, or the kinds of channels with tokens of their own.
        token_s: Length of a token, s.
    """

    def __init__(self, width: int, channels: int | tuple[ChannelKind, ...], token_s: float) -> None:
        super().__init__()
        self.token_s = token_s
        self.to_logit = _readout(width, channels, 1)

    def forward(self, encoded: Encoded, num_seconds: int) -> Float[Tensor, "batch channel second"]:
        """Return logits; a sigmoid makes them qualities in [0, 1].

        Args:
            encoded: Tokens that cover at least the seconds asked for, up to the length of one token.
            num_seconds: Seconds to judge.
        """
        by_token = _read(self.to_logit, encoded)
        return mean_over_seconds(by_token, self.token_s, num_seconds)


class CauseHead(nn.Module):
    """Whether each cause holds in each second of each channel slot; several may hold at once.

    Args:
        width: Features of a token.
        channels: As in `QualityHead`.
        num_causes: Causes to judge.
        token_s: Length of a token, s.
    """

    def __init__(self, width: int, channels: int | tuple[ChannelKind, ...], num_causes: int, token_s: float) -> None:
        super().__init__()
        self.token_s = token_s
        self.num_causes = num_causes
        self.to_logit = _readout(width, channels, num_causes)

    def forward(self, encoded: Encoded, num_seconds: int) -> Float[Tensor, "batch channel second cause"]:
        """Return logits; a sigmoid makes them probabilities.

        Args:
            encoded: Tokens that cover at least the seconds asked for, up to the length of one token.
            num_seconds: Seconds to judge.
        """
        flat = mean_over_seconds(_read(self.to_logit, encoded), self.token_s, num_seconds)
        return flat.reshape(flat.shape[0], -1, self.num_causes, num_seconds).transpose(2, 3)


class BeatHead(nn.Module):
    """Some numbers about each token of each channel slot, such as its beats; thrown away after pre-training.

    Args:
        width: Features of a token.
        channels: As in `QualityHead`.
        num_measures: Numbers.
    """

    def __init__(self, width: int, channels: int | tuple[ChannelKind, ...], num_measures: int) -> None:
        super().__init__()
        self.num_measures = num_measures
        self.measure = _readout(width, channels, num_measures)

    def forward(self, encoded: Encoded) -> Float[Tensor, "batch channel patch measure"]:
        """Return the numbers."""
        flat = _read(self.measure, encoded)
        return flat.reshape(len(flat), -1, self.num_measures, flat.shape[2]).transpose(2, 3)


class FindingsHead(nn.Module):
    """Answers about each second of each channel slot, from the tokens and what the classical indices found there.

    The findings of all slots are seen together, and those of the seconds around.

    Args:
        width: Features of a token.
        num_channels: Slots.
        num_answers: Answers for each slot.
        token_s: Length of a token, s.
    """

    def __init__(self, width: int, num_channels: int, num_answers: int, token_s: float) -> None:
        super().__init__()
        self.token_s, self.num_channels, self.num_answers = token_s, num_channels, num_answers
        num_seen = width + num_channels * NUM_FINDINGS
        self.mix = nn.Conv1d(num_seen, FINDINGS_WIDTH, SECONDS_SEEN, padding=SECONDS_SEEN // 2)
        self.answer = nn.Conv1d(FINDINGS_WIDTH, num_channels * num_answers, 1)

    def forward(
        self,
        encoded: Encoded,
        num_seconds: int,
        findings: Float[Tensor, "batch channel second finding"] | None = None,
    ) -> Float[Tensor, "batch channel second answer"]:
        """Return logits.

        Args:
            encoded: Tokens that cover at least the seconds asked for, up to the length of one token.
            num_seconds: Seconds to judge.
            findings: Of the same seconds; None where nobody asked the indices, for which the head is trained too.
        """
        tokens = mean_over_seconds(encoded.tokens.transpose(1, 2), self.token_s, num_seconds)
        if findings is None:
            findings = tokens.new_zeros(tokens.shape[0], self.num_channels, num_seconds, NUM_FINDINGS)
        found = findings.to(tokens.dtype).transpose(2, 3).flatten(1, 2)
        flat = self.answer(F.gelu(self.mix(torch.cat([tokens, found], dim=1))))
        return torch.as_tensor(
            flat.reshape(flat.shape[0], self.num_channels, self.num_answers, num_seconds).transpose(2, 3)
        )


def _readout(width: int, channels: int | tuple[ChannelKind, ...], num_answers: int) -> nn.Module:
    if isinstance(channels, int):
        return nn.Linear(width, channels * num_answers)
    return ByKind(channels, lambda: nn.Linear(width, num_answers))


def _read(to_logit: nn.Module, encoded: Encoded) -> Float[Tensor, "batch answer patch"]:
    """Return the answers of each slot, slot by slot: from its own tokens, or from those that all share."""
    if encoded.by_channel is None:
        return torch.as_tensor(to_logit(encoded.tokens).transpose(1, 2))
    return torch.as_tensor(to_logit(encoded.by_channel).transpose(2, 3).flatten(1, 2))


def mean_over_seconds(
    by_token: Float[Tensor, "batch feature patch"], token_s: float, num_seconds: int
) -> Float[Tensor, "batch feature second"]:
    """Return the mean over the tokens of each second, weighted by how much of the second each token covers."""
    edge = torch.arange(by_token.shape[2] + 1, device=by_token.device) * token_s
    second = torch.arange(num_seconds, device=by_token.device)
    overlap = torch.minimum(edge[1:, None], second + 1) - torch.maximum(edge[:-1, None], second)
    share = overlap.clamp(min=0).to(by_token.dtype)
    return torch.as_tensor(by_token @ (share / share.sum(0).clamp(min=1e-9)))


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
