"""Annotation files: read as `wfdb` reads them, refused where it would loop, guess or go astray; and written."""

import dataclasses
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qualityfm.errors import QualityFMError, SignalError, SourceError
from qualityfm.sources.annotations import Annotations, Label, read_annotations
from qualityfm.sources.wfdb_annotation_write import write_annotations

NOTE, RHYTHM, NORMAL = 22 << 2, 28 << 2, 1 << 2
SKIP, NUM, SUB, CHAN, AUX = (code << 2 for code in (59, 60, 61, 62, 63))
END = bytes([0, 0])


def note(text: str, sample: int = 0, label: int = NOTE) -> bytes:
    content = text.encode()
    return bytes([sample, label, len(content), AUX]) + content + bytes(len(content) % 2)


@pytest.fixture
def write(tmp_path: Path):
    """Write bytes as r1.atr beside a header of 250 Hz; return the record's path."""

    def writing(content: bytes, header: str = "r1 1 250 1000\nr1.dat 16 200 16 0 0 0 0 II\n") -> Path:
        (tmp_path / "r1.hea").write_text(header)
        (tmp_path / "r1.atr").write_bytes(content)
        return tmp_path / "r1"

    return writing


def some(**changes: object) -> Annotations:
    good = Annotations(
        sample_rate_hz=250.0,
        times_s=np.array([0.0, 1.0, 70_000.0]),
        symbols=("+", "N", "~"),
        texts=("(AFIB", "", "motion, 2.5 s"),
        subtypes=np.array([0, 0, -1], np.int16),
        channels=np.array([0, 1, 1], np.uint8),
        numbers=np.array([0, 3, 3], np.int16),
    )
    return dataclasses.replace(good, **changes)


def assert_same(found: Annotations, expected: Annotations) -> None:
    for field in dataclasses.fields(Annotations):
        left, right = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right


def test_times_symbols_notes_and_fields_are_read(write) -> None:
    content = note("(AFIB", 18, RHYTHM) + bytes([77, NORMAL, 200, 5 << 2, 255, SUB, 1, CHAN, 9, NORMAL, 2, NUM]) + END
    found = read_annotations(write(content), "atr")
    np.testing.assert_allclose(found.times_s, np.array([18, 95, 295, 304]) / 250)
    assert found.symbols == ("+", "N", "V", "N")
    assert found.texts == ("(AFIB", "", "", "")
    assert found.subtypes.tolist() == [0, 0, -1, 0]
    assert found.channels.tolist() == [0, 0, 1, 1]  # carried on, as the format says
    assert found.numbers.tolist() == [0, 0, 0, 2]
    assert repr(found) == "Annotations: 4 (+ 1, N 2, V 1)"


def test_the_files_own_time_resolution_comes_before_the_headers(write) -> None:
    found = read_annotations(write(note("## time resolution: 62.5") + bytes([125, NORMAL]) + END), "atr")
    assert (found.sample_rate_hz, found.times_s.tolist()) == (62.5, [2.0])


def test_symbols_that_the_file_defines_are_known(write) -> None:
    head = note("## annotation type definitions") + note("42 qq a thing") + note("## end of definitions")
    found = read_annotations(write(head + bytes([5, 42 << 2, 5, 43 << 2]) + END), "atr")
    assert found.symbols == ("qq", "[43]")
    assert found.labels == (Label(code=42, symbol="qq", description="a thing"),)


def test_a_long_pause_is_skipped(write) -> None:
    found = read_annotations(write(bytes([0, SKIP, 1, 0, 0, 0, 4, NORMAL]) + END), "atr")
    assert found.times_s.tolist() == [(65_536 + 4) / 250]


def test_annotations_out_of_order_are_put_in_order(write) -> None:
    back = bytes([0, SKIP, 255, 255, 236, 255])  # -20
    found = read_annotations(write(bytes([100, NORMAL]) + back + bytes([0, 5 << 2]) + END), "atr")
    assert found.symbols == ("V", "N")


def test_a_note_at_the_start_that_defines_nothing_stays(write) -> None:
    found = read_annotations(
        write(note("## made by hand") + bytes([7, NORMAL]) + END), "atr"
    )  # wfdb would never return
    assert found.texts == ("## made by hand", "")


