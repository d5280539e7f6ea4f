"""What is wrong with real CSV files: every one is refused by file and field, or read as what it is."""

import gzip
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import SignalError, SourceError
from qualityfm.sources import Layout, find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule

LAYOUT = Layout(
    name="lab",
    title="",
    source="csv",
    sample_rate_hz=100.0,
    time="t",
    channels=(ChannelRule(column="ppg"), ChannelRule(column="II", unit="mV")),
)
HEAD = "t,ppg,II\n"
ROWS = [f"{i / 100:.2f},{i % 7},{i % 3}\n" for i in range(300)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.csv"


def refused(path, layout=LAYOUT):
    """The refusal, which a listing must show too."""
    with pytest.raises(SourceError) as error:
        open_recording(path, layout=layout)
    (found,) = find_recordings(path.parent, layout=layout)
    assert (found.problem, found.duration_s, found.channels) == (str(error.value), 0.0, ())
    return str(error.value)


def with_row(number, row):
    return "".join([HEAD, *ROWS[: number - 1], f"{row}\n", *ROWS[number:]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_row(7, "0.06,1"), "row 7: found '2 cells', expected 3"),
        (with_row(7, "0.06,1,2,3"), "row 7: found '4 cells', expected 3"),
        (with_row(7, "0.06,0x1F,2"), "column ppg, row 7"),
        (with_row(7, "0.06,1 2,2"), "column ppg, row 7: found '1 2', expected a number"),
        (with_row(7, '0.06,"1\n2",2'), "row"),
        (with_row(7, "oops,1,2"), "column t, row 7"),
        (with_row(7, ",1,2"), "column t: found 'no time in a row with samples'"),
        (
            with_row(7, "0.03,1,2"),
            "time: found '0.03 s after 0.05 s in row 7', expected times that do not run backwards",
        ),
        (with_row(7, "1e9,1,2"), "time: found '1e+09 s after the first row'"),
        (with_row(7, "inf,1,2"), "time: found 'inf s after the first row'"),
        (HEAD, "rows: found 0, expected at least one"),
        ("", "column t: found 'one column of 0 characters'"),
        ("t;ppg;II\n0;1;2\n", "column t: found 'one column of 8 characters'"),
        ("t,ppg,ppg,II\n0,1,2,3\n", "column ppg: found '2 of that name', expected one"),
        ("t,PPG,II\n0,1,2\n", "column ppg: found 't, PPG, II', expected a column 'ppg'"),
        ("\0\0\0\0,1\n", "head line: found 'bytes that are no text'"),
        (f"t,ppg,II,{'x' * 80_000}\n0,1,2,3\n", "head line: found 'more than 65536 bytes'"),
        (f"t,ppg,II{',x' * 30_000}\n", "columns: found 30003, expected at most 4096"),
        (f"{HEAD}0,1,{'2' * (3 << 20)}\n", "line: found 'more than 1048576 bytes'"),
        ("".join([HEAD, *ROWS, "3.00,1"]), "last line: found '2 cells', expected 3"),
    ],
)
def test_what_cannot_be_true_is_refused_by_file_and_field(path, text, says):
    path.write_text(text, encoding="utf-8")
    message = refused(path)
    assert says in message
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("rate_hz", "says"),
    [
        (250.0, "sample_rate_hz: found 250.0, expected 100 Hz, as the time column says"),
        (101.5, "sample_rate_hz: found 101.5, expected 100 Hz"),
        (50.0, "sample_rate_hz: found 50.0, expected 100 Hz"),
    ],
)
def test_a_rate_that_the_time_column_contradicts_is_refused(path, rate_hz, says):
    path.write_text("".join([HEAD, *ROWS]))
    assert says in refused(path, replace(LAYOUT, sample_rate_hz=rate_hz))


def test_a_doubled_time_is_refused(path):
    path.write_text(with_row(7, "0.05,1,2\n0.06,1,2"))
    with pytest.raises(SourceError, match="time: found 'row 7 at the time of the row before'"):
        open_recording(path, layout=LAYOUT)


def test_a_rate_that_changes_on_the_way_is_refused(path):
    times = np.concatenate([np.arange(60_000) / 100, 600 + np.arange(60_000) / 250])
    path.write_text("".join([HEAD, *(f"{t:.3f},1,2\n" for t in times)]))
    with pytest.raises(SourceError, match=r"time: found '.* jumps in .* rows'"):
        open_recording(path, layout=LAYOUT)


def test_uneven_times_give_no_rate(path):
    steps = np.random.default_rng(0).uniform(0.001, 0.1, 3000)
    path.write_text("".join([HEAD, *(f"{t:.5f},1,2\n" for t in np.cumsum(steps))]))
    assert "unsteady" in refused(path, replace(LAYOUT, sample_rate_hz=None))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"time": "", "sample_rate_hz": None}, "sample_rate_hz: found None"),
        ({"channels": ()}, "channels: found 'none in the layout'"),
        ({"items": "rows"}, "items: found 'rows', expected no items"),
        ({"time_unit": "datetime"}, "column t, row 1: found '0.00', expected a date and time"),
        ({"channels": (ChannelRule(column="ppg", sample_rate_hz=60.0),)}, "expected a whole fraction of 100 Hz"),
        ({"channels": (ChannelRule(column="ABP", is_optional=True),)}, "expected a channel of layout lab"),
    ],
)
def test_a_layout_that_cannot_fit_is_refused_by_its_setting(path, settings, says):
    path.write_text("".join([HEAD, *ROWS]))
    assert says in refused(path, replace(LAYOUT, **settings))


