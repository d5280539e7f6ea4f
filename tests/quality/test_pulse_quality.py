import numpy as np
import pytest

from qualityfm.quality import score_block
from qualityfm.records import Cause

RNG = np.random.default_rng(2)
TIME_S = np.arange(3750) / 125


def scored(make_block, samples, kind="ppg"):
    score = score_block(make_block((kind, samples.astype(np.float32))))
    return score.quality[0, 0], score.causes[0, 0]


@pytest.mark.parametrize("rate_per_min", [35, 60, 110, 160])
def test_no_pulse_rate_is_a_fault(make_block, make_ppg, rate_per_min):
    quality, causes = scored(make_block, make_ppg(np.arange(-1, 31, 60 / rate_per_min)))
    assert quality.mean() > 0.85
    assert not causes.any()


def test_an_irregular_pulse_is_no_fault(make_block, make_ppg, irregular_beats):
    quality, causes = scored(make_block, make_ppg(irregular_beats))
    assert quality.mean() > 0.85
    assert not causes.any()


def test_a_ceiling_inside_the_range_is_named_saturation(make_block, ppg):
    clipped = np.minimum(ppg, 2.7)
    clipped[1250:1260] = 4.0
    _, causes = scored(make_block, clipped)
    assert (causes[:9] & Cause.SATURATION > 0).mean() > 0.8


def test_fast_noise_is_named_noise(make_block, ppg):
    quality, causes = scored(make_block, ppg + RNG.normal(0, 0.1, 3750))
    assert (causes & Cause.NOISE > 0).all()
    assert quality.max() < 0.5


def test_a_swing_of_the_arm_is_named_motion_or_baseline(make_block, ppg):
    ppg[1250:1500] += 6 * np.sin(2 * np.pi * 1.0 * TIME_S[:250])
    quality, causes = scored(make_block, ppg)
    assert (causes[10:12] & (Cause.MOTION | Cause.BASELINE) > 0).all()
    assert quality[10:12].max() < 0.3


def test_a_vanishing_pulse_is_named_low_amplitude(make_block, ppg):
    fade = np.ones(3750)
    fade[1250:2250] = 0.01
    quality, causes = scored(make_block, 2 + (ppg - 2) * fade)
    assert (causes[12:16] & Cause.LOW_AMPLITUDE > 0).all()
    assert quality[12:16].max() < 0.1


def test_a_constant_pulse_is_flat_and_worthless(make_block, ppg):
    quality, causes = scored(make_block, np.full_like(ppg, 2.5))
    assert (quality == 0).all()
    assert (causes & Cause.FLAT > 0).all()


@pytest.mark.parametrize(
    ("level_mmhg", "pulse_mmhg", "cause"),
    [(0, 10, Cause.LOW_AMPLITUDE), (320, 40, Cause.HIGH_AMPLITUDE), (90, 2, Cause.LOW_AMPLITUDE)],
)
def test_a_pressure_that_no_artery_has_is_named(make_block, ppg, level_mmhg, pulse_mmhg, cause):
    quality, causes = scored(make_block, level_mmhg + pulse_mmhg * (ppg - 2), kind="abp")
    assert (causes & cause > 0).all()
    assert quality.max() < 0.3


def test_a_small_clean_pulse_is_no_fault(make_block, ppg):
    size = np.ones(3750)
    size[1250:2250] = 0.12
    quality, causes = scored(make_block, 2 + (ppg - 2) * size)
    assert not (causes[12:16] & Cause.LOW_AMPLITUDE).any()
    assert quality[12:16].min() > 0.5


def test_a_pulse_that_ends_does_not_spoil_the_seconds_before(make_block, ppg):
    left = np.where(np.arange(3750) < 1250, ppg - 2, 0) + 0.001 * np.random.default_rng(0).standard_normal(3750)
    quality, causes = scored(make_block, 2 + left)
    assert np.median(quality[2:8]) > 0.9
    assert not causes[:7].any()


def test_a_channel_without_a_pulse_is_named_flat_alone(make_block):
    times_s = np.arange(3750) / 125
    hum = 0.002 * np.sin(2 * np.pi * 50 * times_s) + 0.001 * np.random.default_rng(0).standard_normal(3750)
    _, causes = scored(make_block, 2 + hum)
    assert (causes == int(Cause.FLAT)).all()
