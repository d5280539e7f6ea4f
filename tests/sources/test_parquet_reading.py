"""Parquet files: rows that are samples, and rows that are recordings."""

import datetime as dt
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qualityfm.errors import SignalError, SourceError
from qualityfm.sources import Layout, find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule
from qualityfm.sources.parquet_footer import ParquetTable

SAMPLES = Layout(
    name="lab",
    title="",
    source="parquet",
    sample_rate_hz=100.0,
    time="t",
    channels=(ChannelRule(column="ppg", gain=0.5), ChannelRule(column="II", unit="uV")),
)
ROWS = Layout(
    name="segments",
    title="",
    source="parquet",
    sample_rate_hz=100.0,
    items="rows",
    subject_column="who",
    channels=(ChannelRule(column="ecg", unit="mV"), ChannelRule(column="ppg", sample_rate_hz=50.0)),
)


def samples_table(num_rows=3000):
    t = np.arange(num_rows) / 100
    ppg = pa.array([None if i == 5 else i % 900 for i in range(num_rows)], pa.int16())
    return pa.table({"t": t, " II": np.arange(num_rows, dtype="f4") * 1000, "ppg": ppg, "note": ["x"] * num_rows})


def rows_table(num_rows=25, fixed=True):
    ecg = np.arange(num_rows * 200, dtype="f4")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(ecg), 200) if fixed else pa.array(list(ecg.reshape(-1, 200)))
    ppg = pa.array([list(range(100)) for _ in range(num_rows)], pa.list_(pa.int16()))
    return pa.table({"ecg": lists, "ppg": ppg, "who": [f"p{i // 10}" for i in range(num_rows)]})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.parquet"


def refused(path, layout, item=""):
    with pytest.raises(SourceError) as error:
        open_recording(path / item if item else path, layout=layout)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_plain_columns_become_channels_in_file_order(path):
    pq.write_table(samples_table(), path, row_group_size=700)
    recording = open_recording(path, layout=SAMPLES)
    ecg, ppg = recording.signals
    assert [(s.name, s.kind, s.unit) for s in (ecg, ppg)] == [("II", "ecg", "mV"), ("ppg", "ppg", "NU")]
    np.testing.assert_allclose(ecg.samples[:3], [0, 1, 2])
    assert np.flatnonzero(np.isnan(ppg.samples)).tolist() == [5]
    assert ppg.samples[9] == 4.5
    (found,) = find_recordings(path.parent, layout=SAMPLES)
    assert (found.path, found.duration_s, found.problem) == (path, 30.0, None)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_a_file_opens_by_its_name_without_ending_in_every_compression(path, compression):
    pq.write_table(samples_table(), path, compression=compression)
    assert open_recording(path.with_suffix(""), layout=SAMPLES).recording_id == "r"


def test_a_table_without_times_has_its_length_from_the_footer(path):
    pq.write_table(samples_table(), path)
    layout = replace(SAMPLES, time="")
    assert find_recordings(path.parent, layout=layout)[0].duration_s == 30.0
    assert open_recording(path, layout=layout, start_s=29.5).duration_s == 0.5


def test_row_groups_outside_of_the_stretch_are_not_decoded(path, monkeypatch):
    pq.write_table(samples_table(), path, row_group_size=500)
    decoded = []
    real = ParquetTable.batches

    def batches(self, columns, group, *rest):
        decoded.extend((column, group) for column in columns if column != "t")
        return real(self, columns, group, *rest)

    monkeypatch.setattr(ParquetTable, "batches", batches)
    find_recordings(path.parent, layout=SAMPLES)
    assert decoded == []
    part = open_recording(path, layout=SAMPLES, start_s=11.0, duration_s=3.0)
    assert set(decoded) == {(" II", 2), ("ppg", 2)}
    assert part.signals[0].samples[0] == 1100.0


def test_dates_give_the_start_and_gaps_stay_open(path):
    first = dt.datetime(2130, 5, 6, 7, 8, 9)
    times = [first + dt.timedelta(seconds=i / 100 + (2 if i >= 50 else 0)) for i in range(100)]
    pq.write_table(pa.table({"t": pa.array(times, pa.timestamp("ms")), "ppg": np.ones(100)}), path)
    layout = replace(SAMPLES, time_unit="datetime", channels=(ChannelRule(column="ppg"),))
    recording = open_recording(path, layout=layout)
    assert (recording.start, recording.duration_s) == (first, 3.0)
    assert np.isnan(recording.signals[0].samples).sum() == 200


@pytest.mark.parametrize("fixed", [True, False])
def test_each_row_of_lists_is_a_recording_with_its_patient(path, fixed):
    pq.write_table(rows_table(fixed=fixed), path, row_group_size=10)
    found = find_recordings(path.parent, layout=ROWS)
    assert [f.recording_id for f in found[:2]] == ["r/0000", "r/0001"]
    assert [(f.subject_id, f.duration_s, f.is_item) for f in found] == [(f"p{i // 10}", 2.0, True) for i in range(25)]
    recording = open_recording(found[13].path, layout=ROWS)
    assert (recording.recording_id, recording.subject_id) == ("r/0013", "p1")
    ecg, ppg = recording.signals
    np.testing.assert_array_equal(ecg.samples, np.arange(2600, 2800))
    assert (ppg.sample_rate_hz, len(ppg.samples)) == (50.0, 100)


