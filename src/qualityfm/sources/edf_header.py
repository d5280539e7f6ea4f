"""The header of an EDF, EDF+ or BDF file: every field checked against its grammar, its range and the bytes on disk.

Fields about the patient and about the recording are never decoded, but for the date that EDF+ keeps there.
Source: Kemp et al., Electroencephalogr Clin Neurophysiol 82:391, 1992 (EDF); Kemp, Olivan, Clin Neurophysiol 114:1755,
2003 (EDF+), https://www.edfplus.info/specs/; BDF: https://www.biosemi.com/faq/file_format.htm.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qualityfm.sources.edf_fields import Repairs, number_of, text_of, unit_of, whole_of
from qualityfm.sources.edf_start import parse_start
from qualityfm.sources.strict import check_regular_file, refusal

#: First bytes of the file -> bytes of a sample.
_VERSIONS = {b"0       ": 2, b"\xffBIOSEMI": 3}

#: Bytes of the fields that each signal has, in the order of the header.
_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)

#: Largest physical value, far below the end of float32, and most samples per second. Our own bounds.
_LARGEST_PHYSICAL = 1e30
_LARGEST_RATE_HZ = 1e6


#: Physical minimum and maximum, digital minimum and maximum.
_Ranges = tuple[float, float, int, int]


@dataclass(frozen=True, kw_only=True)
class EdfSignal:
    """One signal of the header.

    Attributes:
        name: Its label; "channel 3" for the third signal if it has none.
        unit: Physical dimension as written; "" for none.
        physical_min: Physical value of `digital_min`; larger than `physical_max` where the amplifier inverts.
        physical_max: Physical value of `digital_max`.
        digital_min: Smallest stored value that is a sample.
        digital_max: Largest stored value that is a sample.
        samples_per_record: Samples in each data record.
        record_offset: Samples of other signals before its own in each data record.
        is_annotation: True for the signal that holds times and texts instead of samples.
    """

    name: str
    unit: str
    physical_min: float
    physical_max: float
    digital_min: int
    digital_max: int
    samples_per_record: int
    record_offset: int
    is_annotation: bool

    @property
    def gain(self) -> float:
        """Physical units for each digital step."""
        return (self.physical_max - self.physical_min) / (self.digital_max - self.digital_min)


@dataclass(frozen=True, kw_only=True)
class EdfHeader:
    """A checked header; the bytes that it promises are on disk.

    Attributes:
        path: The file.
        bytes_per_sample: 2 in EDF, 3 in BDF.
        start: Date and time in the header, to the second; None where there is none to hold on to.
        record_s: Seconds in a data record.
        num_records: Data records that are there.
        plus: "C" or "D" for EDF+ and BDF+ (continuous, discontinuous); "" otherwise.
        signals: All signals, annotations too, in file order.
        notes: Repairs and oddities, one line each.
        repairs: Names of the repairs.
    """

    path: Path
    bytes_per_sample: int
    start: dt.datetime | None
    record_s: float
    num_records: int
    plus: str
    signals: tuple[EdfSignal, ...]
    notes: tuple[str, ...]
    repairs: tuple[str, ...]

    @property
    def waveforms(self) -> tuple[EdfSignal, ...]:
        """The signals that hold samples."""
        return tuple(s for s in self.signals if not s.is_annotation)

    @property
    def annotations(self) -> EdfSignal | None:
        """The first signal of annotations, which keeps the times of the records in EDF+; None if there is none."""
        return next((s for s in self.signals if s.is_annotation), None)

    @property
    def header_bytes(self) -> int:
        """Where the first data record begins."""
        return 256 * (len(self.signals) + 1)

    @property
    def record_bytes(self) -> int:
        """Size of a data record."""
        return self.bytes_per_sample * sum(s.samples_per_record for s in self.signals)

    def sample_rate_hz(self, signal: EdfSignal) -> float:
        """Return a signal's samples per second."""
        return signal.samples_per_record / self.record_s


def read_header(path: Path) -> EdfHeader:
    """Read the header of a file, and nothing else of it.

    Raises:
        SourceError: The file is no EDF or BDF file, a field of its header cannot be true, or it has no whole record.
    """
    num_bytes = check_regular_file(path)
    repairs = Repairs(path)
    try:
        with path.open("rb") as file:
            fixed = file.read(256)
            bytes_per_sample = _bytes_per_sample(path, fixed)
            num_signals = whole_of(repairs, fixed[252:256], "number of signals", 1, 9999)
            rest = file.read(256 * num_signals)
    except OSError as error:
        raise refusal(path, "file", error.strerror or type(error).__name__, "a readable file") from error
    if len(rest) < 256 * num_signals:
        raise refusal(path, "size", f"{num_bytes} bytes", f"a header of {256 * (num_signals + 1)} bytes")
    _check_header_bytes(repairs, fixed[184:192], num_signals)
    start, start_notes = parse_start(fixed[168:176], fixed[176:184], fixed[88:168])
    repairs.notes.extend(start_notes)
    record_s = number_of(repairs, fixed[244:252], "record duration", 0.0, 1e6)
    signals = tuple(_signals(repairs, rest, num_signals, bytes_per_sample, record_s))
    record_bytes = bytes_per_sample * sum(s.samples_per_record for s in signals)
    num_stored = (num_bytes - 256 * (num_signals + 1)) / record_bytes
    num_records = _num_records(repairs, fixed[236:244], num_stored)
    return EdfHeader(
        path=path,
        bytes_per_sample=bytes_per_sample,
        start=start,
        record_s=record_s,
        num_records=num_records,
        plus=_plus(fixed[192:236]),
        signals=signals,
        notes=tuple(repairs.notes),
        repairs=tuple(repairs.names),
    )


