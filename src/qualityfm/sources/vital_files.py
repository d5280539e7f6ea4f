"""Vital Recorder files (.vital; VitalDB and operating rooms) -> Recording.

The format's own library keeps every sample of a file in memory, reads 32-bit formats at twice their width, and takes
damaged and cut files for whole ones. The format is a row of packets, so it is walked here (`vital_index`), and only the
pieces of a stretch are unpacked; the library is what tests compare with.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from qualityfm.errors import SignalError, SourceError, problem
from qualityfm.records import Recording, Signal
from qualityfm.sources.described_channels import ChosenChannel, Described, chosen_channels
from qualityfm.sources.found import Found, FoundChannel
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import NUMERICS_RATE_HZ, check_num_samples, refusal
from qualityfm.sources.vital_header import SAMPLE_FORMATS, VitalTrack
from qualityfm.sources.vital_index import Pieces, VitalIndex, read_index
from qualityfm.sources.vital_stream import UnpackedStream, opened_stream

__all__ = ["VITAL", "VitalSource"]

#: How far a piece's time may be off the end of the piece before, in samples, to be taken as its continuation: clocks of
#: recording computers jitter. Our own choice; the library rounds every piece up and leaves single samples missing.
_JITTER_SAMPLES = 1.5

#: Values beyond this are no samples. Source: vitaldb 1.7.2, `VitalFile.get_track_samples`.
_LARGEST_VALUE = 4e9

#: Samples unpacked at once. Our own choice.
_SAMPLES_AT_ONCE = 2**20


class VitalSource:
    """The format of Vital Recorder: one gzip file a recording, packets of tracks of many devices."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file of a recording called by its name, with or without its ending."""
        if not path.name:
            return ()
        if path.suffix.lower() == ".vital":
            return (path,)
        return tuple(path.with_name(path.name + ending) for ending in (".vital", ".VITAL"))

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the recordings of one folder; each file is unpacked once, since only its end tells its length."""
        for name in names:
            if name.lower().endswith(".vital") and (layout is None or layout.speaks_of("vital", name)):
                yield _found(folder / name, layout)

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read the waveforms of a recording, or of a stretch of it; NaN where nothing was recorded.

        Raises:
            SourceError: The file is damaged or cut short, or cannot be true.
            SignalError: The recording ends before `start_s`.
        """
        if item is not None:
            raise refusal(path, "item", f"{len(item)} characters", "none: the file is one recording")
        index = read_index(path)
        lines = _lines(index, layout)
        length_s = _duration_s(lines)
        if start_s >= length_s:
            raise SignalError(
                problem("nothing to read", where=path, field="start_s", found=start_s, expected=f"below {length_s:g} s")
            )
        end_s = math.inf if duration_s is None else start_s + duration_s
        stretches = [_Stretch(line, index.head.is_packed, start_s, end_s) for line in lines]
        check_num_samples(path, sum(stretch.end - stretch.begin for stretch in stretches))
        _read(index, stretches)
        return Recording(
            recording_id=path.stem,
            subject_id=None,
            start=index.head.local(index.start_time + start_s),
            signals=tuple(stretch.signal(start_s) for stretch in stretches),
            notes=index.notes,
        )


#: The one reader of .vital files.
VITAL = VitalSource()


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A waveform channel on its own clock, which begins with its first piece.

    Attributes:
        channel: What is read.
        track: What the file says.
        pieces: Its pieces.
        first: Which sample of the channel each piece begins with.
        start_s: Start of the channel, seconds after that of the recording.
    """

    channel: ChosenChannel
    track: VitalTrack
    pieces: Pieces
    first: Int64[np.ndarray, " piece"]
    start_s: float

    @property
    def num_samples(self) -> int:
        """Samples from the channel's start to its end, missing ones included."""
        return int((self.first + self.pieces.num_samples).max())

    @property
    def end_s(self) -> float:
        """End of the channel, seconds after the start of the recording."""
        return self.start_s + self.num_samples / self.channel.sample_rate_hz


