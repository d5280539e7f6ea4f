"""EDF, EDF+ and BDF files (sleep laboratories, Holters, research archives) -> Recording."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from qualityfm.errors import SignalError, SourceError, problem
from qualityfm.records import Recording, Signal
from qualityfm.sources.described_channels import ChosenChannel, Described, chosen_channels
from qualityfm.sources.edf_decode import StoredBlock, read_blocks
from qualityfm.sources.edf_header import EdfHeader, EdfSignal, read_header
from qualityfm.sources.edf_times import Timed, later, read_times
from qualityfm.sources.found import Found, FoundChannel
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import NUMERICS_RATE_HZ, check_num_samples, refusal

__all__ = ["EDF", "EdfSource"]

_ENDINGS = (".edf", ".bdf")


class EdfSource:
    """The European Data Format and its 24-bit relative: one file a recording, ASCII fields before the samples."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file of a recording called by its name, with or without its ending."""
        if not path.name:
            return ()
        if path.suffix.lower() in _ENDINGS:
            return (path,)
        return tuple(path.with_name(path.name + ending) for ending in (".edf", ".EDF", ".bdf", ".BDF"))

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the recordings of one folder from their headers and the times of their data records."""
        for name in names:
            if name.lower().endswith(_ENDINGS) and (layout is None or layout.speaks_of("edf", name)):
                yield _found(folder / name, layout)

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it.

        Values outside a signal's digital range are no samples and come as NaN, as do the gaps of EDF+D.

        Raises:
            SourceError: The file cannot be read, or its header cannot be true.
            SignalError: The recording ends before `start_s`.
        """
        if item is not None:
            raise refusal(path, "item", f"{len(item)} characters", "none: the file is one recording")
        timed = _timed(path)
        header = timed.header
        channels = _channels(header, layout)
        if start_s >= timed.duration_s:
            end_s = timed.duration_s
            raise SignalError(
                problem("nothing to read", where=path, field="start_s", found=start_s, expected=f"below {end_s:g} s")
            )
        end_s = math.inf if duration_s is None else start_s + duration_s
        lines = [_Line(timed, channel, header.waveforms[channel.index], start_s, end_s) for channel in channels]
        check_num_samples(path, sum(line.end - line.begin for line in lines))
        _read_lines(header, lines)
        notes = [line.note for line in lines if line.note]
        return Recording(
            recording_id=path.stem,
            subject_id=None,
            start=later(header.start, start_s),
            signals=tuple(line.signal(start_s) for line in lines),
            notes=(*header.notes, *notes),
            repairs=header.repairs,
        )


#: The one reader of EDF and BDF files.
EDF = EdfSource()


def _timed(path: Path) -> Timed:
    header = read_header(path)
    if not header.waveforms:
        raise refusal(path, "signals", "annotations only", "a signal with samples")
    return read_times(header)


def _channels(header: EdfHeader, layout: Layout | None) -> tuple[ChosenChannel, ...]:
    described = [Described(name=s.name, unit=s.unit, sample_rate_hz=header.sample_rate_hz(s)) for s in header.waveforms]
    return chosen_channels(header.path, layout, described)


def _found(path: Path, layout: Layout | None) -> Found:
    found = Found(path=path, recording_id=path.stem, subject_id=None, source="edf", duration_s=0.0, channels=())
    try:
        header = read_header(path)
        if not header.waveforms:
            return replace(found, aside="annotations: times and texts without samples")
        timed = read_times(header)
        channels = _channels(timed.header, layout)
    except SourceError as error:
        return replace(found, problem=str(error))
    aside = None
    if max(channel.sample_rate_hz for channel in channels) <= NUMERICS_RATE_HZ:
        aside = f"numerics: no channel is faster than {NUMERICS_RATE_HZ:g} Hz"
    listed = tuple(
        FoundChannel(name=c.name, kind=c.kind, unit=c.unit, sample_rate_hz=c.sample_rate_hz, gap_s=timed.gap_s)
        for c in channels
    )
    return replace(found, duration_s=timed.duration_s, channels=listed, aside=aside)


