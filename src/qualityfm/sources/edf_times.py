"""When the data records of an EDF file were recorded: runs of records without a gap."""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from qualityfm.sources.edf_header import EdfHeader, EdfSignal
from qualityfm.sources.strict import refusal, shown

#: The time of a record: the first entry of its annotations. Source: EDF+ specification, section 2.2.4.
_ONSET = re.compile(rb"([+-]\d{1,10}(?:\.\d{0,12})?)(?:\x15\d*\.?\d*)?\x14")
_LONGEST_ONSET_BYTES = 48

#: Longest recording, start to end, gaps included; and most records whose times are read one by one. Our own bounds.
_LONGEST_S = 366 * 86_400.0
_MOST_TIMED_RECORDS = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """Data records without a gap between them.

    Attributes:
        first_record: Index of the first one.
        num_records: How many.
        onset_s: Its start, seconds after the start of the recording.
    """

    first_record: int
    num_records: int
    onset_s: float


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the runs of one signal lie, in samples.

    Attributes:
        in_file: First sample of each run, counted over the samples that are stored.
        in_line: The same, counted over time from the start of the recording on, gaps included.
        sizes: Samples of each run.
    """

    in_file: Int64[np.ndarray, " run"]
    in_line: Int64[np.ndarray, " run"]
    sizes: Int64[np.ndarray, " run"]

    @property
    def num_samples(self) -> int:
        """Samples from start to end, missing ones included."""
        return int(self.in_line[-1] + self.sizes[-1])

    def run_at(self, sample: int) -> int:
        """Return the last run that begins at or before a sample of the line."""
        return max(0, int(np.searchsorted(self.in_line, sample, side="right")) - 1)

    def run_in_file(self, sample: int) -> int:
        """Return the run that holds a stored sample."""
        return max(0, int(np.searchsorted(self.in_file, sample, side="right")) - 1)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A header with the times of its records.

    Attributes:
        header: The header; its start is that of the first record, to the fraction of a second that EDF+ gives.
        runs: The runs, in time order.
    """

    header: EdfHeader
    runs: tuple[Run, ...]

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the end of the last one, gaps included."""
        return self.runs[-1].onset_s + self.runs[-1].num_records * self.header.record_s

    @property
    def gap_s(self) -> float:
        """Seconds in which nothing was recorded."""
        return max(0.0, self.duration_s - self.header.num_records * self.header.record_s)

    def places(self, signal: EdfSignal) -> Places:
        """Return where the runs of a signal lie."""
        per_record, rate_hz = signal.samples_per_record, self.header.sample_rate_hz(signal)
        return Places(
            in_file=np.array([run.first_record * per_record for run in self.runs]),
            in_line=np.array([round(run.onset_s * rate_hz) for run in self.runs]),
            sizes=np.array([run.num_records * per_record for run in self.runs]),
        )


def read_times(header: EdfHeader) -> Timed:
    """Return when the records of a file were recorded.

    The records of EDF and of EDF+C follow each other; of EDF+C the first and the last time are compared, and where they
    say otherwise all are believed, under a named repair. Of EDF+D all are read.

    Raises:
        SourceError: A time is missing, steps back, or cannot be true.
    """
    signal = header.annotations
    if not header.plus or (signal is None and header.plus == "C"):
        return _one_run(header)
    if signal is None:
        raise refusal(header.path, "reserved", "discontinuous, without annotations", "a signal with the records' times")
    try:
        descriptor = os.open(header.path, os.O_RDONLY)
        try:
            return _timed(header, signal, descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refusal(header.path, "file", error.strerror or type(error).__name__, "a readable file") from error


def _one_run(header: EdfHeader, onset_s: float = 0.0) -> Timed:
    header = replace(header, start=later(header.start, onset_s))
    return Timed(header=header, runs=(Run(first_record=0, num_records=header.num_records, onset_s=0.0),))


def _timed(header: EdfHeader, signal: EdfSignal, descriptor: int) -> Timed:
    first_s = _onset(header, signal, descriptor, 0)
    if header.plus == "C":
        last_s = _onset(header, signal, descriptor, header.num_records - 1)
        expected_s = (first_s or 0.0) + (header.num_records - 1) * header.record_s
        if first_s is None or last_s is None or abs(last_s - expected_s) <= _tolerance_s(header):
            return _one_run(header, first_s or 0.0)
        note = "record times: gaps between records of a file that is called continuous are filled with missing samples"
        header = replace(
            header, notes=(*header.notes, note), repairs=tuple(dict.fromkeys((*header.repairs, "undeclared-gaps")))
        )
    return _runs(header, _onsets(header, signal, descriptor))


def _onsets(header: EdfHeader, signal: EdfSignal, descriptor: int) -> Float64[np.ndarray, " record"]:
    if header.num_records > _MOST_TIMED_RECORDS:
        expected = f"at most {_MOST_TIMED_RECORDS} records with a time each"
        raise refusal(header.path, "number of records", header.num_records, expected)
    onsets = np.empty(header.num_records)
    for record in range(header.num_records):
        onset_s = _onset(header, signal, descriptor, record)
        if onset_s is None:
            raise refusal(header.path, f"record {record}: time", "nothing", "seconds after the start")
        onsets[record] = onset_s
    return onsets


def _onset(header: EdfHeader, signal: EdfSignal, descriptor: int, record: int) -> float | None:
    """Return the time of one record in seconds after the header's start; None where its annotations are empty."""
    num_bytes = min(signal.samples_per_record * header.bytes_per_sample, _LONGEST_ONSET_BYTES)
    at = header.header_bytes + record * header.record_bytes + signal.record_offset * header.bytes_per_sample
    raw = os.pread(descriptor, num_bytes, at)
    if not raw.strip(b"\0"):
        return None
    match = _ONSET.match(raw)
    if match is None:
        found = shown(raw.split(b"\x14")[0].decode("latin-1"))
        raise refusal(header.path, f"record {record}: time", found, "seconds after the start, such as +12.5")
    return float(match[1])


