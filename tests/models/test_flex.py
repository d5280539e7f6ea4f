import pytest
import torch

from qualityfm.models.attention import dense_band_attention
from qualityfm.models.flex import SWITCH, flex_band_attention, uses_flex


@pytest.mark.parametrize("num_global", [0, 1])
def test_flex_attention_equals_its_dense_twin(num_global):
    torch.manual_seed(0)
    qkv = torch.randn(3, 2, 2, 70, 16)
    is_valid = torch.rand(2, 70) < 0.8
    window = {"radius": 5, "num_global": num_global, "is_valid": is_valid}
    torch.testing.assert_close(flex_band_attention(*qkv, **window), dense_band_attention(*qkv, **window))


def test_flex_attention_is_never_chosen_on_a_cpu(monkeypatch):
    monkeypatch.setenv(SWITCH, "1")
    assert not uses_flex(torch.zeros(1))
