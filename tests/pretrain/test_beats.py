from dataclasses import replace

import numpy as np
import pytest
import torch

from qualityfm.errors import ConfigError
from qualityfm.models.network import Network
from qualityfm.pretrain.batches import PairBatches
from qualityfm.pretrain.beats import MEASURES, beat_targets
from qualityfm.pretrain.losses import beat_loss
from qualityfm.pretrain.noise import load_noise
from qualityfm.pretrain.objective import Objective
from qualityfm.pretrain.preset import load_preset
from qualityfm.records import ChannelKind
from qualityfm.shards.reader import ShardReader

RATE_HZ, PATCH = 125.0, 25


def ecg_line(beat_times_s, heights=None):
    time_s = np.arange(3750) / RATE_HZ
    heights = np.ones(len(beat_times_s)) if heights is None else heights
    line = np.zeros(3750)
    for at_s, height in zip(beat_times_s, heights, strict=True):
        line += height * np.exp(-0.5 * ((time_s - at_s) / 0.02) ** 2)
    return line.astype(np.float32)[None, None]


def measured(line, quality=None):
    quality = np.ones((1, 1, 30), np.float32) if quality is None else quality
    found = beat_targets(line, quality, (ChannelKind.ECG,), RATE_HZ, PATCH)
    return found.measures[0, 0], found.is_known[0, 0]


def test_a_token_that_holds_a_beat_says_so():
    times_s = np.arange(0.5, 29.5, 0.8)
    measures, is_known = measured(ecg_line(times_s))
    with_beat = np.zeros(150)
    with_beat[(times_s * RATE_HZ).round().astype(int) // PATCH] = 1
    assert is_known[:, 0].all()
    assert np.mean(measures[:, 0] == with_beat) > 0.98


def test_a_steady_heart_has_its_interval_and_no_change():
    measures, is_known = measured(ecg_line(np.arange(0.5, 29.5, 0.8)))
    assert is_known[:, 1].mean() > 0.9
    assert np.abs(measures[is_known[:, 1], 1]).max() < 0.1  # log2(0.8 s / 0.8 s)
    assert measures[is_known[:, 2], 2].max() < 0.1


def test_an_early_beat_shows_in_interval_and_change():
    times_s = np.delete(np.append(np.arange(0.5, 29.5, 0.8), 15.3), 19)
    measures, is_known = measured(ecg_line(np.sort(times_s)))
    assert measures[is_known[:, 1], 1].min() < -0.4
    assert measures[is_known[:, 2], 2].max() > 0.4


def test_a_small_beat_is_told_from_the_usual_ones():
    times_s = np.arange(0.5, 29.5, 0.8)
    heights = np.ones(len(times_s))
    heights[10] = 0.6
    measures, is_known = measured(ecg_line(times_s, heights))
    after = (times_s[10] + 0.4) * RATE_HZ / PATCH
    assert is_known[int(after), 3]
    assert measures[int(after), 3] == pytest.approx(np.log2(0.6), abs=0.1)


def test_seconds_that_are_not_trusted_teach_nothing():
    quality = np.ones((1, 1, 30), np.float32)
    quality[0, 0, 10:20] = 0.3
    measures, is_known = measured(ecg_line(np.arange(0.5, 29.5, 0.8)), quality)
    assert not is_known[50:100].any()
    assert not measures[50:100].any()
    assert is_known[:50, 0].all()


def test_a_missing_channel_teaches_nothing():
    line = np.full((1, 1, 3750), np.nan, np.float32)
    _, is_known = measured(line, np.zeros((1, 1, 30), np.float32))
    assert not is_known.any()


def test_the_loss_is_least_where_the_measures_are_met():
    measures, is_known = (torch.from_numpy(x)[None, None] for x in measured(ecg_line(np.arange(0.5, 29.5, 0.8))))
    right = measures.clone()
    right[..., 0] = 20 * (2 * measures[..., 0] - 1)
    wrong = right.clone()
    wrong[..., 1] += 0.5
    assert beat_loss(right, measures, is_known) < 1e-3
    assert beat_loss(wrong, measures, is_known) > 0.1


@pytest.fixture
def objective_and_batch(small_data, small_preset):
    config = replace(small_preset.pretrain, beat_weight=1.0)
    reader = ShardReader(small_data)
    bank = load_noise(None, sample_rate_hz=125.0, seed=0)
    batches = PairBatches(reader, np.arange(len(reader)), config, small_preset.model, bank, seed=0)
    return Objective(Network(small_preset.segments, small_preset.model), config), batches.batch(0)


def test_a_batch_brings_the_measures_that_its_recipe_asks_for(objective_and_batch):
    objective, batch = objective_and_batch
    assert batch.beats.shape == batch.beats_known.shape == (8, 4, 50, len(MEASURES))
    assert batch.beats_known[..., 0].any()
    assert objective(batch).terms["beats"] > 0


def test_beats_teach_the_encoder(objective_and_batch):
    objective, batch = objective_and_batch
    objective(batch).terms["beats"].backward()
    assert all(p.grad is not None for p in objective.beats.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.network.encoder.parameters())


def test_a_recipe_without_beats_has_no_head_for_them(small_preset):
    objective = Objective(Network(small_preset.segments, small_preset.model), small_preset.pretrain)
    assert objective.beats is None


def test_the_papers_long_tokens_refuse_beats():
    preset = load_preset("paper-base")
    with pytest.raises(ConfigError, match="beat_weight"):
        replace(preset, pretrain=replace(preset.pretrain, beat_weight=1.0))
