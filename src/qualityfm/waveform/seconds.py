"""Where the seconds of a line lie among its samples, at rates that are no whole number too."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int64

#: A time so little before a sample, in samples, falls on it: products of decimal numbers are not exact. Our own bound.
NUDGE = 1e-6


@lru_cache(maxsize=64)
def second_starts(num_seconds: int, sample_rate_hz: float) -> Int64[np.ndarray, " second"]:
    """Return the first sample of every second.

    Args:
        num_seconds: Seconds of the line, a begun one included.
        sample_rate_hz: Samples per second.
    """
    starts: Int64[np.ndarray, " second"] = np.ceil(np.arange(num_seconds) * sample_rate_hz - NUDGE).astype(np.int64)
    starts.flags.writeable = False  # remembered for the next caller
    return starts
