"""A run that is looked at: what is drawn and read off, and that looking changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qualityfm.models.checkpoint import load_checkpoint
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.pretrain import linear_probe
from qualityfm.pretrain.batches import PairBatch
from qualityfm.pretrain.loop import pretrain
from qualityfm.pretrain.onlooker import Onlooker, is_time_to_look
from qualityfm.pretrain.preset import load_preset
from qualityfm.pretrain.samples import choose_shown, draw_samples
from qualityfm.segments import SegmentConfig
from qualityfm.training.log import read_log


@pytest.fixture(scope="module")
def watched(small_preset, small_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("watched")
    pretrain(small_preset, small_data, out, steps=3, threads=1)
    return out


def batch_of(segments, num_patches):
    values = torch.randn(4, len(segments.channels), segments.num_samples)
    values[1, 0, 100:200] = torch.nan
    seconds = (4, len(segments.channels), segments.num_seconds)
    return PairBatch(
        better=values,
        worse=values + 0.1,
        clean=values,
        same_moment=torch.tensor([False, True, False, True]),
        quality=torch.rand(seconds),
        causes=torch.zeros(*seconds, 1, dtype=torch.bool),
        has_quality=torch.ones(seconds, dtype=torch.bool),
        hidden=None if num_patches is None else torch.rand(4, num_patches) < 0.3,
        findings=None,
    )


def test_a_run_leaves_a_picture_of_samples_and_a_probe_in_its_log(watched):
    from matplotlib.image import imread

    picture = imread(watched / "samples.png")
    assert picture[..., :3].std() > 0.05  # something is drawn
    last = read_log(watched)[-1]
    assert 0 <= last["probe/quality_auc"] <= 1
    assert -1 <= last["probe/rate_correlation"] <= 1


def test_tensorboard_shows_samples_and_probe(watched):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(watched / "tensorboard")).Reload()
    assert board.Tags()["images"] == ["samples"]
    assert "probe/quality_auc" in board.Tags()["scalars"]


def test_looking_changes_no_bit_of_the_run(small_preset, small_data, watched, tmp_path, monkeypatch):
    monkeypatch.setattr(Onlooker, "look", lambda *_: {})
    pretrain(small_preset, small_data, tmp_path, steps=3, threads=1)
    expected = load_checkpoint(tmp_path / "checkpoint")[0].state_dict()
    for name, value in load_checkpoint(watched / "checkpoint")[0].state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(
    ("num_steps", "looks"),
    [(3, [3]), (250, [0, 100, 200, 250]), (1000, [0, 200, 400, 600, 800, 1000])],
)
def test_a_run_is_looked_at_now_and_then_and_at_its_end(num_steps, looks):
    assert [step for step in range(num_steps + 1) if is_time_to_look(step, num_steps)] == looks


def test_pairs_of_one_moment_are_drawn_first():
    assert choose_shown(batch_of(SegmentConfig(segment_s=4.0), None)) == [1, 3, 0]


def test_the_picture_has_a_row_for_each_pair_and_a_column_for_each_channel():
    segments = SegmentConfig(segment_s=4.0)
    config = ModelConfig(width=16, num_heads=2, num_layers=1, feed_forward=16)
    network = Network(segments, config).eval()
    shown = batch_of(segments, -(-segments.num_samples // config.patch_samples))
    figure = draw_samples(network, shown, torch.device("cpu"), "title")
    drawn = [[line.get_label() for line in axes.lines] for axes in figure.axes]
    assert drawn == [["worse", "better", "reconstruction"]] * 3 * len(segments.channels)
    ends_s = [line.get_xdata()[-1] for axes in figure.axes for line in axes.lines]
    assert ends_s == pytest.approx([4.0 - 1 / segments.sample_rate_hz] * len(ends_s))


def test_a_decoder_of_spectra_is_drawn_against_its_target():
    preset = load_preset("paper-base")
    network = Network(preset.segments, replace(preset.model, num_layers=1)).eval()
    figure = draw_samples(network, batch_of(preset.segments, None), torch.device("cpu"), "title")
    assert [line.get_label() for line in figure.axes[0].lines] == ["target", "reconstruction"]


def test_the_probes_line_finds_what_the_features_hold():
    rng = np.random.default_rng(0)
    features, direction = rng.standard_normal((200, 24)), rng.standard_normal(24)
    answers = features @ direction
    found = linear_probe._ridge(features[:120], answers[:120], features[120:])
    assert np.corrcoef(found, answers[120:])[0, 1] > 0.95


def test_the_heart_rate_of_a_simulated_ecg_is_found_and_a_missing_one_is_nan():
    from qualityfm.segments import cut_block
    from qualityfm.waveform.simulate import SimulationConfig, simulate

    segments = SegmentConfig(segment_s=20.0)
    found = simulate(3, SimulationConfig(duration_s=40.0, faults_per_minute=0.0))
    values = cut_block(found.recording, segments).values[:2].copy()
    values[1] = np.nan
    rates = linear_probe._heart_rate(values, segments.channels, segments.sample_rate_hz)
    assert 40 < rates[0] < 200
    assert np.isnan(rates[1])
