"""Windowed attention against dense attention, forward and backward, by length; one core.

    OMP_NUM_THREADS=1 python benchmarks/attention.py --radius 16

The last columns say which way is cheaper at that length, and how time grows with length (the exponent).
"""

from __future__ import annotations

import argparse
import math
import os
import time

import torch
import torch.nn.functional as F  # noqa: N812

from qualityfm.models.attention import DENSE_UP_TO_WINDOWS, dense_band_attention, sliding_attention


def milliseconds(function, repeats: int) -> float:
    """Return the median time of forward and backward."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function().sum().backward()
        times.append(time.perf_counter() - began)
    return 1e3 * sorted(times[1:])[repeats // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--radius", type=int, default=16)
    parser.add_argument("--longest", type=int, default=3072)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print(f"radius {arguments.radius}; the model goes dense up to {DENSE_UP_TO_WINDOWS} windows of tokens")
    print(f"{'tokens':>7} {'sliding ms':>11} {'dense+band ms':>14} {'dense SDPA ms':>14} {'exponent':>9}")
    before: tuple[int, float] | None = None
    num_tokens = 96
    while num_tokens <= arguments.longest:
        query, key, value = (torch.randn(4, 4, num_tokens, 32, requires_grad=True) for _ in range(3))
        rest = {"radius": arguments.radius, "num_global": 1, "is_valid": torch.ones(4, num_tokens, dtype=torch.bool)}
        sliding = milliseconds(lambda: sliding_attention(query, key, value, **rest), arguments.repeats)  # noqa: B023
        band = milliseconds(lambda: dense_band_attention(query, key, value, **rest), arguments.repeats)  # noqa: B023
        dense = milliseconds(lambda: F.scaled_dot_product_attention(query, key, value), arguments.repeats)  # noqa: B023
        growth = math.log(sliding / before[1]) / math.log(num_tokens / before[0]) if before else float("nan")
        print(f"{num_tokens:>7} {sliding:>11.1f} {band:>14.1f} {dense:>14.1f} {growth:>9.2f}", flush=True)
        before, num_tokens = (num_tokens, sliding), num_tokens * 2


if __name__ == "__main__":
    main()
