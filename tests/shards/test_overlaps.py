"""Overlapping recordings of a data set are found by their samples; others are left alone."""

import csv
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import SignalError
from qualityfm.prepare.archive import prepare
from qualityfm.prepare.selection import read_selection
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader, overlap_lines
from qualityfm.shards.overlap_check import Place
from qualityfm.shards.overlap_lines import RecordingLines
from qualityfm.shards.overlaps import OverlapSearch, find_overlaps, recording_fingerprints, search_overlaps
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.fingerprint import fingerprint
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.simulate import SimulationConfig, simulate

SHIFT_S = 7.3

#: Recordings made from one stretch of one patient, and when each begins in it.
SAME = {"original": 0.0, "half-rate": 0.0, "eight-bits": 0.0, "noisy": 0.0, "clipped": 0.0, "shifted": SHIFT_S}


def patient(seed: int, duration_s: float = 260.0) -> Recording:
    config = SimulationConfig(duration_s=duration_s, faults_per_minute=0.5)
    return simulate(seed, config).recording


def change(recording: Recording, name: str, **changed: np.ndarray) -> Recording:
    signals = tuple(dataclasses.replace(s, samples=changed.get(s.name, s.samples)) for s in recording.signals)
    return dataclasses.replace(recording, recording_id=name, subject_id=None, signals=signals)


def cut(recording: Recording, name: str, start_s: float, stop_s: float) -> Recording:
    return change(
        recording,
        name,
        **{
            s.name: s.samples[round(start_s * s.sample_rate_hz) : round(stop_s * s.sample_rate_hz)]
            for s in recording.signals
        },
    )


def halved(recording: Recording, name: str) -> Recording:
    def half(signal: Signal) -> Signal:
        rate_hz = signal.sample_rate_hz / 2
        samples = np.asarray(resample(signal.samples, signal.sample_rate_hz, rate_hz), np.float32)
        return dataclasses.replace(signal, samples=samples, sample_rate_hz=rate_hz)

    return dataclasses.replace(change(recording, name), signals=tuple(map(half, recording.signals)))


def variants() -> list[Recording]:
    """Return one stretch in six forms, a later stretch of the same patient, and another patient."""
    whole = patient(1)
    stretch = cut(whole, "original", 0.0, 120.0)
    samples = {s.name: np.nan_to_num(s.samples) for s in stretch.signals}
    noise = np.random.default_rng(0)
    return [
        stretch,
        halved(stretch, "half-rate"),
        change(
            stretch, "eight-bits", **{k: np.round(v / np.ptp(v) * 255).astype(np.float32) for k, v in samples.items()}
        ),
        change(
            stretch,
            "noisy",
            **{k: (v + v.std() / 10 * noise.standard_normal(len(v))).astype(np.float32) for k, v in samples.items()},
        ),
        change(stretch, "clipped", **{k: np.clip(v, *np.percentile(v, (1, 99))) for k, v in samples.items()}),
        cut(whole, "shifted", SHIFT_S, 120.0),
        cut(whole, "later", 125.0, 245.0),
        cut(patient(2), "other", 0.0, 120.0),
    ]


def make_dataset(folder: Path, recordings: list[Recording], config: SegmentConfig | None = None) -> ShardReader:
    for recording in recordings:
        write_wfdb(recording, folder / "archive")
    prepare(folder / "archive", folder / "dataset", config=config or SegmentConfig())
    return ShardReader(folder / "dataset")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    return make_dataset(tmp_path_factory.mktemp("overlaps"), variants())


@pytest.fixture(scope="module")
def search(reader: ShardReader) -> OverlapSearch:
    return search_overlaps(reader)


@pytest.mark.parametrize("pair", list(itertools.combinations(sorted(SAME), 2)), ids=" and ".join)
def test_two_forms_of_one_stretch_are_found(search: OverlapSearch, pair: tuple[str, str]) -> None:
    (found,) = [o for o in search.overlaps if {o.first, o.second} == set(pair)]
    assert found.offset_s == pytest.approx(SAME[found.second] - SAME[found.first], abs=0.02)
    assert found.shared_s == pytest.approx(120.0 - max(SAME[name] for name in pair), abs=0.1)
    assert 0.97 <= found.correlation <= 1.0


@pytest.mark.parametrize("name", ["later", "other"])
def test_what_does_not_overlap_is_in_no_pair(search: OverlapSearch, name: str) -> None:
    assert not [o for o in search.overlaps if name in (o.first, o.second)]


def test_the_pairs_are_all_that_is_found(reader: ShardReader, search: OverlapSearch) -> None:
    assert len(search.overlaps) == 15
    assert find_overlaps(reader) == list(search.overlaps)
    assert search.num_recordings == 8
    assert search.share == 1.0


def test_a_bounded_index_keeps_a_share_and_still_finds_long_overlaps(reader: ShardReader) -> None:
    found = search_overlaps(reader, max_fingerprints=1000)
    assert found.share < 1
    assert {("original", "shifted")} <= {tuple(sorted((o.first, o.second))) for o in found.overlaps}


def test_overlaps_between_two_data_sets_are_across_them(reader: ShardReader, tmp_path: Path) -> None:
    second = make_dataset(tmp_path, [cut(patient(1), "elsewhere", 60.0, 200.0), cut(patient(3), "new", 0.0, 120.0)])
    found = find_overlaps(reader, second)
    assert {o.second for o in found} == {"elsewhere"}
    assert {o.first for o in found} == {*SAME, "later"}
    offset_s = {o.first: o.offset_s for o in found}
    assert offset_s["original"] == pytest.approx(60.0, abs=0.02)
    assert offset_s["later"] == pytest.approx(-65.0, abs=0.02)


