"""Power spectra of many lines at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from scipy.fft import rfft, rfftfreq


def power_spectrum(
    lines: Float32[np.ndarray, "line time"], sample_rate_hz: float
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "line frequency"]]:
    """Return frequencies in Hz and the power of every line at each, the mean left out.

    The powers of a line add up to its variance (Parseval).

    Args:
        lines: Finite samples.
        sample_rate_hz: Samples per second.
    """
    num_samples = lines.shape[1]
    if num_samples == 0:
        return np.zeros(0), np.zeros((len(lines), 0))
    centred = lines.astype(np.float64) - lines.mean(axis=1, keepdims=True, dtype=np.float64)
    power = np.abs(rfft(centred, axis=1)) ** 2 / num_samples**2
    both_sides = slice(1, (num_samples + 1) // 2)  # the highest frequency of an even length has no mirror
    power[:, both_sides] *= 2
    return rfftfreq(num_samples, 1 / sample_rate_hz), power