@pytest.mark.parametrize("text", ["Rhythmusstörung", "심방세동"])
def test_a_note_in_utf_8_is_read(write, text: str) -> None:
    assert read_annotations(write(note(text, 1) + END), "atr").texts == (text,)


def test_a_file_without_annotations_is_read(write) -> None:
    assert len(read_annotations(write(END), "atr")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "size: found '0 bytes'"),
        (b"\x01", "size: found '1 bytes'"),
        (bytes([5, NORMAL, 0]), "size: found '3 bytes'"),
        (bytes([5, NORMAL]), "end mark: found 'nothing'"),
        (bytes([5, NORMAL, 200, AUX]) + b"(AF" + bytes(5), "end mark: found 'nothing'.*copy it again"),
        (bytes([0, SKIP, 1, 0]), "end mark: found 'nothing'"),
        (bytes([5, NORMAL]) + END + bytes([5, NORMAL]) + END, "end mark: found 'at word 1 of 4'"),
        (bytes([1, SUB, 5, NORMAL]) + END, "word 0: found 'code 61'"),
        (bytes([5, NORMAL, 1, SUB, 2, SUB]) + END, "word 2: found 'code 61'"),
        (bytes([5, 55 << 2]) + END, "word 0: found 'code 55'"),
        (bytes([0, SKIP, 255, 255, 0, 0, 5, NORMAL]) + END, "time of an annotation: found '-65531 samples'"),
        (note("## time resolution: fast") + END, "time resolution: found"),
        (note("## time resolution: -5") + END, "time resolution: found"),
        (note("## time resolution: 5") + note("## time resolution: 6") + END, "time resolution: found '2 values'"),
        (note("## annotation type definitions") + END, "annotation type definitions: found"),
        (note("## annotation type definitions") + bytes([9, NORMAL]) * 3 + END, "annotation type definitions: found"),
        (note("## end of definitions") + END, "annotation type definitions: found"),
        (
            note("## annotation type definitions") + note("nonsense") + note("## end of definitions") + END,
            "annotation type definitions: found",
        ),
    ],
)
def test_what_breaks_the_format_is_refused_by_file_and_field(write, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=rf"cannot read WFDB record: .*r1\.atr: {message}"):
        read_annotations(write(content), "atr")


def test_padding_behind_the_end_mark_is_harmless(write) -> None:
    assert len(read_annotations(write(bytes([5, NORMAL]) + END * 9), "atr")) == 1


def test_a_file_of_many_megabytes_is_refused(write) -> None:
    with pytest.raises(SourceError, match="size: found '4000002 bytes'"):
        read_annotations(write(bytes(4_000_002)), "atr")


def test_a_header_that_cannot_be_is_refused(write) -> None:
    with pytest.raises(SourceError, match="sampling rate: found '-125'"):
        read_annotations(write(bytes([5, NORMAL]) + END, "r1 1 -125 1000\nr1.dat 16\n"), "atr")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r1.atr")
    with pytest.raises(SourceError, match="no regular file"):
        read_annotations(tmp_path / "r1", "atr")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "secret").write_bytes(END)
    (tmp_path / "archive" / "r1.atr").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceError, match="a link out of the folder"):
        read_annotations(tmp_path / "archive" / "r1", "atr")


