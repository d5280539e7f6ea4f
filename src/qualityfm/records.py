"""The nouns that travel through QualityFM: what a recording, a segment and its quality are.

Missing samples are NaN everywhere, in floats of physical units as in scaled ones; nothing here computes.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt16

from qualityfm.errors import SignalError, problem

if TYPE_CHECKING:
    import pandas
    import wfdb


#: Rates that are worked with, Hz (our own bounds, around every clinical waveform).
RATE_HZ_RANGE = (0.1, 100_000.0)


def check_rate(name: str, sample_rate_hz: float) -> None:
    """Refuse a rate that no waveform has.

    Args:
        name: The channel.
        sample_rate_hz: Its rate.

    Raises:
        SignalError: The rate lies outside `RATE_HZ_RANGE`, or is NaN.
    """
    lowest, highest = RATE_HZ_RANGE
    if not lowest <= sample_rate_hz <= highest:
        expected = f"{lowest:g} to {highest:g}"
        raise SignalError(
            problem("wrong rate", where=name, field="sample_rate_hz", found=sample_rate_hz, expected=expected)
        )


class ChannelKind(StrEnum):
    """What a channel measures, whatever the file calls it."""

    ECG = "ecg"
    PPG = "ppg"
    ABP = "abp"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One channel as found in a file: its own rate and unit, nothing resampled, nothing filled.

    Attributes:
        name: The channel's name in the file, such as "II" or "PLETH".
        kind: What it measures.
        unit: Physical unit of `samples` ("mV", "mmHg", "NU" for an arbitrary unit).
        sample_rate_hz: Samples per second.
        samples: Physical values; NaN where nothing was recorded.
        start_s: Time of the first sample in seconds after the start of the recording.
    """

    name: str
    kind: ChannelKind
    unit: str
    sample_rate_hz: float
    samples: Float32[np.ndarray, " time"]
    start_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz

    def __repr__(self) -> str:
        return f"Signal({self.name!r}, {self.kind}, {self.duration_s:.1f} s at {self.sample_rate_hz:g} Hz, {self.unit})"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Signals of one patient over one stretch of time, as found.

    Attributes:
        recording_id: Name that is unique within its archive.
        subject_id: Patient, or None where the archive does not say; splits by patient need it.
        start: Date and time of the first sample where the file gives it.
        signals: The channels, in file order.
        notes: Repairs and oddities met while reading, one line each; never text about the patient.
        repairs: Names of the repairs of known misprints under which it was read, such as "last-segment-missing"; each
            is explained in `notes`.
    """

    recording_id: str
    subject_id: str | None
    start: dt.datetime | None
    signals: tuple[Signal, ...]
    notes: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the recording to the end of its longest channel."""
        return max((s.start_s + s.duration_s for s in self.signals), default=0.0)

    def of_kind(self, kind: ChannelKind) -> tuple[Signal, ...]:
        """Return the channels of one kind, in file order."""
        return tuple(s for s in self.signals if s.kind == kind)

    def __repr__(self) -> str:
        lines = [f"Recording {self.recording_id!r}, {self.duration_s:.1f} s, {len(self.signals)} channels"]
        return "\n  ".join([*lines, *map(repr, self.signals)])


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a recording in the form a model takes: fixed channel slots, one rate, scaled.

    Attributes:
        recording_id: Recording it was cut from.
        subject_id: Patient, or None.
        start_s: Seconds from the start of the recording.
        sample_rate_hz: Samples per second of every channel.
        kinds: What each slot holds.
        names: The file's channel name in each slot; None for a slot that the recording cannot fill.
        units: Physical unit of each slot; "" for an empty slot.
        values: Scaled samples; NaN where missing, interpolated where a short gap was filled.
        is_real: True where a sample was recorded; a filled sample is finite in `values` and False here.
        center: Physical value that became 0, per channel.
        scale: Physical size of 1, per channel.
    """

    recording_id: str
    subject_id: str | None
    start_s: float
    sample_rate_hz: float
    kinds: tuple[ChannelKind, ...]
    names: tuple[str | None, ...]
    units: tuple[str, ...]
    values: Float32[np.ndarray, "channel time"]
    is_real: Bool[np.ndarray, "channel time"]
    center: Float32[np.ndarray, " channel"]
    scale: Float32[np.ndarray, " channel"]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.values.shape[1] / self.sample_rate_hz)

    def physical(self) -> Float32[np.ndarray, "channel time"]:
        """Return the samples in the channels' own units (mV, mmHg), scaling undone; clipped extremes stay clipped."""
        return np.asarray(self.values * self.scale[:, None] + self.center[:, None])

    def to_tensor(self) -> Any:
        """Return `values` as a float32 torch tensor [channel time]; needs the extra `torch`."""
        import torch

        return torch.from_numpy(self.values.copy())

    def __repr__(self) -> str:
        filled = ", ".join(f"{name}:{kind}" for name, kind in zip(self.names, self.kinds, strict=True) if name)
        return f"Segment({self.recording_id!r} at {self.start_s:g} s, {self.duration_s:g} s, {filled or 'no channel'})"


