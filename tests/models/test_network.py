import numpy as np
import pytest
import torch

from qualityfm.errors import ConfigError
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network, count_parameters
from qualityfm.pretrain.preset import load_preset
from qualityfm.quality.findings import NUM_FINDINGS
from qualityfm.records import Cause
from qualityfm.segments import SegmentConfig

SMALL = ModelConfig(width=32, num_heads=2, num_layers=2, feed_forward=64, attention_radius=4)
SEGMENTS = SegmentConfig(segment_s=10.0, step_s=10.0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(SEGMENTS, SMALL).eval()


@pytest.fixture
def values():
    return torch.randn(3, 4, SEGMENTS.num_samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "total"),
    [("paper-base", 9_576_714), ("paper-large", 70_589_706), ("paper-huge", 319_552_778)],
)
def test_the_paper_sizes_have_the_published_number_of_parameters(name, total):
    preset = load_preset(name)
    assert count_parameters(preset.segments, preset.model) == total


@pytest.mark.parametrize(
    ("name", "millions"), [("paper-base", "9.58"), ("paper-large", "70.59"), ("paper-huge", "319.55")]
)
def test_the_paper_sizes_agree_with_the_paper_to_the_second_decimal(name, millions):
    preset = load_preset(name)
    assert f"{count_parameters(preset.segments, preset.model) / 1e6:.2f}" == millions


@pytest.mark.parametrize(
    ("name", "least", "most"), [("small", 2.5, 3.5), ("base", 9, 11), ("large", 65, 75), ("huge", 300, 340)]
)
def test_our_sizes_are_about_those_of_their_names(name, least, most):
    preset = load_preset(f"qualityfm-{name}")
    assert least < count_parameters(preset.segments, preset.model) / 1e6 < most


def test_the_paper_encoder_alone_has_4_26_million_parameters():
    preset = load_preset("paper-base")
    with torch.device("meta"):
        encoder = Network(preset.segments, preset.model).encoder
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6, 2) == 4.26


def test_the_paper_model_makes_18_tokens_and_two_spectra_of_512_bins():
    preset = load_preset("paper-base")
    network = Network(preset.segments, preset.model).eval()
    encoded = network.encoder(torch.randn(2, 2, 9000))
    assert encoded.tokens.shape == (2, 18, 512)
    assert network.decoder(encoded).shape == (2, 2, 2, 512)


def test_tiny_has_beat_resolution_and_one_to_two_million_parameters():
    preset = load_preset("qualityfm-tiny")
    assert preset.model.patch_samples / preset.segments.sample_rate_hz <= 0.25
    assert 1e6 < count_parameters(preset.segments, preset.model) < 2e6


def test_an_absent_channel_gives_the_tokens_of_a_network_without_it(network, values):
    values[:, 1] = torch.nan
    three_slots = SegmentConfig(segment_s=10.0, step_s=10.0, channels=("ecg", "ppg", "abp"))
    smaller = Network(three_slots, SMALL).eval()
    weights = dict(network.encoder.state_dict())
    weights["tokeniser.slot"] = weights["tokeniser.slot"][[0, 2, 3]]
    smaller.encoder.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(network.encoder(values).tokens, smaller.encoder(values[:, [0, 2, 3]]).tokens)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e20])
def test_a_poisoned_segment_changes_no_other_of_its_batch(network, values, poison):
    with torch.no_grad():
        before = network.encoder(values).tokens
        values[1] = poison
        after = network.encoder(values).tokens
    assert torch.isfinite(after).all()
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]], rtol=0, atol=1e-6)


def test_missing_time_is_seen_by_no_other_token(network, values):
    values[:, :, 500:750] = torch.nan
    encoded = network.encoder(values)
    assert (~encoded.is_valid[:, 20:30]).all()
    assert encoded.is_valid[:, :20].all()
    assert encoded.is_valid[:, 30:].all()


