"""Which segments are worth keeping for training; the settings are those of `SegmentConfig`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from qualityfm.records import ChannelKind, Recording
from qualityfm.segments import SegmentBlock, assign_slots

#: Reason of a segment in which no channel is left.
NO_CHANNEL = "no usable channel"


def keep_usable(block: SegmentBlock, recording: Recording) -> tuple[SegmentBlock, dict[str, int]]:
    """Return the segments worth keeping, and how many were dropped for which reason.

    A channel of which more than `max_missing_fraction` of the segment was not recorded counts as absent: its samples
    become missing. A segment is dropped when no channel is left, when fewer channels of a required kind are left than
    are required, or, where `drop_constant` asks for it, when only constant channels of a required kind are.

    Args:
        block: The segments of a recording.
        recording: The recording they were cut from.
    """
    is_usable = _usable(block)
    if (_is_filled(block) & ~is_usable).any():
        block = replace(
            block,
            values=np.where(is_usable[..., None], block.values, np.float32(np.nan)),
            is_real=block.is_real & is_usable[..., None],
        )
    reasons = np.where(is_usable.any(axis=1), "", NO_CHANNEL).astype(object)
    config = block.config
    for kind, count in Counter(config.required).items():
        reasons[(reasons == "") & (_num_of_kind(is_usable, kind, block) < count)] = f"required channel unusable: {kind}"
    if config.drop_constant:
        is_lively = is_usable & ~_constant(block, recording)
        for kind, count in Counter(config.required).items():
            few = _num_of_kind(is_lively, kind, block) < count
            reasons[(reasons == "") & few] = f"required channel constant: {kind}"
    dropped = Counter(str(reason) for reason in reasons if reason)
    return take_segments(block, np.flatnonzero(reasons == "")), dict(sorted(dropped.items()))


def take_segments(block: SegmentBlock, chosen: Int[np.ndarray, " segment"]) -> SegmentBlock:
    """Return a block of the chosen segments; the block itself where all are, in their order."""
    if np.array_equal(chosen, np.arange(len(block))):
        return block
    return replace(
        block,
        start_s=block.start_s[chosen],
        length_s=block.length_s[chosen],
        values=block.values[chosen],
        is_real=block.is_real[chosen],
    )


def _usable(block: SegmentBlock) -> Bool[np.ndarray, "segment channel"]:
    real_fraction = block.is_real.sum(axis=2) / block.config.num_samples
    return np.asarray(
        _is_filled(block) & (real_fraction > 0) & (1 - real_fraction <= block.config.max_missing_fraction)
    )


def _is_filled(block: SegmentBlock) -> Bool[np.ndarray, " channel"]:
    """Return which slots the recording fills; the others hold nothing but missing samples."""
    return np.array([name is not None for name in block.names])


def _constant(block: SegmentBlock, recording: Recording) -> Bool[np.ndarray, "segment channel"]:
    """Return where the file holds one value only; asked of the file, as resampling leaves a ripple on a flat line."""
    is_constant = np.zeros(block.is_real.shape[:2], bool)
    for c, signal in enumerate(assign_slots(recording, block.config.channels)):
        if signal is None:
            continue
        for s, start_s in enumerate(block.start_s - signal.start_s):
            first = max(0, int(np.ceil(start_s * signal.sample_rate_hz)))
            end = max(0, int(np.ceil((start_s + block.config.segment_s) * signal.sample_rate_hz)))
            samples = signal.samples[first:end]
            finite = samples[np.isfinite(samples)]
            is_constant[s, c] = len(finite) > 0 and finite.min() == finite.max()
    return is_constant


def _num_of_kind(
    is_counted: Bool[np.ndarray, "segment channel"], kind: ChannelKind, block: SegmentBlock
) -> Int[np.ndarray, " segment"]:
    of_kind = [slot == kind for slot in block.config.channels]
    return np.asarray(is_counted[:, of_kind].sum(axis=1))