def _bytes_per_sample(path: Path, fixed: bytes) -> int:
    if len(fixed) < 256:
        raise refusal(path, "size", f"{len(fixed)} bytes", "a header of 512 bytes or more")
    if fixed[:8] not in _VERSIONS:
        raise refusal(path, "version", "another file format", "'0' (EDF) or BIOSEMI (BDF)")
    return _VERSIONS[fixed[:8]]


def _check_header_bytes(repairs: Repairs, raw: bytes, num_signals: int) -> None:
    found = whole_of(repairs, raw, "number of header bytes", 0, 99_999_999)
    if found != 256 * (num_signals + 1):
        expected = f"{256 * (num_signals + 1)}, for {num_signals} signals"
        raise refusal(repairs.path, "number of header bytes", found, expected)


def _plus(reserved: bytes) -> str:
    """Return C or D where the reserved field begins with EDF+C, EDF+D, BDF+C or BDF+D."""
    match = re.match(rb"[EB]DF\+([CD])", reserved)
    return match[1].decode() if match else ""


def _signals(
    repairs: Repairs, rest: bytes, num_signals: int, bytes_per_sample: int, record_s: float
) -> Iterator[EdfSignal]:
    columns = []
    at = 0
    for width in _SIGNAL_FIELDS:
        columns.append([rest[at + i * width : at + (i + 1) * width] for i in range(num_signals)])
        at += num_signals * width
    label, _, unit, physical_min, physical_max, digital_min, digital_max, _, samples, _ = columns
    offset = 0
    for i in range(num_signals):
        where = f"signal {i}"
        is_annotation = label[i].rstrip(b" \0") in (b"EDF Annotations", b"BDF Annotations")
        per_record = whole_of(repairs, samples[i], f"{where}: samples per record", 1, 99_999_999)
        ranges: _Ranges = (0.0, 1.0, 0, 1)  # those of annotations mean nothing, and often are nothing
        if not is_annotation:
            _check_rate(repairs.path, f"{where}: samples per record", per_record, record_s)
            raw = (physical_min[i], physical_max[i], digital_min[i], digital_max[i])
            ranges = _ranges(repairs, raw, where, bytes_per_sample)
        yield EdfSignal(
            name=text_of(repairs, label[i], f"{where}: label") or f"channel {i + 1}",
            unit=unit_of(repairs, unit[i], f"{where}: unit"),
            physical_min=ranges[0],
            physical_max=ranges[1],
            digital_min=ranges[2],
            digital_max=ranges[3],
            samples_per_record=per_record,
            record_offset=offset,
            is_annotation=is_annotation,
        )
        offset += per_record


def _ranges(repairs: Repairs, raw: tuple[bytes, bytes, bytes, bytes], where: str, bytes_per_sample: int) -> _Ranges:
    """Return physical minimum and maximum, digital minimum and maximum of a signal.

    The physical ones may be in reverse (an inverting amplifier), the digital ones may not. Source: EDF+ specification,
    section 2.1.3, item 5.
    """
    low = number_of(repairs, raw[0], f"{where}: physical minimum", -_LARGEST_PHYSICAL, _LARGEST_PHYSICAL)
    high = number_of(repairs, raw[1], f"{where}: physical maximum", -_LARGEST_PHYSICAL, _LARGEST_PHYSICAL)
    if low == high:
        raise refusal(repairs.path, f"{where}: physical maximum", high, "another value than the minimum")
    lowest = -(2 ** (8 * bytes_per_sample - 1))
    first = whole_of(repairs, raw[2], f"{where}: digital minimum", lowest, -lowest - 1)
    last = whole_of(repairs, raw[3], f"{where}: digital maximum", lowest, -lowest - 1)
    if first >= last:
        raise refusal(repairs.path, f"{where}: digital maximum", last, f"more than the minimum, {first}")
    return low, high, first, last


def _check_rate(path: Path, where: str, per_record: int, record_s: float) -> None:
    if record_s <= 0:
        raise refusal(path, "record duration", record_s, "more than 0 s")
    if per_record / record_s > _LARGEST_RATE_HZ:
        found = f"{per_record} in {record_s:g} s"
        raise refusal(path, where, found, f"at most {_LARGEST_RATE_HZ:g} samples per second")


def _num_records(repairs: Repairs, raw: bytes, num_stored: float) -> int:
    """Return how many data records there are to read, compared with how many fit into the file.

    A file cut short is read as far as its whole records go. A file that holds more records than announced is refused:
    a wrong number elsewhere in the header would misplace every sample.
    """
    announced = whole_of(repairs, raw, "number of records", -1, 99_999_999)
    whole = math.floor(num_stored)
    if announced == 0 or whole == 0:
        found = 0 if announced == 0 else "not one whole record in the file"
        raise refusal(repairs.path, "number of records", found, "at least one")
    if announced == -1:
        repairs.add("unknown-length", f"number of records: -1 announced, {whole} taken from the file's size")
        return whole
    if announced > whole:
        repairs.add("cut-file", f"number of records: {announced} announced, {whole} are there whole and are read")
    elif num_stored >= announced + 1:
        raise refusal(repairs.path, "size", f"{whole} data records", f"{announced}, as announced")
    elif num_stored > announced:
        repairs.add("bytes-left-over", "size: bytes behind the last announced record are left out")
    return min(announced, whole)
