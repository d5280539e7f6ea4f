import numpy as np
import pytest
from scipy.signal import resample_poly

from qualityfm.waveform.resampling import low_pass, polyphase, recorded_ticks, resample

RATIOS = [(1, 2), (1, 4), (1, 8), (2, 1), (25, 72), (25, 18), (5, 12), (125, 128), (8, 1), (1, 80)]


@pytest.mark.parametrize(("up", "down"), RATIOS)
@pytest.mark.parametrize("num_samples", [2, 3, 37, 5003])
def test_the_compiled_filter_gives_what_scipy_gives(up, down, num_samples):
    samples = np.random.default_rng(0).normal(3.0, 1.0, num_samples).astype(np.float32)
    # in double precision: what is compared is the filter, not the rounding of two orders of addition
    slow = resample_poly(samples.astype(np.float64), up, down, window=low_pass(up, down), padtype="edge")
    fast = polyphase(samples, up, down)
    assert fast.dtype == np.float32
    assert fast.shape == slow.shape
    assert np.abs(fast - slow).max() < 2e-5


@pytest.mark.parametrize(("from_hz", "to_hz"), [(250.0, 125.0), (62.4725, 125.0), (499.78, 125.0)])
def test_a_day_in_one_piece_gives_what_its_first_minutes_give(from_hz, to_hz):
    samples = np.random.default_rng(0).normal(size=60_000).astype(np.float32)
    short, long = resample(samples[:20_000], from_hz, to_hz), resample(samples, from_hz, to_hz)
    inside = slice(200, len(short) - 200)
    assert np.abs(short[inside] - long[inside]).max() < 1e-3


@pytest.mark.parametrize("rate_hz", [62.4725, 125.0, 250.0, 360.0])
@pytest.mark.parametrize("start_s", [-1.004, 0.0, 0.5, 3.14159])
@pytest.mark.parametrize("missing_share", [0.0, 0.2])
def test_a_tick_is_recorded_where_both_its_neighbours_are(rate_hz, start_s, missing_share):
    is_recorded = np.random.default_rng(0).random(round(8 * rate_hz)) >= missing_share
    num_ticks = 1500
    position = (np.arange(num_ticks) / 125.0 - start_s) * rate_hz
    is_inside = (position >= -0.5) & (position <= len(is_recorded) - 0.5)
    left, right = (
        np.clip(side.astype(int), 0, len(is_recorded) - 1)
        for side in (np.floor(position + 1e-6), np.ceil(position - 1e-6))
    )
    inside, is_real = recorded_ticks(is_recorded, start_s, rate_hz, 125.0, num_ticks)
    assert np.array_equal(np.arange(num_ticks)[inside], np.flatnonzero(is_inside))
    assert np.array_equal(is_real, is_inside & is_recorded[left] & is_recorded[right])


def test_a_signal_beside_the_clock_has_no_tick():
    inside, is_real = recorded_ticks(np.ones(100, bool), 1e6, 125.0, 125.0, 500)
    assert (inside.start, inside.stop, is_real.any()) == (0, 0, False)
