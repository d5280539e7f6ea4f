"""Targets of the pressure task: systolic, diastolic and mean pressure of 30 s, from the arterial line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.errors import QualityFMError
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.sources import find_recordings, open_recording
from qualityfm.tasks.alarms import ALARM_AT_S, record_number
from qualityfm.tasks.examples import Example
from qualityfm.tasks.pulses import find_pulses
from qualityfm.tasks.tables import fold_of, read_labels, record_path, refuse, split_of

PRESSURES = ("systolic", "diastolic", "mean")
WINDOW_S = 30.0

#: A window is used where ABP, PPG and one ECG miss less than this share of samples, rest flat for less than this share,
#: and the pressure shows so many pulses in 30 s, of so much pulse pressure. Our own choice, docs/decisions/0024.
MAX_MISSING = 0.02
MAX_FLAT = 0.05
MIN_PULSES = 12
MIN_PULSE_MMHG = 15.0
#: An arterial pressure lies inside. Source: Sun, Reisner, Mark, Computers in Cardiology 33:13, 2006.
PRESSURE_MMHG = (20.0, 300.0)
FLAT_RUN_S = 0.2


def pressure_examples(data: Path, labels: Path | None) -> list[Example]:
    """Return the 30-s windows with a live arterial line, PPG and ECG, with the medians over their beats in mmHg.

    Args:
        data: Folder of records, or one that holds them in `records`.
        labels: Table that names records (record; optional subject, fold, split); None: `records.csv` in the folder,
            or else every record found, each a patient of its own.

    Windows end at 300 s, before what an alarm record shows after its alarm. Records that cannot be read, or lack one
    of the channels, give none.

    Raises:
        TaskError: The table cannot be used, or no window is fit.
    """
    rows = _rows(data, labels)
    examples = [example for row in rows for example in _windows(data, row)]
    if not examples:
        raise refuse("no pressures", data, "records", f"{len(rows)} records", "records with ABP, PPG and ECG")
    return examples


def unused_records(
    data: Path, labels: Path | None, examples: Sequence[Example], split: str | None = None
) -> list[dict[str, str]]:
    """Return the records (of a split) of which no window is fit, each with the reason."""
    used = {example.name for example in examples}
    rows = _rows(data, labels)
    names = dict.fromkeys(row["record"] for row in rows if split is None or split_of(row) == split)
    return [{"recording": name, "reason": _reason(data, name)} for name in names if name not in used]


def _reason(data: Path, name: str) -> str:
    try:
        recording = open_recording(record_path(data, name, name), duration_s=ALARM_AT_S)
    except QualityFMError as error:
        return str(error)
    missing = [k.value for k in (ChannelKind.ABP, ChannelKind.PPG, ChannelKind.ECG) if not recording.of_kind(k)]
    if missing:
        return f"no {', '.join(missing)} channel"
    if recording.duration_s < WINDOW_S:
        return f"shorter than {WINDOW_S:g} s"
    return f"no {WINDOW_S:g} s in which ABP, PPG and an ECG are there and the pressure has pulses"


def _rows(data: Path, labels: Path | None) -> list[dict[str, str]]:
    path = labels or data / "records.csv"
    if labels is not None or path.is_file():
        return read_labels(path, ("record",))
    return [{"record": found.recording_id} for found in find_recordings(data) if not found.problem]


def _windows(data: Path, row: Mapping[str, str]) -> list[Example]:
    path = record_path(data, row["record"], row["record"])
    try:
        recording = open_recording(path, duration_s=ALARM_AT_S)
    except QualityFMError:
        return []
    has_subject = "subject" in row
    subject = (row["subject"] or None) if has_subject else None
    cluster = row.get("overlap_cluster") or None
    return [
        Example(
            recording=path,
            name=row["record"],
            start_s=start_s,
            length_s=WINDOW_S,
            subject=subject,
            group=subject if has_subject else (f"cluster {cluster}" if cluster else row["record"]),
            label=target,
            fold=fold_of(row, row["record"]),
            split=split_of(row),
            number=None if has_subject else record_number(row["record"]),
        )
        for start_s, target in window_targets(recording)
    ]


def window_targets(recording: Recording, window_s: float = WINDOW_S) -> list[tuple[float, tuple[float, float, float]]]:
    """Return (start_s, (systolic, diastolic, mean) in mmHg) of every fit window of a recording."""
    kinds = (ChannelKind.ABP, ChannelKind.PPG, ChannelKind.ECG)
    if any(not recording.of_kind(kind) for kind in kinds):
        return []
    found = []
    for start_s in np.arange(0, recording.duration_s - window_s + 1e-6, window_s):
        live = {
            kind: [s for s in recording.of_kind(kind) if _is_live(cut(s, start_s, window_s), s.sample_rate_hz)]
            for kind in kinds
        }
        if all(live.values()):
            abp = live[ChannelKind.ABP][0]
            target = pressure_target(cut(abp, start_s, window_s), abp.sample_rate_hz)
            if target is not None:
                found.append((float(start_s), target))
    return found


def cut(signal: Signal, start_s: float, length_s: float = WINDOW_S) -> Float32[np.ndarray, " time"]:
    """Return the samples of a stretch, missing ones at the ends of the signal left out."""
    first = round((start_s - signal.start_s) * signal.sample_rate_hz)
    return signal.samples[max(first, 0) : max(first + round(length_s * signal.sample_rate_hz), 0)]


def _is_live(samples: Float32[np.ndarray, " time"], sample_rate_hz: float) -> bool:
    """Return whether a channel misses few samples and rarely rests."""
    if not len(samples) or np.mean(~np.isfinite(samples)) >= MAX_MISSING:
        return False
    run = max(3, round(FLAT_RUN_S * sample_rate_hz))
    return float(in_flat_runs(samples, run).mean()) < MAX_FLAT


def in_flat_runs(samples: Float32[np.ndarray, " time"], min_run: int) -> Bool[np.ndarray, " time"]:
    """Return True for every sample that is one of at least `min_run` equal ones in a row."""
    edges = np.flatnonzero(np.diff(samples, prepend=np.nan) != 0)
    lengths = np.diff(edges, append=len(samples))
    return np.repeat(lengths >= min_run, lengths)


def pressure_target(abp_mmhg: Float32[np.ndarray, " time"], sample_rate_hz: float) -> tuple[float, float, float] | None:
    """Return median systolic, diastolic and mean pressure over the beats; None where the line is not to be trusted."""
    pulses = find_pulses(abp_mmhg, sample_rate_hz)
    good = np.isfinite(pulses.high)
    if good.sum() < MIN_PULSES * len(abp_mmhg) / (WINDOW_S * sample_rate_hz):
        return None
    systolic, diastolic, mean = (float(np.median(v[good])) for v in (pulses.high, pulses.low, pulses.mean))
    if systolic - diastolic < MIN_PULSE_MMHG or not PRESSURE_MMHG[0] <= diastolic < systolic <= PRESSURE_MMHG[1]:
        return None
    return systolic, diastolic, mean
