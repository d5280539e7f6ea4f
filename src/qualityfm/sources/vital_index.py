"""One walk through a .vital file: its tracks, and where and when every piece of waveform lies. No samples are kept.

Tracks may be added anywhere and the end is known only at the end, so the whole stream is unpacked once: this is also
what verifies its checksum and the grammar of all packets. What was learnt is kept for the next call, with places from
which unpacking can go on, so that stretches of a long file are read without beginning at its start each time.
"""

from __future__ import annotations

import math
import struct
from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from qualityfm.sources.strict import check_regular_file, refusal
from qualityfm.sources.vital_header import (
    SAMPLE_FORMATS,
    VitalHead,
    VitalTrack,
    check_waveform,
    parse_device,
    parse_track,
    read_head,
)
from qualityfm.sources.vital_stream import Mark, UnpackedStream, opened_stream

_TRACK_INFO, _RECORD, _DEVICE_INFO = 0, 1, 9
_PACKET, _RECORD_HEAD, _COUNT = struct.Struct("<BI"), struct.Struct("<HdH"), struct.Struct("<I")

#: Largest packet that describes a device or a track, and most pieces of waveform in a file (6 a second for a week; each
#: takes 24 bytes of memory). Our own bounds.
_LARGEST_INFO_BYTES = 2**16
_MOST_PIECES = 4_000_000

#: Longest recording, as in the format's own library. Source: vitaldb 1.7.2, `VitalFile`.
LONGEST_S = 7 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """The pieces of one waveform, in the order in which they lie in the file.

    Attributes:
        time: Time of each piece's first sample, seconds since 1970.
        num_samples: Samples in each.
        position: Where its samples begin in the unpacked stream.
    """

    time: Float64[np.ndarray, " piece"]
    num_samples: Int64[np.ndarray, " piece"]
    position: Int64[np.ndarray, " piece"]


@dataclass(frozen=True, kw_only=True)
class VitalIndex:
    """What a file holds.

    Attributes:
        path: The file.
        head: Its head.
        waveforms: Tracks with samples, in file order, each with its pieces.
        num_others: Tracks of numbers and strings.
        notes: Oddities, one line each.
        marks: Places from which the stream can be unpacked.
    """

    path: Path
    head: VitalHead
    waveforms: tuple[tuple[VitalTrack, Pieces], ...]
    num_others: int
    notes: tuple[str, ...]
    marks: tuple[Mark, ...]

    @property
    def start_time(self) -> float:
        """Start of the recording, seconds since 1970, as the head says; the first waveform's if that is far from it."""
        first = min(float(pieces.time.min()) for _, pieces in self.waveforms)
        return self.head.start_time if 0 <= first - self.head.start_time <= LONGEST_S else first


def read_index(path: Path) -> VitalIndex:
    """Walk through a file, or remember what was found in it, if neither its size nor its time have changed.

    Raises:
        SourceError: The file is damaged or cut short, or a packet in it cannot be true.
    """
    check_regular_file(path)
    try:
        status = path.stat()
    except OSError as error:
        raise refusal(path, "file", error.strerror or type(error).__name__, "a readable file") from error
    return _walked(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=4)
def _walked(path: Path, size: int, mtime_ns: int, inode: int) -> VitalIndex:
    with opened_stream(path) as stream:
        walk = _Walk(stream, read_head(stream))
        while not stream.at_end():
            walk.take_packet()
        return walk.finish()


