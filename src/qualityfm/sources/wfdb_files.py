"""WFDB records (PhysioNet: MIMIC, the CinC challenges, MIT-BIH ...) -> Recording. Nothing is fetched from a network."""

from __future__ import annotations

import datetime as dt
import functools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import SignalError, SourceError, problem
from qualityfm.records import Recording, Signal
from qualityfm.sources.found import Found, FoundChannel
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import MAX_SAMPLES, NUMERICS_RATE_HZ
from qualityfm.sources.wfdb_decode import read_frames
from qualityfm.sources.wfdb_header import MultiHeader, SingleHeader, read_header
from qualityfm.sources.wfdb_plan import Plan, ReadHeader, Span, make_plan, plan_without_samples, segment_names
from qualityfm.sources.wfdb_text import refusal
from qualityfm.sources.wfdb_write import write_wfdb

__all__ = ["WFDB", "WfdbSource", "write_wfdb"]

#: Patients in names: MIMIC-II "s25047-2704-05-04-10-44", MIMIC-III "p000020-2183-04-28-17-47".
_MATCHED_NAME = re.compile(r"([sp]\d{5,8})-\d{4}(-\d\d){4}n?", re.ASCII)
#: Patients in folders: MIMIC-IV "p100/p10014354", MIMIC-III "p00/p000020".
_PATIENT_FOLDER = re.compile(r"p\d{5,8}", re.ASCII)
_PATIENT_GROUP = re.compile(r"p\d{2,3}", re.ASCII)


class WfdbSource:
    """The WFDB format: one `.hea` file a record, beside it the files with samples."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the header file of a record called by its path without extension or by its `.hea`."""
        if not path.name:
            return ()
        return (path,) if path.suffix == ".hea" else (path.with_name(f"{path.name}.hea"),)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the records of one folder; segments belong to their record and are not listed on their own."""
        read = functools.cache(read_header)
        headers: dict[str, SingleHeader | MultiHeader | SourceError] = {}
        for name in (n.removesuffix(".hea") for n in names if n.endswith(".hea")):
            try:
                headers[name] = read(folder / f"{name}.hea")
            except SourceError as error:
                headers[name] = error
        parts = set().union(*(segment_names(h) for h in headers.values() if isinstance(h, MultiHeader)))
        for name, header in headers.items():
            if name not in parts:
                yield _found(folder / f"{name}.hea", header, read)

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a record, or a stretch of it.

        Raises:
            SourceError: The record cannot be read, or its header cannot be true.
            SignalError: The record ends before `start_s`.
        """
        wanted_end_s = math.inf if duration_s is None else start_s + duration_s
        plan = make_plan(path, functools.cache(read_header), Span(start_s=start_s, end_s=wanted_end_s))
        end_s = plan.num_frames / plan.frame_rate_hz
        if start_s >= end_s:
            raise SignalError(
                problem("nothing to read", where=path, field="start_s", found=start_s, expected=f"below {end_s:g} s")
            )
        return Recording(
            recording_id=path.name.removesuffix(".hea"),
            subject_id=subject_of(path),
            start=None if plan.start is None else _later(plan.start, start_s),
            signals=_read_signals(plan, start_s, min(end_s, wanted_end_s)),
            notes=plan.notes,
            repairs=tuple(map(str, plan.repairs)),
        )


#: The one reader of WFDB records.
WFDB = WfdbSource()


def subject_of(path: Path) -> str | None:
    """Return the patient that the layout of a MIMIC archive names; None in any other archive.

    Example:
        >>> subject_of(Path("waves/p100/p10014354/81739927/81739927.hea"))
        'p10014354'
    """
    match = _MATCHED_NAME.fullmatch(path.name.removesuffix(".hea"))
    if match:
        return match[1]
    folders = path.absolute().parts[:-1]
    for group, folder in zip(folders[-2::-1], folders[:0:-1], strict=False):
        if _PATIENT_FOLDER.fullmatch(folder) and _PATIENT_GROUP.fullmatch(group) and folder.startswith(group):
            return folder
    return None


