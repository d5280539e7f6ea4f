"""The text of a WFDB header: read whole within a budget, comments dropped unread, quoted with care in refusals."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from qualityfm.errors import SourceError
from qualityfm.sources import strict

#: Budgets of our own. The largest public multi-segment headers hold some ten thousand segments in a few hundred kB.
MAX_HEADER_BYTES = 4_000_000
MAX_LINE_LENGTH = 2_000

#: What numbers and storage formats are written with, and the two words that programs write for no number.
_NUMBER_LIKE = re.compile(r"[-0-9 .,:;+xX()eE%~]*|[-+]?(?:nan|inf)", re.ASCII | re.IGNORECASE)

_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)


class Repair(StrEnum):
    """A known misprint of public archives, and with it the name of what is done about it."""

    #: The first line gives no number of samples (mghdb mgh061): the size of the signal file tells it.
    LENGTH_FROM_FILE = "length-from-file"
    #: One segment less is listed than announced, and its samples are missing (mimic3wdb 3029208): the rest is read.
    LAST_SEGMENT_MISSING = "last-segment-missing"
    #: Another number of segments is announced than listed, but the samples add up: the list is believed.
    SEGMENTS_MISCOUNTED = "segments-miscounted"
    #: The date stands before the time (CinC 2020 and 2021): they change places.
    DATE_BEFORE_TIME = "date-before-time"
    #: The date is written 2014-05-08 (CinC 2017) or 05-May-2020 (CinC 2021), not 08/05/2014.
    DATE_FORM = "date-form"
    #: No date and time that can be (slpdb slp32: year 89; cerebral-perfusion-diabetes: a year alone): left out.
    START_LEFT_OUT = "start-left-out"
    #: The header calls the record by another name than its file (CinC 2021: "E07835.mat"): the file's name counts.
    OTHER_RECORD_NAME = "other-record-name"
    #: Names carry a folder that is not there (ptb-xl-plus): the files beside the header are read.
    FOLDER_IN_NAMES = "folder-in-names"


class Repaired(NamedTuple):
    """A repair that was made, and a note on what it found; never text of the header."""

    repair: Repair
    note: str


def refusal(path: Path, field: str, found: object, expected: str, advice: str = "") -> SourceError:
    """Return the error for a header, or a file it names, that cannot be true."""
    return strict.refusal(path, field, found, expected, advice, what="cannot read WFDB record")


def quoted(text: str) -> str:
    """Return a field of a header as a message may repeat it: what looks like a number as it is, other text by length.

    Example:
        >>> quoted("-125"), quoted("2,5/mV"), quoted("Jane")
        ('-125', '2,5/...', '4 characters')
    """
    number, slash, unit = text.partition("/")
    if _NUMBER_LIKE.fullmatch(number) is None:
        return f"{len(text)} characters"
    return text if _NUMBER_LIKE.fullmatch(unit) else f"{number}{slash}..."


def whole_number(path: Path, field: str, text: str, low: int, high: int) -> int:
    """Return a field that must be a whole number within bounds.

    Raises:
        SourceError: It is not.
    """
    if _WHOLE.fullmatch(text) is None or not low <= int(text) <= high:
        raise refusal(path, field, quoted(text), f"a whole number from {low} to {high}")
    return int(text)


def header_lines(path: Path) -> list[str]:
    """Return the lines of a header that are neither comment nor blank, without a blank at either end.

    Raises:
        SourceError: The file cannot be read, is too large, has a line that is too long, or no line at all.
    """
    size = strict.check_regular_file(path)
    if size > MAX_HEADER_BYTES:
        raise refusal(path, "size", f"{size} bytes", f"at most {MAX_HEADER_BYTES} bytes")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_HEADER_BYTES)
    except OSError as error:
        raise refusal(path, "file", error.strerror or type(error).__name__, "a readable header file") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise refusal(path, "first line", "nothing", "record name, number of signals, rate, number of samples")
    longest = max(map(len, lines))
    if longest > MAX_LINE_LENGTH:
        raise refusal(path, "line length", f"{longest} characters", f"at most {MAX_LINE_LENGTH} characters")
    return lines
