"""Windowed attention: every token sees its neighbours within a radius, and global tokens see and are seen by all.

Cost and memory grow linearly with the number of tokens. `dense_band_attention` is the slow, obvious twin: the same
function through an N x N mask. It is the oracle of the tests, and it is cheaper for short inputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch user knows
from jaxtyping import Bool, Float
from torch import Tensor

#: Up to this many windows of tokens, dense attention under the band mask is faster (measured, benchmarks/attention.py).
DENSE_UP_TO_WINDOWS = 3


def windowed_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
) -> Float[Tensor, "batch head patch feature"]:
    """Return attention in which token i sees token j if |i - j| <= radius, or either is one of the first `num_global`.

    A token that is not valid is seen by nobody but itself. Chooses the cheaper of two equal computations.

    Args:
        query: Queries; key and value alike.
        key: Keys.
        value: Values.
        radius: Reach to either side, in tokens; at least 1.
        num_global: Number of leading tokens that are global in both directions.
        is_valid: False for tokens without data.
    """
    num_tokens = query.shape[2]
    use = dense_band_attention if num_tokens <= DENSE_UP_TO_WINDOWS * (2 * radius + 1) else sliding_attention
    return use(query, key, value, radius=radius, num_global=num_global, is_valid=is_valid)


def dense_band_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
) -> Float[Tensor, "batch head patch feature"]:
    """Return the same as `windowed_attention` by masking an N x N matrix: quadratic, plain, the oracle."""
    position = torch.arange(query.shape[2], device=query.device)
    near = (position[:, None] - position[None, :]).abs() <= radius
    is_global = position < num_global
    allowed = near | is_global[:, None] | is_global[None, :]
    itself = position[:, None] == position[None, :]
    mask = (allowed & is_valid[:, None, :]) | itself
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None])


def sliding_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
) -> Float[Tensor, "batch head patch feature"]:
    """Return the same as `windowed_attention` with blocks of queries against overlapping views of the keys.

    Tokens are cut into blocks of twice the radius; a block's queries reach half a block beyond either end:

        keys     | r |   2r   | r |        4r keys for 2r queries, whatever the length
        queries      |   2r   |

    Global tokens are one more column for everybody and a dense row of their own.
    """
    batch, heads, num_tokens, width = query.shape
    block = 2 * radius
    reach = block + 2 * radius
    num_blocks = -(-num_tokens // block)
    tail = num_blocks * block - num_tokens

    def views(x: Tensor) -> Tensor:
        """Return what each block can reach, global tokens first: [batch head block num_global+reach feature]."""
        around = F.pad(x, (0, 0, radius, radius + tail)).unfold(2, reach, block).transpose(-1, -2)
        if not num_global:
            return around
        seen_by_all = x[:, :, None, :num_global].expand(-1, -1, num_blocks, -1, -1)
        return torch.cat([seen_by_all, around], dim=3)

    blocks = F.pad(query * width**-0.5, (0, 0, 0, tail)).view(batch, heads, num_blocks, block, width)
    scores = blocks @ views(key).transpose(-1, -2)
    weights = (scores + _block_bias(is_valid, radius, num_global).to(scores.dtype)).softmax(dim=-1)
    local = (weights @ views(value)).reshape(batch, heads, num_blocks * block, width)[:, :, :num_tokens]
    if not num_global:
        return local

    position = torch.arange(num_tokens, device=query.device)
    row_mask = is_valid[:, None, :] | (position[:num_global, None] == position)
    rows = F.scaled_dot_product_attention(query[:, :, :num_global], key, value, attn_mask=row_mask[:, None])
    return torch.cat([rows, local[:, :, num_global:]], dim=2)


def _block_bias(
    is_valid: Bool[Tensor, "batch patch"], radius: int, num_global: int
) -> Float[Tensor, "batch 1 block query key"]:
    """Return 0 where a block's query may see a key of `sliding_attention`, minus infinity elsewhere.

    Global tokens have columns of their own, so the band leaves them out. A token always sees itself: no row of the
    softmax is empty.
    """
    block, reach = 2 * radius, 4 * radius
    num_blocks = -(-is_valid.shape[1] // block)
    tail = num_blocks * block - is_valid.shape[1]
    in_band = is_valid.clone()
    in_band[:, :num_global] = False
    seen = F.pad(in_band, (radius, radius + tail)).unfold(1, reach, block)
    query_place = torch.arange(block, device=is_valid.device)[:, None]
    offset = torch.arange(reach, device=is_valid.device) - radius - query_place
    allowed = ((offset.abs() <= radius) & seen[:, :, None, :]) | (offset == 0)
    if num_global:
        of_globals = is_valid[:, None, None, :num_global].expand(-1, num_blocks, block, -1)
        allowed = torch.cat([of_globals, allowed], dim=-1)
    bias = torch.zeros(allowed.shape, device=is_valid.device).masked_fill_(~allowed, float("-inf"))
    return bias[:, None]


def across_channels(
    query: Float[Tensor, "batch channel patch head feature"],
    key: Float[Tensor, "batch channel patch head feature"],
    value: Float[Tensor, "batch channel patch head feature"],
    is_valid: Bool[Tensor, "batch channel patch"],
) -> Float[Tensor, "batch channel patch head feature"]:
    """Return attention among the channels' tokens of the same moment; a token without data is seen by itself alone."""
    channels = torch.arange(query.shape[1], device=query.device)
    itself = channels[:, None] == channels
    allowed = is_valid.transpose(1, 2)[:, :, None, None, :] | itself
    query, key, value = (x.permute(0, 2, 3, 1, 4) for x in (query * query.shape[-1] ** -0.5, key, value))
    scores = (query @ key.transpose(-1, -2)).masked_fill(~allowed, float("-inf"))
    return (scores.softmax(dim=-1) @ value).permute(0, 3, 1, 2, 4)


def rotate_positions(x: Float[Tensor, "*batch patch feature"]) -> Float[Tensor, "*batch patch feature"]:
    """Return queries or keys turned by angles that grow with position, so that attention sees distances.

    Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv 2104.09864 (2021).
    """
    num_tokens, width = x.shape[-2], x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width)
    angle = torch.arange(num_tokens, device=x.device, dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def sinusoidal_positions(num_tokens: int, width: int, device: torch.device) -> Float[Tensor, "patch width"]:
    """Return fixed sine and cosine position vectors.

    Source: Vaswani et al., Attention Is All You Need, arXiv 1706.03762 (2017).
    """
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = torch.arange(num_tokens, device=device, dtype=torch.float32)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[:, :width]
