"""The signals that an answer may be made from: slots on one clock up to the window's end, with their quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, UInt16

from qualityfm.quality import score_block
from qualityfm.records import ChannelKind, Recording
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block
from qualityfm.sources import open_recording
from qualityfm.tasks.examples import Example

#: Slots that features look at; a recording fills those that it has channels for.
SLOTS = {"ecg1": 0, "ecg2": 1, "ppg": 2, "abp": 3}
#: Samples per second of features: QRS bands end at 40 Hz.
RATE_HZ = 125.0
SEGMENT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All slots of a stretch that ends with an example's window.

    Attributes:
        values: Physical samples at `RATE_HZ`; NaN where missing.
        quality: Quality in [0, 1] of each second, counted from the begin of the stretch.
        causes: `Cause` flags of each second.
        duration_s: Length, s.
    """

    values: Float32[np.ndarray, "channel time"]
    quality: Float32[np.ndarray, "channel second"]
    causes: UInt16[np.ndarray, "channel second"]
    duration_s: float

    def tail(self, seconds: float) -> Float32[np.ndarray, "channel time"]:
        """Return the last seconds of all slots."""
        return self.values[:, -round(seconds * RATE_HZ) :]


def read_trace(example: Example, lookback_s: float, hidden: Sequence[ChannelKind] = ()) -> Trace:
    """Read what lies up to `lookback_s` before the end of an example's window, and nothing behind it.

    Args:
        example: Whose window.
        lookback_s: How far to look back, s.
        hidden: Kinds of channels that are left out before anything is measured.

    Raises:
        SourceError: The recording cannot be read.
        SignalError: It ends before the stretch, or has no channel that fits a slot.
    """
    start_s, duration_s = example.stretch(lookback_s)
    recording = open_recording(example.recording, start_s=start_s, duration_s=duration_s, layout=example.layout)
    return trace_from(recording, duration_s, hidden)


def trace_from(recording: Recording, duration_s: float, hidden: Sequence[ChannelKind] = ()) -> Trace:
    """Return the trace of a stretch that was cut before; it begins at 0. Channels of the hidden kinds are left out.

    Raises:
        SignalError: It has no channel that fits a slot.
    """
    kinds = (ChannelKind.ECG, ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP)
    seen = replace(recording, signals=tuple(s for s in recording.signals if s.kind not in hidden))
    block = cut_block(
        seen, SegmentConfig(channels=kinds, sample_rate_hz=RATE_HZ, segment_s=SEGMENT_S, step_s=SEGMENT_S)
    )
    return trace_of(block, duration_s)


def trace_of(block: SegmentBlock, duration_s: float) -> Trace:
    """Return segments that follow each other as one trace; what is missing up to its end is NaN."""
    score = score_block(block)
    num_samples, num_seconds = round(duration_s * RATE_HZ), max(1, int(np.ceil(duration_s - 1e-9)))

    def joined(parts: np.ndarray, length: int, fill: float) -> np.ndarray:
        line = parts.transpose(1, 0, 2).reshape(parts.shape[1], -1)[:, :length]
        return np.pad(line, ((0, 0), (0, length - line.shape[1])), constant_values=fill)

    return Trace(
        values=joined(block.values, num_samples, np.nan),
        quality=joined(score.quality, num_seconds, 0),
        causes=joined(score.causes, num_seconds, 0),
        duration_s=duration_s,
    )
