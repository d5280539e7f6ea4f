import numpy as np
import torch

from qualityfm.models.config import ModelConfig
from qualityfm.models.heads import ProjectionHead
from qualityfm.models.network import Network
from qualityfm.pretrain import watch
from qualityfm.pretrain.augment import blank_span, drop_channel, hide_patches, jitter
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.teacher import Teacher
from qualityfm.segments import SegmentConfig


def make_teacher():
    torch.manual_seed(0)
    config = ModelConfig(width=16, num_heads=2, num_layers=1, feed_forward=16)
    network, projection = Network(SegmentConfig(segment_s=4.0), config), ProjectionHead(16, 8)
    return network, projection, Teacher(network, projection, 8)


def test_the_teacher_starts_equal_and_has_no_gradient():
    network, _, teacher = make_teacher()
    for own, theirs in zip(teacher.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(own, theirs)
        assert not own.requires_grad


def test_the_teacher_moves_by_one_minus_momentum():
    network, projection, teacher = make_teacher()
    before = teacher.network.encoder.summary.clone()
    with torch.no_grad():
        network.encoder.summary += 1
    teacher.follow(network, projection, 0.9)
    torch.testing.assert_close(teacher.network.encoder.summary, before + 0.1)


def test_the_centers_are_running_means():
    _, _, teacher = make_teacher()
    teacher.move_centers(torch.full((5, 8), 2.0), torch.full((3, 8), 4.0), 0.9)
    torch.testing.assert_close(teacher.token_center, torch.full((8,), 0.2))
    torch.testing.assert_close(teacher.pooled_center, torch.full((8,), 0.4))


def test_effective_rank_counts_equal_directions():
    basis = torch.eye(32)[:5].repeat(40, 1) * torch.randn(200, 1)
    assert 4.5 < watch.effective_rank(basis) <= 5.01
    assert watch.effective_rank(torch.randn(2000, 32)) > 31


def test_identical_features_are_a_collapse():
    start = {"feature_spread": 0.5, "effective_rank": 60.0}
    features = torch.ones(50, 32)
    now = {"feature_spread": watch.feature_spread(features), "effective_rank": watch.effective_rank(features)}
    assert watch.is_collapsed(start, now)
    assert not watch.is_collapsed(start, start)


def test_a_run_that_recovered_has_collapsed_all_the_same():
    start, end = ({"feature_spread": 0.5, "effective_rank": 60.0, "loss": loss} for loss in (9.0, 3.0))
    fallen = {"feature_spread": 0.01, "effective_rank": 2.0, "loss": 5.0}
    assert watch.lowest(start, fallen, end) == {"feature_spread": 0.01, "effective_rank": 2.0}
    assert watch.is_collapsed(start, watch.lowest(start, fallen, end))


def test_jitter_keeps_missing_samples_missing_and_changes_little():
    values = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
    values[1, 100:200] = np.nan
    found = jitter(values, PretrainConfig(), np.random.default_rng(1))
    assert np.array_equal(np.isnan(found), np.isnan(values))
    assert np.nanmax(np.abs(found - values)) < 0.1 * np.nanmax(np.abs(values)) + 0.2


def test_a_blanked_span_takes_five_to_ten_percent_of_all_channels():
    values = np.ones((2, 1000), np.float32)
    for seed in range(20):
        missing = np.isnan(blank_span(values, PretrainConfig(), np.random.default_rng(seed), fill=np.nan))
        assert 0.049 <= missing.mean() <= 0.1
        assert (missing[0] == missing[1]).all()


def test_the_last_live_channel_is_never_dropped():
    values = np.ones((3, 50), np.float32)
    values[:2] = np.nan
    for seed in range(20):
        assert np.isfinite(drop_channel(values, 1.0, np.random.default_rng(seed))[2]).all()


def test_hidden_patches_reach_the_asked_share():
    hidden = hide_patches(150, 0.3, np.random.default_rng(0))
    assert 0.3 <= hidden.mean() < 0.36


def test_the_teacher_never_drops_out():
    _, _, teacher = make_teacher()
    torch.nn.ModuleList([teacher]).train()
    assert not any(module.training for module in teacher.modules())


def test_a_small_held_out_set_is_judged_by_its_own_start():
    start = {"feature_spread": 0.08, "effective_rank": 12.0}
    assert not watch.is_collapsed(start, {"feature_spread": 0.05, "effective_rank": 10.0})
    assert watch.is_collapsed(start, {"feature_spread": 0.05, "effective_rank": 5.0})
