import numpy as np
import pytest

from qualityfm.quality import score_block
from qualityfm.records import Cause

RNG = np.random.default_rng(2)
TIME_S = np.arange(3750) / 125


def scored(make_block, ecg, unit="mV"):
    score = score_block(make_block(("ecg", ecg.astype(np.float32)), unit=unit))
    return score.quality[0, 0], score.causes[0, 0]


def is_named(causes, cause, seconds):
    return (causes[seconds] & cause > 0).all()


@pytest.mark.parametrize("rate_per_min", [30, 45, 75, 140, 200])
def test_no_heart_rate_is_a_fault(make_block, make_ecg, rate_per_min):
    quality, causes = scored(make_block, make_ecg(np.arange(-1, 31, 60 / rate_per_min)))
    assert quality.mean() > 0.9
    assert not causes.any()


def test_an_irregular_rhythm_is_no_fault(make_block, make_ecg, irregular_beats):
    quality, causes = scored(make_block, make_ecg(irregular_beats))
    assert quality.min() > 0.9
    assert not causes.any()


def test_ectopic_beats_of_twice_the_size_are_no_fault(make_block, make_ecg, regular_beats):
    ecg = make_ecg(np.delete(regular_beats, [8, 20]))
    for beat_s in regular_beats[[8, 20]] - 0.3:
        ecg = ecg + 2.2 * np.exp(-((TIME_S - beat_s) ** 2) / (2 * 0.05**2))
        ecg = ecg - 0.9 * np.exp(-((TIME_S - beat_s - 0.3) ** 2) / (2 * 0.08**2))
    quality, causes = scored(make_block, ecg)
    assert quality.min() > 0.8
    assert not causes.any()


@pytest.mark.parametrize("frequency_hz", [2.5, 4.0, 6.0])
def test_ventricular_waves_without_pause_are_no_fault(make_block, frequency_hz):
    swell = 1 + 0.3 * np.sin(2 * np.pi * 0.4 * TIME_S)
    ecg = swell * np.sin(2 * np.pi * frequency_hz * TIME_S) + RNG.normal(0, 0.005, 3750)
    quality, causes = scored(make_block, ecg)
    assert quality.mean() > 0.9
    assert not causes.any()


def test_a_pause_of_three_seconds_is_no_fault(make_block, make_ecg, regular_beats):
    quality, causes = scored(make_block, make_ecg(regular_beats[(regular_beats < 12) | (regular_beats > 15)]))
    assert quality.min() > 0.9
    assert not causes.any()


def test_a_step_flat_for_two_seconds_is_named_flat(make_block, ecg):
    ecg[1250:1500] = ecg[1250]
    quality, causes = scored(make_block, ecg)
    assert (quality[10:12] == 0).all()
    assert is_named(causes, Cause.FLAT, slice(10, 12))
    assert quality[8] > 0.9


def test_clipped_peaks_are_named_saturation(make_block, make_ecg, regular_beats):
    broad = sum(np.exp(-((TIME_S - b) ** 2) / (2 * 0.12**2)) for b in regular_beats) + RNG.normal(0, 0.005, 3750)
    quality, causes = scored(make_block, np.minimum(broad, 0.6))
    assert quality.mean() < 0.3
    assert (causes & Cause.SATURATION > 0).mean() > 0.8


def test_a_line_at_its_rail_is_named_saturation(make_block, ecg):
    ecg[1250:1290] = 10.0
    _, causes = scored(make_block, ecg)
    assert is_named(causes, Cause.SATURATION, 10)


def test_wandering_is_named_baseline_and_costs_more_the_larger_it_is(make_block, ecg):
    qualities = [scored(make_block, ecg + a * np.sin(2 * np.pi * 0.2 * TIME_S)) for a in (0.1, 0.5, 2.0)]
    means = [quality.mean() for quality, _ in qualities]
    assert means[0] > means[1] > means[2]
    assert (qualities[2][1] & Cause.BASELINE > 0).all()


def test_white_noise_is_named_noise_and_stays_in_its_seconds(make_block, ecg):
    ecg[1250:1875] += RNG.normal(0, 0.2, 625)
    quality, causes = scored(make_block, ecg)
    assert is_named(causes, Cause.NOISE, slice(10, 15))
    assert quality[10:15].max() < 0.5
    assert (quality[[8, 16]] > 0.9).all()


def test_a_second_ten_times_larger_than_the_others_is_named_motion(make_block, ecg):
    ecg[1250:1375] += 10 * np.sin(2 * np.pi * 3 * TIME_S[:125])
    quality, causes = scored(make_block, ecg)
    assert is_named(causes, Cause.MOTION, 10)
    assert quality[10] < 0.1


def test_a_needle_is_named_spike(make_block, ecg):
    ecg[1300] += 5
    _, causes = scored(make_block, ecg)
    assert is_named(causes, Cause.SPIKE, 10)
    assert not (np.delete(causes, 10) & Cause.SPIKE).any()


@pytest.mark.parametrize(
    ("factor", "unit", "cause"),
    [
        (0.01, "mV", Cause.LOW_AMPLITUDE),
        (10, "uV", Cause.LOW_AMPLITUDE),
        (50, "mV", Cause.HIGH_AMPLITUDE),
        (1, "V", Cause.HIGH_AMPLITUDE),
    ],
)
def test_the_size_in_millivolts_is_judged(make_block, ecg, factor, unit, cause):
    _, causes = scored(make_block, ecg * factor, unit=unit)
    assert (causes == cause).all()


def test_the_size_in_an_unknown_unit_is_not_judged(make_block, ecg):
    _, causes = scored(make_block, ecg * 1000, unit="adu")
    assert not causes.any()


def test_beats_that_are_each_too_small_to_compare_still_get_a_score(make_block, ecg):
    score = score_block(make_block(("ecg", np.float32(4e-16) * ecg)))
    assert (score.causes[0, 0] & Cause.LOW_AMPLITUDE > 0).all()
