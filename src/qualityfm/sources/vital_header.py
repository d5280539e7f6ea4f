"""The fields of a .vital file: its head, its devices, its tracks; each checked before anything is believed.

Source: "Vital File Format", https://vitaldb.net/docs/?documentId=VitalRecorder/Vital_File_Format.md; all numbers are
little-endian, a string is its length in four bytes and then UTF-8.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualityfm.errors import SourceError
from qualityfm.sources.strict import refusal
from qualityfm.sources.vital_stream import UnpackedStream

WAVEFORM = 1

#: Sample format -> numpy type, and the stored value that fills gaps in a file that is marked as packed.
SAMPLE_FORMATS: dict[int, tuple[str, int | None]] = {
    1: ("<f4", None),
    2: ("<f8", None),
    3: ("<i1", -(2**7)),
    4: ("<u1", 2**8 - 1),
    5: ("<i2", -(2**15)),
    6: ("<u2", 2**16 - 1),
    7: ("<i4", -(2**31)),
    8: ("<u4", 2**32 - 1),
}

_NEWEST_VERSION = 3
_LARGEST_RATE_HZ = 1e6

#: Time zones reach from UTC-12 to UTC+14; the bias is minutes from local time to UTC.
_BIAS_MINUTES = (-14 * 60, 12 * 60)


@dataclass(frozen=True, kw_only=True)
class VitalHead:
    """The head of a file.

    Attributes:
        bias_minutes: Minutes from local time to UTC.
        start_time: Start of the recording, seconds since 1970 (UTC); 0 where older files do not say it.
        is_packed: True where gaps are filled with the smallest (signed) or largest (unsigned) stored value.
    """

    bias_minutes: int
    start_time: float
    is_packed: bool

    def local(self, time: float) -> dt.datetime | None:
        """Return an instant given in seconds since 1970 as local time; None where the time zone cannot be."""
        if not _BIAS_MINUTES[0] <= self.bias_minutes <= _BIAS_MINUTES[1]:
            return None
        try:
            return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=time, minutes=-self.bias_minutes)
        except OverflowError:
            return None


@dataclass(frozen=True, kw_only=True)
class VitalTrack:
    """What a file says about a track.

    Attributes:
        number: Its number in the file.
        name: Device and track, such as "SNUADC/ECG_II"; the track alone where it has no device.
        type: 1 for a waveform; numbers and strings are other types.
        sample_format: Key in `SAMPLE_FORMATS`.
        unit: As written; "" for none.
        sample_rate_hz: Samples per second.
        gain: Physical value of one stored unit, for whole numbers.
        offset: Physical value of a stored 0, for whole numbers.
    """

    number: int
    name: str
    type: int
    sample_format: int
    unit: str
    sample_rate_hz: float
    gain: float
    offset: float

    @property
    def is_waveform(self) -> bool:
        """True for a track of samples."""
        return self.type == WAVEFORM

    @property
    def is_calibrated(self) -> bool:
        """True where stored values are whole numbers with a gain and an offset."""
        return self.sample_format > 2


def read_head(stream: UnpackedStream) -> VitalHead:
    """Read the head, with which the stream begins.

    Raises:
        SourceError: It is none.
    """
    if stream.read(4) != b"VITA":
        raise refusal(stream.path, "signature", "other content in gzip data", "VITA")
    version, size = struct.unpack("<IH", stream.read(6))
    if not 1 <= version <= _NEWEST_VERSION:
        raise refusal(stream.path, "version", version, f"1 to {_NEWEST_VERSION}")
    if size < 10:
        raise refusal(stream.path, "head length", size, "10 bytes or more")
    head = stream.read(size)
    start_time = struct.unpack_from("<d", head, 10)[0] if size >= 26 else 0.0
    if not (math.isfinite(start_time) and start_time >= 0):
        raise refusal(stream.path, "start time", start_time, "seconds since 1970")
    (bias_minutes,) = struct.unpack_from("<h", head, 0)
    return VitalHead(bias_minutes=bias_minutes, start_time=start_time, is_packed=size >= 27 and head[26] == 1)


class _Fields:
    """The fields of one packet, taken one after the other; those at its end may be absent."""

    def __init__(self, path: Path, what: str, body: bytes) -> None:
        self._path, self._what, self._body, self._at = path, what, body, 0

    def number(self, field: str, code: str, absent: Any = None) -> Any:
        """Return the next number, or `absent` where the packet ends before it."""
        size = struct.calcsize(f"<{code}")
        if self._is_absent(field, size, absent):
            return absent
        (value,) = struct.unpack_from(f"<{code}", self._body, self._at)
        self._at += size
        return value

    def text(self, field: str, absent: str | None = None) -> str:
        """Return the next string, or `absent` where the packet ends before it."""
        if self._is_absent(field, 4, absent):
            return absent or ""
        (size,) = struct.unpack_from("<I", self._body, self._at)
        raw = self._body[self._at + 4 : self._at + 4 + size]
        if len(raw) < size:
            raise self._wrong(field, f"{size} bytes announced, {len(raw)} there", "a whole string")
        self._at += 4 + size
        text = raw.decode("utf-8", "replace").strip("\0 ")
        return "".join(c if c.isprintable() else "?" for c in text)

    def _is_absent(self, field: str, size: int, absent: Any) -> bool:
        rest = len(self._body) - self._at
        if rest >= size:
            return False
        if rest or absent is None:
            raise self._wrong(field, f"{rest} bytes", f"{size} bytes or more")
        return True

    def _wrong(self, field: str, found: str, expected: str) -> SourceError:
        return refusal(self._path, f"{self._what}: {field}", found, expected)


def parse_device(path: Path, body: bytes) -> tuple[int, str]:
    """Return number and name of a device.

    Raises:
        SourceError: The packet is too short for what it announces.
    """
    fields = _Fields(path, "device", body)
    number = fields.number("number", "I")
    kind = fields.text("type")
    return number, fields.text("name", "") or kind


def parse_track(path: Path, body: bytes, devices: dict[int, str]) -> VitalTrack:
    """Return what a packet says about a track.

    Raises:
        SourceError: The packet is too short for what it announces.
    """
    number = _Fields(path, "track", body).number("number", "H")
    fields = _Fields(path, f"track {number}", body)
    _, kind, sample_format = (
        fields.number(name, code) for name, code in (("number", "H"), ("type", "B"), ("format", "B"))
    )
    name, unit = fields.text("name"), fields.text("unit", "")
    for field, code in (("lowest shown", "f"), ("highest shown", "f"), ("colour", "I")):
        fields.number(field, code, 0)
    rate_hz = fields.number("sample rate", "f", 0.0)
    gain, offset = fields.number("gain", "d", 1.0), fields.number("offset", "d", 0.0)
    fields.number("monitor type", "B", 0)
    device = devices.get(fields.number("device", "I", 0), "")
    return VitalTrack(
        number=number,
        name=f"{device}/{name}" if device else name,
        type=kind,
        sample_format=sample_format,
        unit=unit,
        sample_rate_hz=rate_hz,
        gain=gain,
        offset=offset,
    )


def check_waveform(path: Path, track: VitalTrack) -> None:
    """Refuse a track of samples that cannot be read as it says.

    Raises:
        SourceError: Its format is unknown, or rate, gain or offset cannot be.
    """
    where = f"track {track.number}"
    if track.sample_format not in SAMPLE_FORMATS:
        raise refusal(path, f"{where}: format", track.sample_format, "1 to 8")
    if not 0 < track.sample_rate_hz <= _LARGEST_RATE_HZ:
        raise refusal(path, f"{where}: sample rate", track.sample_rate_hz, f"0 < x <= {_LARGEST_RATE_HZ:g} Hz")
    if track.is_calibrated and not (math.isfinite(track.gain) and track.gain != 0):
        raise refusal(path, f"{where}: gain", track.gain, "a finite number other than 0")
    if track.is_calibrated and not math.isfinite(track.offset):
        raise refusal(path, f"{where}: offset", track.offset, "a finite number")