@dataclass
class _Line:
    """A waveform track and its pieces so far."""

    track: VitalTrack
    sample_bytes: int
    times: array[float] = field(default_factory=lambda: array("d"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    positions: array[int] = field(default_factory=lambda: array("q"))


class _Walk:
    """A walk from packet to packet."""

    def __init__(self, stream: UnpackedStream, head: VitalHead) -> None:
        self._stream, self._head = stream, head
        self._path = stream.path
        self._devices: dict[int, str] = {}
        self._tracks: dict[int, VitalTrack] = {}
        self._lines: dict[int, _Line] = {}
        self._num_pieces = self._num_strays = 0

    def take_packet(self) -> None:
        """Read the next packet; those of other types, such as commands, are passed over."""
        kind, size = _PACKET.unpack(self._stream.read(5))
        if kind == _RECORD:
            self._take_record(size)
        elif kind in (_TRACK_INFO, _DEVICE_INFO):
            if size > _LARGEST_INFO_BYTES:
                expected = f"at most {_LARGEST_INFO_BYTES} bytes"
                raise refusal(self._path, "packet of a track or device: length", size, expected)
            body = self._stream.read(size)
            if kind == _DEVICE_INFO:
                number, name = parse_device(self._path, body)
                self._devices[number] = name
            else:
                self._take_track(parse_track(self._path, body, self._devices))
        else:
            self._stream.skip(size)

    def _take_track(self, track: VitalTrack) -> None:
        before = self._tracks.setdefault(track.number, track)
        if before != track and repr(before) != repr(track):  # NaN differs from itself
            raise refusal(self._path, f"track {track.number}", "two descriptions that differ", "one")

    def _take_record(self, size: int) -> None:
        if size < 12:
            raise refusal(self._path, "record: length", size, "12 bytes or more")
        info_size, time, number = _RECORD_HEAD.unpack(self._stream.read(12))
        rest = size - 12
        track = self._tracks.get(number)
        if track is None:
            self._num_strays += 1
        elif track.is_waveform:
            rest -= self._take_waveform(track, info_size - 10, time, rest)
        self._stream.skip(rest)

    def _take_waveform(self, track: VitalTrack, skipped: int, time: float, size: int) -> int:
        """Note a piece of waveform, and return how many of the packet's bytes were read."""
        where = f"track {track.number}"
        line = self._lines.get(track.number)
        if line is None:
            check_waveform(self._path, track)
            line = _Line(track, np.dtype(SAMPLE_FORMATS[track.sample_format][0]).itemsize)
            self._lines[track.number] = line
        if not 0 <= skipped <= size - 4:
            raise refusal(self._path, f"{where}: record length", size + 12, f"{skipped + 16} bytes or more")
        self._stream.skip(skipped)
        (num_samples,) = _COUNT.unpack(self._stream.read(4))
        if num_samples * line.sample_bytes > size - skipped - 4:
            expected = f"at most {(size - skipped - 4) // line.sample_bytes}, as the record is long"
            raise refusal(self._path, f"{where}: number of samples", num_samples, expected)
        if not math.isfinite(time):
            raise refusal(self._path, f"{where}: record time", time, "seconds since 1970")
        self._num_pieces += 1
        if self._num_pieces > _MOST_PIECES:
            raise refusal(self._path, "waveform records", f"more than {_MOST_PIECES}", f"at most {_MOST_PIECES}")
        if num_samples:
            line.times.append(time)
            line.sizes.append(num_samples)
            line.positions.append(self._stream.position)
        return skipped + 4

    def finish(self) -> VitalIndex:
        """Return what was found, once the stream has ended."""
        notes = []
        if self._num_strays:
            notes.append(f"{self._num_strays} records of tracks that are not described are left out")
        waveforms = tuple((line.track, _pieces(line)) for line in self._lines.values() if line.sizes)
        self._check_times(waveforms)
        return VitalIndex(
            path=self._path,
            head=self._head,
            waveforms=waveforms,
            num_others=sum(not track.is_waveform for track in self._tracks.values()),
            notes=tuple(notes),
            marks=tuple(self._stream.marks),
        )

    def _check_times(self, waveforms: tuple[tuple[VitalTrack, Pieces], ...]) -> None:
        """Refuse times so far apart that one of them must be wrong."""
        begin = min((float(pieces.time.min()) for _, pieces in waveforms), default=0.0)
        for track, pieces in waveforms:
            end = float((pieces.time + pieces.num_samples / track.sample_rate_hz).max())
            if end - begin > LONGEST_S:
                found, expected = f"{end - begin:g} s after the first", f"at most {LONGEST_S:g} s"
                raise refusal(self._path, f"track {track.number}: record time", found, expected)


def _pieces(line: _Line) -> Pieces:
    return Pieces(time=np.array(line.times), num_samples=np.array(line.sizes), position=np.array(line.positions))
