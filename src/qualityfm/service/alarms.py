"""The alarms that a user reviews, and what was decided on each."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from qualityfm.errors import SignalError, problem
from qualityfm.service.kept_table import check_words, read_kept, write_kept
from qualityfm.tasks.alarms import ALARM_AT_S
from qualityfm.tasks.tables import number_of, read_labels, refuse

KEEP, MUTE = "keep", "mute"
#: Most alarms of one list, and decisions of one file: it is written anew for each. Our choice.
MAX_ALARMS = 20_000
#: Longest reason, characters. Our choice.
MAX_REASON = 500


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm that sounded.

    Attributes:
        recording: Name of the recording.
        alarm: Its kind, such as "Asystole".
        alarm_s: When it sounded, s from the start of the recording.
    """

    recording: str
    alarm: str
    alarm_s: float


def read_alarms(path: Path) -> tuple[Alarm, ...]:
    """Return the alarms of a table with the columns record, alarm and perhaps alarm_s, sorted by time.

    Without a column `alarm_s` the alarms sound where the benchmarks have them, `ALARM_AT_S`.

    Raises:
        TaskError: The table cannot be read, or has too many rows.
    """
    rows = read_labels(path, ("record", "alarm"))
    if len(rows) > MAX_ALARMS:
        raise refuse("too many alarms", path, "rows", len(rows), f"at most {MAX_ALARMS}")
    alarms = []
    for number, row in enumerate(rows, 2):
        where = f"{path} line {number}"
        alarm_s = number_of(row, "alarm_s", where, ALARM_AT_S)
        if alarm_s <= 0:
            raise refuse("wrong alarm", where, "alarm_s", alarm_s, "a time above 0 s")
        alarms.append(Alarm(recording=row["record"], alarm=row["alarm"], alarm_s=round(alarm_s, 3)))
    return tuple(sorted(alarms, key=lambda one: one.alarm_s))


def is_of(alarm: Alarm, recording: str) -> bool:
    """Return whether an alarm is of a recording, whose name may hold folders that a table leaves out."""
    return alarm.recording in (recording, PurePosixPath(recording).name)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a user decided on an alarm, and why."""

    recording: str
    alarm: str
    alarm_s: float
    decision: str
    reason: str


_NAMES = tuple(f.name for f in fields(Decision))


class Decisions:
    """Decisions on any number of alarms, in one CSV file or only in memory.

    Args:
        path: The file; it need not exist. None keeps nothing beyond the process.

    Raises:
        FormatError: The file is there and is not one of ours.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._lock = path, threading.Lock()
        known = read_kept(path, _NAMES, ("alarm_s",), "decisions") if path is not None and path.exists() else []
        self._kept = {_key(one): one for one in (Decision(**row) for row in known)}

    @property
    def can_keep(self) -> bool:
        """Whether there is a file to keep them in."""
        return self._path is not None

    def on(self, recording: str, alarm: Alarm) -> Decision | None:
        """Return what was decided on an alarm of a recording."""
        return self._kept.get((recording, alarm.alarm, alarm.alarm_s))

    def decide(self, recording: str, alarm: Alarm, values: Any) -> Decision | None:
        """Keep a decision in place of an earlier one, or take it back, and write the file.

        Raises:
            SignalError: It is no decision, or there is no file or no room for it.
            FormatError: The disk is full or refuses; the decision is not kept.
        """
        made = _decision(recording, alarm, values)
        key = (recording, alarm.alarm, alarm.alarm_s)
        with self._lock:
            kept = {k: one for k, one in self._kept.items() if k != key} | ({key: made} if made else {})
            if self._path is None or len(kept) > MAX_ALARMS:
                raise _no_room(recording, len(kept))
            write_kept(self._path, _NAMES, [asdict(one) for one in kept.values()])
            self._kept = kept
        return made


def _no_room(recording: str, num_kept: int) -> SignalError:
    expected = f"a file with at most {MAX_ALARMS} decisions"
    advice = "start the service with --decisions FILE"
    return SignalError(
        problem("not kept", where=recording, field="decisions", found=num_kept, expected=expected, advice=advice)
    )


def _key(one: Decision) -> tuple[str, str, float]:
    return one.recording, one.alarm, one.alarm_s


def _decision(recording: str, alarm: Alarm, values: Any) -> Decision | None:
    what = "not a decision"
    if not isinstance(values, dict) or set(values) - {"decision", "reason"}:
        expected = "an object of decision and perhaps reason"
        raise SignalError(problem(what, where=recording, field="body", found=type(values).__name__, expected=expected))
    chosen = values.get("decision")
    if chosen not in (KEEP, MUTE, ""):
        expected = f"{KEEP}, {MUTE}, or nothing to take it back"
        raise SignalError(problem(what, where=recording, field="decision", found=chosen, expected=expected))
    reason = check_words(what, recording, "reason", values.get("reason", ""), (0, MAX_REASON))
    if not chosen:
        return None
    return Decision(recording=recording, alarm=alarm.alarm, alarm_s=alarm.alarm_s, decision=chosen, reason=reason)
