"""Stored samples of an EDF or BDF file, block by block, through the `edfio` library.

The library turns bytes into stored integers and nothing else. It is handed blocks of data records in memory behind a
header made here from our own checked one: so no text about a patient reaches it, a BDF file is not read as a whole (as
it would do), and a file that shrinks while it is read is an error instead of a broken memory map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int

from qualityfm.sources.edf_header import EdfHeader, EdfSignal
from qualityfm.sources.strict import refusal

#: Bytes of the file that are in memory at once, decoded to at most four times as many. Our own choice.
BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class StoredBlock:
    """Consecutive stored samples of one signal.

    Attributes:
        index: Which signal, among those asked for.
        first: Its first sample, counted from the start of the file's first record.
        stored: Integers as stored.
    """

    index: int
    first: int
    stored: Int[np.ndarray, " time"]


def read_blocks(
    header: EdfHeader, signals: Sequence[EdfSignal], begins: Sequence[int], ends: Sequence[int]
) -> Iterator[StoredBlock]:
    """Yield blocks that hold the samples begins .. ends of each signal; blocks may hold neighbours of them too.

    Args:
        header: The checked header.
        signals: Which signals.
        begins: First sample of each, counted as in `StoredBlock`.
        ends: Sample after the last of each.

    Raises:
        SourceError: The file cannot be read, or has become shorter.
    """
    try:
        with header.path.open("rb") as file:
            if header.record_bytes <= BLOCK_BYTES:
                yield from _whole_records(file, header, signals, begins, ends)
            else:
                yield from _parts_of_records(file, header, signals, begins, ends)
    except OSError as error:
        raise refusal(header.path, "file", error.strerror or type(error).__name__, "a readable file") from error


def _whole_records(
    file: BinaryIO, header: EdfHeader, signals: Sequence[EdfSignal], begins: Sequence[int], ends: Sequence[int]
) -> Iterator[StoredBlock]:
    per_record = [s.samples_per_record for s in header.signals]
    places = [header.signals.index(s) for s in signals]
    wanted = [(b, e, s) for b, e, s in zip(begins, ends, signals, strict=True) if b < e]
    if not wanted:
        return
    first = min(begin // s.samples_per_record for begin, _, s in wanted)
    last = max(-(-end // s.samples_per_record) for _, end, s in wanted)
    step = max(1, BLOCK_BYTES // header.record_bytes)
    for begin in range(first, last, step):
        num_records = min(step, last - begin)
        at = header.header_bytes + begin * header.record_bytes
        decoded = _decoded(file, header, at, per_record, num_records)
        for index, (place, signal) in enumerate(zip(places, signals, strict=True)):
            yield StoredBlock(index=index, first=begin * signal.samples_per_record, stored=decoded[place].digital)


def _parts_of_records(
    file: BinaryIO, header: EdfHeader, signals: Sequence[EdfSignal], begins: Sequence[int], ends: Sequence[int]
) -> Iterator[StoredBlock]:
    """Yield the samples of records that are too large to be held, signal by signal."""
    step = BLOCK_BYTES // header.bytes_per_sample
    for index, (signal, begin, end) in enumerate(zip(signals, begins, ends, strict=True)):
        at = begin
        while at < end:
            record, inside = divmod(at, signal.samples_per_record)
            size = min(step, end - at, signal.samples_per_record - inside)
            place = record * header.record_bytes + (signal.record_offset + inside) * header.bytes_per_sample
            decoded = _decoded(file, header, header.header_bytes + place, [size], 1)
            yield StoredBlock(index=index, first=at, stored=decoded[0].digital)
            at += size


def _decoded(file: BinaryIO, header: EdfHeader, at: int, per_record: list[int], num_records: int) -> Any:
    """Return the library's signals for the bytes from `at` on, read as records of the given numbers of samples."""
    try:
        import edfio
    except ModuleNotFoundError as error:
        advice = "pip install 'qualityfm[formats]'"
        raise refusal(header.path, "library edfio", "not installed", "an installed one", advice) from error

    front = _plain_header(header.bytes_per_sample, per_record, num_records)
    num_bytes = sum(per_record) * num_records * header.bytes_per_sample
    content = bytearray(len(front) + num_bytes)
    content[: len(front)] = front
    file.seek(at)
    with memoryview(content) as view:
        num_read = file.readinto(view[len(front) :])  # type: ignore[attr-defined]  # every file opened for bytes has it
    if num_read < num_bytes:
        raise refusal(header.path, "size", f"{at + num_read} bytes", f"{at + num_bytes} bytes, as there were before")
    read = edfio.read_edf if header.bytes_per_sample == 2 else edfio.read_bdf
    return read(content).signals


def _plain_header(bytes_per_sample: int, per_record: list[int], num_records: int) -> bytes:
    """Return a header of signals without names, ranges or dates: what the library needs to take bytes apart."""
    version = b"0".ljust(8) if bytes_per_sample == 2 else b"\xffBIOSEMI"
    num_signals = len(per_record)
    numbers = [f"{256 * (num_signals + 1):<8}", " " * 44, f"{num_records:<8}", f"{1:<8}", f"{num_signals:<4}"]
    fixed = "X".ljust(80) + "X".ljust(80) + "01.01.85" + "00.00.00" + "".join(numbers)
    widths_before = 16 + 80 + 8
    ranges = f"{0:<8}" * num_signals + f"{1:<8}" * num_signals
    samples = "".join(f"{n:<8}" for n in per_record)
    rest = " " * (widths_before * num_signals) + ranges * 2 + " " * (80 * num_signals) + samples
    return version + (fixed + rest).encode() + b" " * (32 * num_signals)
