"""Vital files that are as they should be, or nearly so; the format's own library is what they are compared with."""

import datetime as dt
import gzip
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import golden_vital as golden
import numpy as np
import pytest
import vitaldb

from qualityfm.errors import SourceError
from qualityfm.records import ChannelKind, Recording
from qualityfm.sources import find_recordings, open_recording, vital_index, vital_stream

Track, floats, record, pieces = golden.Track, golden.floats, golden.record, golden.pieces


def opened(folder: Path, packets: Sequence[bytes], **stretch: object) -> Recording:
    return open_recording(golden.write(folder / "case.vital", packets), **stretch)


def one_track(times: Sequence[float], **track: object) -> list[bytes]:
    return [golden.head(), golden.device(), Track(**track).packet(), *pieces(1, times)]


def test_samples_are_those_that_the_library_reads(tmp_path: Path) -> None:
    path = golden.write(tmp_path / "case.vital", golden.small())
    library = vitaldb.VitalFile(str(path))
    for signal in open_recording(path).signals:
        expected = library.get_track_samples(signal.name, 1 / signal.sample_rate_hz)
        begin = round(signal.start_s * signal.sample_rate_hz)
        np.testing.assert_allclose(signal.samples, expected[begin : begin + len(signal.samples)], rtol=1e-6)
        assert not np.isfinite(expected[:begin]).any()


def test_a_packed_file_holds_the_same_samples(tmp_path: Path) -> None:
    packets = [*golden.small(), record(2, 9.0, np.arange(50, dtype="<i2"))]
    path = golden.write(tmp_path / "case.vital", packets)
    vitaldb.VitalFile(str(path)).to_vital(str(tmp_path / "packed.vital"), packed=True)
    first, second = open_recording(path), open_recording(tmp_path / "packed.vital")
    assert [s.name for s in second.signals] == [s.name for s in first.signals]
    for signal, packed in zip(first.signals, second.signals, strict=True):
        assert signal.start_s == packed.start_s
        np.testing.assert_allclose(packed.samples, signal.samples, rtol=1e-6)
    assert np.isnan(first.signals[1].samples).sum() == 150


def test_channels_keep_their_device_rate_unit_and_start(tmp_path: Path) -> None:
    recording = opened(tmp_path, golden.small())
    assert [(s.name, s.kind, s.unit, s.sample_rate_hz, len(s.samples), s.start_s) for s in recording.signals] == [
        ("SNUADC/ECG_II", ChannelKind.ECG, "mV", 100.0, 600, 0.0),
        ("SNUADC/PLETH", ChannelKind.PPG, "NU", 50.0, 200, 2.0),
        ("SNUADC/ART", ChannelKind.ABP, "mmHg", 50.0, 200, 2.0),
    ]


@pytest.mark.parametrize(
    ("sample_format", "dtype"), [(2, "<f8"), (3, "<i1"), (4, "<u1"), (5, "<i2"), (6, "<u2"), (7, "<i4"), (8, "<u4")]
)
def test_every_sample_format_is_read(tmp_path: Path, sample_format: int, dtype: str) -> None:
    stored = np.array([0, 1, 2, 100, 120], dtype)
    track = Track(format=sample_format, gain=0.5, offset=-3.0)
    signal = opened(tmp_path, [golden.head(), golden.device(), track.packet(), record(1, 0, stored)]).signals[0]
    expected = stored.astype(float) if sample_format == 2 else stored * 0.5 - 3.0
    np.testing.assert_allclose(signal.samples, expected)


@pytest.mark.parametrize(
    ("sample_format", "filler"),
    [(3, -128), (4, 255), (5, -32768), (6, 65535), (7, -(2**31)), (8, 2**32 - 1)],
)
@pytest.mark.parametrize("packed", [0, 1])
def test_the_filler_of_a_packed_file_is_missing_and_a_value_in_any_other(
    tmp_path: Path, sample_format: int, filler: int, packed: int
) -> None:
    track = Track(format=sample_format, gain=0.001)
    stored = np.array([1, filler, 2], vital_index.SAMPLE_FORMATS[sample_format][0])
    packets = [golden.head(packed=packed), golden.device(), track.packet(), record(1, 0, stored)]
    assert np.isnan(opened(tmp_path, packets).signals[0].samples).tolist() == [False, bool(packed), False]


def test_values_that_are_no_samples_are_missing(tmp_path: Path) -> None:
    stored = np.array([1, np.nan, np.inf, -np.inf, 4.1e9, 3e38, 2], "<f4")
    packets = [golden.head(), golden.device(), Track().packet(), record(1, 0, stored)]
    assert np.isfinite(opened(tmp_path, packets).signals[0].samples).tolist() == [True, *[False] * 5, True]


