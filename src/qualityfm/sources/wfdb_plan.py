"""What a WFDB record is made of: its channels and the pieces that hold their samples, known from headers alone.

Listing and reading both start from a `Plan`, so that what `find_recordings` says is what `open_recording` does.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qualityfm.records import ChannelKind
from qualityfm.sources.channel_names import kind_of
from qualityfm.sources.units import canonical_unit
from qualityfm.sources.wfdb_header import MultiHeader, SingleHeader
from qualityfm.sources.wfdb_signal_line import SignalSpec
from qualityfm.sources.wfdb_storage import check_decodable_path, file_inside, with_stored_length
from qualityfm.sources.wfdb_text import Repair, refusal

ReadHeader = Callable[[Path], SingleHeader | MultiHeader]


@dataclass(frozen=True, kw_only=True)
class PlanChannel:
    """One channel of the whole record, unit canonical."""

    name: str
    kind: ChannelKind
    unit: str
    samples_per_frame: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch with samples: its header, where it begins, and which of its signals fills each channel of the plan."""

    header: SingleHeader
    begin_frame: int
    num_frames: int
    signal_of_channel: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A record, ready to be listed or read."""

    path: Path
    frame_rate_hz: float
    num_frames: int
    start: dt.datetime | None
    channels: tuple[PlanChannel, ...]
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...]

    def gap_s(self, channel: int) -> float:
        """Return the seconds in which no piece holds a channel."""
        recorded = sum(piece.num_frames for piece in self.pieces if piece.signal_of_channel[channel] is not None)
        return (self.num_frames - recorded) / self.frame_rate_hz


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a record's time."""

    start_s: float = 0.0
    end_s: float = math.inf

    def touches(self, begin_frame: int, num_frames: int, frame_rate_hz: float) -> bool:
        """Tell whether frames lie in the stretch or within a frame of it."""
        first, last = (begin_frame - 1) / frame_rate_hz, (begin_frame + num_frames + 1) / frame_rate_hz
        return first < self.end_s and last > self.start_s


#: All of a record.
WHOLE = Span()


def make_plan(path: Path, read: ReadHeader, span: Span = WHOLE) -> Plan:
    """Return the plan of the record whose header is `path`, after checking every file it is made of.

    Args:
        path: Header file.
        read: Reads a header; a folder's scan passes one that remembers.
        span: What is going to be read: segments outside of it are not looked at and have no piece. A record of days is
            made of thousands of segments, and is read in stretches.

    Raises:
        SourceError: A header or a signal file cannot be what it says.
    """
    check_decodable_path(path)
    header = read(path)
    if isinstance(header, MultiHeader):
        return _plan_segments(header, read, span)
    header = with_stored_length(header)
    num_frames = header.num_frames or 0
    indices = tuple(range(len(header.signals)))
    return Plan(
        path=path,
        frame_rate_hz=header.frame_rate_hz,
        num_frames=num_frames,
        start=header.start,
        channels=tuple(map(plan_channel, header.signals)),
        pieces=(Piece(header=header, begin_frame=0, num_frames=num_frames, signal_of_channel=indices),),
        notes=header.notes,
        repairs=header.repairs,
    )


def plan_channel(signal: SignalSpec) -> PlanChannel:
    """Return a signal line as a channel, its unit canonical."""
    unit, _ = canonical_unit(signal.unit)
    kind = kind_of(signal.name, unit)
    return PlanChannel(name=signal.name, kind=kind, unit=unit, samples_per_frame=signal.samples_per_frame)


def _plan_segments(master: MultiHeader, read: ReadHeader, span: Span) -> Plan:
    placed = list(_placed_segments(master, span))
    headers: dict[str, SingleHeader] = {}
    for name, _, _ in placed:
        if name not in headers:
            headers[name] = _segment_header(master, name, read)
    channels = _channels(master, headers, read)
    pieces = []
    for name, begin_frame, num_frames in placed:
        header = headers[name]
        if header.num_frames != num_frames:
            expected = f"{num_frames}, as in {master.path.name}"
            raise refusal(header.path, "number of samples", header.num_frames, expected)
        mapping = _signal_of_channel(master, channels, header)
        pieces.append(Piece(header=header, begin_frame=begin_frame, num_frames=num_frames, signal_of_channel=mapping))
    counts = Counter(note for header in headers.values() for note in header.notes)
    notes = [f"{note} (in {count} of {len(headers)} segments)" for note, count in counts.items()]
    return Plan(
        path=master.path,
        frame_rate_hz=master.frame_rate_hz,
        num_frames=master.num_frames,
        start=master.start,
        channels=channels,
        pieces=tuple(pieces),
        notes=(*master.notes, *notes),
        repairs=tuple(dict.fromkeys((*master.repairs, *(r for h in headers.values() for r in h.repairs)))),
    )


