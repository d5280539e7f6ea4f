"""Windowed attention: every token sees its neighbours within a radius, and global tokens see and are seen by all.

Cost and memory grow linearly with the number of tokens. `dense_band_attention` is the slow, obvious twin: the same
function through an N x N mask. It is the oracle of the tests, and it is cheaper for short inputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch user knows
from jaxtyping import Bool, Float
from torch import Tensor

from qualityfm.models.flex import flex_band_attention, uses_flex

#: Up to so many tokens, and so many more for each token of the radius, dense attention under the band mask is faster:
#: sliding copies keys and values (measured for radii of 8, 16 and 64, docs/decisions/0040).
DENSE_TOKENS, DENSE_TOKENS_PER_RADIUS = 128, 5.5


def windowed_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
) -> Float[Tensor, "batch head patch feature"]:
    """Return attention in which token i sees token j if `|i - j| <= radius`, or either is of the first `num_global`.

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
    if uses_flex(query):
        return flex_band_attention(query, key, value, radius=radius, num_global=num_global, is_valid=is_valid)
    use = dense_band_attention if num_tokens <= dense_limit(radius) else sliding_attention
    return use(query, key, value, radius=radius, num_global=num_global, is_valid=is_valid)


def dense_limit(radius: int) -> int:
    """Return the number of tokens up to which dense attention under the band mask is the cheaper way."""
    return int(DENSE_TOKENS + DENSE_TOKENS_PER_RADIUS * radius)


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
    is_near = (position[:, None] - position[None, :]).abs() <= radius
    return _under_mask(query, key, value, is_near, num_global=num_global, is_valid=is_valid)


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
    num_tokens, block = query.shape[2], 2 * radius
    num_blocks = -(-num_tokens // block)
    tail = num_blocks * block - num_tokens

    def views(x: Tensor) -> Tensor:
        """Return what each block can reach, global tokens first."""
        halves = _cut(x, block, radius, radius + tail)
        return _behind_globals(x, num_global, halves[:, :-1], halves[:, 1:])

    allowed = _block_mask(is_valid, radius, num_global)
    mixed = _attend_in_blocks(_cut(query, block, 0, tail), views(key), views(value), allowed)[:, :, :num_tokens]
    return _with_global_rows(mixed, query, key, value, num_global=num_global, is_valid=is_valid)


def shifted_blocks_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
    is_shifted: bool,
) -> Float[Tensor, "batch head patch feature"]:
    """Return attention inside blocks of twice the radius: the cheapest window, since no key is read twice.

    A layer with blocks from token 0 on and one whose blocks begin half a block earlier take turns, so that news
    crosses every border. There is no mask but for missing tokens. Global tokens are one more column and a row.
    `dense_block_attention` is its plain twin.
    """
    num_tokens, block = query.shape[2], 2 * radius
    lead = radius if is_shifted else 0
    tail = -(num_tokens + lead) % block
    in_block = is_valid.clone()
    in_block[:, :num_global] = False  # they have columns of their own
    seen = F.pad(in_block, (lead, tail)).view(is_valid.shape[0], -1, 1, block)
    allowed = seen | torch.eye(block, dtype=torch.bool, device=seen.device)
    allowed = _with_global_columns(allowed, is_valid, num_global)
    queries, keys, values = (_cut(x, block, lead, tail) for x in (query, key, value))
    keys, values = _behind_globals(key, num_global, keys), _behind_globals(value, num_global, values)
    mixed = _attend_in_blocks(queries, keys, values, allowed)[:, :, lead : lead + num_tokens]
    return _with_global_rows(mixed, query, key, value, num_global=num_global, is_valid=is_valid)


def dense_block_attention(
    query: Float[Tensor, "batch head patch feature"],
    key: Float[Tensor, "batch head patch feature"],
    value: Float[Tensor, "batch head patch feature"],
    *,
    radius: int,
    num_global: int,
    is_valid: Bool[Tensor, "batch patch"],
    is_shifted: bool,
) -> Float[Tensor, "batch head patch feature"]:
    """Return the same as `shifted_blocks_attention` by masking an N x N matrix: the oracle."""
    position = torch.arange(query.shape[2], device=query.device)
    block = (position + (radius if is_shifted else 0)) // (2 * radius)
    return _under_mask(query, key, value, block[:, None] == block, num_global=num_global, is_valid=is_valid)


