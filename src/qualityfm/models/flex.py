"""The band of `windowed_attention` through FlexAttention of torch: one fused kernel on CUDA, opt-in, never the default.

Only the CPU's slow form of it was compared with the dense twin; no CUDA device was at hand. Ask for it with
QUALITYFM_FLEX_ATTENTION=1.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SWITCH = "QUALITYFM_FLEX_ATTENTION"


def uses_flex(query: Tensor) -> bool:
    """Return whether the fused kernel is asked for and can run: CUDA, and a torch that has it."""
    return os.environ.get(SWITCH) == "1" and query.is_cuda and _has_flex()


@cache
def _has_flex() -> bool:
    try:
        import torch.nn.attention.flex_attention  # noqa: F401
    except ImportError:
        return False
    return True


def flex_band_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
) -> Float[Tensor, "batch head patch feature"]:
    """Return the same as `attention.windowed_attention`; on a CPU slow, and without a gradient."""
    from torch.nn.attention.flex_attention import create_block_mask

    # torch counts the positional arguments of a mask, which a shape-checked function hides and a lambda does not.
    is_seen: Callable[..., Tensor] = lambda batch, head, asking, asked: (  # noqa: E731
        is_valid[batch, asked] & (((asking - asked).abs() <= radius) | (asking < num_global) | (asked < num_global))
        | (asking == asked)
    )
    num_tokens = query.shape[2]
    mask = create_block_mask(is_seen, len(query), None, num_tokens, num_tokens, device=str(query.device))
    return torch.as_tensor(_kernel(query.is_cuda)(query, key, value, block_mask=mask))


@cache
def _kernel(is_fused: bool) -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention) if is_fused else flex_attention
