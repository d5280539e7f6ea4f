"""Bedside alarms: was there really an arrhythmia? Labels and windows; nothing after the alarm enters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from qualityfm.sources import find_recordings
from qualityfm.tasks.examples import Example
from qualityfm.tasks.tables import fold_of, number_of, read_labels, record_path, refuse, split_of, truth_of

#: The alarm sounds at this second of a record. Source: Clifford et al., CinC 2015:273; VTaC, 10.13026/8td2-g363.
ALARM_AT_S = 300.0
#: Real-time protocol: the last 10 s before the alarm. Source: as above.
WINDOW_S = 10.0

ASYSTOLE, BRADYCARDIA, TACHYCARDIA = "Asystole", "Bradycardia", "Tachycardia"
VF, VT = "Ventricular_Flutter_Fib", "Ventricular_Tachycardia"
ALARM_KINDS = (ASYSTOLE, BRADYCARDIA, TACHYCARDIA, VF, VT)

#: Records whose numbers differ by no more than this may be one patient, where the archive names no patients. Measured:
#: all known overlaps of the 2015 challenge lie within it, docs/decisions/0024.
MAX_NEIGHBOUR = 6


def alarm_examples(data: Path, labels: Path | None, *, only: tuple[str, ...] = ALARM_KINDS) -> list[Example]:
    """Return the last 10 s before each alarm.

    Args:
        data: Folder of WFDB records, or one that holds them in `records`.
        labels: Table with record, alarm, true_alarm; optional subject, fold, split, overlap_cluster, and alarm_s where
            the alarm does not sound at 300 s, or at the end of a record that is shorter. None: `records.csv` in the
            folder.
        only: Kinds of alarm that are wanted.

    Raises:
        TaskError: The table cannot be used, or holds no such alarm.
    """
    path = labels or data / "records.csv"
    rows = read_labels(path, ("record", "alarm", "true_alarm"))
    ends = {} if "alarm_s" in rows[0] else _ends_s(data)
    examples = [_example(data, row, f"{path} line {n}", ends) for n, row in enumerate(rows, 2) if row["alarm"] in only]
    if not examples:
        found = sorted({row["alarm"] for row in rows})[:8]
        raise refuse("no alarms", path, "alarm", found, f"one of {', '.join(only)}")
    return examples


def _ends_s(data: Path) -> dict[str, float]:
    """Return how long each recording of a folder lasts, by its path without extension."""
    found = find_recordings(data)
    return {str(one.path.with_suffix("")): one.duration_s for one in found if one.problem is None and not one.is_item}


def _example(data: Path, row: Mapping[str, str], where: str, ends_s: Mapping[str, float]) -> Example:
    recording = record_path(data, row["record"], where)
    alarm_s = number_of(row, "alarm_s", where, min(ALARM_AT_S, ends_s.get(recording) or ALARM_AT_S))
    if alarm_s <= 0:
        raise refuse("wrong label", where, "alarm_s", alarm_s, "a time above 0 s")
    truth = truth_of(row, "true_alarm", where)
    has_subject = "subject" in row
    subject = (row["subject"] or None) if has_subject else None
    cluster = row.get("overlap_cluster") or None
    return Example(
        recording=recording,
        name=row["record"],
        start_s=max(0.0, alarm_s - WINDOW_S),
        length_s=min(WINDOW_S, alarm_s),
        subject=subject,
        group=subject if has_subject else (f"cluster {cluster}" if cluster else row["record"]),
        label=None if truth is None else (truth,),
        kind=row["alarm"],
        fold=fold_of(row, where),
        split=split_of(row),
        number=None if has_subject else record_number(row["record"]),
    )


def is_neighbour(number: int | None, numbers: Int64[np.ndarray, " number"]) -> bool:
    """Return whether a record's number is so near to one of others that both may show one patient."""
    return number is not None and len(numbers) > 0 and bool(np.abs(numbers - number).min() <= MAX_NEIGHBOUR)


def record_number(name: str) -> int | None:
    """Return the number in a record's name, which follows the patient; None without one.

    Example:
        >>> record_number("v131l"), record_number("noise")
        (131, None)
    """
    found = re.search(r"\d{1,9}", Path(name).name)
    return int(found[0]) if found else None
