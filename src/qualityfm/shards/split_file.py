"""A split file: which patients are for training, validation and test, written once and read by whoever reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from qualityfm.config import from_mapping, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.files import write_text
from qualityfm.shards.format import hash_plain, to_json
from qualityfm.shards.reader import ShardReader

SPLIT_NAME = "qualityfm-split"
SPLIT_VERSION = 1

#: The side that rows without a known patient go to.
TRAIN = "train"

#: Largest split file that is read; a million patients take a twentieth of it.
MAX_SPLIT_BYTES = 2**30


@dataclass(frozen=True, kw_only=True)
class Split:
    """Sides of a data set; the content of a split file.

    Attributes:
        format: Always `SPLIT_NAME`.
        format_version: Version of the file's form.
        content_hash: Identity of the data set.
        seed: Another seed gives other sides.
        fractions: Share of the patients for each side, as asked for.
        subjects: The side of each patient.
        recordings: The side of each recording whose patient is unknown and that overlaps one whose patient is known;
            the other recordings without a patient are for training.
        overlaps: Pairs of recordings that were kept together; None where nobody looked for overlaps.
        split_hash: sha256 over everything above.
    """

    format: str = SPLIT_NAME
    format_version: int = SPLIT_VERSION
    content_hash: str
    seed: int
    fractions: dict[str, float]
    subjects: dict[str, str]
    recordings: dict[str, str]
    overlaps: tuple[tuple[str, ...], ...] | None
    split_hash: str = ""

    def with_hash(self) -> Split:
        """Return the same split with its `split_hash` filled in."""
        return replace(self, split_hash=hash_plain(to_plain(replace(self, split_hash=""))))


def write_split(split: Split, file: str | Path) -> None:
    """Write a split file, whole or not at all.

    Raises:
        FormatError: The disk is full or refuses.
    """
    write_text(Path(file), to_json(split))


def read_split(reader: ShardReader, file: str | Path) -> dict[str, Int[np.ndarray, " row"]]:
    """Return the row numbers of each side of a data set.

    Raises:
        FormatError: The file is no split file, was changed, or belongs to another data set.
    """
    split = read_split_file(file)
    if split.content_hash != reader.index.content_hash:
        expected = f"{reader.index.content_hash} of {reader.url}"
        advice = "make a split of this data set; the same seed puts the same patients on the same sides"
        raise FormatError(
            problem(
                "split of another data set",
                where=file,
                field="content_hash",
                found=split.content_hash,
                expected=expected,
                advice=advice,
            )
        )
    sides = sides_of_rows(split, reader.rows)
    return {name: np.flatnonzero(sides == name) for name in split.fractions}


def read_split_file(file: str | Path) -> Split:
    """Return the content of a split file.

    Raises:
        FormatError: It cannot be read, is no split file, has another version or was changed.
    """
    plain = _read_plain(Path(file))
    for field, expected in (("format", SPLIT_NAME), ("format_version", SPLIT_VERSION)):
        if plain.get(field) != expected:
            found = plain.get(field)
            raise FormatError(
                problem("not a split file", where=file, field=field, found=found, expected=repr(expected))
            )
    try:
        split = from_mapping(Split, plain, where=file, is_complete=True)
        expected_hash = split.with_hash().split_hash
    except (ConfigError, TypeError, ValueError) as error:
        raise FormatError(f"damaged file: {error}") from error
    if expected_hash != split.split_hash:
        found, expected = split.split_hash, "the hash of the rest of it"
        advice = "split files are not edited by hand; make another"
        raise FormatError(
            problem("changed file", where=file, field="split_hash", found=found, expected=expected, advice=advice)
        )
    return split


def sides_of_rows(split: Split, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the name of the side of each row."""
    subjects, subject_of_row = np.unique(rows["subject_id"].astype(str), return_inverse=True)
    by_subject = np.array([split.subjects.get(str(subject), TRAIN) for subject in subjects], object)
    recordings, recording_of_row = np.unique(rows["recording_id"].astype(str), return_inverse=True)
    by_recording = np.array([split.recordings.get(str(recording), TRAIN) for recording in recordings], object)
    is_known = rows["subject_id"].astype(str) != ""
    return np.where(is_known, by_subject[subject_of_row], by_recording[recording_of_row])


def _read_plain(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file() or file.stat().st_size > MAX_SPLIT_BYTES:
            expected = f"a file of at most {MAX_SPLIT_BYTES} bytes"
            raise FormatError(problem("no split file", where=file, field="file", found="none", expected=expected))
        plain = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"cannot read: {file}: {error}") from error
    if not isinstance(plain, dict):
        raise FormatError(problem("damaged file", where=file, field="JSON", found=type(plain), expected="an object"))
    return plain