def _under_mask(
    query: Tensor, key: Tensor, value: Tensor, is_near: Tensor, *, num_global: int, is_valid: Tensor
) -> Tensor:
    """Return dense attention where tokens see those near them, global ones see and are seen, invalid ones are not."""
    position = torch.arange(query.shape[2], device=query.device)
    is_global = position < num_global
    allowed = is_near | is_global[:, None] | is_global[None, :]
    mask = (allowed & is_valid[:, None, :]) | (position[:, None] == position)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None])


def _with_global_rows(
    local: Tensor, query: Tensor, key: Tensor, value: Tensor, *, num_global: int, is_valid: Tensor
) -> Tensor:
    """Return windowed outputs with the global tokens' own, which see everything, in front."""
    if not num_global:
        return local
    position = torch.arange(query.shape[2], device=query.device)
    row_mask = is_valid[:, None, :] | (position[:num_global, None] == position)
    rows = F.scaled_dot_product_attention(query[:, :, :num_global], key, value, attn_mask=row_mask[:, None])
    return torch.cat([rows, local[:, :, num_global:]], dim=2)


def _cut(
    x: Float[Tensor, "batch head patch feature"], block: int, lead: int, tail: int
) -> Float[Tensor, "batch block head token feature"]:
    """Return the tokens in blocks, with that many zeros before and after. Blocks come before heads: see the mask."""
    batch, heads, _, width = x.shape
    return F.pad(x, (0, 0, lead, tail)).view(batch, heads, -1, block, width).transpose(1, 2)


def _behind_globals(x: Tensor, num_global: int, *parts: Tensor) -> Tensor:
    """Return each block's keys or values in one piece, behind those of the global tokens."""
    if num_global:
        parts = (x[:, None, :, :num_global].expand(-1, parts[0].shape[1], -1, -1, -1), *parts)
    return torch.cat(parts, dim=3)


def _attend_in_blocks(
    query: Float[Tensor, "batch block head query feature"],
    key: Float[Tensor, "batch block head key feature"],
    value: Float[Tensor, "batch block head key feature"],
    allowed: Bool[Tensor, "batch block query key"],
) -> Float[Tensor, "batch head patch feature"]:
    """Return attention inside each block. Blocks count as segments, so that one mask serves all heads."""
    shape = query.transpose(1, 2).shape
    mask = allowed.flatten(0, 1)[:, None]
    mixed = F.scaled_dot_product_attention(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), attn_mask=mask)
    return mixed.view(query.shape).transpose(1, 2).reshape(shape[0], shape[1], -1, shape[-1])


def _block_mask(
    is_valid: Bool[Tensor, "batch patch"], radius: int, num_global: int
) -> Bool[Tensor, "batch block query key"]:
    """Return where a block's query may see a key of `sliding_attention`.

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
    return _with_global_columns(allowed, is_valid, num_global)


def _with_global_columns(allowed: Tensor, is_valid: Tensor, num_global: int) -> Tensor:
    if not num_global:
        return allowed
    of_globals = is_valid[:, None, None, :num_global].expand(-1, *allowed.shape[1:3], -1)
    return torch.cat([of_globals, allowed], dim=-1)


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


def rotate_positions(
    x: Float[Tensor, "*batch patch feature"], turn: tuple[Tensor, Tensor] | None = None
) -> Float[Tensor, "*batch patch feature"]:
    """Return queries or keys turned by angles that grow with position, so that attention sees distances.

    Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv 2104.09864 (2021).

    Args:
        x: Queries or keys.
        turn: `rotary_turn` of this length and width, where it is known already.
    """
    cos, sin = turn or rotary_turn(x.shape[-2], x.shape[-1], x.device)
    return torch.addcmul(x * cos.to(x.dtype), x.roll(x.shape[-1] // 2, dims=-1), sin.to(x.dtype))


def rotary_turn(
    num_tokens: int, width: int, device: torch.device
) -> tuple[Float[Tensor, "patch feature"], Float[Tensor, "patch feature"]]:
    """Return the cosines, and the sines with the sign of the half that they fall on, of every position's angles."""
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = torch.arange(num_tokens, device=device, dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def sinusoidal_positions(num_tokens: int, width: int, device: torch.device) -> Float[Tensor, "patch width"]:
    """Return fixed sine and cosine position vectors.

    Source: Vaswani et al., Attention Is All You Need, arXiv 1706.03762 (2017).
    """
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = torch.arange(num_tokens, device=device, dtype=torch.float32)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[:, :width]