@pytest.mark.parametrize("extension", ["", "a.b", "../x", "hea", "a/b", "atr::zip", "1"])
def test_an_extension_that_is_none_is_refused(tmp_path: Path, extension: str) -> None:
    with pytest.raises(SourceError, match="extension: found"):
        read_annotations(tmp_path / "r1", extension)


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/r1", "s3://bucket/r1", "zip://x::http://127.0.0.1:9/r1"])
def test_no_name_opens_a_connection(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(SourceError, match="No such file"):
        read_annotations(name, "atr")


@given(st.lists(st.sampled_from([0, 1, 5, 88, 4, 112, 236, 240, 244, 248, 252, 255]), max_size=60).map(bytes))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(write, content: bytes) -> None:
    path = write(content + bytes(len(content) % 2))
    try:
        found = read_annotations(path, "atr")
    except SourceError:
        return
    assert len(found) == len(found.symbols) == len(found.texts) == len(found.subtypes)
    assert (found.times_s >= 0).all()


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = write_annotations(some(), tmp_path / "r1.hea", "qfm")
    assert path == tmp_path / "r1.qfm"
    assert_same(read_annotations(tmp_path / "r1", "qfm"), some())


def test_wfdb_itself_reads_what_is_written(tmp_path: Path) -> None:
    write_annotations(some(), tmp_path / "r1", "qfm")
    theirs = wfdb.rdann(str(tmp_path / "r1"), "qfm")
    assert theirs.sample.tolist() == [0, 250, 17_500_000]
    assert (theirs.symbol, theirs.aux_note, theirs.fs) == (["+", "N", "~"], ["(AFIB", "", "motion, 2.5 s"], 250)


def test_symbols_of_ones_own_are_written_with_their_meaning(tmp_path: Path) -> None:
    label = Label(code=42, symbol="%", description="quality below 0.5")
    mine = some(symbols=("%", "N", "%"), labels=(label,), texts=("", "", "Störung"))
    write_annotations(mine, tmp_path / "r1", "qfm")
    assert_same(read_annotations(tmp_path / "r1", "qfm"), mine)


def test_times_are_sorted_and_move_to_the_nearest_tick(tmp_path: Path) -> None:
    write_annotations(some(times_s=np.array([2.0, 1.0011, 0.5])), tmp_path / "r1", "qfm")
    found = read_annotations(tmp_path / "r1", "qfm")
    assert found.symbols == ("~", "N", "+")
    np.testing.assert_allclose(found.times_s, [0.5, 1.0, 2.0])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sample_rate_hz": 0.0}, "sample_rate_hz"),
        ({"times_s": np.array([0.0, np.nan, 1.0])}, "times_s"),
        ({"times_s": np.array([0.0, -1.0, 1.0])}, "times_s"),
        ({"times_s": np.array([0.0, 1e12, 1.0])}, "times_s"),
        ({"symbols": ("N", "hello", "N")}, "symbols"),
        ({"texts": ("", "x" * 256, "")}, "texts"),
        ({"texts": ("", "two\nlines", "")}, "texts"),
        ({"texts": ("## time resolution: 5", "", "")}, "texts"),
        ({"subtypes": np.array([0, 200, 0], np.int16)}, "subtypes"),
        ({"numbers": np.array([0, -1, 0], np.int16)}, "numbers"),
        ({"labels": (Label(code=1, symbol="%", description="taken"),)}, "labels"),
        ({"labels": (Label(code=42, symbol="N", description="taken"),)}, "labels"),
        ({"labels": (Label(code=42, symbol="qq", description="two characters"),)}, "labels"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(SignalError, match=rf"cannot write annotations: .*r1\.qfm: {field}: found"):
        write_annotations(some(**changes), tmp_path / "r1", "qfm")
    assert list(tmp_path.iterdir()) == []


def test_no_annotation_at_all_is_refused(tmp_path: Path) -> None:
    none = some(times_s=np.empty(0), symbols=(), texts=())
    with pytest.raises(QualityFMError, match="annotations: found 0, expected at least one"):
        write_annotations(none, tmp_path / "r1", "qfm")


@pytest.mark.real
def test_every_public_file_reads_as_wfdb_reads_it(real_data: Path) -> None:
    paths = sorted(real_data.rglob("*.atr"))
    assert len(paths) >= 41
    for path in paths[::4]:
        found, theirs = read_annotations(path.with_suffix(""), "atr"), wfdb.rdann(str(path.with_suffix("")), "atr")
        np.testing.assert_array_equal(np.round(found.times_s * found.sample_rate_hz), theirs.sample)
        assert list(found.symbols) == theirs.symbol
        assert list(found.texts) == [text.rstrip("\0") for text in theirs.aux_note]
        np.testing.assert_array_equal(found.subtypes, theirs.subtype)
        np.testing.assert_array_equal(found.channels, theirs.chan)


@pytest.mark.real
def test_the_rhythms_of_a_patient_with_atrial_fibrillation_are_there(real_data: Path) -> None:
    found = read_annotations(real_data / "mitdb" / "203", "atr")
    assert {"(AFIB", "(AFL", "(VT"} <= set(found.texts)


@pytest.mark.real
def test_a_public_file_survives_writing(real_data: Path, tmp_path: Path) -> None:
    found = read_annotations(real_data / "mitdb" / "207", "atr")
    write_annotations(found, tmp_path / "207", "atr")
    assert_same(read_annotations(tmp_path / "207", "atr"), found)
