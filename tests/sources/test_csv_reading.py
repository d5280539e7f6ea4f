"""CSV files read as a layout says."""

import datetime as dt
import gzip
from dataclasses import replace

import golden_tables
import numpy as np
import pytest

from qualityfm.errors import SignalError, SourceError
from qualityfm.records import ChannelKind
from qualityfm.sources import Layout, find_recordings, open_recording
from qualityfm.sources.csv_rows import CsvTable
from qualityfm.sources.layout import ChannelRule

LAYOUT = Layout(
    name="lab",
    title="",
    source="csv",
    sample_rate_hz=100.0,
    time="t",
    channels=(ChannelRule(column="ppg"), ChannelRule(column="II", unit="uV")),
)
TIMELESS = replace(LAYOUT, time="")


def rows(num_rows=300, rate_hz=100.0):
    return [(i / rate_hz, 5.0 + i % 7, 1000.0 * (i % 3)) for i in range(num_rows)]


@pytest.fixture
def write(tmp_path):
    """Write rows under a head line."""

    def make(table, head="t,ppg,II", name="r.csv", separator=",", end="\n"):
        lines = [head, *(separator.join(map(str, row)) for row in table)]
        path = tmp_path / name
        text = "".join(f"{line}{end}" for line in lines).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return make


def read(path, layout=LAYOUT, **stretch):
    return open_recording(path, layout=layout, **stretch)


def samples(path, layout=LAYOUT, channel=0, **stretch):
    return read(path, layout, **stretch).signals[channel].samples


def test_columns_become_channels_in_file_order_with_kind_unit_and_rate(write):
    recording = read(write([row[::-1] for row in rows()], head="II,ppg,t"))
    assert [(s.name, s.kind, s.unit, s.sample_rate_hz) for s in recording.signals] == [
        ("II", ChannelKind.ECG, "mV", 100.0),
        ("ppg", ChannelKind.PPG, "NU", 100.0),
    ]
    np.testing.assert_allclose(recording.signals[0].samples[:4], [0.0, 1.0, 2.0, 0.0])


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.txt", "r.csv.gz", "R.CSV"])
def test_every_ending_is_read_by_its_name_and_listed(write, name):
    path = write(rows(), name=name)
    assert len(samples(path)) == 300
    (found,) = find_recordings(path.parent, layout=LAYOUT)
    assert (found.recording_id, found.problem, found.duration_s) == (path.name.split(".")[0], None, 3.0)


@pytest.mark.parametrize("name", ["r.csv", "r.tsv.gz"])
def test_a_file_opens_by_its_name_without_ending(write, name):
    path = write(rows(), name=name)
    assert read(path.with_name("r")).recording_id == "r"


@pytest.mark.parametrize(
    ("head", "settings"),
    [
        ("\ufefft,ppg,II", {}),
        (" t, ppg, II", {}),
        ('"t","ppg","II"', {}),
        ("t ,ppg\t,II", {}),
    ],
)
def test_names_are_compared_without_blanks_quotes_and_byte_order_mark(write, head, settings):
    assert len(samples(write(rows(), head=head, **settings))) == 300


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_one(write, end):
    np.testing.assert_array_equal(samples(write(rows(), end=end)), np.float32([5 + i % 7 for i in range(300)]))


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_the_separator_is_what_the_layout_says(write, separator):
    path = write(rows(), head=separator.join(["t", "ppg", "II"]), separator=separator)
    assert len(samples(path, replace(LAYOUT, separator=separator))) == 300


def test_decimal_commas_are_read_where_the_layout_says_so(write):
    table = [(f"{t:.2f}".replace(".", ","), "1,5", "2") for t, *_ in rows()]
    path = write(table, head="t;ppg;II", separator=";")
    assert set(samples(path, replace(LAYOUT, separator=";", decimal=","))) == {1.5}
    with pytest.raises(SourceError, match=r"column t, row 1: found '0,00'.*decimal"):
        read(path, replace(LAYOUT, separator=";"))


