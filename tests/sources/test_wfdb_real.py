"""Public recordings: the same samples as `wfdb` reads, the same gaps as were counted, no label anywhere."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import wfdb

from qualityfm.records import ChannelKind, Recording
from qualityfm.sources import find_recordings, open_recording

pytestmark = pytest.mark.real

SAMPLE = [
    "challenge2011/records/1002867",
    "mitdb/100",
    "mitdb/102",
    "cudb/cu01",
    "nstdb/em",
    "mimic_misc/mixedsignals",
    "mimic_misc/03700181",
    "mimic_misc/s25047/3234460_0018",
]


def assert_same_as_wfdb(recording: Recording, path: Path) -> None:
    theirs = wfdb.rdrecord(str(path), smooth_frames=False)
    assert [s.name for s in recording.signals] == theirs.sig_name
    for signal, line, per_frame in zip(recording.signals, theirs.e_p_signal, theirs.samps_per_frame, strict=True):
        assert signal.sample_rate_hz == pytest.approx(theirs.fs * per_frame)
        np.testing.assert_allclose(signal.samples, line, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SAMPLE)
def test_samples_are_those_that_wfdb_reads(real_data: Path, name: str) -> None:
    assert_same_as_wfdb(open_recording(real_data / name), real_data / name)


def test_samples_of_alarm_records_are_those_that_wfdb_reads(real_data: Path) -> None:
    for path in sorted((real_data / "challenge2015" / "records").glob("*.hea"))[::40]:
        assert_same_as_wfdb(open_recording(path), path.with_suffix(""))


def test_a_record_of_segments_has_the_samples_that_wfdb_puts_together(real_data: Path) -> None:
    path = real_data / "mimic_misc" / "s25047" / "s25047-2704-05-04-10-44"
    recording = open_recording(path)
    theirs = wfdb.rdrecord(str(path))
    assert [s.name for s in recording.signals] == theirs.sig_name
    for signal, line in zip(recording.signals, theirs.p_signal.T, strict=True):
        np.testing.assert_allclose(signal.samples, line, rtol=1e-6, atol=1e-6)
    assert recording.subject_id == "s25047"
    assert [s.kind for s in recording.signals] == [ChannelKind.ECG, ChannelKind.ECG, ChannelKind.ABP]


@pytest.mark.parametrize("name", ["mimic_misc/s25047/s25047-2704-05-04-10-44", "mimic_misc/mixedsignals", "mitdb/100"])
@pytest.mark.parametrize("start_s", [0.0, 100.0, 207.33])
def test_a_stretch_is_that_part_of_the_whole(real_data: Path, name: str, start_s: float) -> None:
    whole = open_recording(real_data / name)
    part = open_recording(real_data / name, start_s=start_s, duration_s=20.0)
    for expected, signal in zip(whole.signals, part.signals, strict=True):
        first = round((start_s + signal.start_s) * signal.sample_rate_hz)
        assert abs(len(signal.samples) - 20.0 * signal.sample_rate_hz) < 1
        np.testing.assert_array_equal(signal.samples, expected.samples[first : first + len(signal.samples)])


def test_skewed_samples_are_put_back_in_line(real_data: Path) -> None:
    path = real_data / "mimic_misc" / "03700181"
    stored = wfdb.rdrecord(str(path), smooth_frames=False, ignore_skew=True).e_p_signal[2]
    resp = open_recording(path).signals[2].samples
    np.testing.assert_allclose(resp[:-4], stored[4:], rtol=1e-6)
    assert np.isnan(resp[-4:]).all()


def test_missing_samples_are_as_many_as_were_counted(real_data: Path) -> None:
    with (real_data / "challenge2015" / "records.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if set(row["nan_frac"]) - set("0.|")]
    assert len(rows) > 50
    for row in rows:
        recording = open_recording(real_data / "challenge2015" / "records" / row["record"])
        assert [s.name for s in recording.signals] == row["signals"].split("|")
        fractions = [float(np.isnan(s.samples).mean()) for s in recording.signals]
        np.testing.assert_allclose(fractions, [float(f) for f in row["nan_frac"].split("|")], atol=6e-4)


def test_no_label_of_a_header_is_in_a_recording(real_data: Path) -> None:
    words = ("alarm", "asystole", "tachycardia", "bradycardia", "flutter", "false", "true", "digoxin", "sex")
    paths = sorted((real_data / "challenge2015" / "records").glob("*.hea"))[::60]
    for path in [*paths, real_data / "mitdb" / "102.hea", real_data / "mimic_misc/s25047/s25047-2704-05-04-10-44.hea"]:
        recording = open_recording(path)
        fields = {f.name: getattr(recording, f.name) for f in dataclasses.fields(recording) if f.name != "signals"}
        texts = [repr(recording), repr(fields), *(f"{s.name} {s.unit} {s.kind}" for s in recording.signals)]
        assert not [word for word in words if any(word in text.lower() for text in texts)]


def test_every_alarm_record_is_listed_with_its_length_and_channels(real_data: Path) -> None:
    with (real_data / "challenge2015" / "records.csv").open(newline="") as file:
        rows = {f"records/{row['record']}": row for row in csv.DictReader(file)}
    found = {f.recording_id: f for f in find_recordings(real_data / "challenge2015")}
    assert found.keys() == rows.keys()
    for name, recording in found.items():
        assert (recording.problem, recording.aside, recording.subject_id) == (None, None, None)
        assert recording.duration_s == float(rows[name]["seconds"])
        assert [c.name for c in recording.channels] == rows[name]["signals"].split("|")
        assert ChannelKind.OTHER not in {c.kind for c in recording.channels}


def test_layouts_and_numerics_of_mimic_are_set_aside_and_segments_not_listed(real_data: Path) -> None:
    found = {f.recording_id: f for f in find_recordings(real_data / "mimic_misc" / "s25047")}
    assert {name for name, f in found.items() if f.aside is None} == {"s25047-2704-05-04-10-44"}
    assert {name for name, f in found.items() if f.aside} == {"3234460_layout", "s25047-2704-05-04-10-44n"}
    assert not [f for f in found.values() if f.problem]


def test_gaps_that_the_header_knows_are_listed_without_reading_samples(real_data):
    folder = real_data / "mimic_misc" / "s25047"
    (found,) = (f for f in find_recordings(folder) if f.aside is None)
    recording = open_recording(found.path)
    for channel, signal in zip(found.channels, recording.signals, strict=True):
        missing_s = np.isnan(signal.samples).sum() / signal.sample_rate_hz
        assert 0 < channel.gap_s <= missing_s
        assert channel.gap_s == pytest.approx(missing_s, abs=10)  # the rest is marked sample by sample