class Cause(IntFlag):
    """Why a second of a channel is not trusted; several may hold at once."""

    NONE = 0
    ABSENT = 1  # the recording has no such channel
    DROPOUT = 2  # samples missing
    FLAT = 4
    SATURATION = 8
    BASELINE = 16  # baseline wander
    NOISE = 32  # muscle or other wide-band noise
    MOTION = 64
    SPIKE = 128
    LOW_AMPLITUDE = 256  # low perfusion, or an ECG too small to trust
    HIGH_AMPLITUDE = 512  # outside the physiological range
    DISAGREEMENT = 1024  # ECG and pulse do not belong together
    POWER_LINE = 2048  # 50 or 60 Hz and harmonics
    WRONG_RATE = 4096  # the sampling rate cannot be what the file says
    INVERTED = 8192  # upside down

    @classmethod
    def learnable(cls) -> tuple[Cause, ...]:
        """The causes that a model is taught, in bit order; absent and missing samples are counted, not estimated."""
        return tuple(cause for cause in cls if cause not in (cls.NONE, cls.ABSENT, cls.DROPOUT))

    @property
    def words(self) -> str:
        """The causes as text, such as "flat, motion"; empty when there is none."""
        return ", ".join(member.name.lower().replace("_", " ") for member in Cause if member in self and member.name)


#: Lower bounds of the grades A to D (E is the rest). Source: Guo, Chen, Ferrario, arXiv 2509.06516 (2025).
GRADE_CUTS = {"A": 0.9, "B": 0.7, "C": 0.5, "D": 0.3}


def grade(quality: float) -> str:
    """Return the letter A (best) to E of a quality in [0, 1].

    Source: five grades cut at 0.9, 0.7, 0.5 and 0.3, Guo, Chen, Ferrario, arXiv 2509.06516 (2025).

    Example:
        >>> grade(0.95), grade(0.1)
        ('A', 'E')
    """
    return next((letter for letter, cut in GRADE_CUTS.items() if quality >= cut), "E")


