"""The teacher: a moving average of the student that never gets a gradient, and the centres of its logits."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.models.network import Network
from qualityfm.training.ranks import mean_over_ranks


class Teacher(nn.Module):
    """Starts equal to the student; `follow` moves it.

    Args:
        network: The student's network.
        projection: The student's projection head.
        num_logits: Outputs whose running mean is subtracted.
    """

    token_center: Tensor
    pooled_center: Tensor

    def __init__(self, network: Network, projection: nn.Module, num_logits: int) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.projection = copy.deepcopy(projection).requires_grad_(False).eval()
        self.register_buffer("token_center", torch.zeros(num_logits))
        self.register_buffer("pooled_center", torch.zeros(num_logits))

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode whatever the student does: dropout in the target would be noise."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, network: Network, projection: nn.Module, momentum: float) -> None:
        """Move every weight towards the student's: new = momentum * old + (1 - momentum) * student."""
        for own_module, their_module in ((self.network, network), (self.projection, projection)):
            own_tensors: list[Tensor] = list(own_module.parameters())
            their_tensors = [p.detach() for p in their_module.parameters()]
            if own_tensors:
                torch._foreach_lerp_(own_tensors, their_tensors, 1 - momentum)

    @torch.no_grad()
    def move_centers(
        self,
        token_logits: Float[Tensor, "token prototype"],
        pooled_logits: Float[Tensor, "batch prototype"],
        momentum: float,
    ) -> None:
        """Move the running means of the teacher's logits. Source: DINO, arXiv 2104.14294, equation 4."""
        num_tokens = mean_over_ranks(self.token_center.new_tensor(len(token_logits)))
        token_sum = mean_over_ranks(token_logits.float().sum(0))
        if num_tokens > 0:
            self.token_center.lerp_(token_sum / num_tokens, 1 - momentum)
        self.pooled_center.lerp_(mean_over_ranks(pooled_logits.float().mean(0)), 1 - momentum)
