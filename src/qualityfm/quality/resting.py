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
    median (of every `median_step`-th sample) that the line enters and leaves at one side, a flat run at an end of the
    range of a line that moves, and two rests in a row at one level: `repeated_length` is `NEVER` where none are sought.
    """
    is_clipped = np.zeros(values.shape[1], np.bool_)
    for i in range(values.shape[0]):
        line = values[i]
        median = np.float32(np.median(line[::median_step]))
        is_any = _mark_runs(
            line,
            is_real[i],
            starts,
            tolerance[i],
            median,
            distance[i],
            flat_length,
            clipped_length,
            shares[0, i],
            is_clipped,
        )
        if repeated_length != NEVER:
            is_any |= _mark_repeated(
                line, tolerance[i], median, repeated_distance[i], repeated_length, repeated_within, is_clipped
            )
        for s in range(shares.shape[2]):
            size = max(starts[s + 1], starts[s] + 1) - starts[s]
            shares[0, i, s] /= size
            if is_any:
                shares[1, i, s] = np.sum(is_clipped[starts[s] : starts[s] + size]) / size
        if is_any:
            is_clipped[:] = False


@njit(cache=True)
def _mark_runs(
    line: np.ndarray,
    is_known: np.ndarray,
    starts: np.ndarray,
    tolerance: np.float32,
    median: np.float32,
    distance: np.float32,
    flat_length: int,
    clipped_length: int,
    num_flat: np.ndarray,
    is_clipped: np.ndarray,
) -> bool:
    """Add the samples of flat runs to every second's number, and mark those of clipped runs; return if there are any.

    A run that counts holds two looks, and no two samples of it differ by more than twice the tolerance: between looks
    that differ by more, runs need not be followed.
    """
    num_samples, shortest = len(line), min(flat_length, clipped_length)
    look, most = max(1, shortest // 2), np.float32(2.001) * tolerance
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    followed, second, is_any = 0, 0, False
    for at in range(0, num_samples - look, look):
        if at < followed or abs(line[at + look] - line[at]) > most or not is_known[at]:
            continue
        begin = at
        while begin > followed and is_known[begin - 1] and abs(line[begin] - line[begin - 1]) <= most:
            begin -= 1
        while begin <= at:
            end, anchor, is_cut = begin + 1, line[begin], False
            while end < num_samples and is_known[end] and abs(line[end] - anchor) <= tolerance:
                end += 1
            if end - begin >= clipped_length and abs(anchor - median) > distance:
                enters_above = begin > 0 and line[begin - 1] > anchor
                leaves_above = end < num_samples and line[end] > anchor
                is_cut = begin == 0 or end == num_samples or enters_above == leaves_above
            if end - begin >= flat_length:
                second = _add_run(begin, end, second, starts, num_flat)
                if not is_cut:
                    if lowest > highest:  # sought where it is needed only
                        lowest, highest = _extent_of_known(line, is_known)
                    is_end = anchor <= lowest + tolerance or anchor >= highest - tolerance
                    is_cut = bool(is_end and highest - lowest > distance)
            if is_cut:
                is_clipped[begin:end] = True
                is_any = True
            while end < num_samples and not is_known[end]:
                end += 1
            begin = end
        followed = begin
    return is_any


@njit(cache=True)
def _extent_of_known(line: np.ndarray, is_known: np.ndarray) -> tuple[np.float32, np.float32]:
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for t in range(len(line)):
        if is_known[t]:
            lowest, highest = min(lowest, line[t]), max(highest, line[t])
    return lowest, highest


@njit(cache=True)
def _mark_repeated(
    line: np.ndarray,
    tolerance: np.float32,
    median: np.float32,
    distance: np.float32,
    length: int,
    within: int,
    is_clipped: np.ndarray,
) -> bool:
    """Mark two rests in a row that are at one level, if the line does not go beyond it between them.

    Looked for as runs are: no rest lies between looks that differ by more than twice the tolerance.
    """
    num_samples, look, most = len(line), length // 2, np.float32(2.001) * tolerance
    before = np.full((2, 2), -within)  # begin and end of the last rest at a floor, and of that at a ceiling
    begin, is_any = 2, False
    while begin < num_samples - length - 2:
        at = (begin + look - 1) // look * look
        if abs(line[at + look] - line[at]) > most:
            begin = at + 1
            continue
        anchor = line[begin]
        if abs(line[begin + length - 1] - anchor) > tolerance or abs(anchor - median) <= distance:
            begin += 1
            continue
        end = begin + 1
        while end < num_samples - 2 and abs(line[end] - anchor) <= tolerance:
            end += 1
        if end - begin < length or not _is_rest(line, begin, end, tolerance):
            begin += 1
            continue
        side = int(line[begin - 1] < anchor)
        first, last = before[side]
        before[side, 0], before[side, 1] = begin, end
        is_level = begin - first < within and abs(line[first] - anchor) <= 2 * tolerance
        if is_level and not _goes_beyond(line[last:begin], anchor, side == 1, 2 * float(tolerance)):
            is_clipped[first:last] = True
            is_clipped[begin:end] = True
            is_any = True
        begin = end
    return is_any


@njit(cache=True)
def _is_rest(line: np.ndarray, begin: int, end: int, tolerance: np.float32) -> bool:
    """Return whether the line comes from and leaves to one side, and moves before and after."""
    anchor = line[begin]
    if (line[begin - 1] > anchor) != (line[end] > anchor):
        return False
    return bool(abs(line[begin - 2] - line[begin - 1]) > tolerance and abs(line[end + 1] - line[end]) > tolerance)


@njit(cache=True)
def _goes_beyond(part: np.ndarray, level: float, is_ceiling: bool, most: float) -> bool:
    highest = np.float32(-np.inf)
    for t in range(len(part)):
        highest = max(highest, part[t] - level if is_ceiling else level - part[t])
    return bool(highest > most)


@njit(cache=True)
def _add_run(begin: int, end: int, second: int, starts: np.ndarray, counts: np.ndarray) -> int:
    """Add the samples of a run to the counts of the seconds it touches, from `second` on; return the first of them."""
    while max(starts[second + 1], starts[second] + 1) <= begin:
        second += 1
    first = second
    while second < len(counts) and starts[second] < end:
        counts[second] += min(end, max(starts[second + 1], starts[second] + 1)) - max(begin, starts[second])
        second += 1
    return first
