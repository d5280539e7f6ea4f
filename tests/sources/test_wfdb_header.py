"""The strict header check: grammar, ranges, repairs, and what a refusal says."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import open_recording
from qualityfm.sources.wfdb_header import MultiHeader, SingleHeader, read_header

SIGNALS = "r1.dat 16 200(0)/mV 16 0 0 0 0 II\nr1.dat 16 100(0)/mmHg 16 0 0 0 0 ABP\n"


def header_of(tmp_path: Path, text: str) -> SingleHeader | MultiHeader:
    path = tmp_path / "r1.hea"
    path.write_text(text, encoding="utf-8")
    return read_header(path)


@pytest.mark.parametrize("rate", ["-125", "nan", "inf", "62,4725", "0", "1e9", "250Hz", "0x10", "", "١٢٥", "1.25e9999"])
def test_a_rate_that_is_no_positive_number_is_refused(tmp_path: Path, rate: str) -> None:
    with pytest.raises(SourceError, match=r"sampling rate: found .*expected a number above 0"):
        header_of(tmp_path, f"r1 2 {rate or '/'} 1000\n{SIGNALS}")


@pytest.mark.parametrize(
    ("rate", "rate_hz"), [("1.25e2", 125.0), ("62.4725/999.56", 62.4725), ("360/1.5(-3)", 360.0), (".5", 0.5)]
)
def test_a_rate_in_any_true_notation_is_read_in_full(tmp_path: Path, rate: str, rate_hz: float) -> None:
    assert header_of(tmp_path, f"r1 2 {rate} 1000\n{SIGNALS}").frame_rate_hz == rate_hz


def test_a_missing_rate_is_the_formats_default_and_noted(tmp_path: Path) -> None:
    header = header_of(tmp_path, f"r1 2\n{SIGNALS}")
    assert header.frame_rate_hz == 250.0
    assert any("250 Hz" in note for note in header.notes)


@pytest.mark.parametrize("gain", ["nan", "inf", "2,5", "200(0", "200(1.5)/mV", "1e300", "1e-30/mV", "/mV", "mV"])
def test_a_gain_that_is_no_usable_number_is_refused(tmp_path: Path, gain: str) -> None:
    with pytest.raises(SourceError, match="signal 0: gain: found"):
        header_of(tmp_path, f"r1 1 250 1000\nr1.dat 16 {gain} 16 0 0 0 0 II\n")


@pytest.mark.parametrize(("gain", "value"), [("2E2", 200.0), ("1.052e+04/mV", 10520.0), ("-200(3)/mV", -200.0)])
def test_a_gain_in_any_true_notation_is_read_in_full(tmp_path: Path, gain: str, value: float) -> None:
    header = header_of(tmp_path, f"r1 1 250 1000\nr1.dat 16 {gain} 16 0 0 0 0 II\n")
    assert isinstance(header, SingleHeader)
    assert header.signals[0].gain == value


@pytest.mark.parametrize("gain", ["0", "0/mV", "0.0(5)/mV", ""])
def test_a_signal_without_calibration_has_an_arbitrary_unit_and_a_note(tmp_path: Path, gain: str) -> None:
    rest = "16 0 0 0 0 II" if gain else ""
    header = header_of(tmp_path, f"r1 1 250 1000\nr1.dat 16 {gain} {rest}\n")
    assert isinstance(header, SingleHeader)
    assert (header.signals[0].unit, header.signals[0].gain) == ("NU", 200.0)
    assert any("not calibrated" in note for note in header.notes)


def test_a_missing_baseline_is_the_adc_zero(tmp_path: Path) -> None:
    header = header_of(tmp_path, "r1 1 360 1000\nr1.dat 212 200 11 1024 995 -22131 0 MLII\n")
    assert isinstance(header, SingleHeader)
    assert (header.signals[0].baseline, header.signals[0].unit) == (1024, "mV")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("r1.dat 17 200 16 0 0 0 0 II", "format"),
        ("r1.dat 16y2 200 16 0 0 0 0 II", "format"),
        ("r1.dat", "format"),
        ("r1.dat 16x0 200 16 0 0 0 0 II", "samples per frame"),
        ("r1.dat 16x99999 200 16 0 0 0 0 II", "samples per frame"),
        ("r1.dat 16:99999999999999 200 16 0 0 0 0 II", "skew"),
        ("r1.dat 16+99999999999999 200 16 0 0 0 0 II", "byte offset"),
        ("r1.dat 16 200(999999999999)/mV 16 0 0 0 0 II", "baseline"),
        ("r1.dat 16 200 99 0 0 0 0 II", "ADC resolution"),
        ("r1.dat 16 200 16 1.5 0 0 0 II", "ADC zero"),
        ("r1.dat 16 200 16 0 x 0 0 II", "initial value"),
        ("r1.dat 16 200 16 0 0 1e3 0 II", "checksum"),
        ("r1.dat 16 200 16 0 0 0 -1 II", "block size"),
    ],
)
def test_a_refusal_names_file_field_found_and_expected(tmp_path: Path, line: str, field: str) -> None:
    with pytest.raises(SourceError) as refused:
        header_of(tmp_path, f"r1 1 250 1000\n{line}\n")
    message = str(refused.value)
    assert "\n" not in message
    assert f"{tmp_path / 'r1.hea'}: signal 0: {field}: found " in message
    assert "expected" in message


@pytest.mark.parametrize("count", ["0", "1", "3", "-2", "two", "99999999"])
def test_another_number_of_signals_than_announced_is_refused(tmp_path: Path, count: str) -> None:
    with pytest.raises(SourceError, match=r"signal lines|number of signals"):
        header_of(tmp_path, f"r1 {count} 250 1000\n{SIGNALS}")


@pytest.mark.parametrize("length", ["-1", "1.5", "1e5", "999999999999", "9" * 30, "many"])
def test_a_length_that_cannot_be_is_refused(tmp_path: Path, length: str) -> None:
    with pytest.raises(SourceError, match="number of samples"):
        header_of(tmp_path, f"r1 2 250 {length}\n{SIGNALS}")


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line length: found '80"):
        header_of(tmp_path, f"r1 1 250 1000\nr1.dat 16 {'1' * 80_000} 16 0 0 0 0 II\n")


def test_a_header_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="size: found"):
        header_of(tmp_path, "#" * 4_000_001)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\x00\x01\x02", "{}"])
def test_a_file_that_is_no_header_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError, match=r"first line|record name"):
        header_of(tmp_path, text)


def test_a_comment_is_dropped_even_when_odd_characters_follow(tmp_path: Path) -> None:
    header = header_of(tmp_path, f"# r1 9\nr1 2 250 1000\n{SIGNALS}#Asystole\x0bTrue alarm\u2028x\x85y\n # indented\n")
    assert "Asystole" not in repr(header)
    assert "alarm" not in repr(header)


def test_a_header_in_latin_1_with_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r1.hea"
    path.write_bytes("r1 1 250 1000\r\nr1.dat 16 1(0)/µV 16 0 0 0 0 II\r\n".encode("latin-1"))
    header = read_header(path)
    assert isinstance(header, SingleHeader)
    assert header.signals[0].unit == "µV"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", None),
        ("17:27:45 15/08/1994", dt.datetime(1994, 8, 15, 17, 27, 45)),
        ("10:44:18.529 04/05/2704", dt.datetime(2704, 5, 4, 10, 44, 18, 529_000)),
        ("10:44:18.529", None),
    ],
)
def test_a_true_start_is_read_without_a_note(tmp_path: Path, text: str, start: dt.datetime | None) -> None:
    header = header_of(tmp_path, f"r1 2 250 1000 {text}\n{SIGNALS}")
    assert (header.start, header.notes) == (start, ())


def test_date_and_time_the_wrong_way_round_are_repaired_and_noted(tmp_path: Path) -> None:
    header = header_of(tmp_path, f"r1 2 250 1000 15/08/1994 17:27:45\n{SIGNALS}")
    assert header.start == dt.datetime(1994, 8, 15, 17, 27, 45)
    assert header.notes == ("start: date and time stand the wrong way round",)


@pytest.mark.parametrize(
    "text",
    ["15/08/1994", "17:27:45 08/15/1994", "25:00:00 15/08/1994", "1:2:3:4 1/1/2000", "Jane Doe", "1:2:3 1/1/2000 x"],
)
def test_a_start_that_cannot_be_is_left_out_with_a_note_that_quotes_nothing(tmp_path: Path, text: str) -> None:
    header = header_of(tmp_path, f"r1 2 250 1000 {text}\n{SIGNALS}")
    assert header.start is None
    assert len(header.notes) == 1
    assert "left out" in header.notes[0]
    assert text not in header.notes[0]


def test_signals_of_one_file_that_are_listed_apart_are_refused(tmp_path: Path) -> None:
    lines = [f"{file}.dat 16 200 16 0 0 0 0 {name}" for file, name in [("a", "A"), ("b", "B"), ("a", "C")]]
    with pytest.raises(SourceError, match=r"signal 2: file: found 'a\.dat', expected all signals of one file"):
        header_of(tmp_path, "r1 3 250 1000\n" + "\n".join(lines))


def test_signals_of_one_file_in_two_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="signal 1: format: found 212, expected 16"):
        header_of(tmp_path, "r1 2 250 9\nr1.dat 16 200 16 0 0 0 0 II\nr1.dat 212 200 16 0 0 0 0 V\n")


def test_signals_of_one_file_at_two_offsets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="signal 1: byte offset: found 48, expected 24"):
        header_of(tmp_path, "r1 2 250 9\nr1.dat 16+24 200 16 0 0 0 0 II\nr1.dat 16+48 200 16 0 0 0 0 V\n")


def test_a_stored_signal_beside_one_without_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="signal 1: file: found '~'"):
        header_of(tmp_path, "r1 2 250 9\nr1.dat 16 200 16 0 0 0 0 II\n~ 0 200 16 0 0 0 0 V\n")


def test_a_signal_without_a_name_gets_its_number(tmp_path: Path) -> None:
    header = header_of(tmp_path, "r1 1 250 9\nr1.dat 16 200\n")
    assert isinstance(header, SingleHeader)
    assert header.signals[0].name == "signal 0"


@pytest.mark.parametrize(
    ("unit", "canonical", "factor"),
    [
        ("µV", "mV", 1e-3),
        ("μV", "mV", 1e-3),
        ("uV", "mV", 1e-3),
        ("V", "mV", 1e3),
        ("mmHg", "mmHg", 1),
        ("NU", "NU", 1),
    ],
)
def test_voltages_come_in_millivolts_and_pressures_in_mmhg(
    make_record, unit: str, canonical: str, factor: float
) -> None:
    samples = np.array([[-100], [0], [50], [-32768]])
    path = make_record(f"r1 1 250 4\nr1.dat 16 10(0)/{unit} 16 0 0 0 0 chan\n", samples)
    (signal,) = open_recording(path).signals
    assert signal.unit == canonical
    np.testing.assert_allclose(signal.samples, np.array([-10, 0, 5, np.nan]) * factor, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "name"), [("II#Asystole", "II"), ("ABP #True alarm", "ABP"), ("#Asystole", "signal 0")]
)
def test_a_comment_that_lost_its_line_break_does_not_enter_the_name(tmp_path: Path, text: str, name: str) -> None:
    header = header_of(tmp_path, f"r1 1 250 9\nr1.dat 16 200 16 0 0 0 0 {text}\n")
    assert isinstance(header, SingleHeader)
    assert header.signals[0].name == name
