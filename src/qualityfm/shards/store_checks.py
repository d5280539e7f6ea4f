"""What every store refuses: names that lead out of it, and files that are not as expected."""

from __future__ import annotations

from pathlib import PurePosixPath

from qualityfm.errors import FormatError, problem


def check_name(name: str, where: str) -> str:
    """Return a name that stays inside its store.

    Raises:
        FormatError: It is absolute, empty or leads out.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise FormatError(problem("unusable name", where=where, field="name", found=name, expected="a relative name"))
    return name


def read_problem(error: OSError, where: str) -> str:
    """Return the one line for a file that the system does not give."""
    is_missing = isinstance(error, FileNotFoundError)
    what = "missing file" if is_missing else "cannot read"
    return problem(what, where=where, field="file", found=error.strerror or type(error).__name__, expected="a file")


def check_size(where: str, found: int, expected: int | None) -> None:
    """Refuse a file of another size than expected.

    Raises:
        FormatError: So it is.
    """
    if expected is not None and found != expected:
        advice = "copy the data set again or prepare it anew"
        raise FormatError(
            problem(
                "truncated or changed file",
                where=where,
                field="size in bytes",
                found=found,
                expected=str(expected),
                advice=advice,
            )
        )
