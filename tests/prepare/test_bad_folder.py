"""An archive as it comes: what is good is kept, the rest is named with its reason."""

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.prepare import prepare
from qualityfm.records import Cause, ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader
from qualityfm.sources.wfdb_files import write_wfdb

CONFIG = SegmentConfig(channels=(ChannelKind.ECG, ChannelKind.PPG), segment_s=10.0, step_s=10.0)


def with_samples(recording, value):
    return replace(
        recording,
        signals=tuple(replace(s, samples=np.full_like(s.samples, value)) for s in recording.signals),
    )


@pytest.fixture
def bad_folder(tmp_path, make_recording):
    folder = tmp_path / "archive"
    write_wfdb(make_recording("good", 40.0), folder)
    write_wfdb(make_recording("truncated", 40.0), folder)
    write_wfdb(with_samples(make_recording("missing", 40.0), np.nan), folder)
    write_wfdb(with_samples(make_recording("flat", 40.0), 1.0), folder)
    write_wfdb(make_recording("lying", 40.0), folder)
    write_wfdb(make_recording("ecg_only", 40.0, with_ppg=False), folder)
    content = (folder / "truncated.dat").read_bytes()
    (folder / "truncated.dat").write_bytes(content[: len(content) // 2])
    header = (folder / "lying.hea").read_text().split("\n")
    (folder / "lying.hea").write_text("\n".join([header[0].replace(" 62.5 ", " -62.5 "), *header[1:]]))
    return folder


def by_name(notes):
    return {note.recording_id: note.reason for note in notes}


def test_a_tolerant_setting_keeps_what_can_be_read_and_marks_it(bad_folder, tmp_path):
    report = prepare(bad_folder, tmp_path / "out", config=CONFIG)
    reader = ShardReader(tmp_path / "out")
    assert set(reader.rows["recording_id"]) == {"good", "flat", "ecg_only"}
    assert set(by_name(report.refused)) == {"truncated", "lying"}
    assert by_name(report.left_out) == {"missing": "no segment kept: 4 x no usable channel"}
    flat = np.flatnonzero(reader.rows["recording_id"] == "flat")
    assert reader.rows["quality"][flat].max() < 0.1
    assert (reader.read(flat).causes[:, 0] & Cause.FLAT).all()


def test_a_strict_setting_drops_the_rest_with_counted_reasons(bad_folder, tmp_path):
    config = replace(CONFIG, required=(ChannelKind.ECG, ChannelKind.PPG), drop_constant=True)
    report = prepare(bad_folder, tmp_path / "out", config=config)
    assert set(ShardReader(tmp_path / "out").rows["recording_id"]) == {"good"}
    assert by_name(report.left_out) == {
        "ecg_only": "required channel missing: ppg",
        "flat": "no segment kept: 4 x required channel constant: ecg",
        "missing": "no segment kept: 4 x no usable channel",
    }
    assert report.dropped == {"no usable channel": 4, "required channel constant: ecg": 4}


def test_a_refusal_names_the_file_and_not_the_folders_of_this_machine(bad_folder, tmp_path):
    refused = by_name(prepare(bad_folder, tmp_path / "out", config=CONFIG).refused)
    assert "truncated.dat" in refused["truncated"]
    assert "lying.hea" in refused["lying"]
    assert not any(str(tmp_path) in reason for reason in refused.values())


def test_too_short_recordings_are_left_out_by_name(bad_folder, tmp_path, make_recording):
    write_wfdb(make_recording("long", 60.0), bad_folder)
    report = prepare(bad_folder, tmp_path / "out", config=replace(CONFIG, min_recording_s=50.0))
    assert report.num_recordings == 1
    assert by_name(report.left_out)["good"] == "shorter than 50 s"
