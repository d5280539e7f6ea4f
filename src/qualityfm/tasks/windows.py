"""The one window of a recording that a task judges, cut and scaled by the model's recipe; nothing around it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import SignalError, problem
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig, cut_block, scale_values
from qualityfm.sources import open_recording

#: Kinds whose unit means the same everywhere (mV, mmHg); the size of others, such as PPG, says nothing.
PHYSICAL_KINDS = (ChannelKind.ECG, ChannelKind.ABP)

#: Numbers of each slot in `channel_levels`.
LEVELS_PER_SLOT = 3


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a model sees of one example.

    Attributes:
        values: Scaled samples; NaN where missing.
        levels: What scaling removed, see `channel_levels`.
    """

    values: Float32[np.ndarray, "channel time"]
    levels: Float32[np.ndarray, " level"]


def window_config(segments: SegmentConfig, window_s: float) -> SegmentConfig:
    """Return a model's recipe for windows of another length, without rules that drop anything.

    Raises:
        ConfigError: The length is no whole number of samples.
    """
    return replace(segments, segment_s=window_s, step_s=window_s, required=(), drop_constant=False, min_recording_s=0.0)


def read_window(
    path: str, start_s: float, config: SegmentConfig, *, hidden: Sequence[ChannelKind] = (), layout: str | None = None
) -> Window:
    """Read one window of a recording from disk.

    Only samples of the window itself are decoded, so nothing after its end can reach a model.

    Args:
        path: As `open_recording` takes it.
        start_s: Where the window begins; before the recording's start, the window begins with missing samples.
        config: Of the window, from `window_config`.
        hidden: Kinds that the model must not see, such as the pressure that it is to estimate.
        layout: For files that do not describe themselves.

    Raises:
        SourceError: The recording cannot be read.
        SignalError: The recording has no channel that the model takes, or ends before the window.
    """
    begin_s = max(0.0, start_s)
    length_s = config.segment_s - (begin_s - start_s)
    if length_s <= 0:
        expected = f"a window of {config.segment_s:g} s that meets the recording"
        raise SignalError(problem("nothing to cut", where=path, field="start_s", found=start_s, expected=expected))
    recording = open_recording(path, start_s=begin_s, duration_s=length_s, layout=layout)
    return cut_window(_moved(recording, begin_s - start_s), config, hidden=hidden)


def cut_window(recording: Recording, config: SegmentConfig, *, hidden: Sequence[ChannelKind] = ()) -> Window:
    """Return the first `config.segment_s` of a recording as a window; what is missing at its end stays missing.

    Raises:
        SignalError: The recording has no channel that the model takes.
    """
    seen = replace(recording, signals=tuple(s for s in recording.signals if s.kind not in hidden))
    scaled = scale_values(cut_block(seen, config).values[:1], config)
    levels = channel_levels(scaled.values, scaled.center, scaled.scale, config.channels)
    return Window(values=scaled.values[0], levels=levels[0])


def channel_levels(
    values: Float32[np.ndarray, "segment channel time"],
    center: Float32[np.ndarray, "segment channel"],
    scale: Float32[np.ndarray, "segment channel"],
    kinds: Sequence[ChannelKind],
) -> Float32[np.ndarray, "segment level"]:
    """Return three numbers of each slot: share of samples there, log of the scale, level in units of the scale.

    The latter two are 0 where the slot is empty or its unit is arbitrary. The level is compressed by asinh.
    """
    there = np.isfinite(values).mean(axis=2)
    says = (there > 0) & np.isin(kinds, PHYSICAL_KINDS)
    size = np.where(says, np.log(np.maximum(scale, 1e-6)), 0)
    level = np.where(says, np.arcsinh(center / np.maximum(scale, 1e-6)), 0)
    return np.stack([there, size, level], axis=2).reshape(len(values), -1).astype(np.float32)


def _moved(recording: Recording, seconds: float) -> Recording:
    """Return a recording whose samples come some seconds later."""
    if seconds == 0:
        return recording

    def move(signal: Signal) -> Signal:
        return replace(signal, start_s=signal.start_s + seconds)

    return replace(recording, signals=tuple(map(move, recording.signals)))