def test_rows_are_read_in_any_order(path):
    pq.write_table(rows_table(), path, row_group_size=10)
    for index in (3, 24, 0, 12, 11, 12):
        recording = open_recording(path / f"{index:04d}", layout=ROWS)
        assert recording.signals[0].samples[0] == index * 200


def test_a_file_that_changed_is_read_anew(path):
    pq.write_table(rows_table(), path)
    open_recording(path / "0003", layout=ROWS)
    table = rows_table()
    pq.write_table(table.set_column(0, "ecg", pa.array([[7.0] * 200] * 25)), path)
    assert open_recording(path / "0003", layout=ROWS).signals[0].samples[0] == 7.0


def test_a_stretch_of_a_row_holds_the_samples_of_its_time(path):
    pq.write_table(rows_table(), path)
    ecg, ppg = open_recording(path / "0001", layout=ROWS, start_s=0.5, duration_s=1.0).signals
    np.testing.assert_array_equal(ecg.samples, np.arange(250, 350))
    np.testing.assert_array_equal(ppg.samples, np.arange(25, 75))
    with pytest.raises(SignalError, match=r"r\.parquet/0001: start_s"):
        open_recording(path / "0001", layout=ROWS, start_s=2.0)


@pytest.mark.parametrize("item", ["", "1", "0025", "-001", "a", "００01"])
def test_what_is_no_row_is_refused(path, item):
    pq.write_table(rows_table(), path)
    assert ": item: found" in refused(path, ROWS, item)


def test_an_item_of_a_file_of_samples_is_refused(path):
    pq.write_table(samples_table(), path)
    assert "item: found '0000', expected no item" in refused(path, SAMPLES, "0000")


def test_a_row_whose_channels_differ_in_length_has_a_wrong_rate(path):
    pq.write_table(rows_table(), path)
    wrong = replace(ROWS, channels=(ChannelRule(column="ecg"), ChannelRule(column="ppg")))
    assert "sample_rate_hz: found 'ecg 2 s, ppg 1 s'" in refused(path, wrong, "0000")


@pytest.mark.parametrize(
    ("column", "values", "layout", "says"),
    [
        ("ppg", ["1"] * 9, SAMPLES, "column ppg: found 'string', expected numbers"),
        ("ppg", [True] * 9, SAMPLES, "column ppg: found 'bool', expected numbers"),
        ("ppg", [[1]] * 9, SAMPLES, "column ppg: found 'list<"),
        ("ppg", [1.0] * 9, ROWS, "column ppg: found 'double', expected lists of numbers"),
        ("ppg", [["a"]] * 9, ROWS, "column ppg: found 'list<"),
        ("t", ["0"] * 9, SAMPLES, "column t: found 'string', expected numbers"),
        ("t", [None] * 9, SAMPLES, "column t"),
        ("t", [dt.datetime(2020, 1, 1)] * 9, SAMPLES, "column t: found 'timestamp[us]', expected times in s"),
        ("t", [0.0] * 8 + [None], SAMPLES, "column t: found 'a row without time'"),
        ("t", [0.0, 0.01, 0.02, 0.01, 0.04, 0.05, 0.06, 0.07, 0.08], SAMPLES, "times that do not run backwards"),
        ("t", [i / 50 for i in range(9)], SAMPLES, "sample_rate_hz: found 100.0, expected 50 Hz"),
    ],
)
def test_columns_of_other_things_are_refused(path, column, values, layout, says):
    lists = layout is ROWS
    columns = {"ppg": [1.0] * 9, "II": [1.0] * 9, "t": [i / 100 for i in range(9)]}
    if lists:
        columns = {"ecg": [[1.0]] * 9, "ppg": [[1.0]] * 9, "who": ["p"] * 9}
    pq.write_table(pa.table(columns | {column: values}), path)
    assert says in refused(path, layout, "0000" if lists else "")


def test_two_patients_in_one_file_of_samples_are_refused(path):
    pq.write_table(samples_table().append_column("who", [["a"] * 2999 + ["b"]]), path)
    assert "column who: found 'several patients'" in refused(path, replace(SAMPLES, subject_column="who"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"items": "cells"}, "items: found 'cells'"),
        ({"items": "rows"}, "time: found 't', expected no time column"),
        ({"time": "", "sample_rate_hz": None}, "sample_rate_hz: found None"),
    ],
)
def test_a_layout_that_cannot_fit_is_refused_by_its_setting(path, settings, says):
    pq.write_table(samples_table(), path)
    assert says in refused(path, replace(SAMPLES, **settings))


