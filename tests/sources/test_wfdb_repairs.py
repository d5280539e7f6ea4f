"""Misprints of public archives: read under a named repair, never silently, and only where they are clear."""

import datetime as dt

import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import open_recording
from qualityfm.sources.wfdb_text import Repair

SIGNAL = "{file} 16 200(0)/mV 16 0 0 0 0 II\n"


def opened(make_record, first_line: str, file: str = "r1.dat"):
    return open_recording(make_record(f"{first_line}\n{SIGNAL.format(file=file)}", np.arange(1000)))


@pytest.mark.parametrize(
    ("first_line", "repairs", "start"),
    [
        ("r1 1 250 1000 15/08/1994 17:27:45", ("date-before-time",), dt.datetime(1994, 8, 15, 17, 27, 45)),
        ("r1 1 300 1000 2014-05-08 05:05:15", ("date-before-time", "date-form"), dt.datetime(2014, 5, 8, 5, 5, 15)),
        ("r1 1 500 1000 05-May-2020 09:49:17", ("date-before-time", "date-form"), dt.datetime(2020, 5, 5, 9, 49, 17)),
        ("r1 1 500 1000 09:49:17 5-MAY-2020", ("date-form",), dt.datetime(2020, 5, 5, 9, 49, 17)),
        ("r1 1 250 1000 22:30:00 02/03/89", ("start-left-out",), None),
        ("r1 1 250 1000 2006", ("start-left-out",), None),
        ("r1 1 250 1000 05-Foo-2020 09:49:17", ("start-left-out",), None),
        ("r1 1 250 1000 2014-13-08 05:05:15", ("start-left-out",), None),
        ("r1.mat 1 500 1000", ("other-record-name",), None),
        ("r1 1 250", ("length-from-file",), None),
        (
            "r1 1 250 0 15/08/1994 17:27:45",
            ("date-before-time", "length-from-file"),
            dt.datetime(1994, 8, 15, 17, 27, 45),
        ),
    ],
)
def test_a_misprinted_first_line_is_read_under_named_repairs(
    make_record, first_line: str, repairs: tuple[str, ...], start: dt.datetime | None
) -> None:
    recording = opened(make_record, first_line)
    assert recording.repairs == repairs
    assert recording.start == start
    assert len(recording.notes) == len(repairs)
    assert len(recording.signals[0].samples) == 1000


def test_names_that_carry_a_folder_are_those_beside_the_header(make_record) -> None:
    recording = opened(make_record, "old/home_1/r1 1 250 1000", "old/home_1/r1.dat")
    assert recording.repairs == ("folder-in-names",)
    assert recording.signals[0].samples[7] == np.float32(7 / 200)


@pytest.mark.parametrize(
    ("first_line", "file"),
    [
        ("old/r1 1 250 1000", "other/r1.dat"),
        ("old/r1 1 250 1000", "old/../r1.dat"),
        ("old/r1 1 250 1000", "/old/r1.dat"),
        ("r1 1 250 1000", "old/r1.dat"),
        ("../r1 1 250 1000", "../r1.dat"),
        ("old/../r1 1 250 1000", "old/../r1.dat"),
        ("/old/r1 1 250 1000", "/old/r1.dat"),
    ],
)
def test_a_folder_that_is_no_misprint_is_refused(make_record, first_line: str, file: str) -> None:
    with pytest.raises(SourceError, match=r"r1\.hea: (record name|signal 0: file): found"):
        opened(make_record, first_line, file)


def test_a_good_header_has_no_repair(make_record) -> None:
    recording = opened(make_record, "r1 1 250 1000 17:27:45 15/08/1994")
    assert (recording.repairs, recording.notes) == ((), ())


def test_repairs_are_plain_words() -> None:
    assert all(type(str(repair)) is str and str(repair).replace("-", "").isalpha() for repair in Repair)


def test_a_length_from_the_file_is_bounded_too(make_record) -> None:
    path = make_record(f"r1 1 0.001\n{SIGNAL.format(file='r1.dat')}", np.zeros(40_000))
    with pytest.raises(SourceError, match=r"number of samples: found '40000 at 0\.001 Hz', expected at most 366 days"):
        open_recording(path)


def test_more_samples_than_announced_are_noted(make_record) -> None:
    recording = opened(make_record, "r1 1 250 900")
    assert recording.notes == ("a signal file holds 1000 samples, 900 are announced: the rest is left out",)
    assert len(recording.signals[0].samples) == 900
