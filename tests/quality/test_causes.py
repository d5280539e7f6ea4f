"""Causes that need more than one second to be seen: hum, motion, inversion, gain, time."""

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.quality import judge_channels, score_block
from qualityfm.records import Cause

RNG = np.random.default_rng(2)
TIME_S = np.arange(3750) / 125
SPAN, INSIDE, OUTSIDE = slice(1250, 2500), slice(11, 19), [*range(8), *range(22, 30)]


def causes_of(make_block, samples, kind="ecg"):
    return score_block(make_block((kind, samples.astype(np.float32)))).causes[0, 0]


def share(causes, cause, seconds):
    return (causes[seconds] & cause > 0).mean()


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_hum_is_named_power_line_and_no_noise(make_block, ecg, mains_hz):
    hum = ecg + 0.15 * np.sin(2 * np.pi * mains_hz * TIME_S)
    causes = causes_of(make_block, hum)
    assert (causes == Cause.POWER_LINE).mean() > 0.9


def test_white_noise_is_no_hum(make_block, ecg):
    causes = causes_of(make_block, ecg + RNG.normal(0, 0.1, 3750))
    assert share(causes, Cause.POWER_LINE, slice(None)) < 0.1


@pytest.mark.parametrize("kind", ["ecg", "ppg"])
def test_movement_inside_the_hearts_band_is_named_motion_where_it_is(make_block, ecg, ppg, kind):
    clean = ecg if kind == "ecg" else ppg
    wave = np.convolve(RNG.normal(0, 1, 3750), np.hanning(32), "same")
    moved = clean.copy()
    moved[SPAN] += (1.5 * clean.std() / wave.std() * wave + RNG.normal(0, 0.01, 3750))[SPAN]
    causes = causes_of(make_block, moved, kind)
    assert share(causes, Cause.MOTION, INSIDE) > 0.6
    assert not causes[OUTSIDE].any()


def test_an_ecg_turned_over_for_a_while_is_named_inverted_there(make_block, ecg):
    ecg[SPAN.start : SPAN.start + 750] *= -1
    causes = causes_of(make_block, ecg)
    assert share(causes, Cause.INVERTED, slice(11, 15)) == 1
    assert share(causes, Cause.INVERTED, OUTSIDE) == 0


@pytest.mark.parametrize(("name", "sign", "is_named"), [("II", -1, True), ("II", 1, False), ("V", -1, False)])
def test_a_lead_of_the_limbs_that_is_upside_down_as_a_whole_is_named_inverted(make_block, ecg, name, sign, is_named):
    block = replace(make_block(("ecg", sign * ecg)), names=(name,))
    assert ((score_block(block).causes & Cause.INVERTED) > 0).all() == is_named
    assert ((score_block(block).causes & Cause.INVERTED) > 0).any() == is_named


def test_a_pulse_upside_down_is_named_inverted(make_block, regular_beats):
    after_s = TIME_S - regular_beats[np.searchsorted(regular_beats, TIME_S, side="right") - 1]
    pulse = np.where(after_s < 0.15, np.sin(np.pi / 2 * after_s / 0.15) ** 2, np.exp(-(after_s - 0.15) / 0.3))
    assert share(causes_of(make_block, 5 - pulse, "ppg"), Cause.INVERTED, slice(2, 28)) > 0.9
    assert share(causes_of(make_block, 5 + pulse, "ppg"), Cause.INVERTED, slice(None)) == 0


def test_a_gain_that_is_wrong_for_a_while_is_named_high_amplitude(make_block, ecg):
    ecg[SPAN] *= 10
    causes = causes_of(make_block, ecg)
    assert share(causes, Cause.HIGH_AMPLITUDE, INSIDE) > 0.8
    assert share(causes, Cause.HIGH_AMPLITUDE, OUTSIDE) == 0


def test_a_flushed_pressure_line_is_named_high_amplitude(make_block, ppg):
    pressure = 70 + 40 * (ppg - 2)
    pressure[SPAN] = 250 + RNG.normal(0, 0.5, 1250)
    assert share(causes_of(make_block, pressure, "abp"), Cause.HIGH_AMPLITUDE, INSIDE) == 1


@pytest.mark.parametrize("speed", [0.25, 4.0])
def test_a_file_with_a_wrong_rate_is_named_and_worth_little(make_block, make_ecg, speed):
    long = np.interp(np.arange(3750) * speed, np.arange(3750), make_ecg(np.arange(-1.4, 31, 0.85)), period=3750)
    score = score_block(make_block(("ecg", long.astype(np.float32))))
    assert share(score.causes[0, 0], Cause.WRONG_RATE, slice(None)) > 0.8
    assert score.overall[0] < 0.6


def test_a_pulse_shifted_for_a_while_disagrees_there(make_block, make_ecg, make_ppg, irregular_beats):
    pulse = make_ppg(irregular_beats + 0.2)
    pulse[SPAN] = make_ppg(irregular_beats + 3.3)[SPAN]
    score = score_block(make_block(("ecg", make_ecg(irregular_beats)), ("ppg", pulse)))
    assert share(score.causes[0, 1], Cause.DISAGREEMENT, INSIDE) >= 0.5
    assert share(score.causes[0, 1], Cause.DISAGREEMENT, OUTSIDE) == 0


def test_a_weak_stretch_of_an_ecg_is_named_low_amplitude(make_block, ecg):
    ecg[SPAN] = 0.05 * ecg[SPAN] + RNG.normal(0, 0.01, 1250)
    assert share(causes_of(make_block, ecg), Cause.LOW_AMPLITUDE, INSIDE) == 1


def test_fibrillation_without_like_beats_is_no_motion(make_block):
    frequency_hz = 5 * (1 + 0.15 * np.sin(2 * np.pi * 0.31 * TIME_S) + 0.1 * np.sin(2 * np.pi * 0.83 * TIME_S))
    wave = np.sin(2 * np.pi * np.cumsum(frequency_hz) / 125) * (1 + 0.4 * np.sin(2 * np.pi * 0.5 * TIME_S))
    assert not causes_of(make_block, 0.5 * wave + RNG.normal(0, 0.004, 3750)).any()


def test_the_quality_of_a_second_is_the_product_of_its_trusts(make_block, ecg):
    block = make_block(("ecg", ecg + RNG.normal(0, 0.05, 3750).astype(np.float32)))
    product = np.prod(list(judge_channels(block)[0].trusts.values()), axis=0)
    np.testing.assert_allclose(score_block(block).quality[0, 0], product[0], atol=1e-6)
