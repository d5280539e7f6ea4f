"""How well another beat explains each beat: the sight of movement inside the heart's own band.

Two beats of one origin look alike whenever they come; a movement of the electrode or the probe looks like nothing
else. Every steep event (a QRS complex, an upstroke) is compared with its neighbours in time, and the best match
counts: so two ectopic beats of one focus explain each other, and neither the times between beats nor their number,
rate or size matter. A ventricular flutter is a row of like waves. What is left is movement that no other beat shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from numba import njit

from qualityfm.quality.measures import second_edges

#: All figures of this file are our own choice, docs/decisions/0020.
WINDOW_S = (-0.2, 0.4)  # around the steepest moment; the T wave lies inside, the next beat mostly outside
BEAT_STEPS = 12  # of that window; docs/decisions/0035
NEAR_S = 0.18  # two events are not nearer to each other
WIDE_S = 1.6  # an event is compared with the steepest within this time, before and after
STEEP_SHARE = 0.35  # of the steepest there
REACH = 16  # neighbours to either side that may explain an event
LEAST_POWER = np.float32(1e-30)  # less is nothing to compare with
ALIKE = 0.8  # correlation of two beats of one origin, or of one and another upside down
SLOWEST_HZ = 2.0  # mean frequency of a fibrillation or flutter, at least
GAINS = (0.4, 2.5)  # a beat may be explained by a smaller or larger one


@njit(cache=True, fastmath=True)
def _highest(values: np.ndarray, first: int, last: int) -> np.float32:
    highest = np.float32(0)
    for k in range(first, last):
        highest = max(highest, values[k])
    return highest


@njit(cache=True)
def _find_events(
    steepness: np.ndarray, near: int, wide: int, share: float, tops: np.ndarray, events: np.ndarray
) -> int:
    """Write the moments of steep events, in order; return how many there are."""
    num_samples = len(steepness)
    num_blocks = (num_samples + near - 1) // near
    heights = np.empty(num_blocks, np.float32)
    for b in range(num_blocks):
        top, height = b * near, np.float32(-1)
        for t in range(b * near, min(num_samples, (b + 1) * near)):
            if steepness[t] > height:
                top, height = t, steepness[t]
        tops[b], heights[b] = top, height
    reach, count = wide // near, 0
    for b in range(num_blocks):
        if heights[b] <= share * _highest(heights, max(0, b - reach), min(num_blocks, b + reach + 1)):
            continue
        top = tops[b]
        if count and top - events[count - 1] < near:
            if steepness[top] > steepness[events[count - 1]]:
                events[count - 1] = top
        else:
            events[count] = top
            count += 1
    return count


@njit(cache=True)
def _cut(line: np.ndarray, events: np.ndarray, count: int, first: int, pieces: np.ndarray, powers: np.ndarray) -> None:
    """Write the piece of the line around every event, without its mean, and its power; 0 where it leaves the line.

    Pieces are columns: so every one is summed in the order of time, and yet many of them at once.
    """
    width = pieces.shape[0]
    means, levels = np.zeros(count, np.float32), np.zeros(count)
    for i in range(count):
        begin = events[i] + first
        is_inside = begin >= 0 and begin + width <= len(line)
        for k in range(width):
            pieces[k, i] = line[begin + k] if is_inside else 0
    for k in range(width):
        for i in range(count):
            means[i] += pieces[k, i]
    for i in range(count):
        levels[i] = means[i] / width
        powers[i] = 0
    for k in range(width):
        for i in range(count):
            pieces[k, i] = pieces[k, i] - levels[i]
            powers[i] += pieces[k, i] * pieces[k, i]


@njit(cache=True, fastmath=True)
def _least_rest(
    alike: np.ndarray, powers: np.ndarray, inverse: np.ndarray, i: int, first: int, last: int
) -> np.float32:
    """Return what the best of some explanations leaves of the power of piece i, or all of it."""
    low, high = np.float32(GAINS[0]), np.float32(GAINS[1])
    least = powers[i]
    for j in range(first, last):
        gain = min(max(alike[i, j] * inverse[j], low), high)
        least = min(least, powers[i] - 2 * gain * alike[i, j] + gain * gain * powers[j])
    return np.float32(least)


@njit(cache=True)
def _unexplained(alike: np.ndarray, powers: np.ndarray, count: int, best: np.ndarray) -> None:
    """Write what the best explanation of every piece leaves of its power; infinite where there is none."""
    inverse, num_usable = np.zeros(count, np.float32), 0
    for i in range(count):
        if powers[i] > LEAST_POWER:
            inverse[i] = np.float32(1) / powers[i]
            num_usable += 1
    for i in range(count):
        best[i] = np.inf
        if powers[i] > LEAST_POWER and num_usable > 1:
            before = _least_rest(alike, powers, inverse, i, max(0, i - REACH), i)
            best[i] = min(before, _least_rest(alike, powers, inverse, i, i + 1, min(count, i + REACH + 1)))


@njit(cache=True)
def _by_second(
    events: np.ndarray, left: np.ndarray, count: int, width: int, rate_hz: float, room: np.ndarray, power: np.ndarray
) -> None:
    """Write the middle of the events of every second and its two neighbours: one strange beat is no movement.

    A second without any takes what the one before it has, the first ones what comes after them.
    """
    first, known = 0, np.float32(-1)
    for s in range(len(power)):
        while first < count and events[first] < (s - 1) * rate_hz:
            first += 1
        num_near, i = 0, first
        while i < count and events[i] < (s + 2) * rate_hz:
            if left[i] < np.inf:
                k = num_near
                while k > 0 and room[k - 1] > left[i]:
                    room[k] = room[k - 1]
                    k -= 1
                room[k] = left[i]
                num_near += 1
            i += 1
        if num_near:
            value = max(room[(num_near - 1) // 2], np.float32(0)) / width
            if known < 0:
                power[:s] = value
            known = value
        power[s] = max(known, np.float32(0))


@njit(cache=True, fastmath=True)
def _size_and_change(line: np.ndarray) -> tuple[np.float32, np.float32]:
    size, change = np.float32(0), np.float32(1e-20)
    for t in range(1, len(line)):
        size += abs(line[t])
        change += abs(line[t] - line[t - 1])
    return size, change


@njit(cache=True, fastmath=True)
def _left_of_waves(line: np.ndarray, half: int) -> np.float32:
    """Return what is left of a line when it is added to itself `half` samples later."""
    rest, whole = np.float32(0), np.float32(1e-20)
    for t in range(half, len(line)):
        rest += abs(line[t] + line[t - half])
        whole += abs(line[t]) + abs(line[t - half])
    return rest / whole


@njit(cache=True)
def _oscillation(lines: np.ndarray, starts: np.ndarray, rate_hz: float, leakage: np.ndarray) -> None:
    """Write how far each line is from one wave of steady length, over every second and its two neighbours."""
    num_seconds = leakage.shape[1]
    for i in range(leakage.shape[0]):
        for s in range(num_seconds):
            part = lines[i, starts[max(s - 1, 0)] : starts[min(s + 2, num_seconds)]]
            size, change = _size_and_change(part)
            half = int(np.pi * size / change + 1)  # half the mean period, in samples
            if 1 <= half < len(part) and rate_hz >= 2 * SLOWEST_HZ * half:
                leakage[i, s] = _left_of_waves(part, half)


def oscillation_leakage(
    lines: Float32[np.ndarray, "line time"], sample_rate_hz: float, num_seconds: int
) -> Float32[np.ndarray, "line second"]:
    """Return what is left when every second is added to itself half a mean period later: 0 for a sine, 1 for noise.

    Ventricular fibrillation and flutter have no two like beats, but they are one wave of nearly steady length. Where
    the mean frequency is below `SLOWEST_HZ` it is 1: movement is slower than fibrillation.

    Args:
        lines: Waves of the heart without baseline and fast noise.
        sample_rate_hz: Samples per second.
        num_seconds: Seconds in a line.

    Source:
        VF filter leakage, Kuo and Dillman, Computers in Cardiology 5:347, 1978; fibrillation lies below 0.4 to 0.625
        (Jekova, Physiol. Meas. 21:429, 2000).
    """
    leakage = np.ones((len(lines), num_seconds), np.float32)
    if lines.size:
        starts = second_edges(lines.shape[1], num_seconds, sample_rate_hz)
        _oscillation(lines, starts, sample_rate_hz, leakage)
    return leakage


@njit(cache=True)
def _mirrored(alike: np.ndarray, powers: np.ndarray, best: np.ndarray, count: int, is_mirrored: np.ndarray) -> None:
    """Mark the events that are the best explained one upside down; if they are the more, the others are."""
    model, num_alike, num_mirrored = -1, 0, 0
    for i in range(count):
        is_mirrored[i] = 0
        if powers[i] > LEAST_POWER and (model < 0 or best[i] * powers[model] < best[model] * powers[i]):
            model = i
    if model < 0:
        return
    for i in range(count):
        if powers[i] > LEAST_POWER:
            likeness = alike[i, model] / (np.sqrt(powers[i]) * np.sqrt(powers[model]) + 1e-30)
            is_mirrored[i] = (likeness > ALIKE) - (likeness < -ALIKE)
            num_alike += likeness > ALIKE
            num_mirrored += likeness < -ALIKE
    wanted = -1 if num_mirrored <= num_alike else 1
    for i in range(count):
        is_mirrored[i] = is_mirrored[i] == wanted


@njit(cache=True)
def _mean_beat(pieces: np.ndarray, powers: np.ndarray, count: int, beat: np.ndarray) -> None:
    """Write the mean of all pieces in some steps, over the deviation of a piece: nearly 0 where none are alike."""
    total, number, width, num_steps = np.float32(0), 0, pieces.shape[1], len(beat)
    for i in range(count):
        total += powers[i]
        number += powers[i] > LEAST_POWER
    beat[:] = 0
    if number == 0:
        return
    piece = np.zeros(width, np.float32)
    for i in range(count):
        for t in range(width):
            piece[t] += pieces[i, t]
    scale = np.sqrt(total / (width * number)) * number
    for k in range(num_steps):
        begin, end = k * width // num_steps, (k + 1) * width // num_steps
        for t in range(begin, end):
            beat[k] += piece[t]
        beat[k] /= max(end - begin, 1) * scale


@njit(cache=True)
def _count_by_second(
    events: np.ndarray, is_counted: np.ndarray, count: int, rate_hz: float, number: np.ndarray
) -> None:
    for i in range(count):
        number[min(int(events[i] / rate_hz), len(number) - 1)] += is_counted[i]


@njit(cache=True)
def _compare(
    lines: np.ndarray,
    steepness: np.ndarray,
    rate_hz: float,
    near: int,
    wide: int,
    first: int,
    width: int,
    powers_left: np.ndarray,
    num_events: np.ndarray,
    num_mirrored: np.ndarray,
    beats: np.ndarray,
) -> None:
    room = lines.shape[1] // near + 2
    tops, events = np.zeros(room, np.int64), np.zeros(room, np.int64)
    powers = np.zeros(room, np.float32)
    best, marks = np.zeros(room, np.float32), np.zeros(room, np.int64)
    for i in range(lines.shape[0]):
        count = _find_events(steepness[i], near, wide, STEEP_SHARE, tops, events)
        pieces = np.empty((width, count), np.float32)
        _cut(lines[i], events, count, first, pieces, powers)
        rows = pieces.T.copy()
        alike = np.dot(rows, rows.T)  # every event with every other
        _unexplained(alike, powers, count, best)
        _mirrored(alike, powers, best, count, marks)
        _mean_beat(rows, powers, count, beats[i])
        _count_by_second(events, marks, count, rate_hz, num_mirrored[i])
        marks[:count] = 1
        _count_by_second(events, marks, count, rate_hz, num_events[i])
        _by_second(events, best, count, width, rate_hz, powers, powers_left[i])


@dataclass(frozen=True, kw_only=True)
class Events:
    """What the steep events of every second show.

    Attributes:
        departure: How far they depart from their nearest kin, as a deviation in the line's own unit.
        number: How many there are.
        num_mirrored: How many of them are upside down, compared with most of the line.
        beat: Mean of all of them in `BEAT_STEPS` steps of `WINDOW_S`, over the deviation of one.
    """

    departure: Float32[np.ndarray, "line second"]
    number: Int64[np.ndarray, "line second"]
    num_mirrored: Int64[np.ndarray, "line second"]
    beat: Float32[np.ndarray, "line step"]


def compare_events(
    lines: Float32[np.ndarray, "line time"],
    steepness: Float32[np.ndarray, "line time"],
    sample_rate_hz: float,
    num_seconds: int,
) -> Events:
    """Return how the beats of every second compare with others of their line.

    Args:
        lines: Waves of the heart without baseline and fast noise.
        steepness: How steep each moment is; beats are its peaks.
        sample_rate_hz: Samples per second of both.
        num_seconds: Seconds in a line.
    """
    power = np.zeros((len(lines), num_seconds), np.float32)
    number, num_mirrored = np.zeros(power.shape, np.int64), np.zeros(power.shape, np.int64)
    beat = np.zeros((len(lines), BEAT_STEPS), np.float32)
    first, width = round(WINDOW_S[0] * sample_rate_hz), round((WINDOW_S[1] - WINDOW_S[0]) * sample_rate_hz)
    near, wide = round(NEAR_S * sample_rate_hz), round(WIDE_S * sample_rate_hz)
    if lines.size and near >= 2:
        _compare(lines, steepness, sample_rate_hz, near, wide, first, width, power, number, num_mirrored, beat)
    return Events(departure=np.sqrt(power), number=number, num_mirrored=num_mirrored, beat=beat)
