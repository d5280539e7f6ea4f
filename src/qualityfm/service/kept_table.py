"""A CSV file of what users of the viewer decide: whole at any time, harmless in a spreadsheet, refused if foreign."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qualityfm.errors import FormatError, SignalError, problem
from qualityfm.files import write_text


def write_kept(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, str | float]]) -> None:
    """Write the whole file anew.

    Raises:
        FormatError: The disk is full or refuses; the old file stays.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _plain(value: str | float) -> str | float:
    """Return the value with a quote before what a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@'") else value


def read_kept(path: Path, names: Sequence[str], numbers: Sequence[str], what: str) -> list[dict[str, Any]]:
    """Return the rows of such a file, the columns `numbers` as floats.

    Raises:
        FormatError: The file is not one of ours; it is left alone.
    """

    def foreign(field: str, found: str) -> FormatError:
        expected = f"{what} with the columns {', '.join(names)}"
        return FormatError(
            problem(f"not a file of {what}", where=path, field=field, found=found[:80], expected=expected)
        )

    try:
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode())))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise foreign("file", str(error)) from error
    for number, row in enumerate(rows, 2):
        if list(row) != list(names) or None in row.values():
            raise foreign(f"line {number}", f"columns {', '.join(map(str, row))}")
    try:
        return [{n: float(row[n]) if n in numbers else row[n].removeprefix("'") for n in names} for row in rows]
    except ValueError as error:
        raise foreign(", ".join(numbers), str(error)) from error


def check_words(what: str, where: str, field: str, value: Any, lengths: tuple[int, int]) -> str:
    """Return a text that a user gave, if it is printable and of a length between two bounds.

    Raises:
        SignalError: It is not.
    """
    shortest, longest = lengths
    if not (isinstance(value, str) and shortest <= len(value) <= longest and (value.isprintable() or not value)):
        found = f"{len(value)} characters" if isinstance(value, str) else value
        expected = f"{shortest} to {longest} printable characters"
        raise SignalError(problem(what, where=where, field=field, found=found, expected=expected))
    return value
