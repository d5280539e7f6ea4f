"""A strict reading of WFDB headers: text -> typed, frozen facts, or a refusal that names file, field, found, expected.

It stands in front of the `wfdb` library, which takes a rate of "-125" for 250 Hz, a gain of "2E2" for 2 and waits half
a minute for a line of 80 kB.

Source: header(5), WFDB Applications Guide, https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

from qualityfm.sources.wfdb_signal_line import FLOAT, SignalSpec, parse_signal
from qualityfm.sources.wfdb_start import parse_start
from qualityfm.sources.wfdb_text import Repair, Repaired, header_lines, quoted, refusal, whole_number

#: Budgets of our own.
MAX_SIGNALS = 1_000
MAX_SEGMENTS = 100_000
MAX_RATE_HZ = 1e6
MAX_DURATION_S = 366 * 86_400.0

#: Rate where a header gives none. Source: header(5).
DEFAULT_RATE_HZ = 250.0

_RATE = re.compile(rf"({FLOAT})(?:/{FLOAT}(?:\({FLOAT}\))?)?", re.ASCII)
_RECORD_NAME = re.compile(r"([-\w.]+)(?:/(\d{1,6}))?", re.ASCII)
_NAME_IN_FOLDERS = re.compile(r"((?:\w[-\w.]*/)+)([-\w.]+)", re.ASCII)
_SEGMENT_NAME = re.compile(r"[-\w]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SingleHeader:
    """Header of a record whose signals lie in files of their own."""

    path: Path
    frame_rate_hz: float
    num_frames: int | None  # None where the header leaves it to the files
    start: dt.datetime | None
    signals: tuple[SignalSpec, ...]
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...] = ()

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
    repairs: tuple[Repair, ...] = ()


def read_header(path: Path) -> SingleHeader | MultiHeader:
    """Read and check a header; the files it names are not looked at. Comment lines are dropped unread.

    Raises:
        SourceError: The file cannot be read, is too large, or breaks the grammar or the ranges.
    """
    lines = header_lines(path)
    first = _first_line(path, lines[0])
    if first.num_segments is not None:
        return _multi(path, first, lines[1:])
    return _single(path, first, lines[1:])


def check_duration(path: Path, num_frames: int, rate_hz: float) -> None:
    """Refuse a length that no recording has.

    Raises:
        SourceError: It is longer than a year.
    """
    if num_frames / rate_hz > MAX_DURATION_S:
        found = f"{num_frames} at {rate_hz:g} Hz"
        raise refusal(path, "number of samples", found, f"at most {MAX_DURATION_S / 86400:g} days")


@dataclass(frozen=True, kw_only=True)
class _FirstLine:
    folder: str  # carried by the record's name, with its slash
    num_segments: int | None
    num_signals: int
    frame_rate_hz: float
    num_frames: int  # 0 where the header leaves it open
    start: dt.datetime | None
    notes: list[str]
    repaired: list[Repaired]


def _first_line(path: Path, line: str) -> _FirstLine:
    fields = line.split()
    folder, num_segments, repaired = _record_name(path, fields[0])
    num_signals = whole_number(path, "number of signals", fields[1] if len(fields) > 1 else "", 0, MAX_SIGNALS)
    notes = []
    rate_hz = DEFAULT_RATE_HZ
    if len(fields) > 2:
        rate_hz = _rate(path, fields[2])
    else:
        notes.append(f"no rate in the header: the format's default of {DEFAULT_RATE_HZ:g} Hz")
    num_frames = whole_number(path, "number of samples", fields[3] if len(fields) > 3 else "0", 0, 10**15)
    check_duration(path, num_frames, rate_hz)
    start, start_repaired = parse_start(fields[4:])
    return _FirstLine(
        folder=folder,
        num_segments=num_segments,
        num_signals=num_signals,
        frame_rate_hz=rate_hz,
        num_frames=num_frames,
        start=start,
        notes=notes,
        repaired=[*repaired, *start_repaired],
    )


def _record_name(path: Path, text: str) -> tuple[str, int | None, list[Repaired]]:
    """Return the folder that a record's name carries, the number of segments announced, and the repairs made."""
    own_name = path.name.removesuffix(".hea")
    in_folders = _NAME_IN_FOLDERS.fullmatch(text)
    if in_folders and in_folders[2] == own_name and ".." not in text:
        return in_folders[1], None, [Repaired(Repair.FOLDER_IN_NAMES, "names carry a folder: taken as those beside it")]
    match = _RECORD_NAME.fullmatch(text)
    if match is None:
        raise refusal(path, "record name", quoted(text), "letters, digits, - _ . and perhaps /number of segments")
    repaired = []
    if match[1] != own_name:
        repaired.append(Repaired(Repair.OTHER_RECORD_NAME, "the header calls the record by another name"))
    return "", None if match[2] is None else int(match[2]), repaired