def test_a_file_that_no_layout_describes_is_no_recording_and_refused_when_opened(path):
    pq.write_table(samples_table(), path)
    assert find_recordings(path.parent) == []
    with pytest.raises(SourceError, match=r"columns: found 't, II, ppg, note'.*--layout"):
        open_recording(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data[: len(data) // 2],
        lambda data: b"PAR1" + data[-8:],
        lambda data: b"\0" * 4 + data[4:],
        lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],
        lambda data: data[:-8] + b"\0\0\0\0" + data[-4:],
        lambda data: data[:-4] + b"PARE",
        lambda data: b"",
        lambda data: bytes(range(256)) * 8,
    ],
)
def test_a_file_cut_or_overwritten_is_refused_and_listed_with_its_problem(path, damage):
    pq.write_table(samples_table(), path)
    path.write_bytes(damage(path.read_bytes()))
    message = refused(path, SAMPLES)
    (found,) = find_recordings(path.parent, layout=SAMPLES)
    assert (found.problem, found.duration_s, found.channels) == (message, 0.0, ())


def test_a_row_group_that_declares_too_much_is_refused_before_it_is_decoded(path, monkeypatch):
    pq.write_table(pa.table({"ppg": np.zeros(1_000_000)}), path, compression="zstd")
    monkeypatch.setattr("qualityfm.sources.parquet_footer.MAX_GROUP_BYTES", 7_999_999)
    allocated = pa.total_allocated_bytes()
    layout = replace(SAMPLES, time="", channels=(ChannelRule(column="ppg"),))
    assert "row group 0: found '8000" in refused(path, layout)
    assert path.stat().st_size < 10_000
    assert pa.total_allocated_bytes() - allocated < 1e6


def test_more_samples_than_fit_into_memory_are_refused_while_they_are_read(path, monkeypatch):
    pq.write_table(pa.table({"ppg": np.zeros(1_000_000)}), path)
    monkeypatch.setattr("qualityfm.sources.strict.MAX_SAMPLES", 200_000)
    layout = replace(SAMPLES, time="", channels=(ChannelRule(column="ppg"),))
    assert "number of samples: found" in refused(path, layout)
    assert open_recording(path, layout=layout, start_s=5000.0, duration_s=1000.0).duration_s == 1000.0


def test_a_huge_file_is_read_in_stretches_in_bounded_memory(path):
    with pq.ParquetWriter(path, pa.schema([("ppg", pa.float64())]), compression="zstd") as writer:
        for _ in range(8):
            writer.write_table(pa.table({"ppg": np.zeros(1_000_000)}))
    layout = replace(SAMPLES, time="", channels=(ChannelRule(column="ppg"),))
    tracemalloc.start()
    part = open_recording(path, layout=layout, start_s=75_000.0, duration_s=5.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(part.signals[0].samples) == 500
    assert peak < 20e6


def test_a_pipe_and_a_link_out_of_the_folder_are_not_opened(path, tmp_path):
    os.mkfifo(path)
    assert "expected a regular file" in refused(path, SAMPLES)
    path.unlink()
    (tmp_path / "inside").mkdir()
    pq.write_table(samples_table(), path)
    link = tmp_path / "inside" / "r.parquet"
    link.symlink_to(path)
    assert "a link out of the folder" in refused(link, SAMPLES)


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """Flip, set, drop or insert bytes, mostly in the footer."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    mutated = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(footer if random.random() < 0.7 else 0, len(mutated)))
        kind = random.integers(4)
        if kind == 0:
            mutated[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            mutated[at] = int(random.integers(256))
        elif kind == 2:
            del mutated[at : at + int(random.integers(1, 5))]
        else:
            mutated[at:at] = bytes([int(random.integers(256))])
    return bytes(mutated)


def what_is_wrong(path, layout):
    """The refusal of a recording; None if it is read."""
    try:
        open_recording(path, layout=layout)
    except (SourceError, SignalError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(("make", "layout", "item"), [(samples_table, SAMPLES, ""), (rows_table, ROWS, "0003")])
def test_a_mutated_file_is_read_or_refused_by_file_and_field(path, make, layout, item):
    random = np.random.default_rng(7)
    pq.write_table(make(), path, row_group_size=700 if layout is SAMPLES else 10)
    golden = path.read_bytes()
    num_refused = 0
    for _ in range(500):
        path.write_bytes(mutate(golden, random))
        message = what_is_wrong(path / item if item else path, layout)
        if message:
            num_refused += 1
            assert message.split(": ")[1].startswith(str(path)), message
            assert message.split(": ")[2], message
            assert "\n" not in message
        for found in find_recordings(path.parent, layout=layout):
            assert found.problem is None or found.problem.startswith(f"cannot read file: {path}: ")
    assert num_refused > 300


def test_the_footer_is_read_as_pyarrow_reads_it(path):
    pq.write_table(rows_table(), path, row_group_size=10)
    meta, table = pq.read_metadata(path), ParquetTable(path, path.stat().st_size)
    assert (table.num_rows, table.group_rows) == (meta.num_rows, [10, 10, 5])
    assert [table.num_values(name, 1) for name in ("ecg", "ppg", "who")] == [
        meta.row_group(1).column(i).num_values for i in range(3)
    ]
