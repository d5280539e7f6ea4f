"""Rhythm labels from WFDB annotations: atrial fibrillation against everything else, in windows of 30 s."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from qualityfm.sources import find_recordings, read_annotations
from qualityfm.tasks.examples import Example
from qualityfm.tasks.tables import read_labels, refuse, table_examples

WINDOW_S = 30.0
AF_RHYTHM = "AFIB"
#: A window is of the rhythm that fills at least this share of it, and of none else. Our own choice, decisions/0024.
MIN_SHARE = 0.5
#: Records of one patient that the archive does not name so. Source: MIT-BIH Arrhythmia Database directory: 201 and 202
#: come from one tape.
SAME_PATIENT = {"202": "201"}
EXTENSION = "atr"


def rhythm_examples(data: Path, labels: Path | None) -> list[Example]:
    """Return the 30-s windows of every annotated record; flutter and paced rhythm are "not AF", named in `kind`.

    Args:
        data: Folder of WFDB records with annotation files (`.atr`) that name rhythms.
        labels: Table with record, start, label instead; or one with record, subject, which names the patients of the
            annotated records; None: every record is a patient, but for 201 and 202 of the MIT-BIH database.

    Raises:
        TaskError: There is no record with rhythms, or the table cannot be used.
    """
    if labels is not None and "label" in read_labels(labels, ("record",))[0]:
        return table_examples(data, labels)
    subjects = _subjects(labels)
    found = [f for f in find_recordings(data) if not f.problem and f.path.with_suffix(f".{EXTENSION}").is_file()]
    examples = []
    for record in found:
        path = record.path.with_suffix("")
        subject = subjects.get(record.recording_id) if labels else SAME_PATIENT.get(path.name, path.name)
        spans = rhythm_spans(path, record.duration_s)
        examples += windows_of(path, record.recording_id, subject, spans, record.duration_s)
    if not examples:
        raise refuse("no rhythms", data, "annotations", len(found), "WFDB records with rhythm notes such as (AFIB")
    return examples


def _subjects(labels: Path | None) -> Mapping[str, str | None]:
    if labels is None:
        return {}
    return {row["record"]: row["subject"] or None for row in read_labels(labels, ("record", "subject"))}


def rhythm_spans(path: Path, duration_s: float) -> list[tuple[float, float, str]]:
    """Return (begin_s, end_s, rhythm) of each annotated rhythm, such as "AFIB"; each lasts until the next."""
    marks = read_annotations(path, EXTENSION)
    changes = [(float(s), t[1:].strip("\0 ")) for s, t in zip(marks.times_s, marks.texts, strict=True) if t[:1] == "("]
    return [(begin, end, name) for (begin, name), (end, _) in pairwise([*changes, (duration_s, "")])]


def windows_of(
    path: Path, name: str, subject: str | None, spans: list[tuple[float, float, str]], duration_s: float
) -> list[Example]:
    """Return the whole windows of a record whose rhythm is known for at least half of them."""
    examples = []
    for start_s in np.arange(0, duration_s - WINDOW_S + 1e-6, WINDOW_S):
        rhythm, share = _main_rhythm(spans, float(start_s), float(start_s) + WINDOW_S)
        if share < MIN_SHARE:
            continue
        examples.append(
            Example(
                recording=str(path),
                name=name,
                start_s=float(start_s),
                length_s=WINDOW_S,
                subject=subject,
                group=subject,
                label=(float(rhythm == AF_RHYTHM),),
                kind=rhythm,
            )
        )
    return examples


def _main_rhythm(spans: list[tuple[float, float, str]], begin_s: float, end_s: float) -> tuple[str, float]:
    """Return the rhythm that fills most of a stretch, and its share."""
    filled: dict[str, float] = {}
    for begin, end, name in spans:
        inside = min(end, end_s) - max(begin, begin_s)
        if inside > 0:
            filled[name] = filled.get(name, 0.0) + inside / (end_s - begin_s)
    name = max(filled, key=lambda key: filled[key], default="")
    return name, filled.get(name, 0.0)
