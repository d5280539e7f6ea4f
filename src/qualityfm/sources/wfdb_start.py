"""The date and time a WFDB header gives for its first sample, with the named repairs of known slips."""

from __future__ import annotations

import datetime as dt
import re

from qualityfm.sources.wfdb_text import Repair, Repaired

_TIME = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,2})(?:\.(\d{1,12}))?", re.ASCII)
_DATE = re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})", re.ASCII)
_OTHER_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})", re.ASCII),
    re.compile(r"(?P<day>\d{1,2})-(?P<month>[A-Za-z]{3})-(?P<year>\d{4})", re.ASCII),
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_LEFT_OUT = Repaired(Repair.START_LEFT_OUT, "start: no date and time that can be: left out")
_SWAPPED = Repaired(Repair.DATE_BEFORE_TIME, "start: date and time stand the wrong way round")
_OTHER_FORM = Repaired(Repair.DATE_FORM, "start: the date is not written day/month/year")


def parse_start(fields: list[str]) -> tuple[dt.datetime | None, list[Repaired]]:
    """Return the instant of the first sample and the repairs made; None where there is no date to hold on to.

    The format asks for time, then date. Where they stand the other way round, or the date is written in another clear
    form, they are taken so. What is no date or time is left out, never quoted: headers of private archives may say
    anything there. A year of two digits is no date: the century would be a guess.

    Args:
        fields: What follows the number of samples in the first line.

    Example:
        >>> parse_start(["15/08/1994", "17:27:45"])[0]
        datetime.datetime(1994, 8, 15, 17, 27, 45)
    """
    if not fields:
        return None, []
    if len(fields) == 1:  # a time of day without date is usual and says no instant
        return None, [] if _time(fields[0]) is not None else [_LEFT_OUT]
    if len(fields) > 2:
        return None, [_LEFT_OUT]
    is_swapped = _date_match(fields[0]) is not None
    time_text, date_text = reversed(fields) if is_swapped else fields
    time, date = _time(time_text), _date(date_text)
    if time is None or date is None:
        return None, [_LEFT_OUT]
    repairs = [_SWAPPED] if is_swapped else []
    if _DATE.fullmatch(date_text) is None:
        repairs.append(_OTHER_FORM)
    return dt.datetime.combine(date, time), repairs


def _time(text: str) -> dt.time | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    try:
        return dt.time(hour, minute, second, int((match[4] or "0").ljust(6, "0")[:6]))
    except ValueError:
        return None


def _date_match(text: str) -> re.Match[str] | None:
    matches = (pattern.fullmatch(text) for pattern in (_DATE, *_OTHER_DATES))
    return next((match for match in matches if match), None)


def _date(text: str) -> dt.date | None:
    match = _date_match(text)
    if match is None:
        return None
    month = match["month"].lower()
    try:
        return dt.date(
            int(match["year"]), int(month) if month.isdigit() else _MONTHS.index(month) + 1, int(match["day"])
        )
    except ValueError:
        return None