def _lines(index: VitalIndex, layout: Layout | None) -> list[_Line]:
    if not index.waveforms:
        raise refusal(index.path, "tracks", f"{index.num_others} of numbers or texts", "a waveform track with samples")
    described = [Described(name=t.name, unit=t.unit, sample_rate_hz=t.sample_rate_hz) for t, _ in index.waveforms]
    lines = []
    for channel in chosen_channels(index.path, layout, described):
        track, pieces = index.waveforms[channel.index]
        lines.append(
            _Line(
                channel=channel,
                track=track,
                pieces=pieces,
                first=_first_samples(pieces, channel.sample_rate_hz),
                start_s=float(pieces.time.min()) - index.start_time,
            )
        )
    return lines


def _first_samples(pieces: Pieces, rate_hz: float) -> Int64[np.ndarray, " piece"]:
    """Return which sample of its channel each piece begins with, from the pieces' times.

    A piece whose time is off the end of the piece before by no more than jitter goes on there; any other one lies at
    the sample nearest to its time. So nothing drifts: a device whose rate is a little off gives small gaps.
    """
    order = np.argsort(pieces.time, kind="stable")
    exact = (pieces.time[order] - pieces.time[order[0]]) * rate_hz
    first = np.empty(len(order), np.int64)
    due = 0
    for i, place, size in zip(order.tolist(), exact.tolist(), pieces.num_samples[order].tolist(), strict=True):
        at = due if abs(place - due) <= _JITTER_SAMPLES else round(place)
        first[i] = at
        due = at + size
    return first


def _duration_s(lines: Sequence[_Line]) -> float:
    return max(line.end_s for line in lines)


def _found(path: Path, layout: Layout | None) -> Found:
    found = Found(path=path, recording_id=path.stem, subject_id=None, source="vital", duration_s=0.0, channels=())
    try:
        index = read_index(path)
        if not index.waveforms and index.num_others:
            return replace(found, aside="numerics: no track of waveforms")
        lines = _lines(index, layout)
    except SourceError as error:
        return replace(found, problem=str(error))
    aside = None
    if max(line.channel.sample_rate_hz for line in lines) <= NUMERICS_RATE_HZ:
        aside = f"numerics: no channel is faster than {NUMERICS_RATE_HZ:g} Hz"
    duration_s = _duration_s(lines)
    return replace(
        found, duration_s=duration_s, channels=tuple(_found_channel(line, duration_s) for line in lines), aside=aside
    )


def _found_channel(line: _Line, duration_s: float) -> FoundChannel:
    channel = line.channel
    recorded_s = int(line.pieces.num_samples.sum()) / channel.sample_rate_hz
    return FoundChannel(
        name=channel.name,
        kind=channel.kind,
        unit=channel.unit,
        sample_rate_hz=channel.sample_rate_hz,
        gap_s=max(0.0, duration_s - recorded_s),
    )