def _placed_segments(master: MultiHeader, span: Span) -> Iterator[tuple[str, int, int]]:
    """Yield name, first frame and length of each segment that touches a stretch; gaps are passed over."""
    begin_frame = 0
    for entry in master.segments:
        if entry.name is not None and span.touches(begin_frame, entry.num_frames, master.frame_rate_hz):
            yield entry.name, begin_frame, entry.num_frames
        begin_frame += entry.num_frames


def _segment_header(master: MultiHeader, name: str, read: ReadHeader) -> SingleHeader:
    path = file_inside(master.path.parent, f"{name}.hea", master.path, f"segment {name}")
    header = read(path)
    if isinstance(header, MultiHeader):
        raise refusal(path, "segments", "a record made of segments", f"a single segment of {master.path.name}")
    if header.frame_rate_hz != master.frame_rate_hz:
        expected = f"{master.frame_rate_hz:g}, as in {master.path.name}"
        raise refusal(path, "sampling rate", header.frame_rate_hz, expected)
    return with_stored_length(header)


def _channels(master: MultiHeader, headers: dict[str, SingleHeader], read: ReadHeader) -> tuple[PlanChannel, ...]:
    """Return the record's channels: those of the layout header, else those of the first segment."""
    if master.layout is not None:
        path = file_inside(master.path.parent, f"{master.layout}.hea", master.path, "layout")
        layout = read(path)
        if isinstance(layout, MultiHeader) or not layout.is_layout:
            raise refusal(path, "signals", "a header of stored signals", "a layout: every file is '~'")
        if layout.frame_rate_hz != master.frame_rate_hz:
            expected = f"{master.frame_rate_hz:g}, as in {master.path.name}"
            raise refusal(path, "sampling rate", layout.frame_rate_hz, expected)
        signals = layout.signals
        names = [s.name for s in signals]
        if len(set(names)) < len(names):
            raise refusal(path, "channel names", _listed(names), "each name once, for segments name their channels")
    else:
        name = next((entry.name for entry in master.segments if entry.name is not None), None)
        if name is None:
            raise refusal(master.path, "segments", "gaps only", "at least one segment with samples")
        first = headers.get(name) or _segment_header(master, name, read)
        path, signals = first.path, first.signals
    if len(signals) != master.num_signals:
        expected = f"{master.num_signals}, as announced in {master.path.name}"
        raise refusal(path, "number of signals", len(signals), expected)
    return tuple(map(plan_channel, signals))


def _signal_of_channel(
    master: MultiHeader, channels: tuple[PlanChannel, ...], header: SingleHeader
) -> tuple[int | None, ...]:
    """Return which signal of a segment fills each channel: by name in a variable layout, by place in a fixed one."""
    by_name = {channel.name: channel for channel in channels}
    names = [s.name for s in header.signals]
    if master.layout is None and names != [c.name for c in channels]:
        expected = f"{_listed(c.name for c in channels)}, in this order as in the first segment"
        raise refusal(header.path, "channel names", _listed(names), expected)
    if len(set(names)) < len(names) and master.layout is not None:
        raise refusal(header.path, "channel names", _listed(names), "each name once")
    for i, signal in enumerate(header.signals):
        if signal.name not in by_name:
            raise refusal(header.path, "channel names", signal.name, f"one of the layout's: {_listed(by_name)}")
        channel = channels[i] if master.layout is None else by_name[signal.name]
        found = plan_channel(signal)
        if found.unit != channel.unit:
            raise refusal(header.path, f"{signal.name}: unit", signal.unit, f"{channel.unit}, as in the whole record")
        if found.samples_per_frame != channel.samples_per_frame:
            expected = f"{channel.samples_per_frame}, as in the whole record"
            raise refusal(header.path, f"{signal.name}: samples per frame", found.samples_per_frame, expected)
    if master.layout is None:
        return tuple(range(len(channels)))
    return tuple(names.index(c.name) if c.name in names else None for c in channels)


def segment_names(header: MultiHeader) -> set[str]:
    """Return the names of the headers that are parts of a record, its layout not among them."""
    return {entry.name for entry in header.segments if entry.name is not None}


def plan_without_samples(header: SingleHeader) -> Plan:
    """Return what a header says that stores no samples: a layout, or one without signals."""
    return Plan(
        path=header.path,
        frame_rate_hz=header.frame_rate_hz,
        num_frames=0,
        start=None,
        channels=tuple(map(plan_channel, header.signals)),
        pieces=(),
        notes=header.notes,
        repairs=header.repairs,
    )


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 200 else f"{text[:197]}..."