def _rate(path: Path, text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None or not 0 < float(match[1]) <= MAX_RATE_HZ:
        expected = f"a number above 0 and up to {MAX_RATE_HZ:g} Hz, such as 62.4725"
        raise refusal(path, "sampling rate", quoted(text), expected)
    return float(match[1])


def _single(path: Path, first: _FirstLine, lines: list[str]) -> SingleHeader:
    if len(lines) != first.num_signals:
        raise refusal(path, "signal lines", len(lines), f"{first.num_signals}, as announced in the first line")
    signals = tuple(parse_signal(path, line, i, first.folder) for i, line in enumerate(lines))
    uncalibrated = [f"{s.name}: not calibrated, 1 NU is {s.gain:g} steps" for s in signals if not s.is_calibrated]
    header = SingleHeader(
        path=path,
        frame_rate_hz=first.frame_rate_hz,
        num_frames=first.num_frames or None,
        start=first.start,
        signals=signals,
        notes=(*first.notes, *(r.note for r in first.repaired), *uncalibrated),
        repairs=tuple(r.repair for r in first.repaired),
    )
    _check_groups(header)
    return header


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
    num_frames = sum(e.num_frames for e in entries)
    repaired = [*first.repaired, *_count_repairs(path, first, len(entries), num_frames)]
    check_duration(path, num_frames, first.frame_rate_hz)
    return MultiHeader(
        path=path,
        frame_rate_hz=first.frame_rate_hz,
        num_signals=first.num_signals,
        num_frames=num_frames,
        start=first.start,
        layout=entries[0].name if entries[0].num_frames == 0 else None,
        segments=tuple(e for e in entries if e.num_frames > 0),
        notes=(*first.notes, *(r.note for r in repaired)),
        repairs=tuple(r.repair for r in repaired),
    )


def _count_repairs(path: Path, first: _FirstLine, num_listed: int, num_listed_frames: int) -> list[Repaired]:
    """Return what was wrong with the announced number of segments; refuse a list that lost or gained samples."""
    announced, num_frames = first.num_segments or 0, first.num_frames or num_listed_frames
    counts = f"{announced} segments announced, {num_listed} listed"
    if num_listed == announced and num_listed_frames == num_frames:
        return []
    # A number of samples in the first line vouches for a list of another length than announced.
    if num_listed != announced and num_listed_frames == first.num_frames:
        return [Repaired(Repair.SEGMENTS_MISCOUNTED, f"{counts}: all samples are there")]
    if num_listed == announced - 1 and num_listed_frames <= num_frames:
        left = f"the listed ones hold {num_listed_frames} of {first.num_frames or '?'} samples: the rest is left out"
        return [Repaired(Repair.LAST_SEGMENT_MISSING, f"{counts}: {left}")]
    if num_listed != announced:
        advice = "copy the header again, it may have been cut" if num_listed < announced else ""
        raise refusal(path, "segment lines", num_listed, f"{announced}, as announced in the first line", advice)
    raise refusal(path, "segment lengths", num_listed_frames, f"{num_frames} samples together, as announced")


def _segment(path: Path, line: str, index: int) -> SegmentEntry:
    fields = line.split()
    if len(fields) != 2 or not (fields[0] == "~" or _SEGMENT_NAME.fullmatch(fields[0])):
        expected = "a record name of letters, digits, - and _, and its length"
        raise refusal(path, f"segment {index}", quoted(line), expected)
    num_frames = whole_number(path, f"segment {index}: number of samples", fields[1], 0, 10**15)
    return SegmentEntry(name=None if fields[0] == "~" else fields[0], num_frames=num_frames)
