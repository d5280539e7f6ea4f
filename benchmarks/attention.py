"""Windowed attention against dense attention and `local-attention`, by length; ratios of one run, one core.

    OMP_NUM_THREADS=1 python benchmarks/attention.py            # window 128 as published figures use: radius 64
    OMP_NUM_THREADS=1 python benchmarks/attention.py --radius 16 --head-width 32 --batch 4

"ideal" is N / (3 windows), the arithmetic that three windows of keys save against N of them; "x local" is how much
faster than local-attention (PyPI, one window back and forth) forward and backward are.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from qualityfm.models.attention import dense_band_attention, shifted_blocks_attention, sliding_attention


def milliseconds(function: Callable[[], Tensor], repeats: int) -> tuple[float, float]:
    """Return the least CPU time of forward alone, and of forward and backward."""
    forward, both = [], []
    for _ in range(repeats + 1):
        with torch.no_grad():
            began = time.process_time()
            function()
            forward.append(time.process_time() - began)
        began = time.process_time()
        function().sum().backward()
        both.append(time.process_time() - began)
    return 1e3 * min(forward[1:]), 1e3 * min(both[1:])


def local_attention(window: int, width: int) -> Callable[..., Tensor] | None:
    """Return the peer's function, or None where it is not installed."""
    try:
        from local_attention import LocalAttention
    except ImportError:
        return None
    return LocalAttention(
        window_size=window, look_backward=1, look_forward=1, dim=width, autopad=True, use_rotary_pos_emb=False
    )


def contestants(arguments: argparse.Namespace, num_tokens: int) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed at one length."""
    shape = (arguments.batch, arguments.heads, num_tokens, arguments.head_width)
    qkv = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    is_valid = torch.ones(arguments.batch, num_tokens, dtype=torch.bool)
    window = {"radius": arguments.radius, "num_global": 1, "is_valid": is_valid}
    found: dict[str, Callable[[], Tensor]] = {
        "sliding": lambda: sliding_attention(*qkv, **window),
        "blocks": lambda: shifted_blocks_attention(*qkv, **window, is_shifted=True),
    }
    if num_tokens <= arguments.longest_dense:
        found["dense"] = lambda: F.scaled_dot_product_attention(*qkv)
        found["dense band"] = lambda: dense_band_attention(*qkv, **window)
    peer = local_attention(2 * arguments.radius, arguments.head_width)
    if peer:
        found["local"] = lambda: peer(*qkv)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--radius", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-width", type=int, default=64)
    parser.add_argument("--lengths", type=int, nargs="+", default=[384, 1536, 3072, 12288])
    parser.add_argument("--longest-dense", type=int, default=3072)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sliding = {}
    for num_tokens in arguments.lengths:
        times = {n: milliseconds(f, arguments.repeats) for n, f in contestants(arguments, num_tokens).items()}
        print(num_tokens, {name: f"{one:.1f} / {both:.1f}" for name, (one, both) in times.items()}, flush=True)
        ideal = num_tokens / (6 * arguments.radius)
        for name in ("sliding", "blocks"):
            against = {other: [t / o for t, o in zip(times[other], times[name], strict=True)] for other in times}
            if "dense" in against:
                shares = " / ".join(f"{ratio / ideal:.2f}" for ratio in against["dense"])
                print(f"    {name}: share of the ideal against dense, forward / with backward: {shares}")
            if "local" in against:
                print(f"    {name}: {against['local'][1]:.1f} x local-attention, forward and backward")
        sliding[num_tokens] = times["sliding"][1]
    first, last = min(sliding), max(sliding)
    if first < last:
        exponent = math.log(sliding[last] / sliding[first]) / math.log(last / first)
        print(f"growth of sliding from {first} to {last} tokens: exponent {exponent:.3f}")


if __name__ == "__main__":
    main()