def test_a_segment_without_any_sample_still_gives_finite_numbers(network, values):
    values[:] = torch.nan
    with torch.no_grad():
        encoded = network.encoder(values)
        assert torch.isfinite(encoded.tokens).all()
        assert (encoded.pooled == 0).all()
        assert torch.isfinite(network.quality(encoded, 10)).all()


@pytest.mark.parametrize("num_samples", [25, 130, 1250, 6000])
def test_any_length_goes_through(network, num_samples):
    with torch.no_grad():
        encoded = network.encoder(torch.randn(1, 4, num_samples))
        assert encoded.tokens.shape[1] == -(-num_samples // 25)
        num_seconds = -(-num_samples // 125)
        assert network.quality(encoded, num_seconds).shape[2] == num_seconds


def test_the_quality_of_a_second_is_the_mean_of_its_tokens(network, values):
    with torch.no_grad():
        encoded = network.encoder(values)
        plain = network.quality.to_logit(encoded.tokens).view(3, 10, 5, 4).mean(2).transpose(1, 2)
        torch.testing.assert_close(network.quality(encoded, 10), plain)


def test_a_model_that_cannot_fit_its_channels_is_refused():
    config = load_preset("paper-base").model
    with pytest.raises(ConfigError, match="expected wide enough for 3 channels"):
        Network(SegmentConfig(channels=("ppg", "ecg", "abp"), sample_rate_hz=300.0), config)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"width": 30, "num_heads": 4}, "width"), ({"dropout": 1.0}, "dropout"), ({"num_layers": 0}, "num_layers")],
)
def test_an_impossible_shape_is_refused_by_name(change, field):
    with pytest.raises(ConfigError, match=f"model: {field}"):
        ModelConfig(**change)


def test_a_token_longer_than_a_second_speaks_for_all_its_seconds():
    config = ModelConfig(width=16, num_heads=2, num_layers=1, feed_forward=16, patch_samples=250)
    network = Network(SEGMENTS, config).eval()
    with torch.no_grad():
        found = network.quality(network.encoder(torch.randn(1, 4, SEGMENTS.num_samples)), 10)
    torch.testing.assert_close(found[..., 0::2], found[..., 1::2])


def test_the_cause_head_judges_every_second_of_every_slot_and_cause():
    from qualityfm.models.encoder import Encoded
    from qualityfm.models.heads import CauseHead

    head = CauseHead(8, 3, 2, token_s=0.5)
    tokens = torch.randn(2, 20, 8)
    logits = head(Encoded(tokens=tokens, is_valid=torch.ones(2, 20, dtype=torch.bool)), 10)
    assert logits.shape == (2, 3, 10, 2)
    expected = head.to_logit(tokens[:, 6:8]).mean(1).view(2, 3, 2)  # the tokens of second 3
    torch.testing.assert_close(logits[:, :, 3], expected)


def test_heads_that_see_findings_judge_with_and_without_them():
    config = ModelConfig(width=16, num_heads=2, num_layers=1, feed_forward=16, heads_see="tokens and findings")
    network = Network(SegmentConfig(segment_s=10.0, step_s=10.0), config).eval()
    values = torch.randn(2, 4, 1250)
    findings = torch.rand(2, 4, 10, NUM_FINDINGS)
    with torch.inference_mode():
        encoded = network.encoder(values)
        blind, named = network.judge(encoded, 10)
        sighted, _ = network.judge(encoded, 10, findings)
        nothing, _ = network.judge(encoded, 10, torch.zeros_like(findings))
    assert blind.shape == (2, 4, 10)
    assert named.shape == (2, 4, 10, len(Cause.learnable()))
    assert torch.equal(blind, nothing)
    assert not torch.allclose(blind, sighted)


def test_findings_are_for_tokens_that_channels_share():
    with pytest.raises(ConfigError, match="heads_see"):
        ModelConfig(tokens="channels", heads_see="tokens and findings")
