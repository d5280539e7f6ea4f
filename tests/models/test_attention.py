import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qualityfm.models.attention import (
    dense_band_attention,
    dense_block_attention,
    rotate_positions,
    shifted_blocks_attention,
    sliding_attention,
    windowed_attention,
)


def random_inputs(num_tokens, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    qkv = torch.randn(3, 2, 3, num_tokens, 8, generator=generator, dtype=dtype)
    is_valid = torch.rand(2, num_tokens, generator=generator) > 0.2
    return *(x.clone().requires_grad_() for x in qkv.unbind(0)), is_valid


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20), st.integers(0, 4), st.integers(0, 10_000))
def test_sliding_attention_equals_its_dense_twin_gradients_included(num_tokens, radius, num_global, seed):
    query, key, value, is_valid = random_inputs(num_tokens, seed)
    settings_ = {"radius": radius, "num_global": min(num_global, num_tokens), "is_valid": is_valid}
    outputs, gradients = [], []
    for attention in (sliding_attention, dense_band_attention):
        output = attention(query, key, value, **settings_)
        gradients.append(torch.autograd.grad(output.square().sum(), (query, key, value)))
        outputs.append(output)
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-10, rtol=1e-8)
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-9, rtol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20), st.integers(0, 4), st.booleans(), st.integers(0, 10_000))
def test_block_attention_equals_its_dense_twin_gradients_included(num_tokens, radius, num_global, is_shifted, seed):
    query, key, value, is_valid = random_inputs(num_tokens, seed)
    settings_ = {"radius": radius, "num_global": min(num_global, num_tokens), "is_valid": is_valid}
    outputs, gradients = [], []
    for attention in (shifted_blocks_attention, dense_block_attention):
        output = attention(query, key, value, **settings_, is_shifted=is_shifted)
        gradients.append(torch.autograd.grad(output.square().sum(), (query, key, value)))
        outputs.append(output)
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-10, rtol=1e-8)
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-9, rtol=1e-7)


def test_in_float32_sliding_and_dense_agree_to_a_hundred_thousandth():
    query, key, value, is_valid = random_inputs(150, dtype=torch.float32)
    settings_ = {"radius": 16, "num_global": 1, "is_valid": is_valid}
    found = sliding_attention(query, key, value, **settings_)
    torch.testing.assert_close(found, dense_band_attention(query, key, value, **settings_), atol=1e-5, rtol=1e-5)


def test_the_shift_carries_news_across_every_border():
    query, key, value, _ = random_inputs(32)
    settings_ = {"radius": 4, "num_global": 0, "is_valid": torch.ones(2, 32, dtype=torch.bool)}
    mixed = shifted_blocks_attention(query, key, value, **settings_, is_shifted=False)
    mixed = shifted_blocks_attention(mixed, mixed, mixed, **settings_, is_shifted=True)
    (gradient,) = torch.autograd.grad(mixed[:, :, 8].sum(), value)
    heard = np.flatnonzero(gradient.abs().amax((0, 1, 3)).numpy() > 0)
    assert set(heard) == set(range(16))


def test_windowed_attention_takes_the_dense_way_only_for_short_inputs(monkeypatch):
    import qualityfm.models.attention as module

    def refuse(*_, **__):
        raise AssertionError("an N x N mask was built")

    monkeypatch.setattr(module, "dense_band_attention", refuse)
    radius = 4
    limit = module.dense_limit(radius)
    query, key, value, is_valid = random_inputs(limit + 1)
    windowed_attention(query, key, value, radius=radius, num_global=1, is_valid=is_valid)
    query, key, value, is_valid = random_inputs(limit)
    with pytest.raises(AssertionError, match="N x N"):
        windowed_attention(query, key, value, radius=radius, num_global=1, is_valid=is_valid)


def test_the_30_s_input_of_the_default_model_is_really_windowed():
    from qualityfm.models.config import ModelConfig

    radius = ModelConfig().attention_radius
    query, key, value, _ = random_inputs(150 + 1)
    is_valid = torch.ones(2, 150 + 1, dtype=torch.bool)
    before = windowed_attention(query, key, value, radius=radius, num_global=1, is_valid=is_valid)
    with torch.no_grad():
        key[:, :, 100] += 3
    after = windowed_attention(query, key, value, radius=radius, num_global=1, is_valid=is_valid)
    assert torch.equal(after[:, :, 1 : 100 - radius], before[:, :, 1 : 100 - radius])
    assert not torch.equal(after[:, :, 100 - radius : 100], before[:, :, 100 - radius : 100])


def test_a_token_beyond_the_radius_changes_nothing():
    query, key, value, _ = random_inputs(60)
    is_valid = torch.ones(2, 60, dtype=torch.bool)
    before = sliding_attention(query, key, value, radius=5, num_global=1, is_valid=is_valid)
    with torch.no_grad():
        key[:, :, 40] += 3
        value[:, :, 40] += 3
    after = sliding_attention(query, key, value, radius=5, num_global=1, is_valid=is_valid)
    changed = (before - after).abs().amax((0, 1, 3)).detach().numpy() > 1e-12
    assert set(np.flatnonzero(changed)) == {0, *range(35, 46)}


def test_an_invalid_token_is_seen_by_nobody_else():
    query, key, value, _ = random_inputs(60)
    is_valid = torch.ones(2, 60, dtype=torch.bool)
    is_valid[:, 30] = False
    before = sliding_attention(query, key, value, radius=5, num_global=1, is_valid=is_valid)
    with torch.no_grad():
        value[:, :, 30] = 1e6
    after = sliding_attention(query, key, value, radius=5, num_global=1, is_valid=is_valid)
    others = [i for i in range(60) if i != 30]
    torch.testing.assert_close(before[:, :, others], after[:, :, others])


def test_memory_of_sliding_attention_grows_linearly():
    def largest_tensor(num_tokens):
        sizes = []

        class Watch(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                out = func(*args, **(kwargs or {}))
                sizes.extend(
                    t.numel() for t in (out if isinstance(out, tuple | list) else [out]) if hasattr(t, "numel")
                )
                return out

        query, key, value, is_valid = random_inputs(num_tokens, dtype=torch.float32)
        with torch.no_grad(), Watch():
            sliding_attention(query, key, value, radius=8, num_global=1, is_valid=is_valid)
        return max(sizes)

    assert largest_tensor(2048) <= 2.1 * largest_tensor(1024)


def test_rotary_scores_depend_on_distance_alone():
    row = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    same = row.expand(1, 1, 12, 8)
    turned = rotate_positions(same)[0, 0]
    scores = turned @ turned.T
    torch.testing.assert_close(scores.diagonal(3), scores[0, 3].expand(9), atol=1e-5, rtol=1e-5)
