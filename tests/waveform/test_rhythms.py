"""Rhythms that the simulator models, as ECG, pulse and list of beats."""

import numpy as np
import pytest

from qualityfm.errors import ConfigError
from qualityfm.records import Cause
from qualityfm.waveform.rhythm import FLUTTER_RATE_BPM, BeatKind
from qualityfm.waveform.simulate import SimulationConfig, simulate


def clean(rhythm, seed=0, duration_s=60.0):
    return simulate(seed, SimulationConfig(duration_s=duration_s, rhythm=rhythm, faults_per_minute=0.0))


def pulse_height(signal, begin_s, end_s):
    return np.ptp(signal.samples[round(begin_s * signal.sample_rate_hz) : round(end_s * signal.sample_rate_hz)])


@pytest.mark.parametrize("seed", range(4))
def test_every_second_beat_of_bigeminy_is_premature(seed):
    beats = clean("bigeminy", seed).beats
    is_early = beats.kinds == BeatKind.PVC
    assert abs(is_early.mean() - 0.5) < 0.05
    assert not (is_early[1:] & is_early[:-1]).any()
    rr_s = np.diff(beats.times_s)
    assert rr_s[is_early[1:]].max() < np.median(rr_s[is_early[:-1]])


@pytest.mark.parametrize("seed", range(4))
def test_flutter_conducts_a_whole_number_of_atrial_waves(seed):
    rr_s = np.diff(clean("flutter", seed).beats.times_s)
    slowest_s, fastest_s = (60 / rate_bpm for rate_bpm in FLUTTER_RATE_BPM)
    assert rr_s.min() > 1.9 * fastest_s
    assert rr_s.max() < 4.2 * slowest_s


@pytest.mark.parametrize("seed", range(4))
def test_a_run_of_svt_is_fast_and_narrow(seed):
    simulation = clean("svt", seed)
    times_s, kinds = simulation.beats.times_s, simulation.beats.kinds
    in_run = (kinds[1:] == BeatKind.SVT) & (kinds[:-1] == BeatKind.SVT)
    assert in_run.sum() >= 5
    assert 60 / np.median(np.diff(times_s)[in_run]) > 140


def test_a_paced_beat_has_a_spike_ahead_of_it():
    simulation = clean("paced")
    ecg = simulation.clean.signals[0]
    steep = np.abs(np.diff(ecg.samples))
    for time_s in simulation.beat_times_s[2:-2]:
        at = round((time_s - 0.06) * ecg.sample_rate_hz)
        near = round((time_s + 0.1) * ecg.sample_rate_hz)
        assert steep[at - 4 : at + 5].max() > 2 * steep[near : near + 20].max()


@pytest.mark.parametrize("seed", range(4))
def test_fibrillating_ventricles_leave_no_beat_and_no_pulse(seed):
    simulation = clean("vf", seed)
    onset_s = simulation.beat_times_s[-1]
    assert 10 < onset_s < 45
    _, _, ppg, abp = simulation.clean.signals
    assert pulse_height(abp, 55, 59) < 0.25 * pulse_height(abp, 2, 6)
    assert pulse_height(ppg, 55, 59) < 0.35 * pulse_height(ppg, 2, 6)
    ecg = simulation.clean.signals[0]
    tail = ecg.samples[round((onset_s + 2) * 250) :]
    spectrum = np.abs(np.fft.rfft(tail - tail.mean())) ** 2
    peak_hz = np.fft.rfftfreq(len(tail), 1 / 250)[spectrum.argmax()]
    assert 3 < peak_hz < 9


@pytest.mark.parametrize("seed", range(4))
def test_an_asystole_is_true_silence_and_no_fault(seed):
    simulation = clean("asystole", seed)
    gaps_s = np.diff(simulation.beat_times_s)
    assert gaps_s.max() > 4
    at_s = simulation.beat_times_s[gaps_s.argmax()]
    assert pulse_height(simulation.clean.signals[0], at_s + 1, at_s + gaps_s.max() - 1) < 0.2
    assert simulation.truth == ()
    assert (simulation.quality == 1).all()


def test_only_the_artefacts_that_were_asked_for_are_drawn():
    config = SimulationConfig(duration_s=120.0, faults_per_minute=6.0, causes=(Cause.NOISE, Cause.POWER_LINE))
    truth = simulate(3, config).truth
    assert {fault.cause for fault in truth} == {Cause.NOISE, Cause.POWER_LINE}
    assert {fault.channel for fault in truth if fault.cause == Cause.POWER_LINE} <= {0, 1}
    assert {fault.channel for fault in truth if fault.cause == Cause.NOISE} <= {0, 1, 2, 3}


def test_an_artefact_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="causes"):
        SimulationConfig(causes=(Cause.ABSENT,))