def _tolerance_s(header: EdfHeader) -> float:
    """Return how far times may be off before they tell of a gap: half a sample of the fastest signal."""
    rates_hz = [header.sample_rate_hz(s) for s in header.waveforms]
    return 0.5 / max(rates_hz) if rates_hz else math.inf


def _runs(header: EdfHeader, onsets: Float64[np.ndarray, " record"]) -> Timed:
    """Return the runs: a new one begins where a record is more than half a sample off the run's own clock."""
    tolerance_s = _tolerance_s(header)
    begins = [0]
    for record, onset_s in enumerate(onsets.tolist()):
        due_s = float(onsets[begins[-1]]) + (record - begins[-1]) * header.record_s
        if onset_s < due_s - tolerance_s:
            raise refusal(header.path, f"record {record}: time", f"{onset_s:g} s", f"{due_s:g} s or later")
        if onset_s > due_s + tolerance_s:
            begins.append(record)
    ends = [*begins[1:], len(onsets)]
    runs = tuple(
        Run(first_record=begin, num_records=end - begin, onset_s=float(onsets[begin] - onsets[0]))
        for begin, end in zip(begins, ends, strict=True)
    )
    timed = Timed(header=replace(header, start=later(header.start, float(onsets[0]))), runs=runs)
    if timed.duration_s > _LONGEST_S:
        found, expected = f"{timed.duration_s:g} s after the first", f"at most {_LONGEST_S:g} s"
        raise refusal(header.path, f"record {header.num_records - 1}: time", found, expected)
    return timed


def later(start: dt.datetime | None, seconds: float) -> dt.datetime | None:
    """Return a start moved by some seconds; None where there is none, or no calendar has that day."""
    try:
        return None if start is None else start + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None
