"""When an EDF file begins: two-digit years, the four-digit year of EDF+, dates that were taken out."""

from __future__ import annotations

import datetime as dt
import re

#: dd.mm.yy and hh.mm.ss; other separators are seen in files of some recorders.
_TRIPLE = re.compile(rb" ?(\d{1,2})[.:/-] ?(\d{1,2})[.:/-] ?(\d{1,2}) *")

_EDF_PLUS_DATE = re.compile(rb"Startdate +(?:X|(\d{2})-([A-Za-z]{3})-(\d{4}))(?: |$)")
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"

#: Two-digit years from here on are of the last century. Source: EDF+ specification, section 2.1.3, item 2.
_FIRST_YEAR = 85

_NOTHING = "start: no date and time that can be: left out"


def parse_start(date: bytes, time: bytes, recording: bytes) -> tuple[dt.datetime | None, list[str]]:
    """Return the instant in a header, local time, and notes; None where there is no date to hold on to.

    Args:
        date: The field dd.mm.yy.
        time: The field hh.mm.ss.
        recording: The field of the recording, in which EDF+ keeps the date with four digits for the year, or X for a
            date that was taken out. Nothing else of it is looked at.

    Example:
        >>> parse_start(b"02.03.84", b"10.20.30", b"")
        (datetime.datetime(2084, 3, 2, 10, 20, 30), [])
        >>> parse_start(b"01.01.85", b"00.00.00", b"Startdate X X X X")
        (None, [])
    """
    plus = _EDF_PLUS_DATE.match(recording)
    if plus is not None and plus[1] is None:
        return None, []
    day, clock = _TRIPLE.fullmatch(date), _TRIPLE.fullmatch(time)
    try:
        if day is None or clock is None:
            return None, [_NOTHING]
        in_header = dt.date(_year(int(day[3])), int(day[2]), int(day[1]))
        moment = dt.time(int(clock[1]), int(clock[2]), int(clock[3]))
        in_plus = None if plus is None else dt.date(int(plus[3]), _month(plus[2]), int(plus[1]))
    except ValueError:
        return None, [_NOTHING]
    if in_plus is None or in_plus == in_header:
        return dt.datetime.combine(in_header, moment), []
    if (in_plus.day, in_plus.month, in_plus.year % 100) == (in_header.day, in_header.month, in_header.year % 100):
        return dt.datetime.combine(in_plus, moment), []
    return None, ["start: the header's two dates differ: left out"]


def _year(two_digits: int) -> int:
    return two_digits + (1900 if two_digits >= _FIRST_YEAR else 2000)


def _month(name: bytes) -> int:
    return _MONTHS.split().index(name.decode().upper()) + 1
