"""What moves a trace and is not the heart: baseline wander, noise, motion. The same questions for ECG and pulse.

None of them looks at the times between beats, at a rate, or at how alike beats are.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from qualityfm.quality.lines import Lines, against_usual, falling, highest_near

#: Which of the ordered sizes of a second's fast samples is its noise: complexes and upstrokes may fill two thirds of
#: the time. Our own choice, docs/decisions/0004.
QUIET_QUANTILE = 0.3


def baseline_trust(
    lines: Lines, baseline: Float32[np.ndarray, "line time"], usual: Float32[np.ndarray, "line 1"], half: float
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by how far the baseline moves within three seconds.

    Args:
        lines: Prepared lines.
        baseline: Their part that is slower than any heart.
        usual: Usual range of every line.
        half: Movement, in usual ranges, that takes half the trust.
    """
    frames = lines.frames(baseline)
    movement = highest_near(frames.max(axis=2)) + highest_near(-frames.min(axis=2))
    return falling(against_usual(movement, usual), half)


def noise_trust(
    lines: Lines,
    fast: Float32[np.ndarray, "line time"],
    usual: Float32[np.ndarray, "line 1"],
    half: float,
    above_hz: float,
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by fast activity *between* the steep parts of the beats.

    A low quantile of its size over a second does not see QRS complexes or upstrokes as long as they leave a third of
    the time, which narrow ones do at any rate; broad ones have little that fast. No beat is sought.

    Args:
        lines: Prepared lines.
        fast: Their part above `above_hz`.
        usual: Usual range of every line.
        half: Size of the noise, in usual ranges, that takes half the trust.
        above_hz: Where noise begins; a line sampled too slowly to hold any keeps its trust.
    """
    if lines.sample_rate_hz < 2.2 * above_hz:
        return np.ones((len(fast), lines.num_seconds), np.float32)
    frames = lines.frames(np.abs(fast))
    rank = int(frames.shape[2] * QUIET_QUANTILE)
    return falling(against_usual(np.partition(frames, rank, axis=2)[..., rank], usual), half)


def motion_trust(
    ranges: Float32[np.ndarray, "line second"], usual: Float32[np.ndarray, "line 1"], half: float
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left in seconds much larger than their segment; an ectopic beat of twice the size keeps it."""
    return falling(against_usual(ranges, usual), half, steepness=4)
