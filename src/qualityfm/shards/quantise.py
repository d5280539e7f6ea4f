"""Scaled samples as 16-bit integers with one step for each row and channel, and back."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8

#: The integer that stands for a missing sample.
MISSING = -32768
LARGEST = 32767

#: Smallest step: keeps the division finite for an all-zero channel (the smallest normal float32).
SMALLEST_STEP = float(np.finfo(np.float32).tiny)


def quantise(
    values: Float32[np.ndarray, "row channel time"],
) -> tuple[Int16[np.ndarray, "row channel time"], Float32[np.ndarray, "row channel"]]:
    """Return integers and steps; `integers * step` differs from `values` by at most half a step.

    The step lets the largest sample of a row's channel use the whole 16-bit range, so a quiet channel keeps its
    resolution beside one that clips.

    Args:
        values: Scaled samples; NaN where missing, otherwise finite.
    """
    is_missing = np.isnan(values)
    finite = np.where(is_missing, np.float32(0), values)
    largest = np.maximum(finite.max(axis=2), -finite.min(axis=2))
    step = np.maximum(largest / np.float32(LARGEST), np.float32(SMALLEST_STEP)).astype(np.float32)
    rounded = np.rint(finite / step[..., None])
    integers = np.clip(rounded, -LARGEST, LARGEST).astype(np.int16)
    integers[is_missing] = MISSING
    return integers, step


def pack_bits(is_real: Bool[np.ndarray, "row channel time"]) -> UInt8[np.ndarray, "row channel byte"]:
    """Return eight samples a byte, the first sample in the lowest bit; the last byte is filled up with zeros."""
    return np.packbits(is_real, axis=2, bitorder="little")
