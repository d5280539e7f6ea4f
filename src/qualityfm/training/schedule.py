"""Values that change over a run, as pure functions of the step."""

from __future__ import annotations

import math


def cosine(start: float, end: float, step: int, num_steps: int) -> float:
    """Return the value at `step` of a half cosine from `start` (step 0) to `end` (the last step).

    Example:
        >>> cosine(1.0, 0.0, 5, 11)
        0.5
    """
    progress = min(1.0, step / max(1, num_steps - 1))
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def warmup_cosine(peak: float, end: float, step: int, num_steps: int, warmup_share: float) -> float:
    """Return a linear rise to `peak` over the first share of the steps, then a half cosine down to `end`."""
    num_warmup = int(warmup_share * num_steps)
    if step < num_warmup:
        return peak * (step + 1) / num_warmup
    return cosine(peak, end, step - num_warmup, num_steps - num_warmup)
