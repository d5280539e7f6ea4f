"""What a layout makes of arrays: which part of which array is a channel, and how a stretch of it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import SignalError
from qualityfm.records import Recording
from qualityfm.sources.found import Found
from qualityfm.sources.layout import ChannelRule, Layout
from qualityfm.sources.strict import check_num_samples, refusal
from qualityfm.sources.table_channels import TableChannel, behind_the_end, table_channels
from qualityfm.sources.table_line import Line

#: Channels of one recording may differ in length by this share, and by a sample. Our own bound.
LENGTH_TOLERANCE = 0.01

#: A deflated byte unpacks to at most so many. Source: zlib's own manual, "Maximum Compression Factor" (1032:1).
MAX_UNPACKING = 1032

#: Most bytes that an array which has to be unpacked as a whole may take, 1 GiB: what a worker has. Our own bound.
MAX_UNPACKED_BYTES = 2**30


class Array(Protocol):
    """Numbers on disk: a shape, a type, and slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""

    def __getitem__(self, index: Any) -> Any:
        """Return a part."""


@dataclass(frozen=True, kw_only=True)
class ArrayLine:
    """A channel that lies in an array.

    Attributes:
        channel: What the layout says of it.
        num_samples: Its length.
        read: Returns samples `first` to `end` as they are in the file.
    """

    channel: TableChannel
    num_samples: int
    read: Callable[[int, int], Float64[np.ndarray, " time"]]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.channel.sample_rate_hz


def array_line(path: Path, layout: Layout, rule: ChannelRule, array: Array, row: int | None = None) -> ArrayLine:
    """Return the channel that a rule finds in an array.

    Args:
        path: The file, or the item in it, for errors.
        layout: Says which axis is time.
        rule: The channel.
        array: One-dimensional (axes of size 1 do not count), or two-dimensional with `axis_index` in the rule.
        row: Which entry of the first axis is the recording; None where the array is one recording.

    Raises:
        SourceError: The array holds no numbers, has other axes, or lies the other way round.
    """
    field = f"channel {rule.shown_name}"
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise refusal(path, f"{field}: type", str(array.dtype), "real numbers of at most 64 bits")
    fixed: list[int | None] = [] if row is None else [row]
    sizes = array.shape[len(fixed) :]
    is_line = rule.axis_index is None
    if is_line:
        fixed += [None if size != 1 else 0 for size in sizes]
    elif len(sizes) == 2:
        fixed += [rule.axis_index, None] if layout.samples_axis != 0 else [None, rule.axis_index]
    free = [axis for axis, index in enumerate(fixed) if index is None]
    if is_line and not free and sizes:  # a single sample
        fixed[-1], free = None, [len(fixed) - 1]
    if len(free) != 1 or len(fixed) != len(array.shape):
        expected = "one axis of samples" if is_line else "two axes, one of samples and one of channels"
        advice = "name row or column with axis_index in the layout" if is_line else ""
        raise refusal(path, f"{field}: shape", str(array.shape), expected, advice)
    _check_axes(path, field, rule, sizes, array.shape[free[0]])

    def read(first: int, end: int) -> Float64[np.ndarray, " time"]:
        index = tuple(slice(first, end) if part is None else part for part in fixed)
        return np.asarray(array[index], np.float64)

    return ArrayLine(channel=_channel(path, layout, rule), num_samples=array.shape[free[0]], read=read)


def _check_axes(path: Path, field: str, rule: ChannelRule, sizes: Sequence[int], num_samples: int) -> None:
    if num_samples == 0:
        raise refusal(path, f"{field}: length", 0, "at least one sample")
    if rule.axis_index is None:
        return
    num_channels = int(np.prod(sizes)) // num_samples
    if not 0 <= rule.axis_index < num_channels:
        raise refusal(path, f"{field}: axis_index", rule.axis_index, f"0 to {num_channels - 1}")
    if num_samples < num_channels:
        advice = "set samples_axis in the layout to the other axis"
        raise refusal(path, f"{field}: samples", num_samples, f"more than the {num_channels} channels", advice)


def _channel(path: Path, layout: Layout, rule: ChannelRule) -> TableChannel:
    described = table_channels(path, layout, {rule.column: 0}, None)
    return next(channel for channel in described if channel.name == rule.shown_name)


def check_length(path: Path, lines: Sequence[ArrayLine]) -> float:
    """Return the length of a recording in seconds, after checking that its channels agree on it.

    Raises:
        SourceError: They do not: one of their rates is wrong; or there is none.
    """
    if not lines:
        raise refusal(path, "channels", "none of the layout's", "at least one")
    lengths_s = [line.duration_s for line in lines]
    sample_s = max(1 / line.channel.sample_rate_hz for line in lines)
    if max(lengths_s) - min(lengths_s) > sample_s + LENGTH_TOLERANCE * max(lengths_s):
        found = ", ".join(f"{line.channel.name} {line.duration_s:g} s" for line in lines)
        raise refusal(path, "sample_rate_hz", found, "channels of one length", "correct a rate in the layout")
    return max(lengths_s)


def found_of(path: Path, recording_id: str, source: str, subject_id: str | None, lines: Sequence[ArrayLine]) -> Found:
    """Return the listing of a recording; an item's path is one below its file's."""
    return Found(
        path=path,
        recording_id=recording_id,
        subject_id=subject_id,
        source=source,
        duration_s=check_length(path, lines),
        channels=tuple(line.channel.found for line in lines),
        is_item="/" in recording_id,
    )


def recording_of(
    path: Path,
    recording_id: str,
    subject_id: str | None,
    lines: Sequence[ArrayLine],
    missing: tuple[float, ...],
    start_s: float,
    duration_s: float | None,
) -> Recording:
    """Return a stretch of a recording; no more than the stretch is read.

    Raises:
        SourceError: Channels disagree about the length, or the stretch is too long for one call.
        SignalError: The recording ends before `start_s`.
    """
    end_s = check_length(path, lines)
    if start_s >= end_s:
        raise SignalError(behind_the_end(path, start_s, end_s))
    stop_s = end_s if duration_s is None else start_s + duration_s
    signals = []
    for line in lines:
        rate_hz = line.channel.sample_rate_hz
        # A counter that wraps is followed from the first sample on.
        first = 0 if line.channel.wraps_at else min(max(0, int(start_s * rate_hz) - 1), line.num_samples)
        end = min(line.num_samples, int(stop_s * rate_hz) + 2)
        check_num_samples(path, end - first)
        whole = Line(path, line.channel, missing, start_s, np.inf if duration_s is None else stop_s)
        whole.take(line.read(first, end), np.arange(first, end))
        signals.append(whole.finish(line.num_samples))
    return Recording(recording_id=recording_id, subject_id=subject_id, start=None, signals=tuple(signals))
