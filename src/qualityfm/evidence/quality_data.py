"""The public recordings that the quality benchmark reads, as segments with what is known about them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from qualityfm.errors import SourceError, problem
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block
from qualityfm.sources import open_recording, read_annotations
from qualityfm.waveform.resampling import resample

RATE_HZ = 125.0
SEGMENT_S = 30
UNITS = {ChannelKind.ECG: "mV", ChannelKind.ABP: "mmHg"}

#: Minutes of the noise stress test database that no threshold and no fit has seen.
HELD_OUT_NOISE_MIN = (13, 20)
NOISE_KINDS = ("bw", "em", "ma")


def need_folder(data: Path, name: str) -> Path:
    """Return a data set's folder.

    Raises:
        SourceError: It is not there.
    """
    folder = data / name
    if not folder.is_dir():
        advice = "see docs/ARCHIVES.md for where the public data sets come from"
        raise SourceError(
            problem("missing data set", where=data, field="folder", found=None, expected=name, advice=advice)
        )
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV table; a byte-order mark is no part of the first name."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def one_channel(lines: Float[np.ndarray, "line time"], kind: ChannelKind, name: str = "x") -> SegmentBlock:
    """Return 30-s lines at `RATE_HZ` as a block of one channel."""
    values = np.ascontiguousarray(lines[:, None], np.float32)
    return SegmentBlock(
        recording_id="lines",
        subject_id=None,
        config=SegmentConfig(channels=(kind,), sample_rate_hz=RATE_HZ, segment_s=SEGMENT_S, step_s=SEGMENT_S),
        names=(name,),
        units=(UNITS.get(kind, "NU"),),
        start_s=np.arange(len(lines)) * float(SEGMENT_S),
        length_s=np.full(len(lines), float(SEGMENT_S)),
        values=values,
        is_real=np.isfinite(values),
    )


@dataclass(frozen=True, kw_only=True)
class AnnotatedEcg:
    """One ECG lead with what annotators said of it.

    Attributes:
        record: Its name.
        block: 30-s segments of the first lead.
        rhythm: Rhythm of every second, such as "(N"; "" where it changes or none is given.
        is_noisy: True for a second marked as noisy, or behind the end.
        is_ectopic: True for a second that holds, or is next to one that holds, a ventricular beat.
        beats_s: Time of every annotated beat, s.
    """

    record: str
    block: SegmentBlock
    rhythm: np.ndarray
    is_noisy: Bool[np.ndarray, " second"]
    is_ectopic: Bool[np.ndarray, " second"]
    beats_s: Float[np.ndarray, " beat"]


#: Beat codes of the WFDB library, and those of ventricular origin.
BEAT_CODES, VENTRICULAR_CODES = "NLRBAaJSVrFejnE/fQ", "VFE!"


def annotated_ecgs(folder: Path, every: int = 1) -> Iterator[AnnotatedEcg]:
    """Yield every n-th record of a folder in the layout of the MIT-BIH Arrhythmia Database."""
    for header in sorted(folder.glob("*.hea"))[::every]:
        yield _annotated(header.with_suffix(""))


def _annotated(path: Path) -> AnnotatedEcg:
    config = SegmentConfig(channels=(ChannelKind.ECG,), sample_rate_hz=RATE_HZ, segment_s=SEGMENT_S, step_s=SEGMENT_S)
    block = cut_block(open_recording(path), config)
    num_seconds = len(block) * SEGMENT_S
    marks = read_annotations(path, "atr")
    at_s = marks.times_s
    rhythm, is_noisy = np.full(num_seconds, "", object), np.zeros(num_seconds, bool)
    notes = [(s, note.strip("\0")) for s, note in zip(at_s, marks.texts, strict=True) if note[:1] == "("]
    for begin, end, name in stretches(notes, num_seconds):
        rhythm[int(np.ceil(begin)) : int(end)] = name
    changes = [(s, k) for s, c, k in zip(at_s, marks.symbols, marks.subtypes, strict=True) if c == "~"]
    for begin, end, subtype in stretches(changes, num_seconds):
        is_noisy[max(0, int(begin) - 1) : int(end) + 1] |= subtype != 0
    is_noisy[int(block.length_s.sum()) - 1 :] = True
    beats = [(s, c) for s, c in zip(at_s, marks.symbols, strict=True) if c in BEAT_CODES + "!"]
    ectopic = np.zeros(num_seconds)
    ectopic[[min(int(s), num_seconds - 1) for s, c in beats if c in VENTRICULAR_CODES]] = 1
    return AnnotatedEcg(
        record=path.name,
        block=block,
        rhythm=rhythm,
        is_noisy=is_noisy,
        is_ectopic=np.convolve(ectopic, [1, 1, 1], "same") > 0,
        beats_s=np.array([s for s, c in beats if c in BEAT_CODES]),
    )


def stretches(changes: list[tuple[float, Any]], end_s: float) -> list[tuple[float, float, Any]]:
    """Return (begin, end, what) of states that each last until the next one begins."""
    return [(begin, end, what) for (begin, what), (end, _) in pairwise([*changes, (end_s, None)])]


def held_out_noise(folder: Path) -> dict[str, Float32[np.ndarray, "line time"]]:
    """Return the recorded noise of the held-out minutes at `RATE_HZ`, by kind."""
    first_min, last_min = HELD_OUT_NOISE_MIN
    noise = {}
    for kind in NOISE_KINDS:
        signals = open_recording(folder / kind, start_s=first_min * 60, duration_s=(last_min - first_min) * 60).signals
        noise[kind] = np.stack([resample(s.samples, s.sample_rate_hz, RATE_HZ) for s in signals])
    return noise


def clean_ecgs(records: list[AnnotatedEcg], per_record: int) -> tuple[Float32[np.ndarray, "line time"], np.ndarray]:
    """Return segments without a noise mark, chosen by chance, and the record of each."""
    rng = np.random.default_rng(1)
    lines, names = [], []
    for record in records:
        quiet = np.flatnonzero(~record.is_noisy.reshape(-1, SEGMENT_S).any(axis=1))
        chosen = rng.permutation(quiet)[:per_record]
        lines.append(record.block.values[chosen, 0])
        names += [record.record] * len(chosen)
    return np.concatenate(lines), np.array(names)


def train_blocks(folder: Path, every: int = 1, fold: int | None = None) -> Iterator[SegmentBlock]:
    """Yield the `train` records of the 2015 challenge, of one fold or of all; `test` is never read."""
    rows = [row for row in read_rows(folder / "records.csv") if row["split"] == "train"]
    rows = [row for row in rows if fold is None or row["fold"] == str(fold)]
    for row in rows[::every]:
        yield cut_block(open_recording(folder / "records" / row["record"]), SegmentConfig())


def clean_pulses(blocks: list[SegmentBlock], slot: int) -> tuple[Float32[np.ndarray, "line time"], np.ndarray]:
    """Return one complete, steady and periodic segment of every record that has one, chosen without our score."""
    rng, lines, names = np.random.default_rng(1), [], []
    for block in blocks:
        whole = block.values[:, slot]
        whole = whole[np.isfinite(whole).all(axis=1)]
        if len(whole):
            chosen = rng.permutation(np.flatnonzero(_is_clean_pulse(whole)))[:1]
            lines.append(whole[chosen])
            names += [block.recording_id] * len(chosen)
    return np.concatenate([np.zeros((0, SEGMENT_S * int(RATE_HZ)), np.float32), *lines]), np.array(names)


def _is_clean_pulse(lines: Float32[np.ndarray, "line time"]) -> Bool[np.ndarray, " line"]:
    """Return which lines repeat after 0.3 to 1.6 s, keep their size, and are neither resting nor only a last digit."""
    centred = lines - lines.mean(axis=1, keepdims=True)
    lagged = np.fft.irfft(np.abs(np.fft.rfft(centred, 8192, axis=1)) ** 2, axis=1)
    period = lagged[:, 40:200].max(axis=1) / np.maximum(lagged[:, 0], 1e-9)
    sizes = np.ptp(centred.reshape(len(lines), 10, -1), axis=2)
    is_steady = (period > 0.85) & (sizes.max(axis=1) < 1.5 * sizes.min(axis=1))
    is_moving = (np.diff(lines, axis=1) == 0).mean(axis=1) < 0.1
    return np.asarray(is_steady & is_moving & (sizes.max(axis=1) > 0.01 * np.abs(lines).mean(axis=1)))
