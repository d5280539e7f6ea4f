"""What a WFDB record is made of: its channels and the pieces that hold their samples, known from headers alone.

Listing and reading both start from a `Plan`, so that what `find_recordings` says is what `open_recording` does.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from qualityfm.records import ChannelKind
from qualityfm.sources.channel_names import kind_of
from qualityfm.sources.units import canonical_unit
from qualityfm.sources.wfdb_header import MultiHeader, SegmentEntry, SignalSpec, SingleHeader, refusal
from qualityfm.sources.wfdb_storage import check_decodable_path, file_inside, with_stored_length

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

    def gap_s(self, channel: int) -> float:
        """Return the seconds in which no piece holds a channel."""
        recorded = sum(piece.num_frames for piece in self.pieces if piece.signal_of_channel[channel] is not None)
        return (self.num_frames - recorded) / self.frame_rate_hz


def make_plan(path: Path, read: ReadHeader) -> Plan:
    """Return the plan of the record whose header is `path`, after checking every file it is made of.

    Args:
        path: Header file.
        read: Reads a header; a folder's scan passes one that remembers.

    Raises:
        SourceError: A header or a signal file cannot be what it says.
    """
    folder = path.parent
    check_decodable_path(path)
    # The header itself must not be a link that leads elsewhere: its signal files would be looked for there.
    if path.is_symlink():
        file_inside(folder, path.name, path, "header")
    header = read(path)
    if isinstance(header, MultiHeader):
        return _plan_segments(header, read)
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
    )


def plan_channel(signal: SignalSpec) -> PlanChannel:
    """Return a signal line as a channel, its unit canonical."""
    unit, _ = canonical_unit(signal.unit)
    kind = kind_of(signal.name, unit)
    return PlanChannel(name=signal.name, kind=kind, unit=unit, samples_per_frame=signal.samples_per_frame)


def _plan_segments(master: MultiHeader, read: ReadHeader) -> Plan:
    headers: dict[str, SingleHeader] = {}
    for entry in master.segments:
        if entry.name is not None and entry.name not in headers:
            headers[entry.name] = _segment_header(master, entry, read)
    channels = _channels(master, headers, read)
    pieces = []
    begin_frame = 0
    for entry in master.segments:
        if entry.name is not None:
            header = headers[entry.name]
            if header.num_frames != entry.num_frames:
                expected = f"{entry.num_frames}, as in {master.path.name}"
                raise refusal(header.path, "number of samples", header.num_frames, expected)
            mapping = _signal_of_channel(master, channels, header)
            piece = Piece(
                header=header, begin_frame=begin_frame, num_frames=entry.num_frames, signal_of_channel=mapping
            )
            pieces.append(piece)
        begin_frame += entry.num_frames
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
    )


def _segment_header(master: MultiHeader, entry: SegmentEntry, read: ReadHeader) -> SingleHeader:
    path = file_inside(master.path.parent, f"{entry.name}.hea", master.path, f"segment {entry.name}")
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
    elif headers:
        path, signals = next((h.path, h.signals) for h in headers.values())
    else:
        raise refusal(master.path, "segments", "gaps only", "at least one segment with samples")
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


def layout_plan(header: SingleHeader) -> Plan:
    """Return what a layout header says, without samples."""
    return Plan(
        path=header.path,
        frame_rate_hz=header.frame_rate_hz,
        num_frames=0,
        start=None,
        channels=tuple(map(plan_channel, header.signals)),
        pieces=(),
        notes=header.notes,
    )


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 200 else f"{text[:197]}..."
