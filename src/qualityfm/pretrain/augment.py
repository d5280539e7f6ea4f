"""Small random changes to both members of a pair; numpy, because they belong to making a batch."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.pretrain.config import PretrainConfig


def jitter(
    values: Float32[np.ndarray, "channel time"], config: PretrainConfig, rng: np.random.Generator
) -> Float32[np.ndarray, "channel time"]:
    """Return a segment with a little noise, and a random gain and offset of each channel. NaN stay NaN."""
    num_channels = len(values)
    low, high = config.gain_range
    gain = rng.uniform(low, high, size=(num_channels, 1)).astype(np.float32)
    offset = rng.uniform(-config.offset, config.offset, size=(num_channels, 1)).astype(np.float32)
    noise = rng.standard_normal(values.shape, dtype=np.float32) * np.float32(config.noise_sd)
    return np.asarray(values * gain + offset + noise)


def blank_span(
    values: Float32[np.ndarray, "channel time"], config: PretrainConfig, rng: np.random.Generator, fill: float
) -> Float32[np.ndarray, "channel time"]:
    """Return a segment with one span set to `fill` in all channels: 0 as in the paper, NaN for "missing"."""
    num_samples = values.shape[1]
    shortest, longest = config.zeroed_span
    length = int(rng.uniform(shortest, longest) * num_samples)
    begin = int(rng.integers(0, num_samples - length + 1))
    blanked = values.copy()
    blanked[:, begin : begin + length] = np.where(np.isnan(blanked[:, begin : begin + length]), np.nan, fill)
    return blanked


def drop_channel(
    values: Float32[np.ndarray, "channel time"], chance: float, rng: np.random.Generator
) -> Float32[np.ndarray, "channel time"]:
    """Return a segment that lost one of its live channels, by chance; the last live channel is never taken."""
    live = np.flatnonzero(np.isfinite(values).any(axis=1))
    if rng.random() >= chance or len(live) < 2:
        return values
    dropped = values.copy()
    dropped[rng.choice(live)] = np.nan
    return dropped


def hide_patches(num_patches: int, fraction: float, rng: np.random.Generator) -> Bool[np.ndarray, " patch"]:
    """Return which patches to hide: blocks of 2 to 8 neighbours until about `fraction` of them are gone.

    Blocks rather than single patches, since a single one could be guessed from its edges (our own choice).
    """
    hidden = np.zeros(num_patches, dtype=bool)
    while hidden.sum() < fraction * num_patches:
        length = int(rng.integers(2, 9))
        begin = int(rng.integers(0, max(1, num_patches - length + 1)))
        hidden[begin : begin + length] = True
    return hidden
