"""Tables with one row for each recording: read, and joined as a layout says. They choose; they never enter a shard."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from qualityfm.errors import ConfigError, SourceError, problem
from qualityfm.sources import Found, Layout
from qualityfm.sources.layout import TableRule
from qualityfm.sources.strict import check_regular_file

RECORD_COLUMNS = ("record", "recording", "recording_id")
SUBJECT_COLUMNS = ("subject", "subject_id")

#: Largest table that is read, bytes: a row for each of a hundred million recordings is no table of recordings.
MAX_TABLE_BYTES = 1 << 30

_ENDING = re.compile(r"\.(hea|edf|bdf|vital|csv|tsv|txt|parquet|mat|h5|hdf5|npy|npz)(\.gz)?$", re.IGNORECASE)


def read_record_table(path: Path, rule: TableRule | None = None, root: Path | None = None) -> pd.DataFrame:
    """Return a CSV table with the recordings' names in its index and, where it says them, patients in `subject`.

    Args:
        path: The file.
        rule: Which of its columns name recordings and patients, and how others are called; None looks for a column
            `record` (or `recording`, `recording_id`) and `subject` (or `subject_id`), which keep their names.
        root: Folder that a link may not lead out of; the file's own by default.

    Raises:
        SourceError: The table cannot be read.
        ConfigError: It has no column of record names, names one twice, or lacks a column that the rule names.
    """
    frame = _read_csv(path, rule, root)
    columns = [str(column) for column in frame.columns]
    record = rule.record if rule else next((name for name in RECORD_COLUMNS if name in columns), "")
    subject = rule.subject if rule else next((name for name in SUBJECT_COLUMNS if name in columns), "")
    for wanted in [record, *([subject] if subject else []), *(rule.rename if rule else ())]:
        if wanted not in columns:
            expected = f"one called {wanted or ' or '.join(RECORD_COLUMNS)}"
            raise ConfigError(
                problem("no such column", where=path, field="columns", found=", ".join(columns), expected=expected)
            )
    names = [_ENDING.sub("", name) for name in _words(frame[record])]
    _check_unique(path, record, names)
    subjects = _words(frame[subject]) if subject else None
    if rule is not None:
        frame = frame.drop(columns=list({record, subject} - {""})).rename(columns=rule.rename)
        _check_columns(path, frame, rule)
        frame["record"] = names
    if subjects is not None:
        frame["subject"] = subjects
    return frame.set_index(pd.Index(names, dtype=object))


def layout_table(
    archive: Path, layout: Layout, found: Sequence[Found], own: pd.DataFrame | None, where: str
) -> pd.DataFrame:
    """Return the tables of a layout, what it reads from paths, and a table of the user's, joined on the recordings.

    Args:
        archive: The folder that the tables' names start from.
        layout: The layout.
        found: The recordings of the archive, for what is read from their paths.
        own: A table of the user's, see `read_record_table`: then only the recordings in it are there.
        where: What errors call the joined table.

    Raises:
        SourceError: A table cannot be read.
        ConfigError: Two tables contradict each other.
    """
    joined: pd.DataFrame | None = None
    for rule in layout.tables:
        table = read_record_table(table_path(archive, layout, rule), rule, archive)
        joined = table if joined is None else _join(joined, table, where, "outer")
    if layout.path_labels:
        labels = _path_labels(layout, found, frozenset() if joined is None else frozenset(joined.index))
        joined = labels if joined is None else _join(joined, labels, where, "left")
    if joined is None:
        joined = pd.DataFrame({"record": []}, dtype=object)
    if own is None:
        return joined
    known = frozenset(joined.index)
    same = joined.reindex([name if name in known else _last_part(name) for name in own.index]).set_index(own.index)
    return _join(own, same.drop(columns="record"), where, "left")


def table_path(archive: Path, layout: Layout, rule: TableRule) -> Path:
    """Return where a table of a layout lies.

    Raises:
        ConfigError: Its name leads out of the archive.
    """
    if PurePosixPath(rule.file).is_absolute() or ".." in PurePosixPath(rule.file).parts:
        expected = "a name from the archive's folder on"
        raise ConfigError(
            problem("wrong setting", where=f"layout {layout.name}", field="file", found=rule.file, expected=expected)
        )
    return archive / rule.file


def _read_csv(path: Path, rule: TableRule | None, root: Path | None) -> pd.DataFrame:
    names = (*RECORD_COLUMNS, *SUBJECT_COLUMNS) if rule is None else (rule.record, rule.subject)
    as_text: dict[str, Any] = dict.fromkeys(names, str)  # keeps leading zeros
    if not path.exists():
        raise SourceError(
            problem("cannot read table", where=path, field="file", found="nothing", expected="a CSV file")
        )
    if check_regular_file(path, root) > MAX_TABLE_BYTES:
        expected = f"at most {MAX_TABLE_BYTES} bytes"
        raise SourceError(problem("cannot read table", where=path, field="size", found="more", expected=expected))
    try:
        frame = pd.read_csv(path, encoding="utf-8-sig", skipinitialspace=True, dtype=as_text)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        found = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SourceError(
            problem("cannot read table", where=path, field="file", found=found, expected="a CSV file")
        ) from error
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    return frame


def _words(column: pd.Series) -> list[str]:
    return [str(word).strip() for word in column.fillna("")]


def _check_unique(path: Path, record: str, names: list[str]) -> None:
    counts = Counter(names)
    if counts[""] or len(counts) < len(names):
        twice = next(name for name, count in counts.items() if count > 1 or not name)
        raise ConfigError(
            problem("unclear table", where=path, field=record, found=twice, expected="each record in one row")
        )


def _check_columns(path: Path, frame: pd.DataFrame, rule: TableRule) -> None:
    """Refuse two columns of one name, and one that would pass for the names of recordings or patients."""
    counts = Counter(str(column) for column in frame.columns)
    unclear = next((name for name, count in counts.items() if count > 1 or name in ("record", "subject")), None)
    if unclear is not None:
        advice = f"give it another name in `rename` of table {rule.file} in the layout"
        raise ConfigError(
            problem(
                "unclear table", where=path, field="columns", found=unclear, expected="each name once", advice=advice
            )
        )


def _join(first: pd.DataFrame, second: pd.DataFrame, where: str, how: Any) -> pd.DataFrame:
    """Return two tables side by side; a column of both must say the same wherever both say something."""
    shared = [column for column in second.columns if column in first.columns]
    joined = first.join(second.drop(columns=shared), how=how)
    for column in shared:
        left, right = first[column].reindex(joined.index), second[column].reindex(joined.index)
        differ = left.notna() & right.notna() & (left.astype(str) != right.astype(str))
        if column != "record" and differ.any():
            found, expected = f"{joined.index[int(np.argmax(differ))]} has two", "the same value in both tables"
            raise ConfigError(problem("unclear tables", where=where, field=column, found=found, expected=expected))
        joined[column] = left.where(left.notna(), right)
    for column in joined.columns:
        if joined[column].dtype == object and set(joined[column].dropna().map(type)) == {bool}:
            joined[column] = (
                joined[column].astype(float) if joined[column].isna().any() else joined[column].astype(bool)
            )
    return joined


def _path_labels(layout: Layout, found: Sequence[Found], names: frozenset[str]) -> pd.DataFrame:
    """Return what paths say of each recording, under the name that the tables know it by."""
    rows = []
    for one in found:
        if one.aside is None:
            last_part = _last_part(one.recording_id)
            name = last_part if last_part in names and one.recording_id not in names else one.recording_id
            rows.append({"record": name, **layout.labels_of(one.recording_id)})
    frame = pd.DataFrame(rows, columns=["record", *layout.path_labels])
    return frame.drop_duplicates("record").set_index(pd.Index(frame["record"].drop_duplicates(), dtype=object))


def _last_part(name: str) -> str:
    return name.rsplit("/", 1)[-1]
