import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from qualityfm.waveform.filters import Band, fill_missing, split_bands

RATE_HZ = 125.0


def test_missing_samples_lie_on_a_line_between_known_ones():
    values = np.array([[np.nan, 1, np.nan, np.nan, 4, np.nan]], np.float32)
    assert fill_missing(values, np.isfinite(values)).tolist() == [[1, 1, 2, 3, 4, 4]]


def test_a_line_without_known_samples_becomes_0():
    values = np.full((1, 3), np.nan, np.float32)
    assert fill_missing(values, np.isfinite(values)).tolist() == [[0, 0, 0]]


def test_filling_leaves_its_input_alone():
    values = np.array([[np.nan, 1]], np.float32)
    fill_missing(values, np.isfinite(values))
    assert np.isnan(values[0, 0])


@pytest.mark.parametrize(
    ("low_hz", "high_hz", "order"), [(0, 0.5, 2), (20, np.inf, 4), (8, 20, 2)], ids=["low", "high", "band"]
)
def test_the_filter_is_a_butterworth_run_forwards_and_backwards(low_hz, high_hz, order):
    line = np.cumsum(np.random.default_rng(0).normal(size=(2, 7500)), axis=1).astype(np.float32)
    (ours,) = split_bands(line, RATE_HZ, Band(low_hz=low_hz, high_hz=high_hz, order=order))
    theirs = line - line.mean(axis=1, keepdims=True)
    for edge, side in ((low_hz, "highpass"), (high_hz, "lowpass")):
        if 0 < edge < np.inf:
            theirs = sosfiltfilt(butter(order, edge, side, fs=RATE_HZ, output="sos"), theirs, axis=1)
    middle = slice(1250, -1250)
    assert np.abs(ours - theirs)[:, middle].max() < 0.03 * theirs.std()


def test_bands_that_share_an_edge_add_up_to_the_line():
    line = np.random.default_rng(0).normal(size=(1, 1000)).astype(np.float32)
    low, high = split_bands(line, RATE_HZ, Band(high_hz=5), Band(low_hz=5))
    np.testing.assert_allclose(low + high, line - line.mean(), atol=1e-5)


def test_the_end_of_a_line_does_not_ring_into_its_beginning():
    line = np.zeros((1, 3750), np.float32)
    line[:, -100:] = 100
    (fast,) = split_bands(line, RATE_HZ, Band(low_hz=20, order=4))
    assert np.abs(fast[:, :3000]).max() < 0.2


@pytest.mark.parametrize("shape", [(0, 100), (2, 0), (1, 1), (1, 2)])
def test_empty_and_tiny_lines_pass(shape):
    (part,) = split_bands(np.ones(shape, np.float32), RATE_HZ, Band(low_hz=1))
    assert part.shape == shape
