"""Beats of real patients for the simulator: when their hearts beat and what kind of beat each one was.

The source is the set of rhythm annotations of 482 surgical patients in `vitaldb_arrhythmia_annotations`: one CSV file a
case with the time, type and rhythm of every beat, and no waveforms.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int8

from qualityfm.errors import ConfigError, SourceError, problem
from qualityfm.waveform.rhythm import LEAD_IN_S, LEAD_OUT_S, BeatKind, Beats, Rhythm

#: Annotated rhythms that stand for a rhythm of the simulator.
LABELS: dict[Rhythm, tuple[str, ...]] = {
    "sinus": ("N",),
    "af": ("AFIB/AFL",),
    "ectopy": ("SR-mPVC-BT", "SR-mPAC-BT"),
    "vt": ("VT",),
    "svt": ("SVTA",),
    "brady": ("SND", "AVB"),
}

#: Share of a stretch's beats that must carry the rhythm; runs of VT and SVT are short, a single run will do.
LEAST_SHARE = {"vt": 0.0, "svt": 0.0}
USUAL_SHARE = 0.8
LEAST_RUN_BEATS = 3

#: Intervals outside of this range, s, are pauses in the annotation or doubled beats: a stretch ends there.
RR_RANGE_S = (0.2, 3.0)

#: Most bytes of one annotation file; a case has some 1,500 beats of 40 bytes.
MAX_FILE_BYTES = 16_000_000

_CASE = re.compile(r"Annotation_file_(\d+)\.csv")
_COLUMNS = ("time_second", "beat_type", "rhythm_label", "bad_signal_quality")


@dataclass(frozen=True, kw_only=True)
class RhythmCase:
    """The annotated beats of one patient.

    Attributes:
        case_id: Number of the case.
        times_s: Time of each beat, s.
        kinds: `BeatKind` of each beat.
        labels: Annotated rhythm of each beat.
        is_joined: True where a beat follows the one before it without a gap or a noisy part.
    """

    case_id: int
    times_s: Float64[np.ndarray, " beat"]
    kinds: Int8[np.ndarray, " beat"]
    labels: np.ndarray
    is_joined: Bool[np.ndarray, " beat"]


class RhythmBank:
    """Stretches of real beats to simulate from.

    Attributes:
        cases: The patients.

    Example:
        ::

            bank = RhythmBank.from_folder(data / "vitaldb_arrhythmia_annotations", "train")
            simulation = simulate(1, SimulationConfig(rhythm="af"), rhythms=bank)
    """

    def __init__(self, cases: tuple[RhythmCase, ...]) -> None:
        self.cases = cases

    @classmethod
    def from_folder(cls, folder: str | Path, part: Literal["train", "test"]) -> RhythmBank:
        """Return the bank of one part: cases whose number divided by 5 leaves 4 are for tests, the others for training.

        Args:
            folder: Where `annotations.tar.xz`, or the CSV files from it, lie.
            part: Which patients.

        Raises:
            SourceError: There are no annotations, or a file is not what it should be.
        """
        folder = Path(folder)
        cases = []
        for name, content in _files(folder):
            match = _CASE.fullmatch(name)
            if match and (int(match[1]) % 5 == 4) == (part == "test"):
                cases.append(_read_case(int(match[1]), content, folder / name))
        if not cases:
            expected = "annotations.tar.xz, or files called Annotation_file_*.csv"
            raise SourceError(problem("no annotations", where=folder, field="files", found="none", expected=expected))
        return cls(tuple(sorted(cases, key=lambda case: case.case_id)))

    def draw(self, rhythm: Rhythm, duration_s: float, rng: np.random.Generator) -> tuple[Beats, int]:
        """Return real beats from `LEAD_IN_S` before a recording to `LEAD_OUT_S` after it, and the case they are from.

        Each patient with such a stretch is as likely as any other, however long the record.

        Raises:
            ConfigError: No patient has a stretch of this rhythm and length.
        """
        span_s = duration_s + LEAD_IN_S + LEAD_OUT_S
        order = rng.permutation(len(self.cases))
        for index in order:
            case = self.cases[index]
            starts = _possible_starts(case, rhythm, span_s)
            if len(starts):
                return _cut(case, int(rng.choice(starts)), span_s), case.case_id
        found, expected = f"{rhythm}, {duration_s:g} s", f"one of {', '.join(LABELS)}, of a length that patients have"
        raise ConfigError(
            problem("no such stretch", where="rhythm bank", field="rhythm", found=found, expected=expected)
        )


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every annotation file, from the archive where it is packed."""
    packed = folder / "annotations.tar.xz"
    try:
        if packed.is_file():
            with tarfile.open(packed, "r:xz") as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.isfile() else None
                    if stream is not None and member.size <= MAX_FILE_BYTES:
                        yield Path(member.name).name, stream.read()
            return
        for path in sorted(folder.rglob("Annotation_file_*.csv")):
            yield path.name, path.read_bytes()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise SourceError(f"cannot read annotations: {packed}: {error}") from error


