import numpy as np
import pytest

from qualityfm.quality.paper import paper_quality


def test_a_regular_ecg_is_perfect(make_block, ecg):
    assert paper_quality(make_block(("ecg", ecg)))[0] == pytest.approx(1)


@pytest.mark.parametrize("rate_per_min", [35, 150])
def test_a_rate_outside_40_to_120_is_worthless(make_block, make_ecg, rate_per_min):
    assert paper_quality(make_block(("ecg", make_ecg(np.arange(-1, 31, 60 / rate_per_min)))))[0] == 0


def test_atrial_fibrillation_is_called_bad_as_published(make_block, make_ecg, irregular_beats):
    assert paper_quality(make_block(("ecg", make_ecg(irregular_beats))))[0] < 0.8


def test_noise_lowers_the_quality_of_a_ppg(make_block, ppg):
    noisy = ppg + np.random.default_rng(0).normal(0, 1, len(ppg)).astype(np.float32)
    assert paper_quality(make_block(("ppg", noisy)))[0] < paper_quality(make_block(("ppg", ppg)))[0] - 0.2


def test_both_channels_are_averaged(make_block, ecg, ppg):
    both, one, other = (
        paper_quality(make_block(*channels))[0]
        for channels in ((("ecg", ecg), ("ppg", ppg)), (("ecg", ecg),), (("ppg", ppg),))
    )
    assert both == pytest.approx((one + other) / 2, abs=1e-6)


@pytest.mark.parametrize("content", [np.nan, 0.0, 1.0, 1e20])
def test_a_channel_without_a_wave_is_worthless(make_block, content):
    line = np.full(3750, content, np.float32)
    assert paper_quality(make_block(("ecg", line), ("ppg", line))).tolist() == [0]


def test_no_ecg_and_no_ppg_give_0(make_block, ppg):
    assert paper_quality(make_block(("abp", ppg), ("ppg", None))).tolist() == [0]
