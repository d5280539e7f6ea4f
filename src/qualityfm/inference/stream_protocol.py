"""The words of a stream: JSON messages in, JSON rows out; the same on stdin, socket and WebSocket (docs/STREAM.md)."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32

from qualityfm.inference.stream import BlockModel, Stream, StreamChannel, StreamConfig
from qualityfm.records import Cause, ChannelKind, QualityScore, grade
from qualityfm.segments import SegmentConfig
from qualityfm.strict_json import field_of, only_fields, read_json, refusal, samples_of

#: A message longer than this is refused before it is read, bytes.
MAX_MESSAGE_BYTES = 4 * 2**20

_CHANNEL_FIELDS = ("name", "kind", "unit", "sample_rate_hz", "start_s")


def read_channel(value: Any, where: str) -> StreamChannel:
    """Return a channel from its object.

    Raises:
        SignalError: A field is missing, unknown or of the wrong kind.
    """
    name, kind = field_of(value, "name", str, where), field_of(value, "kind", str, where)
    if kind not in set(ChannelKind):
        raise refusal(where, "kind", kind, f"one of {', '.join(ChannelKind)}")
    only_fields(value, _CHANNEL_FIELDS, where)
    numbers = {
        "sample_rate_hz": field_of(value, "sample_rate_hz", (int, float), where),
        "start_s": field_of(value, "start_s", (int, float), where, default=0.0),
    }
    for field, number in numbers.items():
        if not abs(number) < 1e12:
            raise refusal(where, field, number, "a usual number")
    unit = field_of(value, "unit", str, where, default="NU")
    return StreamChannel(name=name, kind=ChannelKind(kind), unit=unit, **{k: float(v) for k, v in numbers.items()})


def open_stream(
    message: bytes,
    config: SegmentConfig | None = None,
    *,
    stream: StreamConfig | None = None,
    model: BlockModel | None = None,
    where: str = "stream",
) -> Stream:
    """Return the stream that a first message, the channel table, asks for.

    Raises:
        SignalError: The message is no channel table, or the channels cannot be.
    """
    value = _read(message, where)
    channels = field_of(value, "channels", list, where)
    only_fields(value, ("channels",), where)
    return Stream([read_channel(one, where) for one in channels], config, stream=stream, model=model)


def take_message(stream: Stream, message: bytes, where: str = "stream") -> list[QualityScore]:
    """Feed a packet, or end the stream with `{"end": true}`, and return the segments that were finished.

    Raises:
        SignalError: The message is no packet, or cannot be placed; the stream goes on without it.
    """
    value = _read(message, where)
    if isinstance(value, dict) and value.get("end") is True and len(value) == 1:
        return stream.close()
    name, first = field_of(value, "channel", str, where), field_of(value, "first", int, where)
    only_fields(value, ("channel", "first", "samples"), where)
    return stream.feed(name, first, samples_of(value.get("samples"), where))


def _read(message: bytes, where: str) -> Any:
    if len(message) > MAX_MESSAGE_BYTES:
        raise refusal(where, "length", len(message), f"at most {MAX_MESSAGE_BYTES} bytes")
    return read_json(message, where)


def greeting(stream: Stream) -> dict[str, Any]:
    """Return what a stream says first: how late its answers come, and how it cuts."""
    return {"delay_s": round(stream.delay_s, 3), "segment_s": stream.config.segment_s, "step_s": stream.config.step_s}


def segment_row(score: QualityScore, number: int = 0) -> dict[str, Any]:
    """Return a segment as one JSON object, its model's estimate beside the quality where there is one."""
    quality, length_s = float(score.overall[number]), float(score.segment_length_s[number])
    num_seconds = math.ceil(length_s - 1e-9)
    channels: list[dict[str, Any]] = []
    for c, name in enumerate(score.names):
        if name is None:
            continue
        row = {
            "name": name,
            "kind": str(score.kinds[c]),
            "quality": _rounded(score.quality[number, c, :num_seconds]),
            "causes": [_words(one) for one in score.causes[number, c, :num_seconds].tolist()],
        }
        if score.model_quality is not None:
            row["model_quality"] = _rounded(score.model_quality[number, c, :num_seconds])
        channels.append(row)
    return {
        "start_s": float(score.segment_start_s[number]),
        "length_s": length_s,
        "quality": round(quality, 4),
        "grade": grade(quality),
        "usable_for": [use for use, is_usable in score.usable.items() if is_usable[number]],
        "channels": channels,
    }


def _rounded(values: Float32[np.ndarray, " second"]) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


@lru_cache(maxsize=1024)
def _words(causes: int) -> str:
    return Cause(causes).words


def farewell(stream: Stream) -> dict[str, Any]:
    """Return what a stream says last: what became of each channel's samples."""
    return {"ended": True, "samples": {name: asdict(counts) for name, counts in stream.counts.items()}}