def _read_case(case_id: int, content: bytes, path: Path) -> RhythmCase:
    try:
        table = pd.read_csv(io.BytesIO(content), encoding="utf-8-sig")
    except ValueError as error:
        raise SourceError(f"cannot read annotations: {path}: {error}") from error
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        expected = f"the columns {', '.join(_COLUMNS)}"
        raise SourceError(
            problem(
                "cannot read annotations", where=path, field="columns", found=list(table.columns), expected=expected
            )
        )
    beat_type, label = table["beat_type"].astype(str), table["rhythm_label"].astype(str)
    is_good = beat_type.isin(["N", "S", "V", "U"]) & (table["bad_signal_quality"].astype(str) == "False")
    times_s = pd.to_numeric(table["time_second"], errors="coerce").to_numpy(np.float64)
    usable = (is_good & np.isfinite(times_s)).to_numpy(bool)
    follows = np.concatenate(([False], usable[:-1]))[usable]  # the row before is a beat, too: no noisy part between
    rr_s = np.diff(times_s[usable], prepend=np.nan)
    return RhythmCase(
        case_id=case_id,
        times_s=times_s[usable],
        kinds=_kinds(beat_type[usable].to_numpy(str), label[usable].to_numpy(str)),
        labels=label[usable].to_numpy(str),
        is_joined=follows & (rr_s >= RR_RANGE_S[0]) & (rr_s <= RR_RANGE_S[1]),
    )


def _kinds(beat_type: np.ndarray, label: np.ndarray) -> Int8[np.ndarray, " beat"]:
    """Return the kind of each beat; an unclassified one counts as conducted."""
    kinds = np.full(len(label), BeatKind.SINUS, np.int8)
    kinds[beat_type == "S"] = BeatKind.PAC
    kinds[label == "AFIB/AFL"] = BeatKind.AF
    kinds[label == "SVTA"] = BeatKind.SVT
    kinds[beat_type == "V"] = BeatKind.PVC
    kinds[(beat_type == "V") & (label == "VT")] = BeatKind.VT
    return kinds


def _possible_starts(case: RhythmCase, rhythm: Rhythm, span_s: float) -> np.ndarray:
    """Return the beats at which a stretch of the rhythm can begin."""
    times_s, num_beats = case.times_s, len(case.times_s)
    if num_beats < 2 or rhythm not in LABELS:
        return np.empty(0, np.int64)
    end = np.searchsorted(times_s, times_s + span_s)
    last = np.minimum(end, num_beats - 1)
    breaks = np.concatenate(([0], np.cumsum(~case.is_joined)))
    is_whole = (end < num_beats) & (breaks[last + 1] == breaks[np.arange(num_beats) + 1])
    counts = np.concatenate(([0], np.cumsum(np.isin(case.labels, LABELS[rhythm]))))
    is_kind = counts[last] - counts[np.arange(num_beats)]
    enough = is_kind >= LEAST_SHARE.get(rhythm, USUAL_SHARE) * np.maximum(last - np.arange(num_beats), 1)
    return np.flatnonzero(is_whole & enough & (is_kind >= LEAST_RUN_BEATS))


def _cut(case: RhythmCase, start: int, span_s: float) -> Beats:
    end = int(np.searchsorted(case.times_s, case.times_s[start] + span_s)) + 1
    times_s, kinds = case.times_s[start:end], case.kinds[start:end]
    rr_s = np.diff(times_s, prepend=times_s[0] - float(np.median(np.diff(times_s))))
    return Beats(times_s=times_s - times_s[0] - LEAD_IN_S, kinds=kinds, rr_s=rr_s)
