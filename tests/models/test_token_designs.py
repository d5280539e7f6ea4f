"""What every token design owes: absent channels change nothing, poison stays where it is, all parts downstream work."""

from dataclasses import replace

import pytest
import torch

from qualityfm.errors import ConfigError
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.models.stems import DAUBECHIES_4, ByKind, WaveletBands
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig

ECG, PPG, ABP = ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP
SMALL = ModelConfig(width=32, num_heads=2, num_layers=4, feed_forward=64, attention_radius=4)
SEGMENTS = SegmentConfig(segment_s=10.0, step_s=10.0)
DESIGNS = {
    "patches": SMALL,
    "channels": replace(SMALL, tokens="channels"),
    "channels without summary": replace(SMALL, tokens="channels", summary_token=False, num_global=0),
    "channels, blocks": replace(SMALL, tokens="channels", attention="blocks"),
    "wavelet": replace(SMALL, stem="wavelet"),
    "channels, wavelet": replace(SMALL, tokens="channels", stem="wavelet"),
}


@pytest.fixture(scope="module", params=DESIGNS)
def network(request):
    torch.manual_seed(0)
    return Network(SEGMENTS, DESIGNS[request.param]).eval()


@pytest.fixture
def values():
    return torch.randn(3, 4, SEGMENTS.num_samples, generator=torch.Generator().manual_seed(1))


def answers(network, values):
    """Return all that a network says of a batch, by name."""
    with torch.no_grad():
        encoded = network.encoder(values)
        quality, causes = network.quality(encoded, 10), network.causes(encoded, 10)
        return {"tokens": encoded.tokens, "pooled": encoded.pooled, "quality": quality, "causes": causes}


def test_every_part_gives_its_shape(network, values):
    encoded = network.encoder(values)
    assert encoded.tokens.shape == (3, 50, 32)
    assert encoded.is_valid.shape == (3, 50)
    assert network.decoder(encoded).shape == (3, 4, 1250)
    assert network.quality(encoded, 10).shape == (3, 4, 10)
    assert network.causes(encoded, 10).shape[:3] == (3, 4, 10)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e20])
def test_a_poisoned_sample_changes_no_other_segment(network, values, poison):
    before = answers(network, values)
    values[1, 2, 77] = poison
    after = answers(network, values)
    for name in before:
        assert torch.isfinite(after[name]).all()
        torch.testing.assert_close(before[name][[0, 2]], after[name][[0, 2]], rtol=0, atol=1e-6)


def test_a_segment_without_any_sample_gives_finite_numbers(network, values):
    found = answers(network, torch.full_like(values, torch.nan))
    assert (found["pooled"] == 0).all()
    assert all(torch.isfinite(value).all() for value in found.values())


def test_every_weight_gets_a_finite_gradient_with_missing_data(network, values):
    values[0, 0] = torch.nan
    values[1] = torch.nan
    values[2, :, 300:600] = torch.nan
    encoded = network.encoder(values, torch.rand(3, 50) < 0.3)
    answer = network.decoder(encoded).square().mean() + network.quality(encoded, 10).square().mean()
    (answer + network.causes(encoded, 10).square().mean()).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


@pytest.mark.parametrize("design", ["channels", "channels, wavelet", "channels, blocks", "channels without summary"])
def test_an_absent_channel_equals_a_network_without_that_slot(design, values):
    torch.manual_seed(0)
    network = Network(SEGMENTS, DESIGNS[design]).eval()
    values[:, 1] = torch.nan
    smaller = network.with_channels((ECG, PPG, ABP))
    full, less = answers(network, values), answers(smaller, values[:, [0, 2, 3]])
    for name in ("tokens", "pooled"):
        torch.testing.assert_close(full[name], less[name])
    for name in ("quality", "causes"):
        torch.testing.assert_close(full[name][:, [0, 2, 3]], less[name])


