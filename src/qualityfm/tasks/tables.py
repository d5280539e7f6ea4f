"""Tables of labels that users bring: read strictly, every refusal names file, row, column, found and expected."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.examples import Example

#: Largest table that is read; a million labels take a tenth of it.
MAX_TABLE_BYTES = 2**28
#: A window of a user's own label lasts this long where the table has no column `length`, s.
DEFAULT_LENGTH_S = 30.0
#: More classes than this are numbers or names, not classes.
MAX_CLASSES = 50

_TRUE, _FALSE = {"1", "true", "yes"}, {"0", "false", "no"}


def refuse(what: str, where: object, field: str, found: object, expected: str, advice: str = "") -> TaskError:
    """Return the one-line refusal of a task's labels."""
    return TaskError(problem(what, where=where, field=field, found=found, expected=expected, advice=advice))


def read_labels(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of a CSV table; blanks around values and a byte-order mark are dropped.

    Raises:
        TaskError: The file is missing, too large, no table, or lacks one of `columns`.
    """
    if not path.is_file():
        raise refuse("no labels", path, "file", None, "a CSV table", f"columns: {', '.join(columns)}")
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise refuse("wrong labels", path, "size", path.stat().st_size, f"at most {MAX_TABLE_BYTES} bytes")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(path, csv.reader(file, strict=True), columns))
    except (UnicodeDecodeError, csv.Error) as error:
        raise refuse("wrong labels", path, "text", str(error)[:80], "CSV in UTF-8") from error
    if not rows:
        raise refuse("wrong labels", path, "rows", 0, "at least one row")
    return rows


def _rows(path: Path, lines: Iterator[list[str]], columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    names = [name.strip() for name in next(lines, [])]
    for column in columns:
        if names.count(column) != 1:
            raise refuse("wrong labels", path, f"column {column}", names[:20], f"one column {column}")
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        if len(line) != len(names):
            raise refuse("wrong labels", f"{path} line {number}", "values", len(line), f"{len(names)} values")
        yield dict(zip(names, (value.strip() for value in line), strict=True))


def truth_of(row: Mapping[str, str], column: str, where: object) -> float | None:
    """Return 1.0 for a true, 0.0 for a false value and None for an empty one.

    Raises:
        TaskError: It is none of these.
    """
    word = row[column].lower()
    if word in _TRUE | _FALSE:
        return float(word in _TRUE)
    if not word:
        return None
    raise refuse("wrong label", where, column, row[column], "1 or 0, true or false, or nothing")


def number_of(row: Mapping[str, str], column: str, where: object, default: float | None = None) -> float:
    """Return a finite number, or the default where there is no such column or value.

    Raises:
        TaskError: It is no finite number.
    """
    word = row.get(column, "")
    if not word and default is not None:
        return default
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise refuse("wrong label", where, column, word, "a finite number")
    return value


def fold_of(row: Mapping[str, str], where: object) -> int | None:
    """Return the fold of a row, or None where none is given.

    Raises:
        TaskError: It is no whole number from 0 on.
    """
    word = row.get("fold", "")
    if not word:
        return None
    if not (word.isascii() and word.isdigit() and len(word) < 7):
        raise refuse("wrong label", where, "fold", word, "a whole number from 0 on")
    return int(word)


def record_path(data: Path, name: str, where: object) -> str:
    """Return the path of a record in a folder, or in its folder `records`.

    Raises:
        TaskError: The name leaves the folder, or is empty.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        raise refuse("wrong label", where, "record", name, "the name of a record inside the folder")
    inside = data / "records"
    return str((inside if inside.is_dir() else data) / name)


def split_of(row: Mapping[str, str]) -> str | None:
    """Return the side that the table puts a row on, or None."""
    return row.get("split") or None


TableKind = Literal["binary", "regression", "multiclass"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a table of labels asks.

    Attributes:
        kind: Sort of task.
        outputs: Name of each output: "label", or the classes.
    """

    kind: TableKind
    outputs: tuple[str, ...]

    def label(self, word: str) -> tuple[float, ...] | None:
        """Return the numbers that a label stands for; None for an empty one."""
        if not word:
            return None
        if self.kind == "multiclass":
            return tuple(float(word == name) for name in self.outputs)
        if self.outputs != ("label",):
            return (float(word == self.outputs[0]),)
        return (float(word),)


def question_of(rows: list[dict[str, str]], path: Path) -> Question:
    """Return what labels ask: 0 and 1 or two words are binary, other numbers regression, more words multiclass.

    Of two words the alphabetically later one is the positive class.

    Raises:
        TaskError: All labels are alike, or there are too many classes.
    """
    words = sorted({row["label"] for row in rows} - {""})
    if len(words) < 2:
        raise refuse("wrong labels", path, "label", words, "at least two different labels")
    if all(_is_number(word) for word in words):
        is_binary = {float(word) for word in words} == {0.0, 1.0}
        return Question(kind="binary" if is_binary else "regression", outputs=("label",))
    if len(words) == 2:
        return Question(kind="binary", outputs=(words[1],))
    if len(words) > MAX_CLASSES:
        raise refuse("wrong labels", path, "label", f"{len(words)} classes", f"at most {MAX_CLASSES}, or numbers")
    return Question(kind="multiclass", outputs=tuple(words))


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def read_question(labels: Path) -> Question:
    """Return what a user's table asks.

    Raises:
        TaskError: The table cannot be used.
    """
    return question_of(read_labels(labels, ("record", "start", "label")), labels)


def table_examples(data: Path, labels: Path | None) -> list[Example]:
    """Return the examples of a user's own table: record, start (s), label; optional length (s), subject, fold, split.

    Without a column `subject` the record stands for the patient.

    Raises:
        TaskError: The table cannot be used.
    """
    path = labels or data / "labels.csv"
    rows = read_labels(path, ("record", "start", "label"))
    question = question_of(rows, path)
    has_subject = "subject" in rows[0]
    examples = []
    for number, row in enumerate(rows, 2):
        where = f"{path} line {number}"
        start_s = number_of(row, "start", where)
        length_s = number_of(row, "length", where, DEFAULT_LENGTH_S)
        if start_s < 0 or length_s <= 0:
            raise refuse("wrong label", where, "start, length", (start_s, length_s), "start from 0 on, length above 0")
        subject = (row["subject"] or None) if has_subject else None
        examples.append(
            Example(
                recording=record_path(data, row["record"], where),
                name=row["record"],
                start_s=start_s,
                length_s=length_s,
                subject=subject,
                group=subject if has_subject else row["record"],
                label=question.label(row["label"]),
                fold=fold_of(row, where),
                split=split_of(row),
            )
        )
    return examples


def quality_examples(data: Path, labels: Path | None) -> list[Example]:
    """Return recordings that experts called acceptable or not: record, quality, fold (CinC 2011); 10 s each.

    Recordings with another verdict ("indeterminate") have no label. Each record counts as one patient.

    Raises:
        TaskError: The table cannot be used.
    """
    path = labels or data / "labels.csv"
    verdicts = {"acceptable": (1.0,), "unacceptable": (0.0,)}
    return [
        Example(
            recording=record_path(data, row["record"], f"{path} line {number}"),
            name=row["record"],
            start_s=0.0,
            length_s=10.0,
            subject=None,
            group=row["record"],
            label=verdicts.get(row["quality"]),
            fold=fold_of(row, f"{path} line {number}"),
            split=split_of(row),
        )
        for number, row in enumerate(read_labels(path, ("record", "quality")), 2)
    ]
