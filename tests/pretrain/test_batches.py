from dataclasses import replace

import numpy as np
import pytest
import torch

from qualityfm.pretrain.batches import PairBatches
from qualityfm.pretrain.calibrate import one_channel_each
from qualityfm.pretrain.noise import load_noise
from qualityfm.quality.findings import NUM_FINDINGS
from qualityfm.shards.reader import ShardReader


@pytest.fixture
def make_batches(small_data, small_preset):
    def make(seed=0):
        reader = ShardReader(small_data)
        bank = load_noise(None, sample_rate_hz=125.0, seed=0)
        rows = np.arange(len(reader))
        return PairBatches(reader, rows, small_preset.pretrain, small_preset.model, bank, seed=seed)

    return make


def equal(a, b):
    return all(
        torch.equal(torch.nan_to_num(x.float(), nan=-9.0), torch.nan_to_num(y.float(), nan=-9.0))
        for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
        if x is not None
    )


def test_the_batch_of_a_step_depends_on_seed_and_step_alone(make_batches):
    first = make_batches()
    for step in range(3):
        first.batch(step)
    assert equal(first.batch(5), make_batches().batch(5))
    assert not equal(first.batch(5), first.batch(6))
    assert not equal(first.batch(5), make_batches(seed=1).batch(5))


def test_a_made_pair_shows_the_same_moment_with_lower_quality(make_batches):
    batches = make_batches()
    for step in range(4):
        batch = batches.batch(step)
        assert batch.same_moment.any()
        assert torch.isfinite(batch.quality).all()
        assert batch.quality.min() >= 0
        assert batch.quality.max() <= 1


def test_shapes_and_types_are_what_the_model_eats(make_batches, small_preset):
    batch = make_batches().batch(0)
    assert batch.better.shape == batch.worse.shape == batch.clean.shape == (8, 4, 1250)
    assert batch.better.dtype == batch.worse.dtype == torch.float32
    assert batch.quality.shape == batch.has_quality.shape == (8, 4, 10)
    assert batch.hidden.shape == (8, 50)


def test_a_channel_taken_from_the_student_has_no_quality_to_learn(make_batches):
    batches = make_batches()
    for step in range(6):
        batch = batches.batch(step)
        is_gone = torch.isnan(batch.worse).all(-1)
        assert not batch.has_quality[is_gone].any()


def test_a_blanked_second_has_nothing_left_to_trust(make_batches, small_preset):
    batches = make_batches()
    for step in range(4):
        batch = batches.batch(step)
        seconds = torch.isnan(batch.worse).view(8, 4, 10, 125).all(-1)
        assert (batch.quality[seconds & batch.has_quality] == 0).all()


def test_a_spared_pair_shows_the_segment_as_it_is(small_data, small_preset):
    reader = ShardReader(small_data)
    config = replace(small_preset.pretrain, made_fraction=1.0, spared_fraction=1.0, channel_dropout=0.0)
    config = replace(config, zeroed_span=(0.0, 0.0))
    bank = load_noise(None, sample_rate_hz=125.0, seed=0)
    batch = PairBatches(reader, np.arange(len(reader)), config, small_preset.model, bank, seed=0).batch(0)
    assert batch.same_moment.all()
    difference = (batch.worse - batch.clean).nan_to_num()
    assert difference.abs().max() < 0.1 * batch.clean.nan_to_num().abs().max() + 0.2  # jitter alone


def test_findings_of_a_pair_are_those_of_its_worse_member(small_data, small_preset):
    reader = ShardReader(small_data)
    config = replace(small_preset.pretrain, made_fraction=1.0, spared_fraction=1.0, channel_dropout=0.0)
    config = replace(config, zeroed_span=(0.0, 0.0), noise_sd=0.0, offset=0.0, gain_range=(1.0, 1.0))
    model = replace(small_preset.model, heads_see="tokens and findings")
    bank = load_noise(None, sample_rate_hz=125.0, seed=0)
    rows = np.arange(len(reader))
    seen = PairBatches(reader, rows, config, model, bank, seed=0).batch(0)
    assert seen.findings.shape == (8, 4, 10, NUM_FINDINGS)
    # The data set holds the classical quality, which is what all findings together say; of samples before they were
    # rounded for storage, which moves a second at the edge of a fault.
    difference = (1 - seen.findings[..., -1] - seen.quality).abs()
    assert difference.max() < 0.2
    assert (difference < 0.05).float().mean() > 0.99
    blind = PairBatches(reader, rows, config, model, bank, seed=0, held_back=1.0).batch(0)
    assert not blind.findings.any()
    assert PairBatches(reader, rows, config, small_preset.model, bank, seed=0).batch(0).findings is None


def test_one_live_channel_of_each_segment_is_kept(make_batches):
    worse = make_batches().batch(0).worse
    alone = one_channel_each(worse, np.random.default_rng(0))
    is_kept = alone.isfinite().any(-1)
    assert (is_kept.sum(1) == 1).all()
    assert torch.equal(alone[is_kept].nan_to_num(), worse[is_kept].nan_to_num())