@pytest.mark.parametrize("word", ["", "NaN", "nan", " NaN ", "-", "NA", "null", '""', "inf", "?"])
def test_words_for_nothing_are_missing_samples(write, word):
    table = [(t, word if i == 7 else ppg, ecg) for i, (t, ppg, ecg) in enumerate(rows())]
    assert np.flatnonzero(np.isnan(samples(write(table)))).tolist() == [7]


def test_values_that_stand_for_nothing_are_missing_samples(write):
    layout = replace(LAYOUT, missing=(6.0, -1.0), channels=(ChannelRule(column="ppg", gain=2.0, offset=1.0),))
    values = samples(write(rows()), layout)
    assert np.isnan(values[1::7]).all()
    np.testing.assert_array_equal(values[2::7], 15.0)


def test_numbers_beyond_float32_are_missing_and_not_infinite(write):
    assert np.isnan(samples(write([(t, "1e300", e) for t, _, e in rows()]))).all()


def test_a_counter_that_wraps_is_unrolled_across_missing_samples_and_from_the_first_row_on(write):
    true = np.arange(300) * 9000.0
    table = [(i / 100, "" if i % 10 == 0 else int(true[i]) % 65536, 0) for i in range(300)]
    layout = replace(LAYOUT, channels=(ChannelRule(column="ppg", wraps_at=65536),))
    path = write(table)
    whole = samples(path, layout)
    np.testing.assert_array_equal(np.diff(whole[1:10]), 9000.0)
    assert whole[299] - whole[1] == true[299] - true[1]
    np.testing.assert_array_equal(samples(path, layout, start_s=2.0), whole[200:])


def test_a_gap_in_time_becomes_missing_samples_where_it_is(write):
    table = [(t + (1.5 if i >= 120 else 0), ppg, ecg) for i, (t, ppg, ecg) in enumerate(rows())]
    path = write(table)
    values = samples(path)
    assert np.flatnonzero(np.isnan(values)).tolist() == list(range(120, 270))
    assert len(values) == 450
    assert "gaps in the time column, filled with missing samples: 1" in read(path).notes
    assert find_recordings(path.parent, layout=LAYOUT)[0].duration_s == 4.5


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, 1.0), (1.1, 0.4), (1.5, 2.0), (2.0, None), (4.2, 9.0)])
def test_a_stretch_agrees_with_the_whole_across_a_gap(write, start_s, duration_s):
    path = write([(t + (1.5 if i >= 120 else 0), ppg, ecg) for i, (t, ppg, ecg) in enumerate(rows())])
    end = None if duration_s is None else round((start_s + duration_s) * 100)
    expected = samples(path)[round(start_s * 100) : end]
    np.testing.assert_array_equal(samples(path, start_s=start_s, duration_s=duration_s), expected)


def test_a_stretch_behind_the_end_is_refused(write):
    with pytest.raises(SignalError, match="start_s"):
        read(write(rows()), start_s=3.0)


def test_blocks_of_a_long_file_join_without_a_seam(write):
    table = [(f"{i / 100:.2f}", i, -i) for i in range(120_000)]
    np.testing.assert_array_equal(samples(write(table)), np.arange(120_000, dtype=np.float32))


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
@pytest.mark.parametrize("unit", ["s", "none"])
def test_a_later_stretch_goes_on_from_where_an_earlier_one_was_read_with_the_same_samples(
    write, monkeypatch, name, unit
):
    monkeypatch.setattr("qualityfm.sources.csv_text.BLOCK_BYTES", 4096)
    monkeypatch.setattr("qualityfm.sources.table_read.BOOKMARK_ROWS", 500)
    table = [(round(i / 100 + (7.5 if i > 2900 else 0), 2), (i * 9000) % 65536, i) for i in range(6000)]
    channels = (ChannelRule(column="ppg", wraps_at=65536), ChannelRule(column="II"))
    layout = replace(LAYOUT, channels=channels, time="t" if unit == "s" else "")
    path = write(table, name=name)
    whole = read(path, layout)
    parsed = []
    real = CsvTable._parse
    monkeypatch.setattr(CsvTable, "_parse", lambda self, block, *rest: parsed.append(block) or real(self, block, *rest))
    for start_s in (0.0, 12.34, 25.0, 33.0, 50.0, 59.99):
        parsed.clear()
        part = read(path, layout, start_s=start_s, duration_s=4.0)
        for signal, expected in zip(part.signals, whole.signals, strict=True):
            np.testing.assert_array_equal(signal.samples, expected.samples[round(start_s * 100) :][:400])
        assert sum(map(len, parsed)) < 40_000 < path.stat().st_size or name.endswith(".gz")


