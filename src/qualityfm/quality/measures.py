"""What the compiled loops measure in every second of a line: extent, quiet level, needles, rest, mains hum.

Each function is batched over lines and walks them once. Nothing here judges; the trusts are made of these figures.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numba import njit

from qualityfm.waveform.seconds import second_starts

#: Mains frequencies of the world, and how far below its neighbours are, which must be quieter, Hz.
MAINS_HZ = (50.0, 60.0)
NEIGHBOUR_HZ = (-9.0, -7.0, -5.0, -3.0)


@lru_cache(maxsize=64)
def second_edges(num_samples: int, num_seconds: int, sample_rate_hz: float) -> Int64[np.ndarray, " edge"]:
    """Return the first sample of every second, and the end; each second holds at least one sample, if there is any."""
    starts = np.minimum(second_starts(num_seconds, sample_rate_hz), max(0, num_samples - 1))
    return np.append(starts, num_samples)


@njit(cache=True, fastmath=True)  # the lines are finite
def _extent(lines: np.ndarray, starts: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> None:
    for i in range(lowest.shape[0]):
        for s in range(lowest.shape[1]):
            low = high = lines[i, starts[s]]
            for t in range(starts[s], max(starts[s + 1], starts[s] + 1)):
                low = min(low, lines[i, t])
                high = max(high, lines[i, t])
            lowest[i, s], highest[i, s] = low, high


def extent(
    lines: Float32[np.ndarray, "line time"], sample_rate_hz: float, num_seconds: int
) -> tuple[Float32[np.ndarray, "line second"], Float32[np.ndarray, "line second"]]:
    """Return the lowest and the highest sample of every second."""
    lowest = np.zeros((len(lines), num_seconds), np.float32)
    highest = np.zeros_like(lowest)
    if lines.size:
        _extent(lines, second_edges(lines.shape[1], num_seconds, sample_rate_hz), lowest, highest)
    return lowest, highest


#: Steps in the search for a quantile, each of which quarters what is left: to a thousandth of the mean size.
QUARTERINGS = 5

#: Samples are counted in whole rows of this many, so that no loop of single ones is left over.
ROW = 32

#: A number just below another of half its digits, times this.
_JUST_BELOW = 1 - 2.0**-24


@njit(cache=True)
def _count_up_to(
    sizes: np.ndarray, length: int, first: float, second: float, third: float
) -> tuple[np.int32, np.int32, np.int32]:
    """Return how many sizes are no larger than each of three limits."""
    limits = np.float32(first), np.float32(second), np.float32(third)
    # Rounded down: what is compared with a limit of twice the digits must come out the same.
    a = np.float32(limits[0] * _JUST_BELOW) if limits[0] > first else limits[0]
    b = np.float32(limits[1] * _JUST_BELOW) if limits[1] > second else limits[1]
    c = np.float32(limits[2] * _JUST_BELOW) if limits[2] > third else limits[2]
    up_to_a, up_to_b, up_to_c = np.int32(0), np.int32(0), np.int32(0)
    for t in range(length):
        up_to_a = np.int32(up_to_a + np.int32(sizes[t] <= a))
        up_to_b = np.int32(up_to_b + np.int32(sizes[t] <= b))
        up_to_c = np.int32(up_to_c + np.int32(sizes[t] <= c))
    return up_to_a, up_to_b, up_to_c


@njit(cache=True, fastmath=True)
def _sum(values: np.ndarray, length: int) -> np.float32:
    """Return a sum: a loop of its own, as beside a write its order would hang on where in memory the values lie."""
    total = np.float32(0)
    for t in range(length):
        total += values[t]
    return total


@njit(cache=True)
def _quiet_level(lines: np.ndarray, starts: np.ndarray, quantile: float, level: np.ndarray) -> None:
    """Search every second's quantile by quartering: counting is quicker than ordering, because it needs no branch."""
    room = np.empty(lines.shape[1] + ROW, np.float32)
    for i in range(level.shape[0]):
        line = lines[i]
        for s in range(level.shape[1]):
            begin, end = starts[s], max(starts[s + 1], starts[s] + 1)
            size = end - begin
            for t in range(size):
                room[t] = abs(line[begin + t])
            length = (size + ROW - 1) // ROW * ROW
            for t in range(size, length):
                room[t] = np.inf
            # No more than a share of 1 - q can be larger than mean / (1 - q): Markov.
            wanted, low, high = int(size * quantile) + 1, 0.0, _sum(room, size) / size / np.float32(1 - quantile)
            for _ in range(QUARTERINGS):
                middle = 0.5 * (low + high)
                lower, upper = 0.5 * (low + middle), 0.5 * (middle + high)
                up_to_lower, up_to_middle, up_to_upper = _count_up_to(room, length, lower, middle, upper)
                low, high = (
                    (low if up_to_lower >= wanted else lower, lower if up_to_lower >= wanted else middle)
                    if up_to_middle >= wanted
                    else (middle if up_to_upper >= wanted else upper, upper if up_to_upper >= wanted else high)
                )
            level[i, s] = high