def test_data_sets_of_two_rates_are_compared(reader: ShardReader, tmp_path: Path) -> None:
    second = make_dataset(tmp_path, [cut(patient(1), "slow", 20.0, 110.0)], SegmentConfig(sample_rate_hz=60.0))
    assert {o.first: round(o.offset_s, 1) for o in find_overlaps(reader, second)}["original"] == 20.0


def test_a_recording_is_no_overlap_of_itself_but_of_its_copy_in_another_data_set(reader: ShardReader) -> None:
    found = find_overlaps(reader, reader)
    assert {(o.first, o.second, o.offset_s) for o in found if o.first == o.second} == {
        (name, name, 0.0) for name in (*SAME, "later", "other")
    }


def uninformative(name: str, num_beats: int) -> Recording:
    """Return an ECG that repeats one beat for ever and a pulse that is dead but for one step."""
    time_s = np.arange(200) / 250.0
    beat = np.exp(-(((time_s - 0.3) / 0.02) ** 2)) + 0.2 * np.exp(-(((time_s - 0.5) / 0.05) ** 2))
    dead = np.zeros(len(beat) * num_beats, np.float32)
    dead[len(dead) // 2 :] = 1.0
    return Recording(
        recording_id=name,
        subject_id=None,
        start=None,
        signals=(
            Signal(
                name="II",
                kind=ChannelKind.ECG,
                unit="mV",
                sample_rate_hz=250.0,
                samples=np.tile(beat, num_beats).astype(np.float32),
            ),
            Signal(name="PLETH", kind=ChannelKind.PPG, unit="NU", sample_rate_hz=250.0, samples=dead),
        ),
    )


def test_periodic_and_dead_channels_make_no_pairs_and_are_counted(tmp_path: Path) -> None:
    reader = make_dataset(tmp_path, [uninformative("one", 200), uninformative("two", 200), uninformative("three", 150)])
    found = search_overlaps(reader)
    assert found.overlaps == ()
    assert found.unchecked_recordings == ("one", "three", "two")
    reasons = {(c.channel, c.reason) for c in found.unchecked}
    assert reasons == {("II", "periodic"), ("PLETH", "flat or missing")}


def test_a_rate_without_the_band_is_refused(tmp_path: Path) -> None:
    config = SegmentConfig(sample_rate_hz=10.0)
    reader = make_dataset(tmp_path, [cut(patient(1), "slow", 0.0, 60.0)], config)
    with pytest.raises(SignalError, match=r"dataset: sample_rate_hz: found 10\.0, expected 16 or more"):
        find_overlaps(reader)


def test_a_recording_read_in_pieces_has_the_fingerprints_of_the_whole(
    reader: ShardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = RecordingLines(reader)
    place = Place(lines=lines, number=lines.names.index("other"))
    whole = recording_fingerprints(place)
    monkeypatch.setattr(overlap_lines, "STRETCH_S", 25.0)
    pieces = recording_fingerprints(place)
    for one, other in zip(whole, pieces, strict=True):
        same = set(zip(one.keys.tolist(), np.round(one.time_s, 2).tolist(), strict=True)) & set(
            zip(other.keys.tolist(), np.round(other.time_s, 2).tolist(), strict=True)
        )
        assert len(one) == pytest.approx(len(other), abs=3)
        assert len(same) > 0.8 * len(one)


def test_lines_are_what_was_recorded(reader: ShardReader) -> None:
    lines = RecordingLines(reader)
    number = lines.names.index("other")
    physical = lines.read(number, 10.0, 1000)[2]  # the PPG, recorded at 125 Hz
    original = patient(2).signals[2].samples[1250:2250]
    known = np.isfinite(physical)
    assert known.mean() > 0.9
    assert physical[known] == pytest.approx(original[known], abs=0.02 * float(np.ptp(original[known])))
    assert len(fingerprint(physical, 125.0)) > 0
    assert np.isnan(lines.read(number, 1000.0, 100)).all()


def test_progress_tells_both_phases(reader: ShardReader) -> None:
    told: list[tuple[str, int, int]] = []
    find_overlaps(reader, progress=lambda *step: told.append(step))
    assert ("reading", len(reader), len(reader)) in told
    assert [phase for phase, done, total in told if done == total] == ["reading", "comparing"]


@pytest.mark.real
def test_the_overlapping_alarm_records_are_all_found_without_being_told(real_data: Path, tmp_path: Path) -> None:
    with (real_data / "challenge2015" / "overlap_pairs.csv").open(encoding="utf-8-sig") as table:
        known = {(row["record_a"], row["record_b"]): float(row["lag_s"]) for row in csv.DictReader(table)}
    with (real_data / "challenge2015" / "records.csv").open(encoding="utf-8-sig") as table:
        records = [row["record"] for row in csv.DictReader(table)]
    in_pairs = {name for pair in known for name in pair}
    others = [name for name in records if name not in in_pairs][::25]
    chosen = tmp_path / "chosen.csv"
    chosen.write_text("\n".join(["record", *sorted(in_pairs), *others]) + "\n")
    prepare(real_data / "challenge2015", tmp_path / "dataset", config=SegmentConfig(), selection=read_selection(chosen))
    found = find_overlaps(ShardReader(tmp_path / "dataset"))
    offset_s = {(Path(o.first).name, Path(o.second).name): o.offset_s for o in found}
    assert len(known) == 57
    assert set(offset_s) == set(known)
    assert all(offset_s[pair] == pytest.approx(lag_s, abs=0.02) for pair, lag_s in known.items())
