"""A light adapter: low-rank changes of the attention's weights, folded into them when training ends."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from qualityfm.models.encoder import Layer


class LowRank(nn.Module):
    """Adds the product of two thin matrices to a weight; zero at the start.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR (2022).
    """

    def __init__(self, num_outputs: int, num_inputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, num_inputs) * num_inputs**-0.5)
        self.up = nn.Parameter(torch.zeros(num_outputs, rank))

    def forward(self, weight: Float[Tensor, "output input"]) -> Float[Tensor, "output input"]:
        """Return the changed weight."""
        return weight + self.up @ self.down


def add_low_rank(encoder: nn.Module, rank: int) -> list[nn.Parameter]:
    """Freeze an encoder, give each attention layer an adapter, and return the adapters' weights.

    Args:
        encoder: Whose layers of attention are adapted.
        rank: Of each change.
    """
    encoder.requires_grad_(False)
    added: list[nn.Parameter] = []
    for linear in _adapted(encoder):
        low_rank = LowRank(linear.out_features, linear.in_features, rank).to(linear.weight.device)
        parametrize.register_parametrization(linear, "weight", low_rank)
        added.extend(low_rank.parameters())
    return added


def fold_low_rank(encoder: nn.Module) -> None:
    """Write every adapter's change into the weight itself; the encoder has its plain shape again."""
    for linear in _adapted(encoder):
        if parametrize.is_parametrized(linear, "weight"):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)
    encoder.requires_grad_(True)


def _adapted(encoder: nn.Module) -> list[nn.Linear]:
    layers = [module for module in encoder.modules() if isinstance(module, Layer)]
    return [linear for layer in layers for linear in (layer.to_qkv, layer.to_out)]