def quiet_level(
    lines: Float32[np.ndarray, "line time"], sample_rate_hz: float, num_seconds: int, quantile: float
) -> Float32[np.ndarray, "line second"]:
    """Return, of the sizes of every second's samples, the one below which a share `quantile` of them lies."""
    level = np.zeros((len(lines), num_seconds), np.float32)
    if lines.size:
        _quiet_level(lines, second_edges(lines.shape[1], num_seconds, sample_rate_hz), quantile, level)
    return level


@njit(cache=True)
def _needle_heights(
    lines: np.ndarray, starts: np.ndarray, reach: int, is_asked: np.ndarray, heights: np.ndarray
) -> None:
    for i in range(heights.shape[0]):
        for s in range(heights.shape[1]):
            if not is_asked[i, s]:
                continue
            highest = np.float32(0)
            for t in range(max(starts[s], reach), min(starts[s + 1], lines.shape[1] - reach)):
                before, after = lines[i, t] - lines[i, t - reach], lines[i, t] - lines[i, t + reach]
                highest = max(highest, max(min(before, after), -max(before, after)))  # 0 where the sides differ
            heights[i, s] = highest


def needle_heights(
    lines: Float32[np.ndarray, "line time"],
    sample_rate_hz: float,
    half_width_s: float,
    is_asked: Bool[np.ndarray, "line second"],
) -> Float32[np.ndarray, "line second"]:
    """Return how far the sharpest sample of every second asked for stands out from both its sides, to one side."""
    num_seconds = is_asked.shape[1]
    heights = np.zeros((len(lines), num_seconds), np.float32)
    if lines.size:
        starts = second_edges(lines.shape[1], num_seconds, sample_rate_hz)
        _needle_heights(lines, starts, max(1, round(half_width_s * sample_rate_hz)), is_asked, heights)
    return heights


@njit(cache=True)
def _share(is_marked: np.ndarray, starts: np.ndarray, share: np.ndarray) -> None:
    for i in range(share.shape[0]):
        line, in_all = is_marked[i], np.int32(0)
        for t in range(len(line)):
            in_all = np.int32(in_all + np.int32(line[t]))
        if in_all == 0 or in_all == len(line):
            share[i] = np.float32(in_all > 0)
            continue
        for s in range(share.shape[1]):
            begin, end = starts[s], max(starts[s + 1], starts[s] + 1)
            count = np.int32(0)
            for t in range(begin, end):
                count = np.int32(count + np.int32(line[t]))
            share[i, s] = count / (end - begin)


def share(
    is_marked: Bool[np.ndarray, "line time"], sample_rate_hz: float, num_seconds: int
) -> Float32[np.ndarray, "line second"]:
    """Return the share of every second's samples that are marked."""
    shares = np.zeros((len(is_marked), num_seconds), np.float32)
    if is_marked.size:
        _share(is_marked, second_edges(is_marked.shape[1], num_seconds, sample_rate_hz), shares)
    return shares


@lru_cache(maxsize=16)
def _tones(per_second: int, sample_rate_hz: float, mains_hz: float) -> Float32[np.ndarray, "sample tone"]:
    """Return cosines and sines at a mains frequency and its neighbours under a Hann window, for amplitudes."""
    window = np.hanning(per_second + 2)[1:-1]
    time_s = np.arange(per_second) / sample_rate_hz
    tones = [
        window * wave(2 * np.pi * (mains_hz + shift) * time_s)
        for shift in (0.0, *NEIGHBOUR_HZ)
        for wave in (np.cos, np.sin)
    ]
    return np.asarray(np.array(tones).T * 2 / window.sum(), np.float32)


def mains_amplitude(
    frames: Float32[np.ndarray, "line second sample"], sample_rate_hz: float, mains_hz: float
) -> tuple[Float32[np.ndarray, "line second"], Float32[np.ndarray, "line second"]]:
    """Return the amplitude at a mains frequency in every second, and the largest one at frequencies beside it.

    Args:
        frames: Seconds of lines, without what is slow.
        sample_rate_hz: Samples per second, more than twice the neighbours' frequencies.
        mains_hz: Frequency asked for.
    """
    parts = frames @ _tones(frames.shape[2], sample_rate_hz, mains_hz)
    size = np.hypot(parts[..., 0::2], parts[..., 1::2])
    return np.asarray(size[..., 0]), np.asarray(size[..., 1:].max(axis=-1))


@njit(cache=True)
def _quantile(values: np.ndarray, is_usable: np.ndarray, quantile: float, middle: np.ndarray) -> None:
    room = np.empty(values.shape[1], np.float32)
    for i in range(values.shape[0]):
        count = 0
        for s in range(values.shape[1]):
            if is_usable[i, s]:
                k = count
                while k > 0 and room[k - 1] > values[i, s]:
                    room[k] = room[k - 1]
                    k -= 1
                room[k] = values[i, s]
                count += 1
        middle[i, 0] = room[int((count - 1) * quantile)] if count else 0


def middle_of(
    values: Float32[np.ndarray, "line second"], is_usable: Bool[np.ndarray, "line second"], quantile: float
) -> Float32[np.ndarray, "line 1"]:
    """Return a quantile of the usable seconds of every line; 0 for a line without any."""
    middle = np.zeros((len(values), 1), np.float32)
    _quantile(values, is_usable, quantile, middle)
    return middle
