"""What a user marks in the viewer, kept in one CSV file that is whole at any time."""

from __future__ import annotations

import math
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qualityfm.errors import SignalError, problem
from qualityfm.service.kept_table import check_words, read_kept, write_kept

#: Longest label and note, characters. Our choice.
MAX_LABEL, MAX_NOTE = 40, 500
#: Most marks in one file: it is written anew for each. Our choice.
MAX_MARKS = 20_000


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A stretch that a user has marked; times in seconds from the start of the recording."""

    recording: str
    start_s: float
    end_s: float
    channel: str
    label: str
    note: str


class Notebook:
    """Marks on any number of recordings in one CSV file.

    Args:
        path: The file; it need not exist.

    Raises:
        FormatError: The file is there and is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        known = read_kept(path, _NAMES, ("start_s", "end_s"), "marks") if path.exists() else []
        self._marks = [Mark(**row) for row in known]

    def of(self, recording: str) -> list[Mark]:
        """Return the marks of a recording, oldest first."""
        return [mark for mark in self._marks if mark.recording == recording]

    def add(self, recording: str, duration_s: float, values: Any) -> Mark:
        """Add a mark and write the file.

        Raises:
            SignalError: The mark is none, or there are too many.
            FormatError: The disk is full or refuses; the mark is not kept.
        """
        mark = _mark(recording, duration_s, values)
        with self._lock:
            if len(self._marks) >= MAX_MARKS:
                expected = f"fewer than {MAX_MARKS} in one file"
                raise SignalError(
                    problem("too many marks", where=recording, field="marks", found=len(self._marks), expected=expected)
                )
            self._write([*self._marks, mark])
        return mark

    def remove(self, recording: str, number: int) -> bool:
        """Remove a recording's mark by its place in `of`, and write the file; False where there is none."""
        with self._lock:
            marks = self.of(recording)
            if not 0 <= number < len(marks):
                return False
            self._write([mark for mark in self._marks if mark is not marks[number]])
        return True

    def _write(self, marks: list[Mark]) -> None:
        write_kept(self._path, _NAMES, [asdict(mark) for mark in marks])
        self._marks = marks


_NAMES = tuple(f.name for f in fields(Mark))


def _mark(recording: str, duration_s: float, values: Any) -> Mark:
    if not isinstance(values, dict) or set(values) - {"start_s", "end_s", "channel", "label", "note"}:
        expected = "an object of start_s, end_s, label, and perhaps channel and note"
        raise SignalError(
            problem("not a mark", where=recording, field="body", found=type(values).__name__, expected=expected)
        )
    start_s = _instant(recording, "start_s", values.get("start_s"), 0.0, duration_s)
    return Mark(
        recording=recording,
        start_s=start_s,
        end_s=_instant(recording, "end_s", values.get("end_s"), start_s, duration_s),
        channel=check_words("not a mark", recording, "channel", values.get("channel", ""), (0, 200)),
        label=check_words("not a mark", recording, "label", values.get("label"), (1, MAX_LABEL)),
        note=check_words("not a mark", recording, "note", values.get("note", ""), (0, MAX_NOTE)),
    )


def _instant(recording: str, field: str, value: Any, lowest: float, highest: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and lowest <= value <= highest):
        expected = f"seconds from {lowest:g} to {highest:g}"
        raise SignalError(problem("not a mark", where=recording, field=field, found=value, expected=expected))
    return round(float(value), 3)