def test_a_gap_between_pieces_is_missing_samples(tmp_path: Path) -> None:
    recording = opened(tmp_path, one_track([0, 1, 5, 6]))
    (signal,) = recording.signals
    assert np.flatnonzero(np.isnan(signal.samples)).tolist() == list(range(200, 500))
    assert signal.samples[500] == 200
    assert find_recordings(tmp_path)[0].channels[0].gap_s == pytest.approx(3.0)


def test_jitter_of_the_recorders_clock_makes_no_gap(tmp_path: Path) -> None:
    (signal,) = opened(tmp_path, one_track([0, 1.012, 1.99, 3.004])).signals
    np.testing.assert_array_equal(signal.samples, np.arange(400))


def test_a_device_that_is_slower_than_it_says_keeps_to_the_clock(tmp_path: Path) -> None:
    times = np.arange(300) * 1.005  # 100 samples in 1.005 s: half a sample behind in every piece
    (signal,) = opened(tmp_path, one_track(times.tolist())).signals
    last_s = float(np.nonzero(signal.samples == 29_900)[0][0]) / 100
    assert last_s == pytest.approx(299 * 1.005, abs=0.015)
    assert np.isfinite(signal.samples).sum() == 30_000


def test_pieces_that_overlap_are_overwritten_by_the_later_one(tmp_path: Path) -> None:
    (signal,) = opened(tmp_path, one_track([0, 0.5])).signals
    np.testing.assert_array_equal(signal.samples, [*range(50), *range(100, 200)])


def test_pieces_in_any_order_lie_at_their_times(tmp_path: Path) -> None:
    (signal,) = opened(tmp_path, one_track([2, 0, 1])).signals
    np.testing.assert_array_equal(signal.samples, [*range(100, 300), *range(100)])


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, 1.0), (1.5, 1.0), (1.9, 0.3), (2.005, 3.0), (5.5, 90.0)])
def test_a_stretch_holds_the_samples_of_its_time_and_no_others(
    tmp_path: Path, start_s: float, duration_s: float
) -> None:
    whole = opened(tmp_path, golden.small())
    part = open_recording(tmp_path / "case.vital", start_s=start_s, duration_s=duration_s)
    for expected, signal in zip(whole.signals, part.signals, strict=True):
        time_s = expected.start_s + np.arange(len(expected.samples)) / expected.sample_rate_hz
        inside = (time_s >= start_s - 1e-6) & (time_s < start_s + duration_s - 1e-6)
        np.testing.assert_array_equal(signal.samples, expected.samples[inside])
        if inside.any():
            assert start_s + signal.start_s == pytest.approx(time_s[inside][0], abs=1e-6)


def test_a_channel_without_samples_in_a_stretch_does_not_lengthen_it(tmp_path: Path) -> None:
    part = opened(tmp_path, golden.small(), duration_s=1.0)
    assert [len(s.samples) for s in part.signals] == [100, 0, 0]
    assert part.duration_s == 1.0


@pytest.mark.parametrize("start_s", [0.0, 10.0, 33.3, 58.0])
def test_reading_on_from_a_mark_gives_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_s: float
) -> None:
    generator = np.random.default_rng(0)  # samples that gzip cannot shrink
    values = [generator.normal(size=100).astype("<f4") for _ in range(60)]
    records = [record(1, second, samples) for second, samples in enumerate(values)]
    packets = [golden.head(), golden.device(), Track().packet(), *records]
    monkeypatch.setattr(vital_stream, "_READ_BYTES", 100)
    monkeypatch.setattr(vital_stream, "_CHUNK_BYTES", 64)
    monkeypatch.setattr(vital_stream, "_MARK_EVERY_BYTES", 1000)
    (signal,) = opened(tmp_path, packets, start_s=start_s, duration_s=2.0).signals
    begin = round(start_s * 100)
    np.testing.assert_array_equal(signal.samples, np.concatenate(values)[begin : begin + 200])
    assert len(vital_index.read_index(tmp_path / "case.vital").marks) > 10


def test_a_changed_file_is_walked_again(tmp_path: Path) -> None:
    assert opened(tmp_path, one_track([0, 1])).duration_s == 2.0
    assert opened(tmp_path, one_track([0, 1, 2])).duration_s == 3.0


def test_memory_does_not_follow_the_size_of_a_packet(tmp_path: Path) -> None:
    samples = np.zeros(20_000_000, "<i2")  # 11 hours in one packet of 40 MB
    track = Track(format=5, rate=500.0).packet()
    path = golden.write(tmp_path / "case.vital", [golden.head(), golden.device(), track, record(1, 0, samples)])
    del samples
    tracemalloc.start()
    try:
        part = open_recording(path, start_s=30_000, duration_s=30)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    assert len(part.signals[0].samples) == 15_000


