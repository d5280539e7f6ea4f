"""Faults that single samples show, whatever the channel measures: dropout, flat runs, clipping, spikes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from numba import njit

from qualityfm.quality.lines import Lines, Trusts, against_usual, falling, usual_range
from qualityfm.records import Cause

#: All thresholds of this file are our own choice, docs/decisions/0004.
FLAT_S = 0.5  # a living channel never rests this long within the tolerance
CLIPPED_S = 0.1  # a peak never stays this long within the tolerance
RUN_TOLERANCE = 0.001  # of the line's usual range; resampling makes a constant run ripple a little
CLIPPED_DISTANCE = 0.25  # a ceiling lies at least this share of the usual range from the median
CLIPPED_HALF = 0.1  # share of clipped samples in a second at which half the trust is gone
SPIKE_S = 0.016  # half width of what is too narrow for a heart


def fault_trusts(lines: Lines) -> Trusts:
    """Return the trust in every second of lines of which nothing is known but their samples, by cause."""
    usual = usual_range(np.ptp(lines.frames(lines.values), axis=2), lines.has_samples)
    is_flat, is_clipped = find_resting(lines, usual)
    return {Cause.FLAT: flat_trust(lines, is_flat), Cause.SATURATION: saturation_trust(lines, is_clipped)}


def dropout_trust(lines: Lines, is_expected: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
    """Return the share of the samples of every second that were recorded.

    Args:
        lines: Prepared lines.
        is_expected: True where the recording lasts; what lies behind its end is not missed.
    """
    expected = lines.mean(is_expected.astype(np.float32))
    present = lines.mean((lines.is_real & is_expected).astype(np.float32))
    return np.where(expected > 0, present / np.maximum(expected, 1e-9), 0).astype(np.float32)


def flat_trust(lines: Lines, is_flat: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
    """Return the share of every second that is not flat."""
    return np.asarray(1 - lines.mean(is_flat.astype(np.float32)))


def saturation_trust(lines: Lines, is_clipped: Bool[np.ndarray, "line time"]) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by clipped samples: short clipping takes the peaks, which are what matters."""
    return falling(lines.mean(is_clipped.astype(np.float32)), CLIPPED_HALF)


def spike_trust(
    lines: Lines, usual: Float32[np.ndarray, "line 1"], half_ranges: float
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by needles narrower than any wave of the heart.

    A needle stands out from the samples 16 ms before and after it, both, to the same side.

    Args:
        lines: Prepared lines.
        usual: Usual range of every line.
        half_ranges: Height of a needle, in usual ranges, that takes half the trust.
    """
    reach = max(1, round(SPIKE_S * lines.sample_rate_hz))
    heights = np.zeros((len(lines.values), lines.num_seconds), np.float32)
    if lines.values.size:
        _needle_heights(lines.values, lines.second_of_sample, reach, heights)
    return falling(against_usual(heights, usual), half_ranges, steepness=4)


def find_resting(
    lines: Lines, usual: Float32[np.ndarray, "line 1"]
) -> tuple[Bool[np.ndarray, "line time"], Bool[np.ndarray, "line time"]]:
    """Return where samples rest: (flat, clipped).

    Flat is any run of at least `FLAT_S`. Clipped is a run of at least `CLIPPED_S` from which the line leaves to the
    same side before and after, far from the median: so a ceiling inside the range is found like a rail at its end.
    """
    is_flat, is_clipped = np.zeros(lines.values.shape, bool), np.zeros(lines.values.shape, bool)
    if lines.values.size:
        median = np.median(lines.values[:, :: max(1, int(lines.sample_rate_hz // 25))], axis=1)
        _mark_resting(
            lines.values,
            lines.is_real,
            (RUN_TOLERANCE * usual[:, 0]).astype(np.float32),
            median.astype(np.float32),
            (CLIPPED_DISTANCE * usual[:, 0]).astype(np.float32),
            max(3, round(FLAT_S * lines.sample_rate_hz)),
            max(4, round(CLIPPED_S * lines.sample_rate_hz)),
            is_flat,
            is_clipped,
        )
    return is_flat, is_clipped


@njit(cache=True)
def _needle_heights(values: np.ndarray, second_of_sample: np.ndarray, reach: int, heights: np.ndarray) -> None:
    for i in range(values.shape[0]):
        for t in range(reach, values.shape[1] - reach):
            before, after = values[i, t] - values[i, t - reach], values[i, t] - values[i, t + reach]
            height = max(min(before, after), -max(before, after))  # negative where the sides differ
            if height > heights[i, second_of_sample[t]]:
                heights[i, second_of_sample[t]] = height


@njit(cache=True)
def _mark_resting(
    values: np.ndarray,
    is_real: np.ndarray,
    tolerance: np.ndarray,
    median: np.ndarray,
    distance: np.ndarray,
    flat_length: int,
    clipped_length: int,
    is_flat: np.ndarray,
    is_clipped: np.ndarray,
) -> None:
    num_samples = values.shape[1]
    for i in range(values.shape[0]):
        begin = 0
        while begin < num_samples:
            if not is_real[i, begin]:
                begin += 1
                continue
            end, anchor = begin + 1, values[i, begin]
            while end < num_samples and is_real[i, end] and abs(values[i, end] - anchor) <= tolerance[i]:
                end += 1
            if end - begin >= flat_length:
                is_flat[i, begin:end] = True
            if end - begin >= clipped_length and abs(anchor - median[i]) > distance[i]:
                enters_above = begin > 0 and values[i, begin - 1] > anchor
                leaves_above = end < num_samples and values[i, end] > anchor
                if begin == 0 or end == num_samples or enters_above == leaves_above:
                    is_clipped[i, begin:end] = True
            begin = end