def test_a_file_that_changed_is_read_anew(write, monkeypatch):
    monkeypatch.setattr("qualityfm.sources.csv_text.BLOCK_BYTES", 4096)
    monkeypatch.setattr("qualityfm.sources.table_read.BOOKMARK_ROWS", 500)
    read(write([(f"{i / 100:.2f}", i, 0) for i in range(6000)]))
    path = write([(f"{i / 50:.2f}", i, 0) for i in range(6000)])
    layout = replace(LAYOUT, sample_rate_hz=50.0)
    np.testing.assert_array_equal(samples(path, layout, start_s=100.0, duration_s=0.1), np.arange(5000, 5005))


def test_rounded_times_keep_their_rows_apart(write):
    table = [(f"{i * 0.008:.5g}", i, 0) for i in range(30_000)]
    layout = replace(LAYOUT, sample_rate_hz=125.0)
    np.testing.assert_array_equal(samples(write(table), layout), np.arange(30_000, dtype=np.float32))


def test_late_rows_that_catch_up_are_no_gap(write):
    path = golden_tables.write_smartwatch(write(rows()).parent)
    recording = open_recording(path)
    assert not any(np.isnan(s.samples).any() for s in recording.signals)
    assert recording.signals[0].sample_rate_hz == pytest.approx(1000 / 51, rel=0.005)


def test_a_clock_a_little_fast_or_slow_slips_and_says_so(write):
    slow = [(f"{i / 100 * 1.002:.6f}", i, 0) for i in range(5000)]
    fast = [(f"{i / 100 / 1.002:.6f}", i, 0) for i in range(5000)]
    assert len(samples(write(slow))) == 5010
    recording = read(write(fast))
    assert len(recording.signals[0].samples) == 4990
    assert any("come faster than the rate" in note for note in recording.notes)
    assert recording.repairs == ("clock-drift",)


def test_without_a_rate_the_steady_time_column_gives_it(write):
    recording = read(write(rows(rate_hz=62.5)), replace(LAYOUT, sample_rate_hz=None))
    assert recording.signals[0].sample_rate_hz == 62.5
    assert recording.notes == ("rate 62.5 Hz taken from the time column",)


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1000), ("us", 1_000_000)])
def test_time_in_other_units_and_from_any_origin(write, unit, factor):
    table = [(1_549_066_937_000 + round(t * factor), ppg, ecg) for t, ppg, ecg in rows()]
    assert len(samples(write(table), replace(LAYOUT, time_unit=unit))) == 300


@pytest.mark.parametrize(
    ("suffix", "hour"), [("", 23), ("Z", 23), ("+02:00", 21)], ids=["no offset", "UTC", "two hours ahead"]
)
def test_dates_give_the_start_and_the_rate(write, suffix, hour):
    first = dt.datetime(2183, 4, 28, 23, 59, 58)
    table = [((first + dt.timedelta(seconds=t)).isoformat(" ", "milliseconds") + suffix, p, e) for t, p, e in rows()]
    recording = read(write(table), replace(LAYOUT, time_unit="datetime"), start_s=1.0)
    assert recording.start == first.replace(hour=hour) + dt.timedelta(seconds=1)
    assert recording.duration_s == 2.0


def test_a_file_without_times_is_counted_by_its_rows(write):
    path = write([row[1:] for row in rows()], head="ppg,II")
    assert len(samples(path, TIMELESS)) == 300
    assert find_recordings(path.parent, layout=TIMELESS)[0].duration_s == 3.0


