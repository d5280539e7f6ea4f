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
    return resample_stretch(samples, 0, from_hz, to_hz)[1]


def resample_stretch(
    samples: Float[np.ndarray, " time"], first: int, from_hz: float, to_hz: float
) -> tuple[int, Float[np.ndarray, " time"]]:
    """Return samples of a stretch at another rate, and the number of the first of them.

    Samples count from the signal's first one, before and after, so that a stretch and the whole signal give the same
    bits wherever the filter does not reach beyond the stretch (`reach_of_resampling`).

    Args:
        samples: Finite samples.
        first: Number of the first of them in the signal; a multiple of `resampling_grid`.
        from_hz: Their rate, Hz.
        to_hz: Rate wanted, Hz.
    """
    if from_hz == to_hz or len(samples) < 2:
        return first if from_hz == to_hz else round(first / from_hz * to_hz), samples
    factor, is_exact = _factor(from_hz, to_hz)
    narrow = polyphase(samples, factor.numerator, factor.denominator) if factor != 1 else samples
    first_narrow = first * factor.numerator // factor.denominator
    if is_exact:
        return first_narrow, narrow
    mid_hz = from_hz * factor.numerator / factor.denominator
    up = int(np.ceil(4 * to_hz / mid_hz))
    fine = polyphase(narrow, up, 1)
    first_out = int(np.ceil(first / from_hz * to_hz - 1e-9))
    end_out = int(np.floor((first + len(samples) - 1) / from_hz * to_hz + 1e-9)) + 1
    fine_s = np.arange(first_narrow * up, first_narrow * up + len(fine)) / (mid_hz * up)
    return first_out, np.asarray(np.interp(np.arange(first_out, end_out) / to_hz, fine_s, fine))


@lru_cache(maxsize=64)
def _factor(from_hz: float, to_hz: float) -> tuple[Fraction, bool]:
    """Return the rate change of the first filter, and whether it is the whole change."""
    ratio = Fraction(to_hz / from_hz).limit_denominator(1000)
    if abs(ratio * from_hz / to_hz - 1) < 1e-10:
        return ratio, True
    if to_hz >= from_hz:
        return Fraction(1), False
    steps = max(50, int(np.ceil(50 * from_hz / to_hz)))  # band-limit first, at the source's own rate
    return Fraction(to_hz / from_hz).limit_denominator(steps), False


def resampling_grid(from_hz: float, to_hz: float) -> int:
    """Return of which number of samples the start of a stretch must be a multiple."""
    return 1 if from_hz == to_hz else _factor(from_hz, to_hz)[0].denominator


def reach_of_resampling(from_hz: float, to_hz: float) -> int:
    """Return how many samples of the source around an instant can change the sample there, generously.

    Both filters together reach `2 * FILTER_HALF_PERIODS` periods of the slower rate, and their phases a little more.
    """
    return 0 if from_hz == to_hz else int(np.ceil(2.5 * FILTER_HALF_PERIODS * max(1.0, from_hz / to_hz))) + 8


def polyphase(samples: Float[np.ndarray, " time"], up: int, down: int) -> Float32[np.ndarray, " time"]:
    """Return samples at `up / down` times their rate, two parts without a common divisor.

    Beyond its ends the signal keeps its first and its last value, which a stream knows too. The same as
    `scipy.signal.resample_poly(samples, up, down, window=low_pass(up, down), padtype="edge")` up to the order of
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
    longer = np.pad(samples, (phases.before, after), mode="edge")
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
    is_recorded: Bool[np.ndarray, " time"],
    start_s: float,
    from_hz: float,
    to_hz: float,
    num_ticks: int,
    first_tick: int = 0,
    first_sample: int = 0,
) -> tuple[slice, Bool[np.ndarray, " tick"]]:
    """Return which ticks of a clock lie within a signal, and for each whether it was recorded there.

    A tick was recorded where both samples of the source beside it were. A tick up to half a sample before the first
    sample or after the last one lies within.

    Args:
        is_recorded: True for each sample of the signal that was recorded; at least one sample.
        start_s: Time of the signal's sample 0 on the clock, s.
        from_hz: Rate of the signal, Hz.
        to_hz: Rate of the clock, Hz.
        num_ticks: Ticks of the clock that are asked for.
        first_tick: Number of the first of them; tick 0 is at 0 s.
        first_sample: Number of the first sample in `is_recorded`, which is then a stretch of the signal.

    Returns:
        Which of the ticks asked for lie within, and for each of them whether it was recorded.
    """
    is_real = np.zeros(num_ticks, bool)
    is_whole = bool(is_recorded.all())
    first, end = _mark(is_recorded, is_whole, start_s, from_hz, to_hz, first_tick, first_sample, is_real)
    return slice(first, end), is_real


@njit(cache=True)
def _mark(
    is_recorded: np.ndarray,
    is_whole: bool,
    start_s: float,
    from_hz: float,
    to_hz: float,
    tick: int,
    sample: int,
    is_real: np.ndarray,
) -> tuple[int, int]:
    # A tick's position in samples of the source grows from tick to tick: those within lie side by side. Positions
    # count from the signal's sample 0, in a stretch too, so that the same tick always has the same one.
    first, end, last = 0, len(is_real), sample + len(is_recorded) - 1
    while first < end and not sample - 0.5 <= ((tick + first) / to_hz - start_s) * from_hz <= last + 0.5:
        first += 1
    while end > first and not (((tick + end - 1) / to_hz - start_s) * from_hz <= last + 0.5):
        end -= 1
    if first == end:
        return 0, 0
    if is_whole:
        is_real[first:end] = True
        return first, end
    for i in range(first, end):
        position = ((tick + i) / to_hz - start_s) * from_hz
        left = min(max(int(np.floor(position + 1e-6)), sample), last) - sample
        right = min(max(int(np.ceil(position - 1e-6)), sample), last) - sample
        is_real[i] = is_recorded[left] and is_recorded[right]
    return first, end
