"""The whole road on real recordings: archive -> shards -> pre-training -> resume -> scores, same numbers everywhere."""

import json

import numpy as np
import pandas as pd
import pytest

import qualityfm
from qualityfm.cli.main import main
from qualityfm.shards import ShardReader, verify

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def road(real_data, tmp_path_factory):
    """Prepare a few train records and train the demo preset on them; return the folder of all that."""
    folder = tmp_path_factory.mktemp("road")
    table = pd.read_csv(real_data / "challenge2015" / "records.csv")
    table = table[(table.split == "train") & (table.fold != 4)].iloc[::35]
    table.to_csv(folder / "records.csv", index=False)
    archive = str(real_data / "challenge2015" / "records")
    select = ["--select", str(folder / "records.csv"), "--where", "split == 'train' and fold != 4"]
    assert main(["prepare", archive, "--out", str(folder / "data"), "--preset", "demo", *select]) == 0
    train = ["pretrain", "demo", "--data", str(folder / "data"), "--out", str(folder / "run"), "--steps", "12"]
    assert main([*train, "--threads", "1", "--noise", str(real_data / "nstdb")]) == 0
    return folder


def test_the_data_set_holds_what_was_selected_and_verifies(road):
    reader = ShardReader(road / "data")
    chosen = set(pd.read_csv(road / "records.csv").record)
    assert set(reader.rows["recording_id"]) <= chosen
    assert len(set(reader.rows["recording_id"])) >= len(chosen) - 1
    assert verify(road / "data") == []
    card = json.loads((road / "run" / "checkpoint" / "model.json").read_text())
    assert card["data"]["sets"][0]["selection"]["where"] == "split == 'train' and fold != 4"
    assert card["data"]["content_hash"] == reader.index.content_hash


def test_no_label_reaches_the_data_set_or_the_checkpoint(road):
    words = (b"alarm", b"Alarm", b"Asystole", b"Tachycardia", b"Bradycardia", b"Fibrillation")
    files = [path for part in ("data", "run") for path in (road / part).rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert not [word for word in words if word in content], path


def test_command_line_and_python_give_the_same_scores_and_vectors(road, real_data):
    record = real_data / "challenge2015" / "records" / pd.read_csv(road / "records.csv").record[0]
    assert main(["score", str(record), "--model", str(road / "run"), "--out", str(road / "s.csv")]) == 0
    assert main(["embed", f"{record}.hea", "--model", str(road / "run"), "--out", str(road / "e.parquet")]) == 0
    model = qualityfm.load_model(road / "run")
    recording = qualityfm.open_recording(record)
    expected = model.score(recording).to_pandas()
    found = pd.read_csv(road / "s.csv", keep_default_na=False)
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found.quality, expected.quality)
    np.testing.assert_allclose(found.model_quality, expected.model_quality)
    assert list(found.causes) == list(expected.causes)
    vectors = pd.read_parquet(road / "e.parquet").filter(like="feature_").to_numpy()
    np.testing.assert_allclose(vectors, model.embed(recording).vectors, rtol=1e-6)


def test_classical_quality_is_the_same_with_and_without_a_model(road, real_data):
    record = real_data / "challenge2015" / "records" / pd.read_csv(road / "records.csv").record[1]
    recording = qualityfm.open_recording(record)
    plain = qualityfm.score_quality(recording)
    scored = qualityfm.load_model(road / "run").score(recording)
    np.testing.assert_array_equal(plain.quality, scored.quality)
    np.testing.assert_array_equal(plain.overall, scored.overall)


def test_shards_hold_the_segments_that_cutting_gives(road, real_data):
    reader = ShardReader(road / "data")
    name = reader.rows["recording_id"][0]
    rows = np.flatnonzero(reader.rows["recording_id"] == name)
    batch = reader.read(rows)
    recording = qualityfm.open_recording(real_data / "challenge2015" / "records" / name)
    segments = {round(s.start_s): s for s in qualityfm.cut_segments(recording, reader.index.segments)}
    for i, row in enumerate(rows):
        segment = segments[round(reader.rows["start_s"][row])]
        step = np.nanmax(np.abs(segment.values)) / 32000
        np.testing.assert_allclose(batch.values[i], segment.values, atol=max(step, 1e-6))
        np.testing.assert_array_equal(batch.is_real[i], segment.is_real)