class _Line:
    """The samples of one channel in the stretch that is read, missing until they are put in."""

    def __init__(self, timed: Timed, channel: ChosenChannel, stored: EdfSignal, start_s: float, end_s: float) -> None:
        rate_hz = channel.sample_rate_hz
        self.channel, self.stored = channel, stored
        # The nudge takes 29.999999999 for 30: times that are products of decimal numbers.
        self._places = timed.places(stored)
        total = self._places.num_samples
        self.begin = min(total, math.ceil(start_s * rate_hz - 1e-6))
        self.end = total if math.isinf(end_s) else max(self.begin, min(total, math.ceil(end_s * rate_hz - 1e-6)))
        self._samples: Float32[np.ndarray, " time"] | None = None
        self._num_outside = 0

    @property
    def note(self) -> str:
        """What is to be said about the samples; "" for nothing."""
        if not self._num_outside:
            return ""
        return f"{self.channel.name}: {self._num_outside} values outside the digital range are missing samples"

    @property
    def samples(self) -> Float32[np.ndarray, " time"]:
        """The samples of the stretch."""
        if self._samples is None:
            self._samples = np.full(self.end - self.begin, np.nan, np.float32)
        return self._samples

    @property
    def span(self) -> tuple[int, int]:
        """First sample of the stretch in the file, and the one after its last; gaps are not counted there."""
        first, last = self._places.run_at(self.begin), self._places.run_at(self.end - 1)
        if self.begin >= self.end:
            return 0, 0
        begin = min(self.begin - int(self._places.in_line[first]), int(self._places.sizes[first]))
        end = min(self.end - int(self._places.in_line[last]), int(self._places.sizes[last]))
        return int(self._places.in_file[first]) + begin, int(self._places.in_file[last]) + end

    def put(self, block: StoredBlock) -> None:
        """Put in what a block holds of the stretch, run by run."""
        places = self._places
        first_run, last_run = places.run_in_file(block.first), places.run_in_file(block.first + len(block.stored) - 1)
        for run in range(first_run, last_run + 1):
            run_first = int(places.in_file[run])
            shift = int(places.in_line[run]) - run_first
            first = max(block.first, run_first, self.begin - shift)
            last = min(block.first + len(block.stored), run_first + int(places.sizes[run]), self.end - shift)
            if first < last:
                at = first + shift - self.begin
                stored = block.stored[first - block.first : last - block.first]
                self.samples[at : at + last - first] = self._physical(stored)

    def _physical(self, stored: Int[np.ndarray, " time"]) -> Float32[np.ndarray, " time"]:
        values = (stored - float(self.stored.digital_min)) * self.stored.gain + self.stored.physical_min
        values = values * self.channel.factor + self.channel.offset
        is_outside = (stored < self.stored.digital_min) | (stored > self.stored.digital_max)
        self._num_outside += int(is_outside.sum())
        values[is_outside] = np.nan
        return values.astype(np.float32)

    def signal(self, start_s: float) -> Signal:
        """Return the channel; its time runs from the start of the stretch."""
        from_start_s = self.begin / self.channel.sample_rate_hz - start_s
        return Signal(
            name=self.channel.name,
            kind=self.channel.kind,
            unit=self.channel.unit,
            sample_rate_hz=self.channel.sample_rate_hz,
            samples=self.samples,
            start_s=0.0 if abs(from_start_s) < 1e-6 or not len(self.samples) else from_start_s,
        )


def _read_lines(header: EdfHeader, lines: list[_Line]) -> None:
    """Read the stretch of every line."""
    spans = [line.span for line in lines]
    stored = [line.stored for line in lines]
    for block in read_blocks(header, stored, [begin for begin, _ in spans], [end for _, end in spans]):
        lines[block.index].put(block)