def test_rows_that_a_spreadsheet_appends_are_no_samples(write):
    path = write([*rows(), ("", "", ""), ("", "", "")])
    assert len(samples(path)) == 300
    assert find_recordings(path.parent, layout=LAYOUT)[0].duration_s == 3.0


def test_a_last_line_without_line_end_may_be_cut_in_a_number_and_is_left_out(write):
    path = write(rows())
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    recording = read(path)
    assert (len(recording.signals[0].samples), recording.repairs) == (299, ("unfinished-last-line",))
    assert find_recordings(path.parent, layout=LAYOUT)[0].duration_s == 2.99


def test_a_slower_channel_has_a_value_in_every_nth_row(write):
    table = [(t, ppg if i % 4 == 0 else "", ecg) for i, (t, ppg, ecg) in enumerate(rows())]
    layout = replace(LAYOUT, channels=(ChannelRule(column="ppg", sample_rate_hz=25.0), ChannelRule(column="II")))
    signal = read(write(table), layout).signals[0]
    assert (signal.sample_rate_hz, len(signal.samples), np.isnan(signal.samples).any()) == (25.0, 75, False)
    with pytest.raises(SourceError, match="channel ppg: sample_rate_hz: found 'values in rows between"):
        read(write(rows()), layout)


def test_the_patient_comes_from_a_column_or_from_the_path(write):
    by_column = replace(LAYOUT, subject_column="who")
    path = write([(*row, "p7") for row in rows()], head="t,ppg,II,who", name="case12.csv")
    assert read(path, by_column).subject_id == "p7"
    assert find_recordings(path.parent, layout=by_column)[0].subject_id == "p7"
    assert read(path, replace(LAYOUT, subject=r"case(\d+)")).subject_id == "12"


def test_an_optional_channel_may_be_absent_and_another_not(write):
    path = write([row[:2] for row in rows()], head="t,ppg")
    optional = replace(LAYOUT, channels=(ChannelRule(column="ppg"), ChannelRule(column="II", is_optional=True)))
    assert [s.name for s in read(path, optional).signals] == ["ppg"]
    with pytest.raises(SourceError, match="column II: found 't, ppg', expected a column 'II'"):
        read(path)


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_a_golden_file_reads_as_the_recording_it_was_made_of(source, recording, tmp_path):
    path = golden_tables.WRITERS[source](recording, tmp_path)
    layout = golden_tables.layout_for(recording, source)
    opened = open_recording(path, layout=layout)
    assert [(s.name, s.kind, s.unit, s.sample_rate_hz) for s in opened.signals] == [
        (s.name, s.kind, s.unit, s.sample_rate_hz) for s in recording.signals
    ]
    for signal, expected in zip(opened.signals, recording.signals, strict=True):
        assert signal.samples.dtype == np.float32
        np.testing.assert_allclose(signal.samples, expected.samples, atol=2e-4)
    (found,) = find_recordings(tmp_path, layout=layout)
    assert (found.source, found.recording_id, found.duration_s) == (source, "golden", opened.duration_s)


@pytest.mark.parametrize("source", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("start_s", "duration_s"), [(0.0, 1.0), (3.5, 2.25), (19.0, 50.0), (0.001, 0.5), (7.7777, 1.0)]
)
def test_a_stretch_holds_the_samples_of_its_time_and_no_others(source, recording, tmp_path, start_s, duration_s):
    path = golden_tables.WRITERS[source](recording, tmp_path)
    layout = golden_tables.layout_for(recording, source)
    whole = open_recording(path, layout=layout)
    part = open_recording(path, layout=layout, start_s=start_s, duration_s=duration_s)
    for expected, signal in zip(whole.signals, part.signals, strict=True):
        time_s = np.arange(len(expected.samples)) / expected.sample_rate_hz
        inside = (time_s >= start_s - 1e-6) & (time_s < start_s + duration_s - 1e-6)
        np.testing.assert_array_equal(signal.samples, expected.samples[inside])
        assert start_s + signal.start_s == pytest.approx(time_s[inside][0], abs=1e-6)
