from dataclasses import replace

import numpy as np
import pytest
import torch

from qualityfm.errors import ConfigError, SignalError
from qualityfm.inference.loading import load_model
from qualityfm.inference.predictor import Predictor
from qualityfm.models.checkpoint import save_checkpoint
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.quality.score import score_quality
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.waveform.simulate import SimulationConfig, simulate

SEGMENTS = SegmentConfig(segment_s=10.0, step_s=10.0)


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    config = ModelConfig(width=32, num_heads=2, num_layers=2, feed_forward=32, attention_radius=4)
    return Predictor(Network(SEGMENTS, config).eval(), {"name": "test"})


@pytest.fixture(scope="module")
def recording():
    return simulate(3, SimulationConfig(duration_s=35.0)).recording


def test_a_score_holds_the_classical_quality_and_the_models_beside_it(predictor, recording):
    score = predictor.score(recording)
    plain = score_quality(recording, SEGMENTS)
    np.testing.assert_array_equal(score.quality, plain.quality)
    assert score.model_quality.shape == score.quality.shape
    assert ((score.model_quality >= 0) & (score.model_quality <= 1)).all()
    assert "model_quality" in score.to_pandas().columns


def test_embeddings_come_one_a_segment_and_turn_into_frames_and_tensors(predictor, recording):
    embeddings = predictor.embed(recording)
    assert embeddings.vectors.shape == (4, 32)
    assert embeddings.to_tensor().shape == (4, 32)
    assert list(embeddings.to_pandas().columns[:3]) == ["recording", "start_s", "feature_0"]
    assert "4 segments x 32 features" in repr(embeddings)


def test_a_recording_scores_the_same_in_any_company(predictor, recording, monkeypatch):
    together = predictor.embed(recording).vectors
    monkeypatch.setattr("qualityfm.inference.scoring.BATCH_SEGMENTS", 1)
    np.testing.assert_allclose(predictor.embed(recording).vectors, together, atol=1e-5)


def test_any_subset_of_channels_is_scored(predictor, recording):
    for kind in (ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP):
        alone = replace(recording, signals=recording.of_kind(kind))
        score = predictor.score(alone)
        assert {row["kind"] for row in score.seconds} == {str(kind)}
        assert np.isfinite(predictor.embed(alone).vectors).all()


def test_a_recording_without_a_fitting_channel_is_refused_by_name(predictor, recording):
    other = replace(recording.signals[0], kind=ChannelKind.OTHER, name="RESP")
    with pytest.raises(SignalError, match="RESP:other"):
        predictor.score(replace(recording, signals=(other,)))


def test_a_model_loads_from_a_run_folder_or_its_checkpoint(predictor, recording, tmp_path):
    save_checkpoint(tmp_path / "run" / "checkpoint", predictor.network, {"name": "saved"})
    expected = predictor.embed(recording).vectors
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoint"):
        loaded = load_model(folder)
        assert loaded.name == "saved"
        np.testing.assert_array_equal(loaded.embed(recording).vectors, expected)


def test_an_unknown_model_says_which_ones_ship():
    with pytest.raises(ConfigError, match="no such model: models: name: found 'qualityfm-tinny'"):
        load_model("qualityfm-tinny")


def test_nothing_recorded_means_no_quality_and_no_vector(predictor, recording):
    samples = [s.samples.copy() for s in recording.signals]
    for line, signal in zip(samples, recording.signals, strict=True):
        line[round(5 * signal.sample_rate_hz) : round(21 * signal.sample_rate_hz)] = np.nan
    signals = tuple(replace(s, samples=line) for s, line in zip(recording.signals, samples, strict=True))
    gap = replace(recording, signals=signals)
    score = predictor.score(gap)
    assert (score.model_quality[0, :, 5:] == 0).all()
    assert (score.model_quality[0, :, :5] > 0).all()
    assert (score.model_quality[1] == 0).all()
    vectors = predictor.embed(gap).vectors
    assert np.isnan(vectors[1]).all()
    assert np.isfinite(vectors[[0, 2, 3]]).all()


def test_a_device_that_is_not_there_is_refused_by_name(predictor, tmp_path):
    save_checkpoint(tmp_path, predictor.network, {"name": "saved"})
    with pytest.raises(ConfigError, match="device: found 'banana'"):
        load_model(tmp_path, device="banana")


def test_a_calibrated_model_adds_a_probability_causes_and_what_it_knows(predictor, recording):
    from qualityfm.config import to_plain
    from qualityfm.models.calibration import fit_calibration
    from qualityfm.records import Cause

    rng, num_causes = np.random.default_rng(0), len(Cause.learnable())
    has_cause = rng.random((400, num_causes)) < 0.2
    features = predictor.embed(recording).vectors
    quality = rng.random(400)
    fitted = fit_calibration(rng.normal(size=400), quality, np.where(has_cause, 4.0, -4.0), has_cause, features)
    calibrated = Predictor(predictor.network, {"name": "test", "calibration": to_plain(fitted)})
    score = calibrated.score(recording)
    assert ((score.model_good >= 0) & (score.model_good <= 1)).all()
    assert score.model_causes.dtype == np.uint16
    assert score.model_knows.all()
    assert {"model_good", "model_causes", "model_knows"} <= set(score.to_pandas().columns)
    loud = tuple(replace(s, samples=rng.standard_normal(len(s.samples)).astype(np.float32)) for s in recording.signals)
    assert not calibrated.score(replace(recording, signals=loud)).model_knows.all()


def test_a_model_that_was_never_calibrated_adds_no_probability(predictor, recording):
    assert predictor.score(recording).model_good is None
