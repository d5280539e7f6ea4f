"""A strict reading of WFDB headers: text -> typed, frozen facts, or a refusal that names file, field, found, expected.

It stands in front of the `wfdb` library, which takes a rate of "-125" for 250 Hz, a gain of "2E2" for 2 and waits half
a minute for a line of 80 kB. Comment lines, which hold labels and patient data, are dropped unread.

Source: header(5), WFDB Applications Guide, https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import datetime as dt
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from qualityfm.errors import SourceError, problem
from qualityfm.sources.wfdb_start import parse_start

#: Budgets of our own. The largest public multi-segment headers hold some ten thousand segments in a few hundred kB.
MAX_HEADER_BYTES = 4_000_000
MAX_LINE_LENGTH = 2_000
MAX_SIGNALS = 1_000
MAX_SEGMENTS = 100_000
MAX_SAMPLES_PER_FRAME = 1_000
MAX_RATE_HZ = 1e6
MAX_DURATION_S = 366 * 86_400.0
MAX_OFFSET = 2**40  # bytes before the first sample, and frames of skew

#: Rate where a header gives none, and gain of a signal without calibration. Source: header(5).
DEFAULT_RATE_HZ = 250.0
DEFAULT_GAIN = 200.0

#: Formats that can be decoded. Source: signal(5); 508, 516 and 524 are FLAC.
STORAGE_FORMATS = frozenset({8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524})

_FLOAT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_RATE = re.compile(rf"({_FLOAT})(?:/{_FLOAT}(?:\({_FLOAT}\))?)?", re.ASCII)
_RECORD_NAME = re.compile(r"([-\w.]+)(?:/(\d{1,6}))?", re.ASCII)
_STORAGE = re.compile(r"(\d{1,3})(?:x(\d{1,9}))?(?::(\d{1,15}))?(?:\+(\d{1,15}))?", re.ASCII)
_GAIN = re.compile(rf"({_FLOAT})(?:\(([+-]?\d{{1,15}})\))?(?:/([^\s#]+))?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_SEGMENT_NAME = re.compile(r"[-\w]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """One signal line. A stored value v means (v - baseline) / gain in `unit`."""

    name: str
    file_name: str | None  # None for "~": no samples are stored
    storage_format: int
    samples_per_frame: int
    skew_frames: int
    byte_offset: int  # for FLAC formats: samples
    gain: float
    baseline: int
    unit: str
    is_calibrated: bool
    initial_value: int
    checksum: int | None


@dataclass(frozen=True, kw_only=True)
class SingleHeader:
    """Header of a record whose signals lie in files of their own."""

    path: Path
    frame_rate_hz: float
    num_frames: int | None  # None where the header leaves it to the files
    start: dt.datetime | None
    signals: tuple[SignalSpec, ...]
    notes: tuple[str, ...]

    @property
    def is_layout(self) -> bool:
        """Whether the header only names the channels of a multi-segment record."""
        return bool(self.signals) and all(s.file_name is None for s in self.signals)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the signals that share a file, in file order."""
        names = list(dict.fromkeys(s.file_name for s in self.signals))
        return tuple(tuple(i for i, s in enumerate(self.signals) if s.file_name == name) for name in names)


@dataclass(frozen=True, kw_only=True)
class SegmentEntry:
    """One segment line; `name` None is a gap without samples."""

    name: str | None
    num_frames: int


@dataclass(frozen=True, kw_only=True)
class MultiHeader:
    """Header of a record made of segments; `layout` names the header that lists the channels of a variable layout."""

    path: Path
    frame_rate_hz: float
    num_signals: int
    num_frames: int
    start: dt.datetime | None
    layout: str | None
    segments: tuple[SegmentEntry, ...]
    notes: tuple[str, ...]


def refusal(path: Path, field: str, found: object, expected: str, advice: str = "") -> SourceError:
    """Return the error for a header, or a file it names, that cannot be true."""
    if isinstance(found, str) and len(found) > 60:
        found = f"{found[:57]}..."
    return SourceError(
        problem("cannot read WFDB record", where=path, field=field, found=found, expected=expected, advice=advice)
    )


def read_header(path: Path) -> SingleHeader | MultiHeader:
    """Read and check a header; the files it names are not looked at.

    Raises:
        SourceError: The file cannot be read, is too large, or breaks the grammar or the ranges.
    """
    lines = _header_lines(path)
    first = _first_line(path, lines[0])
    if first.num_segments is not None:
        return _multi(path, first, lines[1:])
    return _single(path, first, lines[1:])


def _header_lines(path: Path) -> list[str]:
    """Return the lines that are neither comment nor blank, without a blank at either end."""
    try:
        status = path.stat()
        # Opening a pipe would wait for ever for its writer.
        if not stat.S_ISREG(status.st_mode):
            raise refusal(path, "file", "no regular file", "a header file")
        if status.st_size > MAX_HEADER_BYTES:
            raise refusal(path, "size", f"{status.st_size} bytes", f"at most {MAX_HEADER_BYTES} bytes")
        with path.open("rb") as file:
            content = file.read(MAX_HEADER_BYTES)
    except OSError as error:
        raise refusal(path, "file", error.strerror or type(error).__name__, "a readable header file") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise refusal(path, "first line", "nothing", "record name, number of signals, rate, number of samples")
    longest = max(map(len, lines))
    if longest > MAX_LINE_LENGTH:
        raise refusal(path, "line length", f"{longest} characters", f"at most {MAX_LINE_LENGTH} characters")
    return lines


