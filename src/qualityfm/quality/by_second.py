"""Compiled loops over figures that each second of a line has: one call in place of a dozen small array operations.

A segment scored alone costs what its calls cost, not what its samples do. Every loop walks one line after the other, so
that a line gets the same bits alone and among thousands.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def fall(ratios: np.ndarray, half: float, steepness: int, free: float, trusts: np.ndarray) -> None:
    """Write 1 / (1 + (excess / half) ** steepness) of every ratio; the excess is what it has above `free`."""
    for i in range(len(ratios)):
        excess = min(max(ratios[i] - np.float32(free), np.float32(0)) / np.float32(half), np.float32(1e4))
        power = excess
        for _ in range(1, steepness):
            power *= excess
        trusts[i] = np.float32(1) / (np.float32(1) + power)


@njit(cache=True)
def mark_usable(values: np.ndarray, is_real: np.ndarray, largest: float, is_usable: np.ndarray) -> None:
    """Mark samples that were recorded and are no larger than any sensor's; NaN is not."""
    for i in range(values.shape[0]):
        for t in range(values.shape[1]):
            is_usable[i, t] = is_real[i, t] & (abs(values[i, t]) < np.float32(largest))


@njit(cache=True)
def find_limits(
    lowest: np.ndarray, highest: np.ndarray, max_ranges: float, is_free: np.ndarray, limits: np.ndarray
) -> bool:
    """Write how low and how high each line may go, from its middle seconds; return whether all stay within."""
    is_inside = True
    for i in range(lowest.shape[0]):
        low, high = np.float32(np.median(lowest[i])), np.float32(np.median(highest[i]))
        margin = np.float32(max_ranges) * (high - low)
        if is_free[i] or margin <= 0:
            margin = np.float32(np.inf)  # flat in most seconds: nothing to compare with
        limits[0, i], limits[1, i] = low - margin, high + margin
        for s in range(lowest.shape[1]):
            is_inside &= (lowest[i, s] >= limits[0, i]) & (highest[i, s] <= limits[1, i])
    return is_inside


@njit(cache=True)
def spread_highest(values: np.ndarray, spread: np.ndarray) -> None:
    """Write every second's highest value among itself and the two seconds beside it."""
    last = values.shape[1] - 1
    for i in range(values.shape[0]):
        for s in range(last + 1):
            spread[i, s] = max(values[i, max(s - 1, 0)], values[i, s], values[i, min(s + 1, last)])


@njit(cache=True)
def spread_lowest(values: np.ndarray, spread: np.ndarray) -> None:
    """Write every second's lowest value among itself and the two seconds beside it."""
    last = values.shape[1] - 1
    for i in range(values.shape[0]):
        for s in range(last + 1):
            spread[i, s] = min(values[i, max(s - 1, 0)], values[i, s], values[i, min(s + 1, last)])


@njit(cache=True)
def spread_marks(is_marked: np.ndarray, reach: int, is_near: np.ndarray) -> None:
    """Mark every second that is marked or no more than `reach` seconds from one that is."""
    num_seconds = is_marked.shape[1]
    for i in range(is_marked.shape[0]):
        last = -reach - 1
        for s in range(num_seconds):
            is_near[i, s] = False
            if is_marked[i, s]:
                for k in range(max(last + 1, s - reach, 0), s):
                    is_near[i, k] = True
                last = s
            is_near[i, s] = s - last <= reach


@njit(cache=True)
def find_low_stretch(values: np.ndarray, reach: int, lowest: np.ndarray) -> None:
    """Write the highest value in the lowest stretch of 2 * reach + 1 seconds that holds each second."""
    num_seconds = values.shape[1]
    highest = np.empty(num_seconds, values.dtype)
    for i in range(values.shape[0]):
        for s in range(num_seconds):
            highest[s] = values[i, s]
            for k in range(max(s - reach, 0), min(s + reach + 1, num_seconds)):
                highest[s] = max(highest[s], values[i, k])
        for s in range(num_seconds):
            lowest[i, s] = highest[s]
            for k in range(max(s - reach, 0), min(s + reach + 1, num_seconds)):
                lowest[i, s] = min(lowest[i, s], highest[k])


@njit(cache=True)
def sum_near(values: np.ndarray, total: np.ndarray) -> None:
    """Write every second's sum with the two seconds beside it."""
    num_seconds = values.shape[1]
    for i in range(values.shape[0]):
        for s in range(num_seconds):
            total[i, s] = values[i, s]
            if s > 0:
                total[i, s] += values[i, s - 1]
            if s + 1 < num_seconds:
                total[i, s] += values[i, s + 1]


@njit(cache=True)
def weigh(figures: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:
    """Write every line's sum of its figures times their weights."""
    for i in range(len(sums)):
        sums[i] = 0
        for k in range(len(weights)):
            sums[i] += figures[i, k] * weights[k]


@njit(cache=True)
def blend_powers(values: np.ndarray, share_beside: float, blended: np.ndarray) -> None:
    """Write the size of every second's power mixed with a share of that of each second beside it."""
    last = values.shape[1] - 1
    beside = np.float32(share_beside)
    for i in range(values.shape[0]):
        for s in range(last + 1):
            around = values[i, max(s - 1, 0)] ** 2 + values[i, min(s + 1, last)] ** 2
            blended[i, s] = np.sqrt((1 - 2 * beside) * values[i, s] ** 2 + beside * around)


@njit(cache=True)
def multiply_trusts(
    trusts: np.ndarray, flags: np.ndarray, limits: np.ndarray, quality: np.ndarray, causes: np.ndarray
) -> None:
    """Write the product of [cause line second] trusts, held in [0, 1], and the flags of those below their limit."""
    for i in range(quality.shape[0]):
        for s in range(quality.shape[1]):
            product, found = np.float32(1), np.uint16(0)
            for k in range(len(flags)):
                product *= trusts[k, i, s]
                if trusts[k, i, s] < limits[k]:
                    found |= flags[k]
            quality[i, s] = min(max(product, np.float32(0)), np.float32(1))
            causes[i, s] = found
