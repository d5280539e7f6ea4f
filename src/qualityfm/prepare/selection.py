"""Which recordings of an archive to prepare: a table with one row for each, and a condition over its columns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qualityfm.errors import ConfigError, problem
from qualityfm.files import sha256_of
from qualityfm.prepare.expression import rows_where
from qualityfm.prepare.record_tables import layout_table, read_record_table
from qualityfm.prepare.record_tables import table_path as table_path_of
from qualityfm.sources import Found, Layout, find_recordings

#: Column that every table has for conditions where each record's name holds one number: in many archives neighbouring
#: numbers are one patient.
RECORD_NUMBER = "record_number"


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
        takes_unlisted: True for a table that only names patients: recordings it does not know are taken too.
    """

    table: str
    table_sha256: str
    where: str | None
    away_from: str | None = None
    within: int = 0
    records: frozenset[str] = field(repr=False)
    chosen: frozenset[str] = field(repr=False)
    subjects: dict[str, str] = field(repr=False, default_factory=dict)
    takes_unlisted: bool = False

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
        num_without_row: Recordings found that the table does not know.
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
    frame = read_record_table(path)
    return _selection(frame, str(path), (path,), where=where, away_from=away_from, within=within)


def selection_from_layout(
    archive: str | Path,
    layout: Layout,
    *,
    where: str | None = None,
    away_from: str | None = None,
    within: int = 0,
    table_path: str | Path | None = None,
    found: Sequence[Found] | None = None,
) -> Selection | None:
    """Return the recordings that a condition chooses over the tables of a layout and what it reads from paths.

    Args:
        archive: Folder of recordings, where the layout's tables lie.
        layout: The layout. Its tables are joined on the recordings; a column that two of them share must agree.
        where: Condition such as "split == 'train'" over their columns, `record` and `subject` among them.
        away_from: See `read_selection`.
        within: See `read_selection`.
        table_path: A table of the user's to join to them, as for `read_selection`: only recordings in it are taken.
        found: The recordings of the archive, if they are known already; a layout that reads labels from paths lists
            them otherwise.

    Returns:
        The selection. Without a condition and a table of the user's it takes every recording and only names patients;
        None if the layout's tables name none either.

    Raises:
        SourceError: A table cannot be read.
        ConfigError: The layout has nothing to choose by, two tables contradict each other, or a condition is wrong.
    """
    archive = Path(archive)
    rules = layout.tables
    is_asked = where is not None or away_from is not None or table_path is not None
    if not is_asked:
        rules = tuple(rule for rule in rules if rule.subject and table_path_of(archive, layout, rule).exists())
        if not rules:
            return None
        layout = replace(layout, tables=rules, path_labels={})
    if table_path is None and not (rules or layout.path_labels):
        expected = "a layout with tables, or --select TABLE.csv"
        raise ConfigError(
            problem("no table", where=f"layout {layout.name}", field="tables", found=0, expected=expected)
        )
    if layout.path_labels and found is None:
        found = find_recordings(archive, layout=layout)
    own = None if table_path is None else read_record_table(Path(table_path))
    name = " + ".join([*(rule.file for rule in rules), *(["paths"] if layout.path_labels else [])])
    frame = layout_table(archive, layout, found or (), own, name)
    files = [table_path_of(archive, layout, rule) for rule in rules] + ([] if own is None else [Path(str(table_path))])
    selection = _selection(frame, name, files, where=where, away_from=away_from, within=within)
    return replace(selection, takes_unlisted=not is_asked)


def _selection(
    frame: pd.DataFrame,
    place: str,
    files: Sequence[Path],
    *,
    where: str | None,
    away_from: str | None,
    within: int,
) -> Selection:
    """Return the rows of a table that a condition chooses; `place` is what errors call the table."""
    names = np.array(list(frame.index), dtype=object)
    if where is not None or away_from is not None:
        frame = _with_numbers(frame, names)
    is_chosen = np.ones(len(frame), bool) if where is None else rows_where(where, frame, where=place)
    if away_from is not None:
        is_chosen = is_chosen & ~_near(names, rows_where(away_from, frame, where=place), within, place)
    elif within:
        raise ConfigError(
            problem("wrong setting", where=place, field="within", found=within, expected="0 without away_from")
        )
    subjects = frame["subject"].fillna("") if "subject" in frame.columns else [""] * len(frame)
    sums = [sha256_of(file) for file in files]
    return Selection(
        table=" + ".join(file.name for file in files) or place,
        table_sha256=sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest(),
        where=where,
        away_from=away_from,
        within=within,
        records=frozenset(names),
        chosen=frozenset(names[is_chosen]),
        subjects={name: subject for name, subject in zip(names, subjects, strict=True) if subject},
    )


def select(found: Sequence[Found], selection: Selection) -> Selected:
    """Return the recordings that a selection chooses; a record is named by a whole recording id or its last part.

    A last part that is a number fits a table that writes it without leading zeros, as VitalDB's does.

    Raises:
        ConfigError: One name of the table fits several recordings, or nothing was chosen.
    """
    owners: dict[str, str] = {}
    chosen, num_without_row, num_not_chosen = [], 0, 0
    for one in found:
        name = _name_in(selection.records, one.recording_id)
        if name not in selection.records or one.aside is not None:
            num_without_row += one.aside is None
            if selection.takes_unlisted:
                chosen.append(one)
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
                f"{sum(one.aside is None for one in found)} recordings were found",
            )
        )
    return Selected(
        found=tuple(chosen),
        num_not_chosen=num_not_chosen,
        num_without_row=num_without_row,
        num_without_recording=len(selection.chosen - owners.keys()),
    )


def _name_in(records: frozenset[str], recording_id: str) -> str:
    """Return the name under which a table knows a recording; its last part where the table does not know it."""
    last_part = recording_id.rsplit("/", 1)[-1]
    number = last_part.lstrip("0") if last_part.isdecimal() else last_part
    return next((name for name in (recording_id, last_part, number) if name in records), last_part)


def _near(names: np.ndarray, is_border: np.ndarray, within: int, place: str) -> np.ndarray:
    """Return which records have a number at most `within` from one of the border records."""
    if within < 0:
        raise ConfigError(problem("wrong setting", where=place, field="within", found=within, expected="0 or more"))
    numbers = np.array([_number(str(name), place) for name in names], dtype=np.int64)
    border = np.unique(numbers[is_border])
    if not len(border):
        return np.zeros(len(names), bool)
    after = np.searchsorted(border, numbers)
    to_left = np.abs(numbers - border[np.maximum(after - 1, 0)])
    to_right = np.abs(numbers - border[np.minimum(after, len(border) - 1)])
    return np.asarray(np.minimum(to_left, to_right) <= within)


def _with_numbers(frame: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    """Return the table with a column `record_number`, unless it has one or a name holds no single number."""
    numbers = [_number_in(str(name)) for name in names]
    if RECORD_NUMBER in frame.columns or None in numbers:
        return frame
    return frame.assign(**{RECORD_NUMBER: np.array(numbers, np.int64)})


def _number_in(name: str) -> int | None:
    groups = re.findall(r"[0-9]+", name.rsplit("/", 1)[-1])
    return int(groups[0]) if len(groups) == 1 and len(groups[0]) <= 18 else None


def _number(name: str, place: str) -> int:
    number = _number_in(name)
    if number is None:
        raise ConfigError(
            problem(
                "no record number", where=place, field="record", found=name, expected="a name with one group of digits"
            )
        )
    return number