@dataclass(frozen=True, kw_only=True)
class QualityScore:
    """Quality of a recording's segments, per channel and per second, with reasons. 1 is perfect, 0 is useless.

    Attributes:
        recording_id: The recording that was scored.
        segment_start_s: Start of each segment in seconds from the start of the recording.
        segment_length_s: Seconds of recording in each segment (the last one may be shorter than the others).
        kinds: What each channel slot holds.
        names: The file's channel names; None for a slot that the recording cannot fill.
        quality: Quality in [0, 1] of each second; 0 in an empty slot. Never NaN.
        causes: `Cause` flags of each second.
        overall: Joint quality in [0, 1] of each segment over the channels that are there.
        model_quality: The same as `quality`, estimated by a model's quality head; None without a model.
        model_good: Calibrated probability that a second is of grade B or better; None without a calibrated model.
        model_causes: `Cause` flags that the model names; None without a calibrated cause head.
        model_knows: Whether each segment looks like what the model was trained on; it abstains where it does not. None
            without a calibrated model.
        usable: For each use, such as "heart rate", which segments are good enough (rules: `qualityfm.quality.usable`).
    """

    recording_id: str
    segment_start_s: Float[np.ndarray, " segment"]
    segment_length_s: Float[np.ndarray, " segment"]
    kinds: tuple[ChannelKind, ...]
    names: tuple[str | None, ...]
    quality: Float32[np.ndarray, "segment channel second"]
    causes: UInt16[np.ndarray, "segment channel second"]
    overall: Float32[np.ndarray, " segment"]
    model_quality: Float32[np.ndarray, "segment channel second"] | None = None
    model_good: Float32[np.ndarray, "segment channel second"] | None = None
    model_causes: UInt16[np.ndarray, "segment channel second"] | None = None
    model_knows: Bool[np.ndarray, " segment"] | None = None
    usable: Mapping[str, Bool[np.ndarray, " segment"]] = field(default_factory=dict)

    @property
    def grades(self) -> list[str]:
        """Letter A to E of each segment's overall quality."""
        return [grade(float(q)) for q in self.overall]

    def usable_for(self, use: str) -> Bool[np.ndarray, " segment"]:
        """Return which segments are good enough for a use: "heart rate", "rhythm", "VT" or "pressure".

        Raises:
            SignalError: There is no such use.
        """
        if use not in self.usable:
            expected = f"one of {', '.join(self.usable)}"
            raise SignalError(
                problem("no such use", where=self.recording_id, field="use", found=use, expected=expected)
            )
        return self.usable[use]

    def _rows(self) -> Iterator[dict[str, Any]]:
        for s, (start_s, length_s) in enumerate(zip(self.segment_start_s, self.segment_length_s, strict=True)):
            num_seconds = min(self.quality.shape[2], int(np.ceil(length_s - 1e-9)))
            for c, name in enumerate(self.names):
                if name is None:
                    continue
                for second in range(num_seconds):
                    row = {
                        "recording": self.recording_id,
                        "segment": s,
                        "start_s": float(start_s) + second,
                        "channel": name,
                        "kind": str(self.kinds[c]),
                        "quality": round(float(self.quality[s, c, second]), 4),
                        "causes": Cause(int(self.causes[s, c, second])).words,
                    }
                    if self.model_quality is not None:
                        row["model_quality"] = round(float(self.model_quality[s, c, second]), 4)
                    if self.model_good is not None:
                        row["model_good"] = round(float(self.model_good[s, c, second]), 4)
                    if self.model_causes is not None:
                        row["model_causes"] = Cause(int(self.model_causes[s, c, second])).words
                    if self.model_knows is not None:
                        row["model_knows"] = bool(self.model_knows[s])
                    yield row

    @cached_property
    def seconds(self) -> list[dict[str, Any]]:
        """One row for each second of each channel: recording, segment, start_s, channel, kind, quality, causes."""
        return list(self._rows())

    @cached_property
    def segments(self) -> list[dict[str, Any]]:
        """One row for each segment: recording, segment, start_s, quality, grade, uses, causes, means of its channels.

        `causes` names what speaks against each channel and for how many seconds, most of them first, such as
        `PLETH baseline 28 s, motion 3 s`; `quality_<channel>` is its mean quality. With a model, `model_<channel>`
        is the mean of its estimate.
        """
        rows = []
        grades = self.grades
        for s, start_s in enumerate(self.segment_start_s):
            num_seconds = max(1, min(self.quality.shape[2], int(np.ceil(self.segment_length_s[s] - 1e-9))))
            row: dict[str, Any] = {
                "recording": self.recording_id,
                "segment": s,
                "start_s": float(start_s),
                "quality": round(float(self.overall[s]), 4),
                "grade": grades[s],
            }
            if self.usable:
                row["usable_for"] = ", ".join(use for use, is_usable in self.usable.items() if is_usable[s])
            row["causes"] = self._causes_in_words(s, num_seconds)
            for c, name in enumerate(self.names):
                if name is not None:
                    row[f"quality_{name}"] = round(float(self.quality[s, c, :num_seconds].mean()), 4)
                    if self.model_quality is not None:
                        row[f"model_{name}"] = round(float(self.model_quality[s, c, :num_seconds].mean()), 4)
            rows.append(row)
        return rows

    def _causes_in_words(self, segment: int, num_seconds: int) -> str:
        """Return the causes of each channel of a segment with their seconds, the most frequent first."""
        parts = []
        for c, name in enumerate(self.names):
            if name is None:
                continue
            flags = self.causes[segment, c, :num_seconds]
            counts = {cause.words: int(((flags & int(cause)) > 0).sum()) for cause in Cause if cause}
            ordered = sorted(((n, words) for words, n in counts.items() if n), key=lambda pair: (-pair[0], pair[1]))
            if ordered:
                parts.append(f"{name} " + ", ".join(f"{words} {n} s" for n, words in ordered))
        return "; ".join(parts)

    def to_pandas(self, segments: slice = slice(None)) -> pandas.DataFrame:
        """Return `seconds` as a pandas frame, of some segments if asked: a long table can be written piece by piece."""
        import pandas as pd

        return pd.DataFrame(self._columns(segments))

    def _columns(self, segments: slice) -> dict[str, Any]:
        """Return the rows of `seconds` as columns: the same values without a dictionary for each row."""
        names = [c for c, name in enumerate(self.names) if name is not None]
        num_seconds = np.minimum(np.ceil(self.segment_length_s[segments] - 1e-9).astype(int), self.quality.shape[2])
        is_inside = np.arange(self.quality.shape[2]) < num_seconds[:, None]
        # Rows run over segments, then channels, then seconds.
        rows = np.broadcast_to(is_inside[:, None], (len(num_seconds), len(names), self.quality.shape[2]))
        s, c, second = np.nonzero(rows)

        def of(values: np.ndarray) -> np.ndarray:
            return np.asarray(values[segments][:, names][rows])

        def rounded(values: np.ndarray) -> list[float]:
            return [round(value, 4) for value in of(values).astype(float).tolist()]

        def in_words(values: np.ndarray) -> list[str]:
            flags, place = np.unique(of(values), return_inverse=True)
            words = [Cause(int(flag)).words for flag in flags]
            return [words[k] for k in place.tolist()]

        columns = {
            "recording": [self.recording_id] * len(s),
            "segment": np.arange(len(self.overall))[segments][s],
            "start_s": self.segment_start_s[segments][s] + second,
            "channel": np.array([self.names[k] for k in names], object)[c].tolist(),
            "kind": np.array([str(self.kinds[k]) for k in names], object)[c].tolist(),
            "quality": rounded(self.quality),
            "causes": in_words(self.causes),
        }
        if self.model_quality is not None:
            columns["model_quality"] = rounded(self.model_quality)
        if self.model_good is not None:
            columns["model_good"] = rounded(self.model_good)
        if self.model_causes is not None:
            columns["model_causes"] = in_words(self.model_causes)
        if self.model_knows is not None:
            columns["model_knows"] = self.model_knows[segments][s]
        return columns

    def to_wfdb_annotations(self, sample_rate_hz: float = 250.0) -> wfdb.Annotation:
        """Return the quality as WFDB annotations, for other viewers; `.wrann(write_fs=True)` writes them as a file.

        There is one `~` (change of signal quality) wherever a channel's state changes. Bit i of its subtype says that
        channel i is noisy (below grade B), bit 4 + i that it is unreadable (grade E), for the first four channels; the
        note has the state of every channel in words, such as `II D motion; PLETH A`.

        Args:
            sample_rate_hz: Rate in which the file counts time, Hz; best the record's own. It is written into the file.

        Source:
            Subtype of NOISE: WFDB Programmer's Guide, annotation codes.
        """
        import wfdb

        states = self._states()
        changes = [k for k, (_, state) in enumerate(states) if k == 0 or state != states[k - 1][1]]
        shown = [states[k] for k in changes] or [(0.0, ())]
        name = re.sub(r"[^\w-]", "_", self.recording_id.rsplit("/", 1)[-1]) or "recording"
        return wfdb.Annotation(
            record_name=name,
            extension="qfm",
            sample=np.array([round(start_s * sample_rate_hz) for start_s, _ in shown], np.int64),
            symbol=["~"] * len(shown),
            subtype=np.array([_noise_bits(state) for _, state in shown], np.int64),
            aux_note=[
                "; ".join(f"{channel} {letter} {words}".strip() for channel, letter, words in state)
                for _, state in shown
            ],
            fs=sample_rate_hz,
        )

    def _states(self) -> list[tuple[float, tuple[tuple[str, str, str], ...]]]:
        """Return each second's start in s and its channels' names, grades and causes; in time order, each once."""
        by_start: dict[float, dict[str, tuple[str, str, str]]] = {}
        for row in self._rows():
            state = (row["channel"], grade(row["quality"]), row["causes"])
            by_start.setdefault(row["start_s"], {})[row["channel"]] = state
        return [(start_s, tuple(by_start[start_s].values())) for start_s in sorted(by_start)]

    def __repr__(self) -> str:
        channels = ", ".join(n for n in self.names if n)
        lines = [f"QualityScore of {self.recording_id!r}: {len(self.overall)} segments, channels {channels or 'none'}"]
        for row in self.segments[:8]:
            means = "  ".join(f"{n} {row[f'quality_{n}']:.2f}" for n in self.names if n)
            uses = f"   usable for {row['usable_for'] or 'nothing'}" if self.usable else ""
            causes = f"   {row['causes']}" if row["causes"] else ""
            lines.append(f"{row['start_s']:8.1f} s  {row['grade']}  {row['quality']:.2f}   {means}{uses}{causes}")
        if len(self.segments) > 8:
            lines.append(f"... and {len(self.segments) - 8} more")
        return "\n  ".join(lines)


def _noise_bits(state: tuple[tuple[str, str, str], ...]) -> int:
    """Return the subtype that says which of the first four channels are noisy or unreadable, as a signed byte."""
    bits = 0
    for channel, (_, letter, _) in enumerate(state[:4]):
        bits |= (letter in "CDE") << channel | (letter == "E") << (4 + channel)
    return bits - 256 if bits > 127 else bits
