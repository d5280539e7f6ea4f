"""Small .vital files made packet by packet, so that every field may be wrong, and by the format's own library."""

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from qualityfm.records import Recording
from qualityfm.sources import open_recording

#: 2019-06-01 08:00:00 in Seoul.
START = 1_559_343_600.0
SEOUL_BIAS = -540


def text(words: str) -> bytes:
    """A string of the format."""
    raw = words.encode()
    return struct.pack("<I", len(raw)) + raw


def packet(kind: int, body: bytes) -> bytes:
    """A packet of the format."""
    return struct.pack("<BI", kind, len(body)) + body


def head(
    *, start: float = START, version: int = 3, bias: int = SEOUL_BIAS, packed: int = 0, sign: bytes = b"VITA"
) -> bytes:
    """The head of a file."""
    fields = struct.pack("<hIIddB", bias, 0, 0, start, start + 60, packed)
    return sign + struct.pack("<IH", version, len(fields)) + fields


def old_head() -> bytes:
    """The head of an old file, which does not tell the start."""
    return b"VITA" + struct.pack("<IHhII", 3, 10, SEOUL_BIAS, 0, 0)


def device(number: int = 1, name: str = "SNUADC") -> bytes:
    """A packet that describes a device."""
    return packet(9, struct.pack("<I", number) + text(name) + text(name) + text("COM1"))


@dataclass(frozen=True, kw_only=True)
class Track:
    """A packet that describes a track; fields are written as they are given."""

    number: int = 1
    type: int = 1
    format: int = 1
    name: str = "ECG_II"
    unit: str = "mV"
    rate: float = 100.0
    gain: float = 1.0
    offset: float = 0.0
    device: int = 1

    def packet(self) -> bytes:
        """The packet."""
        body = struct.pack("<HBB", self.number, self.type, self.format) + text(self.name) + text(self.unit)
        body += struct.pack("<ffIfddBI", -1, 1, 0, self.rate, self.gain, self.offset, 1, self.device)
        return packet(0, body)


def record(number: int, time: float, samples: np.ndarray, announced: int | None = None) -> bytes:
    """A piece of waveform; `time` in seconds after `START`."""
    count = len(samples) if announced is None else announced
    return packet(1, struct.pack("<HdHI", 10, START + time, number, count) + samples.tobytes())


def numeric(number: int, time: float, value: float) -> bytes:
    """A number at a time."""
    return packet(1, struct.pack("<HdHf", 10, START + time, number, value))


def floats(count: int, first: int = 0) -> np.ndarray:
    """Samples that count upwards."""
    return np.arange(first, first + count, dtype="<f4")


def pieces(number: int, times: Sequence[float], size: int = 100) -> list[bytes]:
    """Pieces of a track, counting on from piece to piece."""
    return [record(number, time, floats(size, i * size)) for i, time in enumerate(times)]


def write(path: Path, packets: Sequence[bytes]) -> Path:
    """Write packets, the head first, as a gzip file without time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b"".join(packets), mtime=0))
    return path


def small() -> list[bytes]:
    """Three waveforms of different rates and formats, a numeric and a string track; the pulse begins 2 s late."""
    tracks = [
        Track(),
        Track(number=2, name="PLETH", unit="", format=5, rate=50.0, gain=0.01, offset=20.0),
        Track(number=3, name="ART", unit="mmHg", format=6, rate=50.0, gain=0.1, offset=-100.0),
        Track(number=4, type=2, name="HR", unit="/min", rate=0.0),
        Track(number=5, type=5, name="EVENT", unit="", rate=0.0),
    ]
    note = packet(1, struct.pack("<HdHI", 10, START + 1, 5, 0) + text("Haagse Harry coughs"))
    packets = [head(), device(), *(track.packet() for track in tracks), note]
    for second in range(6):
        packets.append(record(1, second, floats(100, 100 * second)))
        packets.append(numeric(4, second, 61.0))
        if second >= 2:
            packets.append(record(2, second, np.arange(50, dtype="<i2") + 50 * second))
            packets.append(record(3, second, np.arange(50, dtype="<u2") + 1500))
    return packets


def write_vital(recording: Recording, folder: Path) -> Path:
    """Write a recording with the format's own library, in pieces of one second, as the recorder does."""
    import vitaldb

    file = vitaldb.VitalFile()
    file.dtstart, file.dtend, file.dgmt = START, START + recording.duration_s, SEOUL_BIAS
    for signal in recording.signals:
        size = round(signal.sample_rate_hz)
        records = [
            {"dt": START + signal.start_s + at / signal.sample_rate_hz, "val": signal.samples[at : at + size]}
            for at in range(0, len(signal.samples), size)
        ]
        file.add_track(signal.name, records, srate=signal.sample_rate_hz, unit=signal.unit)
    path = folder / f"{recording.recording_id}.vital"
    file.to_vital(str(path), packed=False)
    return path


#: Writes a recording in each format.
WRITERS = {"vital": write_vital}


def silently_wrong(content: bytes, outcome: object) -> str | None:
    """Tell what of a damaged file was read otherwise than from the good one; its checksum must have told."""
    with TemporaryDirectory() as folder:
        good = open_recording(write(Path(folder) / "case.vital", small()))
    if not isinstance(outcome, Recording) or repr(outcome) != repr(good):
        return f"{outcome!r}"
    is_same = [np.array_equal(a.samples, b.samples) for a, b in zip(outcome.signals, good.signals, strict=True)]
    return None if all(is_same) else "other samples"


def open_raw(folder: Path) -> Recording:
    """Open unpacked content as if it had been packed by its recorder: damage that no checksum tells of."""
    return open_recording(write(folder / "case.vital", [(folder / "case.raw").read_bytes()]), duration_s=60)


def hazard_cases() -> list[dict[str, object]]:
    """Return what is to be damaged: see `benchmarks/hazards.py`."""
    packed = {
        "name": "vital case.vital",
        "write": lambda folder: write(folder / "case.vital", small()),
        "damaged": "case.vital",
        "open": lambda folder: open_recording(folder / "case.vital"),
        "is_silently_wrong": silently_wrong,
    }
    raw = {
        "name": "vital packets",
        "write": lambda folder: (folder / "case.raw").write_bytes(b"".join(small())),
        "damaged": "case.raw",
        "open": open_raw,
    }
    return [packed, raw]