@dataclass(frozen=True, kw_only=True)
class _FirstLine:
    num_segments: int | None
    num_signals: int
    frame_rate_hz: float
    num_frames: int  # 0 where the header leaves it open
    start: dt.datetime | None
    notes: list[str]


def _first_line(path: Path, line: str) -> _FirstLine:
    fields = line.split()
    name = _RECORD_NAME.fullmatch(fields[0])
    if name is None:
        raise refusal(path, "record name", fields[0], "letters, digits, - _ . and perhaps /number of segments")
    num_signals = _whole(path, "number of signals", fields[1] if len(fields) > 1 else "", 0, MAX_SIGNALS)
    notes = [] if name[1] == path.name.removesuffix(".hea") else ["the header calls the record by another name"]
    rate_hz = DEFAULT_RATE_HZ
    if len(fields) > 2:
        rate_hz = _rate(path, fields[2])
    else:
        notes.append(f"no rate in the header: the format's default of {DEFAULT_RATE_HZ:g} Hz")
    num_frames = _whole(path, "number of samples", fields[3] if len(fields) > 3 else "0", 0, 10**15)
    _check_duration(path, num_frames, rate_hz)
    start, start_notes = parse_start(fields[4:])
    return _FirstLine(
        num_segments=None if name[2] is None else int(name[2]),
        num_signals=num_signals,
        frame_rate_hz=rate_hz,
        num_frames=num_frames,
        start=start,
        notes=[*notes, *start_notes],
    )


def _single(path: Path, first: _FirstLine, lines: list[str]) -> SingleHeader:
    if len(lines) != first.num_signals:
        raise refusal(path, "signal lines", len(lines), f"{first.num_signals}, as announced in the first line")
    signals = tuple(_signal(path, line, i) for i, line in enumerate(lines))
    uncalibrated = [f"{s.name}: not calibrated, 1 NU is {s.gain:g} steps" for s in signals if not s.is_calibrated]
    header = SingleHeader(
        path=path,
        frame_rate_hz=first.frame_rate_hz,
        num_frames=first.num_frames or None,
        start=first.start,
        signals=signals,
        notes=(*first.notes, *uncalibrated),
    )
    _check_groups(header)
    return header


def _whole(path: Path, field: str, text: str, low: int, high: int) -> int:
    if _WHOLE.fullmatch(text) is None or not low <= int(text) <= high:
        raise refusal(path, field, text, f"a whole number from {low} to {high}")
    return int(text)


