"""The shipped learned score: what it calls good, what it names, and what it says it does not know."""

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.inference.loading import load_model
from qualityfm.records import Cause, ChannelKind, Recording, Signal
from qualityfm.waveform.simulate import SimulationConfig, simulate

RATE_HZ = 125.0


@pytest.fixture(scope="module")
def model():
    return load_model("qualityfm-tiny-quality")


def line(samples):
    signal = Signal(name="x", kind=ChannelKind.PPG, unit="NU", sample_rate_hz=RATE_HZ, samples=samples.astype("f4"))
    return Recording(recording_id="made", subject_id=None, start=None, signals=(signal,))


def test_clean_seconds_are_called_good_and_flat_ones_are_not(model):
    clean = simulate(901, SimulationConfig(duration_s=30.0, faults_per_minute=0.0)).recording
    pulse = clean.signals[2]
    samples = pulse.samples.copy()
    samples[round(10 * pulse.sample_rate_hz) : round(20 * pulse.sample_rate_hz)] = samples[0]
    spoiled = replace(clean, signals=(*clean.signals[:2], replace(pulse, samples=samples), clean.signals[3]))
    before, after = model.score(clean), model.score(spoiled)
    assert before.model_good[0, 2].mean() > 0.9
    assert not before.model_causes.any()
    assert (after.model_good[0, 2, 11:19] < 0.1).all()
    assert ((after.model_causes[0, 2, 11:19] & Cause.FLAT) != 0).all()


def test_white_noise_in_place_of_a_pulse_is_outside_what_it_knows(model):
    samples = np.random.default_rng(0).standard_normal(7500)
    assert not model.score(line(samples)).model_knows.any()


def test_a_clean_pulse_alone_is_known(model):
    clean = simulate(902, SimulationConfig(duration_s=60.0, faults_per_minute=0.0)).recording
    assert model.score(replace(clean, signals=clean.signals[2:3])).model_knows.all()