def test_twelve_leads_go_through_weights_learnt_with_two_and_their_order_is_free(values):
    torch.manual_seed(0)
    network = Network(SEGMENTS, DESIGNS["channels"]).eval().with_channels((ECG,) * 12)
    leads = torch.randn(2, 12, SEGMENTS.num_samples)
    order = torch.randperm(12)
    found, turned = answers(network, leads), answers(network, leads[:, order])
    torch.testing.assert_close(found["pooled"], turned["pooled"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["quality"][:, order], turned["quality"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("design", "channels", "found"), [("patches", (ECG,), "patches"), ("channels", (), "channels")]
)
def test_other_channels_are_refused_where_weights_belong_to_slots_or_none_is_left(design, channels, found):
    with pytest.raises(ConfigError, match=f"channels: found '{found}'"):
        Network(SEGMENTS, DESIGNS[design]).with_channels(channels)


def test_a_kind_without_weights_is_refused():
    network = Network(replace(SEGMENTS, channels=(ECG,)), DESIGNS["channels"])
    with pytest.raises(ConfigError, match="found 'ppg', expected kinds out of ecg"):
        network.with_channels((ECG, PPG))


@pytest.mark.parametrize("design", ["wavelet", "channels", "channels, wavelet"])
def test_masked_patches_tell_nothing_of_their_samples(design, values):
    torch.manual_seed(0)
    network = Network(SEGMENTS, replace(DESIGNS[design], num_layers=1)).eval()
    masked = torch.zeros(3, 50, dtype=torch.bool)
    masked[:, 20:30] = True
    other = values.clone()
    other[:, :, 501:749] = 3.0  # the patch stem looks one sample beyond its patch
    with torch.no_grad():
        before, after = (network.encoder(v, masked).tokens for v in (values, other))
    torch.testing.assert_close(before, after)


def test_the_quality_of_a_channel_hears_of_its_own_tokens_alone(values):
    torch.manual_seed(0)
    network = Network(SEGMENTS, replace(DESIGNS["channels"], num_layers=1)).eval()
    other = values.clone()
    other[:, 2] = 0.5
    before, after = answers(network, values)["quality"], answers(network, other)["quality"]
    assert torch.equal(before[:, [0, 1, 3]], after[:, [0, 1, 3]])
    assert not torch.allclose(before[:, 2], after[:, 2])


def test_the_second_layer_hears_of_the_other_channels(values):
    torch.manual_seed(0)
    network = Network(SEGMENTS, replace(DESIGNS["channels"], num_layers=2)).eval()
    other = values.clone()
    other[:, 2] = 0.5
    before, after = answers(network, values)["quality"], answers(network, other)["quality"]
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_the_wavelet_filters_begin_orthonormal_and_keep_a_constant():
    low = torch.tensor(DAUBECHIES_4, dtype=torch.float64)
    shifted = [float((low[2 * k :] * low[: len(low) - 2 * k]).sum()) for k in range(4)]
    assert shifted == pytest.approx([1, 0, 0, 0], abs=1e-9)
    bands = WaveletBands()(torch.ones(1, 1, 2000))[0, :, 900:1100]
    torch.testing.assert_close(bands[-1], torch.ones(200))
    torch.testing.assert_close(bands[:-1], torch.zeros(5, 200), atol=1e-5, rtol=0)


def test_a_band_answers_to_its_octave():
    time = torch.arange(4000) / 125
    power = [
        WaveletBands()(torch.sin(2 * torch.pi * hz * time)[None, None])[0, :, 1000:3000].square().mean(-1).argmax()
        for hz in (45.0, 22.0, 11.0, 5.5, 2.8, 0.5)
    ]
    assert [int(p) for p in power] == [0, 1, 2, 3, 4, 5]


def test_kinds_are_shared_whatever_the_order_of_slots():
    torch.manual_seed(0)
    by_kind = ByKind((PPG, ECG, PPG), lambda: torch.nn.Linear(3, 2))
    x = torch.randn(4, 3, 5, 3)
    found = by_kind(x)
    torch.testing.assert_close(found[:, 0], by_kind["ppg"](x[:, 0]))
    torch.testing.assert_close(found[:, 1], by_kind["ecg"](x[:, 1]))
    torch.testing.assert_close(found[:, 2], by_kind["ppg"](x[:, 2]))


@pytest.mark.parametrize(
    ("change", "field"), [({"stem": "wavelet"}, "stem"), ({"summary_token": True}, "summary_token")]
)
def test_the_papers_tokens_take_neither_stem_nor_summary(change, field):
    paper = {"tokens": "convolution", "decoder": "paper", "summary_token": False}
    with pytest.raises(ConfigError, match=f"model: {field}"):
        ModelConfig(**paper | change)