def test_gzip_members_and_padding_behind_them_are_read(tmp_path: Path) -> None:
    packets = golden.small()
    expected = opened(tmp_path, packets)
    parts = [gzip.compress(b"".join(packets[at : at + 5])) for at in range(0, len(packets), 5)]
    (tmp_path / "parts.vital").write_bytes(b"".join(parts) + bytes(1000))
    for signal, reference in zip(open_recording(tmp_path / "parts.vital").signals, expected.signals, strict=True):
        np.testing.assert_array_equal(signal.samples, reference.samples)


@pytest.mark.parametrize(
    ("head", "start", "start_s"),
    [
        (golden.head(), dt.datetime(2019, 6, 1, 8), 0.0),
        (golden.head(start=golden.START - 60), dt.datetime(2019, 6, 1, 7, 59), 60.0),
        (golden.head(start=golden.START + 1), dt.datetime(2019, 6, 1, 8), 0.0),
        (golden.head(start=0.0), dt.datetime(2019, 6, 1, 8), 0.0),
        (golden.old_head(), dt.datetime(2019, 6, 1, 8), 0.0),
        (golden.head(bias=300), dt.datetime(2019, 5, 31, 18), 0.0),
        (golden.head(bias=5000), None, 0.0),
    ],
)
def test_the_start_is_local_time_and_not_after_the_first_sample(
    tmp_path: Path, head: bytes, start: dt.datetime | None, start_s: float
) -> None:
    recording = opened(tmp_path, [head, *one_track([0, 1])[1:]])
    assert (recording.start, recording.signals[0].start_s) == (start, start_s)


def test_the_start_of_a_stretch_is_its_own(tmp_path: Path) -> None:
    assert opened(tmp_path, one_track([0, 1]), start_s=1.5).start == dt.datetime(2019, 6, 1, 8, 0, 1, 500_000)


def test_a_file_without_waveforms_is_listed_aside(tmp_path: Path) -> None:
    track = Track(number=4, type=2, name="HR", rate=0.0).packet()
    packets = [golden.head(), golden.device(), track, golden.numeric(4, 1, 60)]
    with pytest.raises(SourceError, match="tracks: found '1 of numbers or texts'"):
        opened(tmp_path, packets)
    (found,) = find_recordings(tmp_path)
    assert (found.problem, found.aside) == (None, "numerics: no track of waveforms")


def test_tracks_may_be_added_late_and_packets_may_be_of_unknown_types(tmp_path: Path) -> None:
    packets = [*one_track([0, 1]), golden.packet(77, b"new"), golden.packet(6, b"\x05")]
    packets += [Track(number=2, name="PLETH", device=0).packet(), record(2, 1.5, floats(50))]
    assert [s.name for s in opened(tmp_path, packets).signals] == ["SNUADC/ECG_II", "PLETH"]


def test_records_of_tracks_that_are_not_described_are_counted(tmp_path: Path) -> None:
    recording = opened(tmp_path, [*one_track([0]), record(9, 0, floats(5)), record(9, 1, floats(5))])
    assert recording.notes == ("2 records of tracks that are not described are left out",)


@pytest.mark.parametrize(
    ("name", "subject"),
    [("vital_files/0001.vital", "1"), ("12.vital", "12"), ("6388.vital", "6388"), ("x7.vital", None)],
)
def test_the_layout_of_vitaldb_reads_five_waveforms_of_the_patient_in_the_name(
    tmp_path: Path, name: str, subject: str | None
) -> None:
    names = ["ECG_II", "ECG_V5", "PLETH", "ART", "CO2"]
    tracks = [Track(number=i + 1, name=name, unit="") for i, name in enumerate(names)]
    records = [record(i + 1, 0, floats(100)) for i in range(5)]
    packets = [golden.head(), golden.device(), *(t.packet() for t in tracks), *records]
    path = golden.write(tmp_path / name, packets)
    recording = open_recording(path, layout="vitaldb")
    assert [(s.name, s.kind, s.unit) for s in recording.signals] == [
        ("SNUADC/ECG_II", ChannelKind.ECG, "mV"),
        ("SNUADC/ECG_V5", ChannelKind.ECG, "mV"),
        ("SNUADC/PLETH", ChannelKind.PPG, "NU"),
        ("SNUADC/ART", ChannelKind.ABP, "mmHg"),
    ]
    (found,) = find_recordings(tmp_path, layout="vitaldb")
    assert recording.subject_id == found.subject_id == subject
    assert [c.name for c in found.channels] == [s.name for s in recording.signals]


@pytest.mark.real
def test_a_real_recording_of_three_rates_comes_back(real_data: Path, tmp_path: Path) -> None:
    recording = open_recording(real_data / "mimic_misc" / "mixedsignals")
    path = golden.write_vital(recording, tmp_path)
    for signal, expected in zip(open_recording(path).signals, recording.signals, strict=True):
        assert (signal.name, signal.kind, signal.unit) == (expected.name, expected.kind, expected.unit)
        assert signal.sample_rate_hz == pytest.approx(expected.sample_rate_hz, rel=1e-6)
        np.testing.assert_array_equal(signal.samples, expected.samples)
