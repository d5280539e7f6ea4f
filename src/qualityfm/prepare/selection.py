"""Which recordings of an archive to prepare: a table with one row for each, and a condition over its columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qualityfm.errors import ConfigError, SourceError, problem
from qualityfm.files import sha256_of
from qualityfm.prepare.expression import rows_where
from qualityfm.sources import Found

RECORD_COLUMNS = ("record", "recording", "recording_id")
SUBJECT_COLUMNS = ("subject", "subject_id")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A question put to a table, and its answer; only the question is stored in a data set.

    Attributes:
        table: File name of the table, without its folder.
        table_sha256: Checksum of the table.
        where: Condition that a record's row satisfies; None for every row.
        away_from: Condition of the records from which a distance is kept; None for none.
        within: A record whose number lies this near to one of `away_from` is left out.
        records: Names of all records in the table.
        chosen: Names of those that were asked for.
        subjects: Subject of a record, where the table says it.
    """

    table: str
    table_sha256: str
    where: str | None
    away_from: str | None = None
    within: int = 0
    records: frozenset[str] = field(repr=False)
    chosen: frozenset[str] = field(repr=False)
    subjects: dict[str, str] = field(repr=False, default_factory=dict)

    @property
    def question(self) -> dict[str, Any]:
        """The question alone, as plain values."""
        names = ("table", "table_sha256", "where", "away_from", "within")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The recordings that a selection chose out of those found.

    Attributes:
        found: The chosen recordings, with subjects from the table.
        num_not_chosen: Recordings found whose row was not chosen.
        num_without_row: Recordings found that the table does not know; they are not chosen.
        num_without_recording: Chosen rows for which no recording was found.
    """

    found: tuple[Found, ...]
    num_not_chosen: int
    num_without_row: int
    num_without_recording: int


def read_selection(
    table_path: str | Path, *, where: str | None = None, away_from: str | None = None, within: int = 0
) -> Selection:
    """Read a table of recordings and return those that a condition chooses.

    Args:
        table_path: CSV file with a column `record` (or `recording`, `recording_id`) and any others; an optional column
            `subject` (or `subject_id`) names patients. Other columns, labels among them, are used by the conditions
            and nowhere else.
        where: Condition such as "split == 'train' and fold != 4"; see `rows_where`.
        away_from: Condition such as "fold == 4": records that satisfy it are left out, and every record near to one.
        within: How near, in record numbers (the digits in the last part of a name). Neighbouring numbers are the same
            patient in some archives.

    Raises:
        SourceError: The table cannot be read.
        ConfigError: It has no column of record names, names one twice, or a condition is wrong.
    """
    path = Path(table_path)
    frame = _read_table(path)
    record_column = _column(frame, RECORD_COLUMNS)
    if record_column is None:
        raise ConfigError(
            problem(
                "no record names",
                where=path,
                field="columns",
                found=list(frame.columns),
                expected=f"one called {' or '.join(RECORD_COLUMNS)}",
            )
        )
    names = np.array([name.removesuffix(".hea") for name in _words(frame[record_column])], dtype=object)
    counts = Counter(names)
    if counts[""] or len(counts) < len(names):
        twice = next(name for name, count in counts.items() if count > 1 or not name)
        raise ConfigError(
            problem("unclear table", where=path, field=record_column, found=twice, expected="each record in one row")
        )
    is_chosen = np.ones(len(frame), bool) if where is None else rows_where(where, frame, where=path)
    if away_from is not None:
        is_chosen = is_chosen & ~_near(names, rows_where(away_from, frame, where=path), within, path)
    elif within:
        raise ConfigError(
            problem("wrong setting", where=path, field="within", found=within, expected="0 without away_from")
        )
    subject_column = _column(frame, SUBJECT_COLUMNS)
    subjects = [""] * len(frame) if subject_column is None else _words(frame[subject_column])
    return Selection(
        table=path.name,
        table_sha256=sha256_of(path),
        where=where,
        away_from=away_from,
        within=within,
        records=frozenset(names),
        chosen=frozenset(names[is_chosen]),
        subjects={name: subject for name, subject in zip(names, subjects, strict=True) if subject},
    )


def select(found: Sequence[Found], selection: Selection) -> Selected:
    """Return the recordings that a selection chooses; a record is named by a whole recording id or its last part.

    Raises:
        ConfigError: One name of the table fits several recordings, or nothing was chosen.
    """
    owners: dict[str, str] = {}
    chosen, num_without_row, num_not_chosen = [], 0, 0
    for one in found:
        last_part = one.recording_id.rsplit("/", 1)[-1]
        name = one.recording_id if one.recording_id in selection.records else last_part
        if name not in selection.records:
            num_without_row += one.aside is None
            continue
        other = owners.setdefault(name, one.recording_id)
        if other != one.recording_id:
            expected = "a name that fits one recording"
            advice = f"{other} and {one.recording_id} both fit; write whole recording ids"
            raise ConfigError(
                problem(
                    "unclear table", where=selection.table, field="record", found=name, expected=expected, advice=advice
                )
            )
        if name in selection.chosen:
            chosen.append(replace(one, subject_id=selection.subjects.get(name, one.subject_id)))
        else:
            num_not_chosen += 1
    if not chosen:
        raise ConfigError(
            problem(
                "nothing selected",
                where=selection.table,
                field="where",
                found=selection.where,
                expected="at least one recording of the archive",
                advice=f"the table chooses {len(selection.chosen)} of its {len(selection.records)} records, "
                f"{len(found)} recordings were found",
            )
        )
    return Selected(
        found=tuple(chosen),
        num_not_chosen=num_not_chosen,
        num_without_row=num_without_row,
        num_without_recording=len(selection.chosen - owners.keys()),
    )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        as_text: dict[str, Any] = dict.fromkeys((*RECORD_COLUMNS, *SUBJECT_COLUMNS), str)  # keeps leading zeros
        frame = pd.read_csv(path, encoding="utf-8-sig", skipinitialspace=True, dtype=as_text)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"cannot read table: {path}: {reason}") from error
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    return frame


def _words(column: pd.Series) -> list[str]:
    return [str(word).strip() for word in column.fillna("")]


def _column(frame: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in frame.columns), None)


def _near(names: np.ndarray, is_border: np.ndarray, within: int, path: Path) -> np.ndarray:
    """Return which records have a number at most `within` from one of the border records."""
    if within < 0:
        raise ConfigError(problem("wrong setting", where=path, field="within", found=within, expected="0 or more"))
    numbers = np.array([_number(str(name), path) for name in names], dtype=np.int64)
    border = np.unique(numbers[is_border])
    if not len(border):
        return np.zeros(len(names), bool)
    after = np.searchsorted(border, numbers)
    to_left = np.abs(numbers - border[np.maximum(after - 1, 0)])
    to_right = np.abs(numbers - border[np.minimum(after, len(border) - 1)])
    return np.asarray(np.minimum(to_left, to_right) <= within)


def _number(name: str, path: Path) -> int:
    groups = re.findall(r"[0-9]+", name.rsplit("/", 1)[-1])
    if len(groups) != 1 or len(groups[0]) > 18:
        raise ConfigError(
            problem(
                "no record number", where=path, field="record", found=name, expected="a name with one group of digits"
            )
        )
    return int(groups[0])
