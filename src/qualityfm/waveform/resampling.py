"""Another sample rate without alias: one polyphase filter, compiled, of which scipy's is the slow twin."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from numba import njit
from scipy.signal import firwin

#: Half length of the resampling filter, in samples of the slower of both rates (our own choice).
FILTER_HALF_PERIODS = 16

#: Output samples worked on at a time; they and what they are made of stay in the processor's nearest cache.
BLOCK_SAMPLES = 1024

#: Taps applied in one pass over a block.
TAPS_AT_ONCE = 4


def resample(samples: Float[np.ndarray, " time"], from_hz: float, to_hz: float) -> Float[np.ndarray, " time"]:
    """Return samples at another rate, low-pass filtered against aliasing, first sample at the same instant.

    Rates whose ratio is a small fraction go through one polyphase filter. Others (62.4725 Hz) go to a rate at least
    four times the target by the same filter and are then interpolated at the exact instants, so that no drift builds
    up over a day.

    Args:
        samples: Finite samples.
        from_hz: Their rate, Hz.
        to_hz: Rate wanted, Hz.
    """
    if from_hz == to_hz or len(samples) < 2:
        return samples
    ratio = Fraction(to_hz / from_hz).limit_denominator(1000)
    if abs(ratio * from_hz / to_hz - 1) < 1e-10:
        return polyphase(samples, ratio.numerator, ratio.denominator)
    if to_hz < from_hz:  # band-limit first, at the source's own rate
        steps = max(50, int(np.ceil(50 * from_hz / to_hz)))
        factor = Fraction(to_hz / from_hz).limit_denominator(steps)
        narrow = polyphase(samples, factor.numerator, factor.denominator)
        mid_hz = from_hz * factor.numerator / factor.denominator
    else:
        narrow, mid_hz = samples, from_hz
    up = int(np.ceil(4 * to_hz / mid_hz))
    fine = polyphase(narrow, up, 1)
    num_out = int(np.floor((len(samples) - 1) / from_hz * to_hz + 1e-9)) + 1
    return np.asarray(np.interp(np.arange(num_out) / to_hz, np.arange(len(fine)) / (mid_hz * up), fine))


def polyphase(samples: Float[np.ndarray, " time"], up: int, down: int) -> Float32[np.ndarray, " time"]:
    """Return samples at `up / down` times their rate, two parts without a common divisor.

    Beyond its ends the signal goes on along the line from its first to its last sample. The same as
    `scipy.signal.resample_poly(samples, up, down, window=low_pass(up, down), padtype="line")` up to the order of
    additions. That order is fixed here and no multiplication is fused with one, so every processor gives the same bits.
    """
    samples = np.ascontiguousarray(samples, np.float32)
    if up == down:
        return samples.copy()
    phases = _phases(up, down)
    num_out = -(-len(samples) * up // down)
    num_each = -(-num_out // up)
    last = (num_each - 1) * down + int(phases.first.max()) + phases.taps.shape[1]  # source sample needed last, about
    after = max(0, last - len(samples)) + down
    longer = _along_line(samples, phases.before, after)
    # Every `down`-th sample in a row of its own: what one tap meets in consecutive outputs then lies side by side.
    length = len(longer) // down
    rows = np.ascontiguousarray(longer[: length * down].reshape(length, down).T)
    out = np.zeros((up, num_each), np.float32)
    _apply(rows, phases.taps, phases.first + phases.before, out)
    return np.ascontiguousarray(out.T).reshape(-1)[:num_out]


@lru_cache(maxsize=64)
def low_pass(up: int, down: int) -> Float32[np.ndarray, " tap"]:
    """Return the filter of a rate change; 80 dB down beyond the lower of both Nyquist frequencies (Kaiser, beta 8).

    Each of its `up` phases passes a constant unchanged, so that a flat line stays flat to the last bit of a float.
    """
    slower = max(up, down)
    taps = firwin(2 * FILTER_HALF_PERIODS * slower + 1, 1 / slower, window=("kaiser", 8.0))
    for phase in range(up):
        taps[phase::up] /= up * taps[phase::up].sum()
    return np.asarray(taps.astype(np.float32))


class _Phases(NamedTuple):
    """The filter cut into what each of `up` consecutive outputs needs.

    Attributes:
        taps: For output r, r + up, r + 2 up ...: its taps, filled up with zeros.
        first: Source sample that the first tap of output r meets, may be negative.
        before: Samples needed before the first.
    """

    taps: Float32[np.ndarray, "phase tap"]
    first: Int64[np.ndarray, " phase"]
    before: int


@lru_cache(maxsize=64)
def _phases(up: int, down: int) -> _Phases:
    # Output n is the sum over j of h[half + n down - j up] x[j]. With n = m up + r and r down = q up + s the tap of
    # source sample j = m down + q + i is h[half + s - i up], which does not depend on m.
    taps = low_pass(up, down) * np.float32(up)
    half = len(taps) // 2
    most = -(-(2 * half // up + 1) // TAPS_AT_ONCE) * TAPS_AT_ONCE
    cut, first = np.zeros((up, most), np.float32), np.zeros(up, np.int64)
    for r in range(up):
        q, s = divmod(r * down, up)
        lowest = -((half - s) // up)
        chosen = taps[half + s - np.arange(lowest, (half + s) // up + 1) * up]
        cut[r, : len(chosen)], first[r] = chosen, q + lowest
    return _Phases(taps=cut, first=first, before=max(0, -int(first.min())))


def _along_line(samples: Float32[np.ndarray, " time"], before: int, after: int) -> Float32[np.ndarray, " longer"]:
    """Return samples continued at both ends along the line from the first to the last."""
    slope = (samples[-1] - samples[0]) / np.float32(max(1, len(samples) - 1))
    left = samples[0] + slope * np.arange(-before, 0, dtype=np.float32)
    right = samples[-1] + slope * np.arange(1, after + 1, dtype=np.float32)
    return np.concatenate((left, samples, right))


@njit(cache=True)
def _apply(rows: np.ndarray, taps: np.ndarray, first: np.ndarray, out: np.ndarray) -> None:
    num_rows = rows.shape[0]
    for r in range(out.shape[0]):
        for begin in range(0, out.shape[1], BLOCK_SAMPLES):
            part = out[r, begin : min(begin + BLOCK_SAMPLES, out.shape[1])]
            n = len(part)
            for k in range(0, taps.shape[1], TAPS_AT_ONCE):
                j = first[r] + k
                a, b, c, d = taps[r, k], taps[r, k + 1], taps[r, k + 2], taps[r, k + 3]
                at_a, at_b, at_c, at_d = j // num_rows, (j + 1) // num_rows, (j + 2) // num_rows, (j + 3) // num_rows
                row_a = rows[j % num_rows, begin + at_a : begin + at_a + n]
                row_b = rows[(j + 1) % num_rows, begin + at_b : begin + at_b + n]
                row_c = rows[(j + 2) % num_rows, begin + at_c : begin + at_c + n]
                row_d = rows[(j + 3) % num_rows, begin + at_d : begin + at_d + n]
                for m in range(n):
                    part[m] += (a * row_a[m] + b * row_b[m]) + (c * row_c[m] + d * row_d[m])


def recorded_ticks(
    is_recorded: Bool[np.ndarray, " time"], start_s: float, from_hz: float, to_hz: float, num_ticks: int
) -> tuple[slice, Bool[np.ndarray, " tick"]]:
    """Return which ticks of a clock lie within a signal, and for each whether it was recorded there.

    A tick was recorded where both samples of the source beside it were. A tick up to half a sample before the first
    sample or after the last one lies within.

    Args:
        is_recorded: True for each sample of the signal that was recorded; at least one sample.
        start_s: Time of the first sample on the clock, s.
        from_hz: Rate of the signal, Hz.
        to_hz: Rate of the clock, Hz.
        num_ticks: Length of the clock; its first tick is at 0 s.
    """
    is_real = np.zeros(num_ticks, bool)
    first, end = _mark(is_recorded, bool(is_recorded.all()), start_s, from_hz, to_hz, is_real)
    return slice(first, end), is_real


@njit(cache=True)
def _mark(
    is_recorded: np.ndarray, is_whole: bool, start_s: float, from_hz: float, to_hz: float, is_real: np.ndarray
) -> tuple[int, int]:
    # A tick's position in samples of the source grows from tick to tick: those within lie side by side.
    first, end, num_samples = 0, len(is_real), len(is_recorded)
    while first < end and not -0.5 <= (first / to_hz - start_s) * from_hz <= num_samples - 0.5:
        first += 1
    while end > first and not (((end - 1) / to_hz - start_s) * from_hz <= num_samples - 0.5):
        end -= 1
    if first == end:
        return 0, 0
    if is_whole:
        is_real[first:end] = True
        return first, end
    for tick in range(first, end):
        position = (tick / to_hz - start_s) * from_hz
        left = min(max(int(np.floor(position + 1e-6)), 0), num_samples - 1)
        right = min(max(int(np.ceil(position - 1e-6)), 0), num_samples - 1)
        is_real[tick] = is_recorded[left] and is_recorded[right]
    return first, end
