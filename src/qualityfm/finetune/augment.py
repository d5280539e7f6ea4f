"""Small random changes of windows while a task is learnt: noise, size, a channel less."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from qualityfm.finetune.config import FinetuneConfig


def change(
    values: Float[Tensor, "batch channel time"], config: FinetuneConfig, rng: torch.Generator
) -> Float[Tensor, "batch channel time"]:
    """Return changed windows; missing samples stay missing."""
    batch, num_channels, _ = values.shape
    factor = (config.gain * (2 * torch.rand(batch, num_channels, 1, generator=rng) - 1)).exp()
    noise = config.noise_sd * torch.randn(values.shape, generator=rng)
    return _without_a_channel(values * factor + noise, config.channel_dropout, rng)


def _without_a_channel(values: Tensor, chance: float, rng: torch.Generator) -> Tensor:
    """Return windows some of which lost one live channel; the last live channel is never taken."""
    live = torch.isfinite(values).any(dim=2)
    luck = torch.rand(live.shape, generator=rng).masked_fill(~live, -1.0)
    loses = (torch.rand(len(values), generator=rng) < chance) & (live.sum(1) > 1)
    taken = torch.zeros_like(live).scatter_(1, luck.argmax(1, keepdim=True), True) & loses[:, None]
    return values.masked_fill(taken[..., None], float("nan"))
