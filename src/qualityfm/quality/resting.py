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


#: Length of a repeated rest that is not looked for.
NEVER = 0


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
    repeated_distance: np.ndarray,
    repeated_length: int,
    repeated_within: int,
    shares: np.ndarray,
) -> None:
    """Write the shares of every second in flat and in clipped runs: `shares` is [2 line second], 0 before.

    A run is what stays within the tolerance of its first sample. Clipped is a run beyond the distance from the line's
    median (of every `median_step`-th sample) that the line enters and leaves at one side, a flat one at the end of
    what the line reaches, and shorter ones that repeat: `repeated_length` is `NEVER` where none are sought.
    """
    num_samples, shortest = values.shape[1], min(flat_length, clipped_length)
    is_clipped = np.zeros(num_samples, np.bool_)
    # A run that counts holds two looks, and no two samples of it differ by more than twice the tolerance: between
    # looks that differ by more, runs need not be followed.
    look = max(1, shortest // 2)
    for i in range(values.shape[0]):
        line, is_known = values[i], is_real[i]
        median, most = np.float32(np.median(line[::median_step])), np.float32(2.001) * tolerance[i]
        lowest, highest = np.float32(np.inf), np.float32(-np.inf)
        followed, is_any = 0, False
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
                is_at_ceiling = False
                if end - begin >= clipped_length and abs(anchor - median) > distance[i]:
                    enters_above = begin > 0 and line[begin - 1] > anchor
                    leaves_above = end < num_samples and line[end] > anchor
                    is_at_ceiling = begin == 0 or end == num_samples or enters_above == leaves_above
                if end - begin >= flat_length:
                    _add_run(begin, end, starts, shares[0, i])
                    if not is_at_ceiling:
                        if lowest > highest:  # sought where it is needed only
                            lowest, highest = _reach(line, is_known)
                        is_moving = highest - lowest > distance[i]
                        is_end = anchor <= lowest + tolerance[i] or anchor >= highest - tolerance[i]
                        is_at_ceiling = is_moving and is_end
                if is_at_ceiling:
                    is_clipped[begin:end] = True
                    is_any = True
                while end < num_samples and not is_known[end]:
                    end += 1
                begin = end
            followed = begin
        if repeated_length != NEVER:
            distant = repeated_distance[i]
            is_any |= _mark_repeated(line, tolerance[i], median, distant, repeated_length, repeated_within, is_clipped)
        for s in range(shares.shape[2]):
            begin, end = starts[s], max(starts[s + 1], starts[s] + 1)
            shares[0, i, s] /= end - begin
            if is_any:
                shares[1, i, s] = is_clipped[begin:end].sum() / (end - begin)
        if is_any:
            is_clipped[:] = False


@njit(cache=True)
def _add_run(begin: int, end: int, starts: np.ndarray, counts: np.ndarray) -> None:
    """Add the samples of a run to the counts of the seconds that it touches."""
    for s in range(len(counts)):
        first, last = max(begin, starts[s]), min(end, max(starts[s + 1], starts[s] + 1))
        counts[s] += max(last - first, 0)


@njit(cache=True)
def _reach(line: np.ndarray, is_known: np.ndarray) -> tuple[np.float32, np.float32]:
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for t in range(len(line)):
        if is_known[t]:
            lowest, highest = min(lowest, line[t]), max(highest, line[t])
    return lowest, highest


@njit(cache=True)
def _goes_beyond(line: np.ndarray, first: int, last: int, level: float, is_ceiling: bool, tolerance: float) -> bool:
    highest = np.float32(-np.inf)
    for t in range(first, last):
        highest = max(highest, line[t] - level if is_ceiling else level - line[t])
    return bool(highest > tolerance)


@njit(cache=True)
def _mark_repeated(
    line: np.ndarray,
    tolerance: float,
    median: np.float32,
    distance: float,
    length: int,
    within: int,
    is_clipped: np.ndarray,
) -> bool:
    """Mark two rests in a row that are at one level, if the line does not go beyond it between; return if any is."""
    num_samples, is_any = len(line), False
    before = np.full((2, 2), -within)  # begin and end of the last rest at a floor, and of that at a ceiling
    begin = 2
    while begin < num_samples - length - 2:
        anchor = line[begin]
        if abs(line[begin + length - 1] - anchor) > tolerance or abs(anchor - median) <= distance:
            begin += 1
            continue
        end = begin + 1
        while end < num_samples - 2 and abs(line[end] - anchor) <= tolerance:
            end += 1
        enters, leaves = line[begin - 1] - anchor, line[end] - anchor
        is_rest = end - begin >= length and (enters > 0) == (leaves > 0)
        is_rest &= abs(line[begin - 2] - line[begin - 1]) > tolerance
        is_rest &= abs(line[end + 1] - line[end]) > tolerance
        if is_rest:
            side = int(enters < 0)
            first, last = before[side]
            before[side, 0], before[side, 1] = begin, end
            is_level = begin - first < within and abs(line[first] - anchor) <= 2 * tolerance
            if is_level and not _goes_beyond(line, last, begin, anchor, side == 1, 2 * tolerance):
                is_clipped[first:last] = True
                is_clipped[begin:end] = True
                is_any = True
        begin = max(end, begin + 1) if is_rest else begin + 1
    return is_any
