"""What a layout makes of the arrays of a file: which rows of which are channels, and the samples of a stretch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import SignalError
from qualityfm.records import Signal
from qualityfm.sources.array_place import Place, StoredArray, find_place, shown_names
from qualityfm.sources.layout import ChannelRule, Layout
from qualityfm.sources.strict import check_num_samples, refusal
from qualityfm.sources.table_channels import (
    HOW_TO_WRITE_A_LAYOUT,
    TableChannel,
    behind_the_end,
    check_lengths,
    table_channels,
)
from qualityfm.sources.table_line import Line

#: Numbers read at once from an array. Our own choice.
BLOCK_VALUES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ArrayLine:
    """One line of an array.

    Attributes:
        array: The numbers, perhaps of several lines.
        samples_axis: Which axis of the array is time.
        row: Which row across time it is; None where every other axis has length 1.
    """

    array: StoredArray
    samples_axis: int
    row: int | None = None

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.array.shape[self.samples_axis]

    def samples(self, begin: int, end: int) -> Float64[np.ndarray, " time"]:
        """Return a stretch of samples, as the file has them."""
        row = self.row or 0
        return np.asarray(self.beside(begin, end, row, row + 1)[0])

    def beside(self, begin: int, end: int, first_row: int, end_row: int) -> Float64[np.ndarray, "row time"]:
        """Return a stretch of samples of some rows of the array; axes of length 1 are taken whole."""
        axes: list[int | slice] = [slice(0, 1)] * len(self.array.shape)
        if self.row is not None:
            axes[1 - self.samples_axis] = slice(first_row, end_row)
        axes[self.samples_axis] = slice(begin, end)
        block = np.asarray(self.array.read(tuple(axes)), np.float64)
        return block.reshape(-1, end - begin) if self.samples_axis else block.reshape(end - begin, -1).T


@dataclass(frozen=True, kw_only=True)
class ArrayChannel:
    """A channel and the line of numbers it is made of."""

    channel: TableChannel
    line: ArrayLine

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.line.num_samples / self.channel.sample_rate_hz


def channels_at(place: Place, layout: Layout, rate_hz: float | None = None) -> list[ArrayChannel]:
    """Return the channels of the recording at a place, in the layout's order.

    Args:
        place: The recording.
        layout: Where its channels lie.
        rate_hz: Rate that a time column shows; None takes the layout's.

    Raises:
        SourceError: A channel is missing, is no line of numbers, or is shorter than the others.
    """
    if not layout.channels:
        raise refusal(place.path, "channels", "none in the layout", "one or more channels", HOW_TO_WRITE_A_LAYOUT)
    found: dict[str, StoredArray] = {}
    for rule in layout.channels:
        if rule.column not in found and (array := _array_of(place, layout, rule)) is not None:
            found[rule.column] = array
    if not found:
        raise refusal(place.path, place.label, shown_names(place.child_names()), f"a channel of layout {layout.name}")
    rules = {rule.shown_name: rule for rule in layout.channels}
    channels = [
        _channel(place, layout, rules[channel.name], channel, found[channel.column])
        for channel in table_channels(place.path, layout, dict.fromkeys(found, 0), rate_hz)
    ]
    described = [channel.channel for channel in channels]
    lengths_s = [channel.duration_s for channel in channels]
    check_lengths(place.path, f"{place.label}: sample_rate_hz", described, lengths_s)
    return channels


def _array_of(place: Place, layout: Layout, rule: ChannelRule) -> StoredArray | None:
    below = find_place(place, rule.column)
    if below is not None:
        array = below.array()
        if math.prod(array.shape):
            return array
    if rule.is_optional:
        return None
    if below is not None:
        raise refusal(place.path, below.label, "no numbers", "samples")
    advice = f"layout {layout.name} may speak of other files"
    found = shown_names(place.child_names())
    raise refusal(place.path, f"channel {rule.shown_name}", found, f"an array {rule.column!r}", advice)


def _channel(
    place: Place, layout: Layout, rule: ChannelRule, channel: TableChannel, array: StoredArray
) -> ArrayChannel:
    field = f"{place.label}: channel {channel.name}"
    if not channel.name:
        raise refusal(place.path, field, "no name", "a name in the layout")
    if rule.axis_index is None:
        return ArrayChannel(channel=channel, line=only_line(place.path, field, array))
    axis = _samples_axis(place.path, field, array.shape, layout.samples_axis)
    num_rows = array.shape[1 - axis]
    if not 0 <= rule.axis_index < num_rows:
        found = f"shape {_shape_text(array.shape)}"
        raise refusal(place.path, field, found, f"axis {1 - axis} longer than axis_index {rule.axis_index}")
    return ArrayChannel(channel=channel, line=ArrayLine(array=array, samples_axis=axis, row=rule.axis_index))


def only_line(path: Path, field: str, array: StoredArray) -> ArrayLine:
    """Return the one line of an array, which may have other axes of length 1.

    Raises:
        SourceError: There are several lines, or none.
    """
    shape = array.shape
    longer = [axis for axis, size in enumerate(shape) if size > 1]
    if len(longer) > 1 or not shape:
        advice = "say with axis_index which row or column it is" if len(shape) == 2 else ""
        raise refusal(path, field, f"shape {_shape_text(shape)}", "one line of samples", advice)
    return ArrayLine(array=array, samples_axis=longer[0] if longer else 0)


def _samples_axis(path: Path, field: str, shape: tuple[int, ...], stated: int) -> int:
    if len(shape) != 2:
        raise refusal(path, field, f"shape {_shape_text(shape)}", "two dimensions, as axis_index says")
    axis = stated % 2
    if shape[axis] < shape[1 - axis]:
        advice = f"is the array the other way round? then write samples_axis = {1 - axis} into the layout"
        raise refusal(
            path, field, f"shape {_shape_text(shape)}", f"more samples, on axis {axis}, than channels", advice
        )
    return axis


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of a single number"


def duration_of(channels: Sequence[ArrayChannel]) -> float:
    """Return the length of a recording in seconds."""
    return max(channel.duration_s for channel in channels)


def read_signals(
    path: Path, channels: Sequence[ArrayChannel], missing: tuple[float, ...], start_s: float, duration_s: float | None
) -> tuple[Signal, ...]:
    """Return the samples at start_s <= t < start_s + duration_s; only these are read, block by block.

    Args:
        path: The recording named in errors.
        channels: What to read.
        missing: Values of the file that stand for a missing sample.
        start_s: Seconds after the first sample.
        duration_s: Seconds to read; None for all.

    Raises:
        SourceError: The numbers cannot be decoded, or are more than fit into memory.
        SignalError: The recording ends before `start_s`.
    """
    if start_s >= duration_of(channels):
        raise SignalError(behind_the_end(path, start_s, duration_of(channels)))
    end_s = math.inf if duration_s is None else start_s + duration_s
    stretches = [_Stretch(path, channel, missing, start_s, end_s) for channel in channels]
    check_num_samples(path, sum(max(0, stretch.end - stretch.begin) for stretch in stretches))
    for _, alike in groupby(stretches, key=lambda stretch: id(stretch.source.array)):
        _read_together(list(alike))
    return tuple(stretch.line.finish(stretch.source.num_samples) for stretch in stretches)


class _Stretch:
    """The samples of one channel that are wanted."""

    def __init__(
        self, path: Path, channel: ArrayChannel, missing: tuple[float, ...], start_s: float, end_s: float
    ) -> None:
        self.source = channel.line
        self.line = Line(path, channel.channel, missing, start_s, end_s)
        # A counter that wraps is followed from the start. The nudge is that of Line.
        first = math.ceil(start_s * channel.channel.sample_rate_hz - 1e-6)
        self.begin = 0 if channel.channel.wraps_at else first
        self.end = int(min(channel.line.num_samples, self.line.end))


def _read_together(stretches: Sequence[_Stretch]) -> None:
    """Read the channels that lie in one array, each of its blocks once."""
    source = stretches[0].source
    rows = [stretch.source.row or 0 for stretch in stretches]
    first_row, end_row = min(rows), max(rows) + 1
    begin, end = min(stretch.begin for stretch in stretches), max(stretch.end for stretch in stretches)
    size = max(1, BLOCK_VALUES // (end_row - first_row))
    for at in range(begin, end, size):
        until = min(end, at + size)
        block = source.beside(at, until, first_row, end_row)
        for stretch, row in zip(stretches, rows, strict=True):
            stretch.line.take(block[row - first_row], np.arange(at, until))
