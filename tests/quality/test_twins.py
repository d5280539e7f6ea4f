"""The compiled loops against slow, obvious twins."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import rank_filter
from scipy.signal import correlate

from qualityfm.quality.agreement import NUM_DELAYS, STEP_S, activity_steps, best_correlation
from qualityfm.quality.by_second import find_low_stretch
from qualityfm.quality.lines import Judgement
from qualityfm.quality.measures import quiet_level
from qualityfm.quality.resting import NEVER, share_of_expected, sum_resting
from qualityfm.quality.timescale import LASTS_RANK, LASTS_S, timescale_trust
from qualityfm.records import Cause

RATE_HZ, NUM_SECONDS = 50, 12
EDGES = np.arange(NUM_SECONDS + 1) * RATE_HZ


def resting_plainly(line, is_known, tolerance, distance, flat_length, clipped_length):
    """Follow every run of the line, one after the other, and mark those that count."""
    marks, median, begin = np.zeros((2, len(line))), np.median(line[::8]), 0
    lowest, highest = line[is_known].min(), line[is_known].max()
    while begin < len(line):
        if not is_known[begin]:
            begin += 1
            continue
        end = begin + 1
        while end < len(line) and is_known[end] and abs(line[end] - line[begin]) <= tolerance:
            end += 1
        if end - begin >= flat_length:
            marks[0, begin:end] = 1
            is_end = min(line[begin] - lowest, highest - line[begin]) <= tolerance
            marks[1, begin:end] = is_end and highest - lowest > distance
        sides = [line[k] > line[begin] for k in (begin - 1, end) if 0 <= k < len(line)]
        is_far = abs(line[begin] - median) > distance
        if end - begin >= clipped_length and is_far and (len(sides) < 2 or sides[0] == sides[1]):
            marks[1, begin:end] = 1
        begin = end
    return marks.reshape(2, NUM_SECONDS, RATE_HZ).mean(axis=2)


def repeated_plainly(line, tolerance, distance, length, within):
    """Follow every rest of the line, one after the other, and mark two in a row at one level."""
    marks, median, begin, rests = np.zeros(len(line), bool), np.median(line[::8]), 2, {}
    while begin < len(line) - length - 2:
        end = begin + 1
        while end < len(line) - 2 and abs(line[end] - line[begin]) <= tolerance:
            end += 1
        around = line[[begin - 2, begin - 1, end, end + 1]]
        is_moving = abs(around[1] - around[0]) > tolerance and abs(around[3] - around[2]) > tolerance
        is_far = abs(line[begin] - median) > distance
        is_one_sided, is_ceiling = (around[1] > line[begin]) == (around[2] > line[begin]), around[1] < line[begin]
        if end - begin < length or not is_far or not is_moving or not is_one_sided:
            begin += 1
            continue
        first, last = rests.get(is_ceiling, (-within, 0))
        away = (line[last:begin] - line[begin]) * (1 if is_ceiling else -1)
        if begin - first < within and abs(line[first] - line[begin]) <= 2 * tolerance and away.max() <= 2 * tolerance:
            marks[first:last] = marks[begin:end] = True
        rests[is_ceiling], begin = (begin, end), end
    return marks.reshape(NUM_SECONDS, RATE_HZ).mean(axis=1)


@pytest.mark.parametrize("seed", range(40))
def test_resting_samples_are_those_of_runs_followed_one_by_one(seed):
    rng = np.random.default_rng(seed)
    steps = rng.integers(-2, 3, NUM_SECONDS * RATE_HZ) * (rng.random(NUM_SECONDS * RATE_HZ) < rng.uniform(0.05, 0.9))
    line = np.clip(np.cumsum(steps), -12, 12).astype(np.float32) / 8
    is_known = rng.random(len(line)) > rng.choice([0.0, 0.02])
    tolerance, distance = np.float32(rng.choice([0.0, 0.13, 0.3])), np.float32(0.6)
    shares = np.zeros((2, 1, NUM_SECONDS), np.float32)
    levels = (np.array([tolerance]), np.array([distance]))
    sum_resting(line[None], is_known[None], EDGES, *levels, 8, 25, 6, levels[1], NEVER, 0, shares)
    np.testing.assert_allclose(shares[:, 0], resting_plainly(line, is_known, tolerance, distance, 25, 6), atol=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_repeated_rests_are_those_of_rests_followed_one_by_one(seed):
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(NUM_SECONDS * RATE_HZ) / rng.uniform(3, 8)) + rng.normal(0, 0.02, NUM_SECONDS * RATE_HZ)
    line = np.clip(waves * rng.uniform(1, 2), -rng.uniform(0.5, 2), rng.uniform(0.5, 2))
    line = np.where(rng.random(len(line)) < 0.002, 3, line).astype(np.float32)
    tolerance, distance, is_known = np.float32(rng.choice([0.0, 0.02])), np.float32(0.3), np.ones((1, len(line)), bool)
    shares = np.zeros((2, 1, NUM_SECONDS), np.float32)
    levels = (np.array([tolerance]), np.array([distance]))
    sum_resting(line[None], is_known, EDGES, *levels, 8, 10**6, 10**6, levels[1], 5, 60, shares)
    np.testing.assert_allclose(shares[1, 0], repeated_plainly(line, tolerance, distance, 5, 60), atol=1e-6)


def test_a_second_is_present_as_far_as_its_expected_samples_are_real():
    rng = np.random.default_rng(0)
    is_real, is_expected = rng.random((2, 3, NUM_SECONDS * RATE_HZ)) < 0.8
    is_real[0] = is_expected[0] = True
    is_expected[2, -4 * RATE_HZ :] = False
    shares = np.zeros((3, NUM_SECONDS), np.float32)
    share_of_expected(is_real, is_expected, EDGES, shares)
    frames = (3, NUM_SECONDS, RATE_HZ)
    expected = is_expected.reshape(frames).sum(axis=2)
    present = (is_real & is_expected).reshape(frames).sum(axis=2)
    np.testing.assert_allclose(shares, present / np.maximum(expected, 1), rtol=1e-6)


@pytest.mark.parametrize("rate_hz", [31.0, 62.5, 125.0, 250.0])
def test_the_quiet_level_is_the_quantile_of_each_second_to_a_thousandth_of_its_mean(rate_hz):
    line = np.random.default_rng(1).laplace(size=(2, int(NUM_SECONDS * rate_hz))).astype(np.float32)
    level = quiet_level(line, rate_hz, NUM_SECONDS, 0.3)
    edges = np.append(np.ceil(np.arange(NUM_SECONDS) * rate_hz).astype(int), line.shape[1])
    for s, (begin, end) in enumerate(pairwise(edges)):
        sizes = np.sort(np.abs(line[:, begin:end]), axis=1)
        exact, step = sizes[:, int((end - begin) * 0.3)], sizes.mean(axis=1) / 0.7 / 2**10
        assert ((level[:, s] >= exact) & (level[:, s] <= exact + 1.01 * step)).all()


@pytest.mark.parametrize("num_steps", [60, 250, 751])
def test_the_best_correlation_is_that_of_scipy_over_the_delays(num_steps):
    rng = np.random.default_rng(num_steps)
    ecg, pulse = rng.random((2, num_steps)).astype(np.float32)
    pulse[17:] += ecg[:-17]
    first, second = (steps.astype(float) - steps.mean(dtype=float) for steps in (ecg, pulse))
    over_delays = correlate(second, first)[num_steps - 1 :][:NUM_DELAYS] / np.sqrt((first**2).sum() * (second**2).sum())
    together, delay = best_correlation(ecg, pulse)
    assert delay == over_delays.argmax() == 17
    assert together == pytest.approx(over_delays.max(), abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-35, 0.0])
def test_activity_is_measured_by_what_nine_in_ten_steps_stay_below(scale):
    steepness = (scale * np.random.default_rng(2).exponential(size=(3, 500))).astype(np.float32)
    moments = np.zeros((3, 500, 10), np.float32)
    moments[:, :, 5] = steepness
    steps = activity_steps(Judgement(trusts={}, steepness=moments.reshape(3, -1), steepness_rate_hz=10 / STEP_S))
    usual = np.sort(steepness, axis=1)[:, 450, None]
    np.testing.assert_allclose(steps, steepness / (steepness + usual / 2 + 1e-9), rtol=1e-6)


def test_a_low_stretch_is_the_lowest_of_the_highest_of_windows():
    values = np.random.default_rng(3).random((4, 20)).astype(np.float32)
    lowest = np.empty_like(values)
    find_low_stretch(values, 2, lowest)
    highest = rank_filter(values, -1, size=(1, 5), mode="nearest")
    np.testing.assert_array_equal(lowest, rank_filter(highest, 0, size=(1, 5), mode="nearest"))


def test_time_is_wrong_by_what_intervals_and_beats_are_both_off_for_most_of_fifteen_seconds():
    rng = np.random.default_rng(4)
    number = rng.integers(0, 3, (6, 40))
    rise_s = (0.02 * rng.uniform(0.5, 5, (6, 40))).astype(np.float32)
    is_beating = rng.random((6, 40)) < 0.95
    padded = np.pad(number, ((0, 0), (2, 2)), mode="edge")
    per_five = sum(padded[:, k : k + 40] for k in range(5))
    interval = np.log2(5 / np.maximum(per_five, 1) / 0.8)
    rise = np.log2(rank_filter(rise_s, 2, size=(1, 5), mode="nearest") / 0.02)
    stretch = np.minimum(np.abs(interval), np.abs(rise)) * ((interval * rise > 0) & is_beating)
    lasting = rank_filter(stretch, LASTS_RANK, size=(1, LASTS_S), mode="nearest")
    assert (lasting > 0.1).any()
    trust = timescale_trust(number, rise_s, 0.02, is_beating)[Cause.WRONG_RATE]
    np.testing.assert_allclose(trust, 1 / (1 + lasting**6), rtol=1e-5)