class _Stretch:
    """The samples of one channel in the stretch that is read, missing until they are put in."""

    def __init__(self, line: _Line, is_packed: bool, start_s: float, end_s: float) -> None:
        self.line, self._is_packed = line, is_packed
        self.begin = self._sample_at(start_s)
        self.end = line.num_samples if math.isinf(end_s) else max(self.begin, self._sample_at(end_s))
        self._samples: Float32[np.ndarray, " time"] | None = None
        self._waiting: list[tuple[int, int, bytes]] = []
        self._num_waiting = 0

    def _sample_at(self, time_s: float) -> int:
        """Return the channel's first sample at or after a time of the recording."""
        # The nudge takes 29.999999999 for 30: times that are products of decimal numbers.
        sample = math.ceil((time_s - self.line.start_s) * self.line.channel.sample_rate_hz - 1e-6)
        return min(self.line.num_samples, max(0, sample))

    @property
    def samples(self) -> Float32[np.ndarray, " time"]:
        """The samples of the stretch."""
        if self._samples is None:
            self._samples = np.full(self.end - self.begin, np.nan, np.float32)
        return self._samples

    def wanted(self) -> Int64[np.ndarray, "piece field"]:
        """Return for each piece in the stretch: place in the unpacked stream, first sample there, number of samples."""
        pieces, first = self.line.pieces, self.line.first
        begins = np.maximum(first, self.begin)
        sizes = np.minimum(first + pieces.num_samples, self.end) - begins
        places = pieces.position + (begins - first) * self._type.itemsize
        inside = sizes > 0
        return np.stack([places[inside], begins[inside], sizes[inside]], axis=1)

    @property
    def _type(self) -> np.dtype[np.generic]:
        return np.dtype(SAMPLE_FORMATS[self.line.track.sample_format][0])

    def take(self, stream: UnpackedStream, sample: int, size: int) -> None:
        """Take `size` samples from the stream, the first of them being `sample` of the channel."""
        while size:
            count = min(size, _SAMPLES_AT_ONCE)
            self._waiting.append((sample - self.begin, count, stream.read(count * self._type.itemsize)))
            self._num_waiting += count
            sample, size = sample + count, size - count
            if self._num_waiting >= _SAMPLES_AT_ONCE:
                self.put()

    def put(self) -> None:
        """Put the samples taken in their places: many pieces at once, since most pieces are short."""
        stored = np.frombuffer(b"".join(raw for _, _, raw in self._waiting), self._type)
        values = self._physical(stored)
        done = 0
        for at, count, _ in self._waiting:
            self.samples[at : at + count] = values[done : done + count]
            done += count
        self._waiting, self._num_waiting = [], 0

    def _physical(self, stored: Shaped[np.ndarray, " time"]) -> Float32[np.ndarray, " time"]:
        track, channel = self.line.track, self.line.channel
        with np.errstate(over="ignore", invalid="ignore"):  # a stored float may be anything
            values = stored.astype(np.float64)
            if track.is_calibrated:
                values = values * track.gain + track.offset
            values[~(np.abs(values) <= _LARGEST_VALUE)] = np.nan
            values = values * channel.factor + channel.offset
        if self._is_packed and track.is_calibrated:
            values[stored == SAMPLE_FORMATS[track.sample_format][1]] = np.nan
        return values.astype(np.float32)

    def signal(self, start_s: float) -> Signal:
        """Return the channel; its time runs from the start of the stretch."""
        channel = self.line.channel
        from_start_s = self.line.start_s + self.begin / channel.sample_rate_hz - start_s
        return Signal(
            name=channel.name,
            kind=channel.kind,
            unit=channel.unit,
            sample_rate_hz=channel.sample_rate_hz,
            samples=self.samples,
            start_s=0.0 if abs(from_start_s) < 1e-6 or not len(self.samples) else from_start_s,
        )


def _read(index: VitalIndex, stretches: Sequence[_Stretch]) -> None:
    """Unpack the pieces of all channels in one go, in the order in which they lie in the file."""
    wanted = [stretch.wanted() for stretch in stretches]
    owners = np.repeat(np.arange(len(wanted)), [len(pieces) for pieces in wanted])
    pieces = np.concatenate(wanted)
    marked = [mark.position for mark in index.marks]
    with ExitStack() as opened:
        stream: UnpackedStream | None = None
        for i in np.argsort(pieces[:, 0], kind="stable"):
            position, sample, size = map(int, pieces[i])
            place = bisect.bisect_right(marked, position) - 1
            if stream is None or (place >= 0 and marked[place] > stream.position):
                opened.close()
                mark = index.marks[place] if place >= 0 else None
                stream = opened.enter_context(opened_stream(index.path, mark))
            stream.skip(position - stream.position)
            stretches[owners[i]].take(stream, sample, size)
    for stretch in stretches:
        stretch.put()
