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


#: Halvings in the search for a quantile: to a thousandth of the mean size.
HALVINGS = 10


@njit(cache=True, fastmath=True)
def _quiet_level(lines: np.ndarray, starts: np.ndarray, quantile: float, level: np.ndarray) -> None:
    """Search every second's quantile by halving: counting is quicker than ordering, because it needs no branch."""
    room = np.empty(lines.shape[1], np.float32)
    for i in range(level.shape[0]):
        for s in range(level.shape[1]):
            begin, end = starts[s], max(starts[s + 1], starts[s] + 1)
            size = end - begin
            for t in range(size):
                room[t] = abs(lines[i, begin + t])
            # A loop of its own: beside a write, the order of adding would hang on where in memory the lines lie.
            total = np.float32(0)
            for t in range(size):
                total += room[t]
            # No more than a share of 1 - q can be larger than mean / (1 - q): Markov.
            wanted, low, high = int(size * quantile) + 1, np.float32(0), total / size / np.float32(1 - quantile)
            for _ in range(HALVINGS):
                middle = (low + high) / np.float32(2)
                count = np.int32(0)
                for t in range(size):
                    count += np.int32(room[t] <= middle)
                if count >= wanted:
                    high = middle
                else:
                    low = middle
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
        for s in range(share.shape[1]):
            begin, end = starts[s], max(starts[s + 1], starts[s] + 1)
            count = np.int32(0)
            for t in range(begin, end):
                count += np.int32(is_marked[i, t])
            share[i, s] = count / (end - begin)


def share(
    is_marked: Bool[np.ndarray, "line time"], sample_rate_hz: float, num_seconds: int
) -> Float32[np.ndarray, "line second"]:
    """Return the share of every second's samples that are marked."""
    shares = np.zeros((len(is_marked), num_seconds), np.float32)
    if is_marked.all() and is_marked.size:
        shares += 1
    elif is_marked.any():
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