def _found(path: Path, header: SingleHeader | MultiHeader | SourceError, read: ReadHeader) -> Found:
    aside: str | None = None
    try:
        if isinstance(header, SourceError):
            raise header
        aside = _aside_by_header(header)
        plan = plan_without_samples(header) if aside and isinstance(header, SingleHeader) else make_plan(path, read)
        if aside is None and max(c.samples_per_frame for c in plan.channels) * plan.frame_rate_hz <= NUMERICS_RATE_HZ:
            aside = f"numerics: no channel is faster than {NUMERICS_RATE_HZ:g} Hz"
        refused = None
    except SourceError as error:
        plan, refused = None, str(error)
    return Found(
        path=path,
        recording_id=path.name.removesuffix(".hea"),
        subject_id=subject_of(path),
        source="wfdb",
        duration_s=plan.num_frames / plan.frame_rate_hz if plan else 0.0,
        channels=tuple(
            FoundChannel(
                name=c.name,
                kind=c.kind,
                unit=c.unit,
                sample_rate_hz=c.samples_per_frame * plan.frame_rate_hz,
                gap_s=plan.gap_s(i),
            )
            for i, c in enumerate(plan.channels)
        )
        if plan
        else (),
        problem=refused,
        aside=aside,
    )


def _aside_by_header(header: SingleHeader | MultiHeader) -> str | None:
    """Return why a header is no recording by itself; None where it may be one."""
    if isinstance(header, MultiHeader) or (header.signals and not header.is_layout):
        return None
    if header.is_layout:
        return "layout header: names the channels of a record made of segments"
    return "no signals: a header for annotations alone"


def _later(start: dt.datetime, seconds: float) -> dt.datetime | None:
    try:
        return start + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None


def _read_signals(plan: Plan, start_s: float, end_s: float) -> tuple[Signal, ...]:
    """Return the samples at start_s <= t < end_s of every channel."""
    rates_hz = [c.samples_per_frame * plan.frame_rate_hz for c in plan.channels]
    # The nudge takes 29.999999999 for 30: times that are products of decimal numbers.
    begins = [math.ceil(start_s * rate_hz - 1e-6) for rate_hz in rates_hz]
    ends = [math.ceil(end_s * rate_hz - 1e-6) for rate_hz in rates_hz]
    num_samples = sum(end - begin for begin, end in zip(begins, ends, strict=True))
    if num_samples > MAX_SAMPLES:
        advice = "read it in stretches, with start_s and duration_s"
        raise refusal(plan.path, "number of samples", num_samples, f"at most {MAX_SAMPLES} in one call", advice)
    lines = _read_lines(plan, begins, ends)
    return tuple(
        Signal(
            name=channel.name,
            kind=channel.kind,
            unit=channel.unit,
            sample_rate_hz=rate_hz,
            samples=line,
            start_s=_small_to_zero(begin / rate_hz - start_s),
        )
        for channel, rate_hz, begin, line in zip(plan.channels, rates_hz, begins, lines, strict=True)
    )


def _small_to_zero(seconds: float) -> float:
    return 0.0 if abs(seconds) < 1e-6 else seconds


def _read_lines(plan: Plan, begins: list[int], ends: list[int]) -> list[Float32[np.ndarray, " time"]]:
    """Return samples begins .. ends of each channel; NaN where no piece holds it."""
    sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
    per_frame = [c.samples_per_frame for c in plan.channels]
    first_frame = min(begin // n for begin, n in zip(begins, per_frame, strict=True))
    last_frame = max(-(-end // n) for end, n in zip(ends, per_frame, strict=True))
    lines: dict[int, Float32[np.ndarray, " time"]] = {}
    for piece in plan.pieces:
        first = max(first_frame, piece.begin_frame)
        last = min(last_frame, piece.begin_frame + piece.num_frames)
        if first >= last:
            continue
        frames = read_frames(piece.header, first - piece.begin_frame, last - piece.begin_frame)
        for c, index in enumerate(piece.signal_of_channel):
            if index is not None:
                at = first * per_frame[c] - begins[c]  # where the piece's first sample falls in the line
                lines[c] = _placed(lines.get(c), frames[index], at, sizes[c])
    return [lines[c] if c in lines else np.full(size, np.nan, np.float32) for c, size in enumerate(sizes)]


def _placed(
    line: Float32[np.ndarray, " time"] | None, samples: Float32[np.ndarray, " piece"], at: int, size: int
) -> Float32[np.ndarray, " time"]:
    """Return the line with samples put in from index `at` on; what falls outside of it is left out."""
    samples = samples[max(0, -at) : max(0, size - at)]
    if len(samples) == size:
        return samples
    if line is None:
        line = np.full(size, np.nan, np.float32)
    at = max(0, at)
    line[at : at + len(samples)] = samples
    return line
