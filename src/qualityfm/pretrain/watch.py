"""Is the encoder collapsing? Three numbers that fall long before the loss tells."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

#: A run has collapsed when the spread fell below this share of its start, or the rank below this, or below half of its
#: start where a small held-out set cannot show so many directions (docs/decisions/0006).
MIN_SPREAD_SHARE, MIN_EFFECTIVE_RANK = 0.1, 16.0

#: What falls when an encoder collapses.
SIGNS = ("feature_spread", "effective_rank")


def feature_spread(features: Float[Tensor, "sample width"]) -> float:
    """Return the mean over features of the standard deviation over samples; 0 when all samples look alike."""
    return float(features.std(0).mean())


def effective_rank(features: Float[Tensor, "sample width"]) -> float:
    """Return exp(entropy of the normalised singular values) of the centred features.

    Source: Roy and Vetterli, The effective rank, EUSIPCO 2007.
    """
    singular = torch.linalg.svdvals((features - features.mean(0)).double())
    share = singular / singular.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))


def softmax_entropy(logits: Float[Tensor, "sample prototype"], temperature: float) -> float:
    """Return the mean entropy in nats of the teacher's softmax; log(number of prototypes) when it says nothing."""
    log_share = (logits / temperature).log_softmax(-1)
    return float(-(log_share.exp() * log_share).sum(-1).mean())


def lowest(*checks: dict[str, float]) -> dict[str, float]:
    """Return the least of each sign of collapse: a run that recovered has collapsed all the same."""
    return {sign: min(check[sign] for check in checks) for sign in SIGNS}


def is_collapsed(start: dict[str, float], now: dict[str, float]) -> bool:
    """Return whether the features lost their spread against the start of the run, or nearly all their dimensions."""
    lost_spread = now["feature_spread"] < MIN_SPREAD_SHARE * start["feature_spread"]
    min_rank = min(MIN_EFFECTIVE_RANK, start["effective_rank"] / 2)
    return lost_spread or now["effective_rank"] < min_rank
