import numpy as np
import pytest

from qualityfm.waveform.spectrum import power_spectrum


@pytest.mark.parametrize("num_samples", [1, 2, 500, 501])
def test_the_powers_add_up_to_the_variance(num_samples):
    line = np.random.default_rng(0).normal(3, 2, (2, num_samples)).astype(np.float32)
    _, power = power_spectrum(line, 125.0)
    np.testing.assert_allclose(power.sum(axis=1), line.var(axis=1), rtol=1e-4, atol=1e-9)


def test_a_sine_has_its_power_at_its_frequency():
    time_s = np.arange(1250) / 125
    frequency_hz, power = power_spectrum(np.sin(2 * np.pi * 3 * time_s)[None].astype(np.float32), 125.0)
    assert frequency_hz[power[0].argmax()] == pytest.approx(3)
    assert power.max() == pytest.approx(0.5, rel=1e-3)


def test_a_line_without_samples_has_no_power():
    frequency_hz, power = power_spectrum(np.zeros((2, 0), np.float32), 125.0)
    assert frequency_hz.shape == (0,)
    assert power.shape == (2, 0)