def _rate(path: Path, text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None or not 0 < float(match[1]) <= MAX_RATE_HZ:
        raise refusal(path, "sampling rate", text, f"a number above 0 and up to {MAX_RATE_HZ:g} Hz, such as 62.4725")
    return float(match[1])


def _check_duration(path: Path, num_frames: int, rate_hz: float) -> None:
    if num_frames / rate_hz > MAX_DURATION_S:
        found = f"{num_frames} at {rate_hz:g} Hz"
        raise refusal(path, "number of samples", found, f"at most {MAX_DURATION_S / 86400:g} days")


def _signal(path: Path, line: str, index: int) -> SignalSpec:
    fields = line.split(None, 8)
    where = f"signal {index}"
    storage = _STORAGE.fullmatch(fields[1]) if len(fields) > 1 else None
    if storage is None:
        raise refusal(path, f"{where}: format", " ".join(fields[1:2]), "a format such as 16, 212 or 516x4:2+24")
    file_name = None if fields[0] == "~" else fields[0]
    samples_per_frame = int(storage[2] or 1)
    if not 1 <= samples_per_frame <= MAX_SAMPLES_PER_FRAME:
        raise refusal(path, f"{where}: samples per frame", storage[2], f"1 to {MAX_SAMPLES_PER_FRAME}")
    if file_name is not None and int(storage[1]) not in STORAGE_FORMATS:
        raise refusal(path, f"{where}: format", storage[1], f"one of {', '.join(map(str, sorted(STORAGE_FORMATS)))}")
    numbers = [
        _whole(path, f"{where}: {field}", text, low, high)
        for text, (field, low, high) in zip(fields[3:8], _NUMBERS, strict=False)
    ]
    adc_zero = numbers[1] if len(numbers) > 1 else 0
    gain, baseline, unit, is_calibrated = _gain(path, where, fields[2] if len(fields) > 2 else "0", adc_zero)
    # A comment that lost its line break would bring a label into the name.
    name = "".join(c for c in fields[8].split("#")[0] if c.isprintable()).strip() if len(fields) > 8 else ""
    return SignalSpec(
        name=name or f"signal {index}",
        file_name=file_name,
        storage_format=int(storage[1]),
        samples_per_frame=samples_per_frame,
        skew_frames=_whole(path, f"{where}: skew", storage[3] or "0", 0, MAX_OFFSET),
        byte_offset=_whole(path, f"{where}: byte offset", storage[4] or "0", 0, MAX_OFFSET),
        gain=gain,
        baseline=baseline,
        unit=unit,
        is_calibrated=is_calibrated,
        initial_value=numbers[2] if len(numbers) > 2 else adc_zero,
        # A program that computes no checksum writes 0.
        checksum=(numbers[3] & 0xFFFF or None) if len(numbers) > 3 else None,
    )


#: The whole numbers between gain and name, and their ranges.
_NUMBERS = (
    ("ADC resolution", 0, 64),
    ("ADC zero", -(2**31), 2**31),
    ("initial value", -(2**31), 2**31),
    ("checksum", -(2**31), 2**32),
    ("block size", 0, 2**31),
)


def _gain(path: Path, where: str, text: str, adc_zero: int) -> tuple[float, int, str, bool]:
    """Return gain, baseline, unit and whether they are a calibration; a gain of 0 says that there is none."""
    match = _GAIN.fullmatch(text)
    gain = float(match[1]) if match else float("nan")
    if match is None or not (gain == 0 or 1e-12 <= abs(gain) <= 1e12):
        raise refusal(path, f"{where}: gain", text, "gain(baseline)/unit, such as 200(0)/mV, gain within +-1e12")
    baseline = int(match[2]) if match[2] else adc_zero
    if abs(baseline) > 2**31:
        raise refusal(path, f"{where}: baseline", match[2], "at most 32 bits")
    if gain == 0:
        return DEFAULT_GAIN, baseline, "NU", False
    return gain, baseline, match[3] or "mV", True


def _check_groups(header: SingleHeader) -> None:
    """Refuse signals of one file that are listed apart, or that disagree about how the file is written."""
    files = [s.file_name for s in header.signals]
    if None in files and not header.is_layout:
        raise refusal(header.path, f"signal {files.index(None)}: file", "~", "a file name, as the other signals have")
    for group in header.groups:
        first = header.signals[group[0]]
        if group[-1] - group[0] + 1 != len(group):
            expected = "all signals of one file next to each other"
            raise refusal(header.path, f"signal {group[-1]}: file", first.file_name, expected)
        for i in group[1:]:
            signal = header.signals[i]
            if signal.storage_format != first.storage_format and not header.is_layout:
                expected = f"{first.storage_format}, as for the file's other signals"
                raise refusal(header.path, f"signal {i}: format", signal.storage_format, expected)
            if signal.byte_offset not in (first.byte_offset, 0):
                expected = f"{first.byte_offset}, as for the file's other signals"
                raise refusal(header.path, f"signal {i}: byte offset", signal.byte_offset, expected)


def _multi(path: Path, first: _FirstLine, lines: list[str]) -> MultiHeader:
    if not 1 <= len(lines) <= MAX_SEGMENTS:
        raise refusal(path, "segment lines", len(lines), f"1 to {MAX_SEGMENTS}")
    entries = [_segment(path, line, i) for i, line in enumerate(lines)]
    num_listed_frames = sum(e.num_frames for e in entries)
    num_frames = first.num_frames or num_listed_frames
    notes = list(first.notes)
    if len(entries) != first.num_segments:
        if len(entries) > (first.num_segments or 0) and num_listed_frames != num_frames:
            expected = f"{first.num_segments}, as announced in the first line"
            raise refusal(path, "segment lines", len(entries), expected)
        notes.append(f"{first.num_segments} segments announced, {len(entries)} listed: read those that are listed")
        if num_listed_frames < num_frames:
            notes.append(f"the listed segments hold {num_listed_frames} of {num_frames} samples: the rest is left out")
            num_frames = num_listed_frames
    if num_listed_frames != num_frames:
        raise refusal(path, "segment lengths", num_listed_frames, f"{num_frames} samples together, as announced")
    _check_duration(path, num_frames, first.frame_rate_hz)
    return MultiHeader(
        path=path,
        frame_rate_hz=first.frame_rate_hz,
        num_signals=first.num_signals,
        num_frames=num_frames,
        start=first.start,
        layout=entries[0].name if entries[0].num_frames == 0 else None,
        segments=tuple(e for e in entries if e.num_frames > 0),
        notes=tuple(notes),
    )


def _segment(path: Path, line: str, index: int) -> SegmentEntry:
    fields = line.split()
    if len(fields) != 2 or not (fields[0] == "~" or _SEGMENT_NAME.fullmatch(fields[0])):
        raise refusal(path, f"segment {index}", line, "a record name of letters, digits, - and _, and its length")
    num_frames = _whole(path, f"segment {index}: number of samples", fields[1], 0, 10**15)
    return SegmentEntry(name=None if fields[0] == "~" else fields[0], num_frames=num_frames)
