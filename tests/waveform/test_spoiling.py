"""Every artefact alone, on a line of known signal."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualityfm.records import Cause, ChannelKind
from qualityfm.waveform.line import Line, signal_power
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.spoiling import ARTEFACTS, SENSOR_FLOOR, can_meet, spoil

RATE_HZ = 125.0
BANK = NoiseBank.modelled(0, RATE_HZ)
ADDED = (Cause.NOISE, Cause.MOTION, Cause.BASELINE, Cause.POWER_LINE)


def pulse(num_samples=3750):
    return (np.sin(2 * np.pi * 1.2 * np.arange(num_samples) / RATE_HZ) * 3 + 80).astype(np.float32)


def line_of(samples, kind=ChannelKind.PPG):
    return Line(samples.copy(), kind, RATE_HZ, float(signal_power(samples[None], RATE_HZ)[0]))


def spoiled(cause, begin, end, *, snr_db=0.0, seed=0, samples=None, kind=None):
    if kind is None:
        kind = ChannelKind.PPG if can_meet(cause, ChannelKind.PPG) else ChannelKind.ECG
    line = line_of(pulse() if samples is None else samples, kind)
    assert spoil(line, cause, begin, end, snr_db=snr_db, bank=BANK, rng=np.random.default_rng(seed))
    return line


def test_the_power_of_a_sine_is_half_its_squared_amplitude():
    assert signal_power(pulse()[None], RATE_HZ)[0] == pytest.approx(4.5, rel=0.04)


def test_slow_drift_and_a_burst_do_not_count_as_signal():
    drifting = pulse() + 5 * np.sin(2 * np.pi * 0.02 * np.arange(3750) / RATE_HZ).astype(np.float32)
    drifting[500:700] += 100
    assert signal_power(drifting[None], RATE_HZ)[0] == pytest.approx(4.5, rel=0.15)


def test_a_channel_that_is_half_dead_keeps_the_power_of_its_living_half():
    samples = pulse()
    samples[:2000] = 80
    assert signal_power(samples[None], RATE_HZ)[0] == pytest.approx(4.5, rel=0.1)


def test_an_empty_and_a_constant_channel_have_no_power():
    assert signal_power(np.stack([np.full(3750, np.nan), np.full(3750, 7)]).astype(np.float32), RATE_HZ).tolist() == [
        0.0,
        0.0,
    ]


@pytest.mark.parametrize("cause", ARTEFACTS)
def test_an_artefact_stays_inside_its_span(cause):
    line = spoiled(cause, 1000, 1700, snr_db=-6.0)
    outside = np.r_[0:1000, 1700:3750]
    np.testing.assert_array_equal(line.samples[outside], pulse()[outside])
    assert not np.array_equal(line.samples[1000:1700], pulse()[1000:1700])
    seconds = np.r_[0:8, 14:30]
    assert (line.quality[seconds] == 1).all()
    assert (line.causes[seconds] == 0).all()
    assert line.quality[8:14].min() < 0.9
    assert line.causes.max() == cause


@pytest.mark.parametrize("cause", ADDED)
@pytest.mark.parametrize("snr_db", [-6.0, 3.0, 18.0])
@pytest.mark.parametrize("span", [(0, 3750), (1000, 1700)])
def test_the_signal_to_noise_ratio_is_what_it_says(cause, snr_db, span):
    line = spoiled(cause, *span, snr_db=snr_db)
    noise = (line.samples - pulse())[slice(*span)].astype(np.float64)
    measured_db = 10 * np.log10(line.power / np.mean(noise**2))
    assert measured_db == pytest.approx(snr_db, abs=0.1)


def test_a_weak_signal_stands_as_far_above_the_sensor_noise_as_it_says():
    line = spoiled(Cause.LOW_AMPLITUDE, 0, 3750, snr_db=6.0)
    clean = pulse() - pulse().mean()
    left = line.samples - line.samples.mean()
    gain = np.dot(left, clean) / np.dot(clean, clean)
    noise = left - gain * clean
    assert 10 * np.log10(gain**2 * line.power / np.mean(noise**2)) == pytest.approx(6.0, abs=1)
    assert gain == pytest.approx(SENSOR_FLOOR * 2, rel=0.1)


@pytest.mark.parametrize("cause", [*ADDED, Cause.LOW_AMPLITUDE])
def test_quality_falls_with_the_signal_to_noise_ratio(cause):
    means = [spoiled(cause, 0, 3750, snr_db=snr_db).quality.mean() for snr_db in (24, 18, 12, 6, 0, -6, -12)]
    assert all(better > worse for better, worse in pairwise(means))
    assert means[0] > 0.9


def test_steady_noise_at_six_decibels_leaves_half_the_quality():
    steady = np.random.default_rng(0).standard_normal(40000)
    line = line_of(pulse())
    spoil(
        line,
        Cause.NOISE,
        0,
        3750,
        snr_db=6.0,
        bank=NoiseBank.from_lines({"ma": steady}, RATE_HZ),
        rng=np.random.default_rng(0),
    )
    assert line.quality.mean() == pytest.approx(0.5, abs=0.03)


def test_noise_costs_a_weak_signal_more():
    weak = spoiled(Cause.LOW_AMPLITUDE, 0, 3750, snr_db=14.0)
    before = weak.quality.copy()
    strong = line_of(pulse())
    for line in (weak, strong):
        spoil(line, Cause.NOISE, 0, 3750, snr_db=12.0, bank=BANK, rng=np.random.default_rng(1))
    assert (weak.quality / before).mean() < 0.5 * strong.quality.mean()


def test_a_flat_second_has_one_value_and_no_quality():
    line = spoiled(Cause.FLAT, 1000, 1500)
    assert np.ptp(line.samples[1000:1500]) == 0
    np.testing.assert_array_equal(line.quality[8:12], 0)


def test_a_dropout_costs_its_share_of_a_second():
    line = spoiled(Cause.DROPOUT, 1000, 1050)
    assert np.isnan(line.samples[1000:1050]).all()
    assert line.quality[8] == pytest.approx(1 - 50 / 125)


def test_saturated_samples_lie_on_two_rails():
    line = spoiled(Cause.SATURATION, 500, 2500)
    span = line.samples[500:2500]
    on_rails = (span == span.min()) | (span == span.max())
    assert 0.1 < on_rails.mean() <= 1
    assert np.ptp(span) < np.ptp(pulse())


def test_missing_samples_stay_missing_and_are_not_blamed_on_the_artefact():
    samples = pulse()
    samples[1000:1500] = np.nan
    for cause in ARTEFACTS:
        line = spoiled(cause, 500, 2500, samples=samples)
        assert np.isnan(line.samples[1000:1500]).all()
        assert (line.quality[8:12] == 1).all(), cause


def test_a_span_without_samples_is_left_alone():
    samples = pulse()
    samples[1000:1500] = np.nan
    line = line_of(samples)
    for cause in ARTEFACTS:
        assert not spoil(line, cause, 1000, 1500, snr_db=0.0, bank=BANK, rng=np.random.default_rng(0))


@given(
    samples=st.lists(st.floats(-1e4, 1e4, width=32) | st.just(float("nan")), max_size=200),
    rate_hz=st.floats(2.0, 500.0),
    span=st.tuples(st.integers(-5, 210), st.integers(-5, 210)),
    cause=st.sampled_from(list(ARTEFACTS)),
    kind=st.sampled_from(list(ChannelKind)),
    snr_db=st.floats(-30, 30),
)
def test_any_line_survives_any_artefact(samples, rate_hz, span, cause, kind, snr_db):
    values = np.array(samples, np.float32)
    line = Line(values.copy(), kind, rate_hz, float(signal_power(values[None], rate_hz)[0]))
    spoil(line, cause, *span, snr_db=snr_db, bank=BANK, rng=np.random.default_rng(0))
    assert np.isnan(line.samples[np.isnan(values)]).all()
    assert ((line.quality >= 0) & (line.quality <= 1)).all()
    if cause is not Cause.DROPOUT:
        np.testing.assert_array_equal(np.isnan(line.samples), np.isnan(values))