def test_two_patients_in_one_file_are_refused(path):
    lines = [f"{row.strip()},{'ab'[i > 200]}\n" for i, row in enumerate(ROWS)]
    path.write_text("".join(["t,ppg,II,who\n", *lines]))
    assert "column who: found 'several patients'" in refused(path, replace(LAYOUT, subject_column="who"))


def test_no_text_of_a_cell_or_of_a_line_without_columns_gets_into_a_message(path):
    path.write_text(with_row(7, "0.06,Jane Doe,2"))
    assert "found '8 characters'" in refused(path)
    path.write_text("Patient: Jane Doe born 1950\nnothing else\n")
    with pytest.raises(SourceError) as error:
        open_recording(path)
    assert "Jane" not in str(error.value)
    assert "one column of 27 characters" in str(error.value)


def test_a_table_that_no_layout_describes_is_no_recording_and_refused_when_opened(path):
    path.write_text("record,quality,fold\na,acceptable,1\n")
    assert find_recordings(path.parent) == []
    with pytest.raises(SourceError, match=r"cannot read table: .*'record, quality, fold'.*--layout"):
        open_recording(path)


def test_files_that_a_layout_does_not_speak_of_are_passed_over(path):
    path.write_text("".join([HEAD, *ROWS]))
    path.with_name("labels.csv").write_text("record,fold\nr,1\n")
    (found,) = find_recordings(path.parent, layout=replace(LAYOUT, files="r*.csv"))
    assert found.path == path


@pytest.mark.parametrize("cut", [0.4, 0.9999])
def test_compressed_data_cut_short_are_refused(path, cut):
    data = gzip.compress("".join([HEAD, *ROWS]).encode())
    path = path.with_name("r.csv.gz")
    path.write_bytes(data[: int(len(data) * cut)])
    assert "compressed data: found 'damaged or cut short'" in refused(path)


def test_damaged_compressed_data_are_refused(path):
    data = bytearray(gzip.compress("".join([HEAD, *ROWS]).encode()))
    data[len(data) // 2] ^= 64
    path = path.with_name("r.csv.gz")
    path.write_bytes(data)
    assert "r.csv.gz" in refused(path)


def test_a_small_file_that_unfolds_to_a_large_one_is_refused_in_bounded_memory(path):
    path = path.with_name("bomb.csv.gz")
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"ppg,II\n")
        for _ in range(20):
            file.write(b"0,0\n" * 250_000)
    tracemalloc.start()
    message = refused(path, replace(LAYOUT, time=""))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "at most 100 times its size" in message
    assert peak < 100e6


def test_a_long_file_is_read_in_stretches_in_bounded_memory(path):
    with path.open("w") as file:
        file.write(HEAD)
        for i in range(0, 400_000, 1000):
            file.write("".join(f"{j / 100:.2f},{j % 7},1\n" for j in range(i, i + 1000)))
    tracemalloc.start()
    part = open_recording(path, layout=LAYOUT, start_s=3990.0, duration_s=5.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(part.signals[0].samples) == 500
    assert peak < 40e6


def test_a_gap_of_a_year_is_not_filled_in_memory(path):
    path.write_text("".join([HEAD, *ROWS, "31000000.00,1,2\n"]))
    with pytest.raises(SourceError, match=r"number of samples: found .* expected at most"):
        open_recording(path, layout=LAYOUT)
    assert len(open_recording(path, layout=LAYOUT, start_s=2.5, duration_s=3.0).signals[0].samples) == 300


def test_a_pipe_and_a_link_out_of_the_folder_are_not_opened(path, tmp_path):
    os.mkfifo(path)
    assert "expected a regular file" in refused(path)
    path.unlink()
    (tmp_path / "inside").mkdir()
    path.write_text("".join([HEAD, *ROWS]))
    link = tmp_path / "inside" / "r.csv"
    link.symlink_to(path)
    assert "a link out of the folder" in refused(link)


def test_an_item_of_a_csv_file_is_refused(path):
    path.write_text("".join([HEAD, *ROWS]))
    with pytest.raises(SourceError, match="item: found '0001'"):
        open_recording(path / "0001", layout=LAYOUT)


MUTATION_BYTES = b'0123456789,.-\n\r\t"eEnN;x \x00\xff'


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """Change, drop, double or insert bytes, or cut the end off."""
    data = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        at, length = int(random.integers(len(data))), int(random.integers(1, 9))
        kind = random.integers(5)
        if kind == 0:
            data[at] = MUTATION_BYTES[random.integers(len(MUTATION_BYTES))]
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[max(0, at - length) : at]
        elif kind == 3:
            data[at:at] = bytes(random.choice(list(MUTATION_BYTES), length).tolist())
        else:
            del data[max(8, at) :]
    return bytes(data)


def what_is_wrong(path):
    """The refusal of a file; None if it is read."""
    try:
        open_recording(path, layout=LAYOUT)
    except (SourceError, SignalError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
def test_a_mutated_file_is_read_or_refused_by_file_and_field(tmp_path: Path, name):
    random = np.random.default_rng(11)
    text = "".join([HEAD, *ROWS[:60]]).encode()
    golden = gzip.compress(text, mtime=0) if name.endswith(".gz") else text
    path = tmp_path / name
    num_refused = 0
    for _ in range(500):
        path.write_bytes(mutate(golden, random))
        message = what_is_wrong(path)
        if message:
            num_refused += 1
            assert message.split(": ")[1] == str(path), message
            assert message.split(": ")[2], message
            assert "\n" not in message
        (found,) = find_recordings(tmp_path, layout=LAYOUT)
        assert found.problem is None or found.problem.startswith(f"cannot read file: {path}: ")
    assert num_refused > 150
