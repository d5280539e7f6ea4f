"""The date and time a WFDB header gives for its first sample, with the named repairs of known slips."""

from __future__ import annotations

import datetime as dt
import re

_TIME = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,2})(?:\.(\d{1,12}))?", re.ASCII)
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)


def parse_start(fields: list[str]) -> tuple[dt.datetime | None, list[str]]:
    """Return the instant of the first sample and notes on repairs; None where there is no date to hold on to.

    The format asks for time, then date. Where they stand the other way round they are taken so and noted. What is no
    date or time is left out and noted, never quoted: headers of private archives may say anything there.

    Args:
        fields: What follows the number of samples in the first line.

    Example:
        >>> parse_start(["15/08/1994", "17:27:45"])
        (datetime.datetime(1994, 8, 15, 17, 27, 45), ['start: date and time stand the wrong way round'])
    """
    if not fields:
        return None, []
    notes = []
    if len(fields) == 2 and _DATE.fullmatch(fields[0]) and _TIME.fullmatch(fields[1]):
        notes.append("start: date and time stand the wrong way round")
        fields = [fields[1], fields[0]]
    if len(fields) == 1 and _DATE.fullmatch(fields[0]):
        return None, ["start: a date stands where the time belongs, and no time: left out"]
    time = _time(fields[0])
    date = _date(fields[1]) if len(fields) > 1 else None
    if time is None or (len(fields) > 1 and date is None) or len(fields) > 2:
        return None, ["start: no date and time that can be: left out"]
    if date is None:
        return None, []  # a time of day without date is usual and says no instant
    return dt.datetime.combine(date, time), notes


def _time(text: str) -> dt.time | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    try:
        return dt.time(hour, minute, second, int((match[4] or "0").ljust(6, "0")[:6]))
    except ValueError:
        return None


def _date(text: str) -> dt.date | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return dt.date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        return None
