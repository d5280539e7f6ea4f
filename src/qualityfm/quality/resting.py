"""Compiled loops that look for samples at rest or missing, second by second."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def share_of_expected(is_real: np.ndarray, is_expected: np.ndarray, starts: np.ndarray, shares: np.ndarray) -> None:
    """Write which share of the expected samples of every second is real; 0 where none is expected."""
    for i in range(shares.shape[0]):
        num_missed = np.int32(0)
        for t in range(is_real.shape[1]):
            num_missed = np.int32(num_missed + np.int32(not (is_real[i, t] & is_expected[i, t])))
        if num_missed == 0:
            shares[i] = 1
            continue
        for s in range(shares.shape[1]):
            begin, end = starts[s], max(starts[s + 1], starts[s] + 1)
            num_expected, num_real = 0, 0
            for t in range(begin, end):
                num_expected += is_expected[i, t]
                num_real += is_real[i, t] & is_expected[i, t]
            shares[i, s] = num_real / max(num_expected, 1)


@njit(cache=True)
def sum_resting(
    values: np.ndarray,
    is_real: np.ndarray,
    starts: np.ndarray,
    tolerance: np.ndarray,
    distance: np.ndarray,
    median_step: int,
    flat_length: int,
    clipped_length: int,
    shares: np.ndarray,
) -> None:
    """Write the shares of every second in flat and in clipped runs: `shares` is [2 line second], 0 before.

    A run is what stays within the tolerance of its first sample. Clipped is a run beyond the distance from the line's
    median (of every `median_step`-th sample) that the line enters and leaves at one side.
    """
    num_samples, shortest = values.shape[1], min(flat_length, clipped_length)
    # A run that counts holds two looks, and no two samples of it differ by more than twice the tolerance: between
    # looks that differ by more, runs need not be followed.
    look = max(1, shortest // 2)
    for i in range(values.shape[0]):
        line, is_known = values[i], is_real[i]
        median, most = np.float32(np.median(line[::median_step])), np.float32(2.001) * tolerance[i]
        followed, second = 0, 0
        for at in range(0, num_samples - look, look):
            if at < followed or abs(line[at + look] - line[at]) > most or not is_known[at]:
                continue
            begin = at
            while begin > followed and is_known[begin - 1] and abs(line[begin] - line[begin - 1]) <= most:
                begin -= 1
            while begin <= at:
                end, anchor = begin + 1, line[begin]
                while end < num_samples and is_known[end] and abs(line[end] - anchor) <= tolerance[i]:
                    end += 1
                if end - begin >= shortest:
                    while max(starts[second + 1], starts[second] + 1) <= begin:
                        second += 1
                    if end - begin >= flat_length:
                        _add_run(begin, end, second, starts, shares[0, i])
                    if end - begin >= clipped_length and abs(anchor - median) > distance[i]:
                        enters_above = begin > 0 and line[begin - 1] > anchor
                        leaves_above = end < num_samples and line[end] > anchor
                        if begin == 0 or end == num_samples or enters_above == leaves_above:
                            _add_run(begin, end, second, starts, shares[1, i])
                while end < num_samples and not is_known[end]:
                    end += 1
                begin = end
            followed = begin
        for s in range(shares.shape[2]):
            size = max(starts[s + 1], starts[s] + 1) - starts[s]
            shares[0, i, s] /= size
            shares[1, i, s] /= size


@njit(cache=True)
def _add_run(begin: int, end: int, second: int, starts: np.ndarray, counts: np.ndarray) -> None:
    """Add the samples of a run to the counts of the seconds it touches, `second` being the first."""
    while second < len(counts) and starts[second] < end:
        counts[second] += min(end, max(starts[second + 1], starts[second] + 1)) - max(begin, starts[second])
        second += 1
