"""Sets of rows for watching a loss, and the refusal of sets that share a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Int

from qualityfm.errors import ConfigError, TaskError, problem


class HasRows(Protocol):
    """Anything with a place and the columns recording_id and subject_id, such as a `ShardReader`."""

    @property
    def url(self) -> str:
        """Where it lies, for messages."""

    @property
    def rows(self) -> Mapping[str, np.ndarray]:
        """One array for each column."""


def split_by_subject(
    reader: HasRows, heldout_fraction: float, seed: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " heldout"]]:
    """Return row numbers for training and for watching it; no subject, and no recording, has rows in both.

    This is no test split: recordings without a subject, which may show a patient of the other side, and recordings that
    overlap under two names may lie on either. It is for watching a loss; for a figure that is reported, see
    `split_file.make_split`.

    Where the subject is unknown the recording stands for it. The side of a subject depends on its name and the seed
    alone, so it stays when recordings are added; only if that left one side empty is the nearest subject moved.

    Args:
        reader: The data set.
        heldout_fraction: Share of the subjects to hold out, in (0, 1).
        seed: Another seed gives another split.

    Raises:
        ConfigError: The fraction is not in (0, 1), or there are fewer than two subjects.
    """
    where = reader.url
    if not 0 < heldout_fraction < 1:
        raise ConfigError(
            problem(
                "wrong setting", where=where, field="heldout_fraction", found=heldout_fraction, expected="0 < x < 1"
            )
        )
    keys = subject_keys(reader.rows)
    subjects, subject_of_row = np.unique(keys, return_inverse=True)
    if len(subjects) < 2:
        raise ConfigError(
            problem(
                "cannot hold out subjects", where=where, field="subjects", found=len(subjects), expected="2 or more"
            )
        )
    position = np.array([position_of(str(subject), seed) for subject in subjects])
    is_heldout = position < heldout_fraction
    if not is_heldout.any():
        is_heldout[position.argmin()] = True
    if is_heldout.all():
        is_heldout[position.argmax()] = False
    heldout = is_heldout[subject_of_row]
    train_rows, heldout_rows = np.flatnonzero(~heldout), np.flatnonzero(heldout)
    _refuse_shared(take_rows(reader.rows, train_rows), take_rows(reader.rows, heldout_rows), f"both sides of {where}")
    return train_rows, heldout_rows


def subject_keys(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what must stay on one side for each row: its subject, or its recording where the subject is unknown."""
    subject, recording = rows["subject_id"].astype(str), rows["recording_id"].astype(str)
    return np.where(subject != "", np.char.add("subject ", subject), np.char.add("recording ", recording))


def take_rows(rows: Mapping[str, np.ndarray], chosen: Int[np.ndarray, " row"]) -> dict[str, np.ndarray]:
    """Return the chosen entries of every column."""
    return {name: column[chosen] for name, column in rows.items()}


def refuse_leakage(first: HasRows, second: HasRows) -> None:
    """Refuse two data sets (`ShardReader`s) that share a subject or a recording.

    Raises:
        TaskError: They share one; the message names both places and what they share.
    """
    _refuse_shared(first.rows, second.rows, f"{first.url} and {second.url}")


def _refuse_shared(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], where: str) -> None:
    for field in ("subject_id", "recording_id"):
        shared = sorted((set(first[field].tolist()) & set(second[field].tolist())) - {""})
        if shared:
            raise TaskError(
                problem(
                    "leakage",
                    where=where,
                    field=field,
                    found=shared[0] if len(shared) == 1 else f"{shared[0]} and {len(shared) - 1} more in both",
                    expected="none in both",
                    advice="split by subject, or choose other recordings",
                )
            )


def position_of(subject: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
