import numpy as np
import pytest

from qualityfm.errors import ConfigError
from qualityfm.records import Cause, ChannelKind
from qualityfm.segments import cut_segments
from qualityfm.waveform.line import signal_power
from qualityfm.waveform.rhythm import RHYTHMS, BeatKind
from qualityfm.waveform.simulate import SET_UP_WRONG, SET_UP_WRONG_S, SimulationConfig, simulate
from qualityfm.waveform.spoiling import ARTEFACTS

MINUTE = 60.0


def clean(rhythm="sinus", seed=0, duration_s=MINUTE):
    return simulate(seed, SimulationConfig(duration_s=duration_s, rhythm=rhythm, faults_per_minute=0.0))


@pytest.fixture(scope="module")
def faulty():
    return simulate(11, SimulationConfig(duration_s=600.0, faults_per_minute=4.0))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    config = SimulationConfig(duration_s=20.0, faults_per_minute=6.0)
    first, again, other = simulate(1, config), simulate(1, config), simulate(2, config)
    for a, b, c in zip(first.recording.signals, again.recording.signals, other.recording.signals, strict=True):
        assert a.samples.tobytes() == b.samples.tobytes()
        assert a.samples.tobytes() != c.samples.tobytes()
    assert first.truth == again.truth
    assert first.quality.tobytes() == again.quality.tobytes()


def test_channels_have_the_names_units_and_rates_of_a_monitor():
    signals = clean().recording.signals
    assert [(s.name, s.kind, s.unit, s.sample_rate_hz) for s in signals] == [
        ("II", ChannelKind.ECG, "mV", 250.0),
        ("V", ChannelKind.ECG, "mV", 250.0),
        ("PLETH", ChannelKind.PPG, "NU", 125.0),
        ("ABP", ChannelKind.ABP, "mmHg", 125.0),
    ]
    assert all(s.duration_s == MINUTE and s.samples.dtype == np.float32 for s in signals)


def test_fault_settings_leave_patient_and_beats_as_they_are(faulty):
    other = simulate(11, SimulationConfig(duration_s=600.0, faults_per_minute=0.0))
    for a, b in zip(faulty.clean.signals, other.clean.signals, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
    assert faulty.patient == other.patient


def test_outside_the_faults_the_recording_is_the_clean_one(faulty):
    for channel, (spoiled, untouched) in enumerate(zip(faulty.recording.signals, faulty.clean.signals, strict=True)):
        is_outside = np.ones(len(spoiled.samples), bool)
        for fault in faulty.truth:
            if fault.channel == channel:
                begin = round(fault.start_s * spoiled.sample_rate_hz)
                is_outside[begin : begin + round(fault.duration_s * spoiled.sample_rate_hz)] = False
        assert 0.2 < is_outside.mean() < 1
        np.testing.assert_array_equal(spoiled.samples[is_outside], untouched.samples[is_outside])


def test_every_fault_changes_its_channel_and_lowers_its_quality(faulty):
    assert {fault.cause for fault in faulty.truth} >= set(ARTEFACTS) - set(SET_UP_WRONG)
    for fault in faulty.truth:
        spoiled, untouched = (r.signals[fault.channel] for r in (faulty.recording, faulty.clean))
        begin = round(fault.start_s * spoiled.sample_rate_hz)
        span = slice(begin, begin + round(fault.duration_s * spoiled.sample_rate_hz))
        assert (spoiled.samples[span] != untouched.samples[span]).any()
        seconds = slice(int(fault.start_s), int(np.ceil(fault.start_s + fault.duration_s)))
        assert faulty.quality[fault.channel, seconds].min() < 1


def test_a_fault_of_the_set_up_lasts_a_minute_at_least_and_often_the_whole_recording():
    config = SimulationConfig(duration_s=300.0, faults_per_minute=1.0, set_up_probability=1.0)
    wrong = [f for seed in range(8) for f in simulate(seed, config).truth if f.cause in SET_UP_WRONG]
    assert {fault.cause for fault in wrong} == set(SET_UP_WRONG)
    lengths_s = np.array([fault.duration_s for fault in wrong])
    assert lengths_s.min() >= SET_UP_WRONG_S - 0.01
    assert 0.3 < (lengths_s == 300.0).mean() < 0.7


def test_where_the_heart_stands_still_a_fault_of_its_beats_costs_nothing():
    config = SimulationConfig(
        duration_s=120.0, rhythm="vf", faults_per_minute=1.0, set_up_probability=1.0, causes=(Cause.INVERTED,)
    )
    patients = [simulate(seed, config) for seed in range(8)]
    simulation, channel = next((s, f.channel) for s in patients for f in s.truth if f.duration_s == 120.0)
    last_s = int(simulation.beat_times_s[-1])
    assert (simulation.quality[channel, : last_s - 1] == 0.5).all()
    assert (simulation.quality[channel, last_s + 4 :] == 1).all()


def test_seconds_without_fault_have_full_quality(faulty):
    is_faulty = np.zeros(faulty.quality.shape, bool)
    for fault in faulty.truth:
        seconds = slice(int(fault.start_s), int(np.ceil(fault.start_s + fault.duration_s)))
        is_faulty[fault.channel, seconds] = True
    assert (faulty.quality[~is_faulty] == 1).all()
    assert (faulty.causes[~is_faulty] == 0).all()
    assert faulty.quality[is_faulty].mean() < 0.7


def test_samples_are_missing_in_dropouts_and_nowhere_else(faulty):
    for channel, signal in enumerate(faulty.recording.signals):
        expected = np.zeros(len(signal.samples), bool)
        for fault in faulty.truth:
            if fault.channel == channel and fault.cause is Cause.DROPOUT:
                begin = round(fault.start_s * signal.sample_rate_hz)
                expected[begin : begin + round(fault.duration_s * signal.sample_rate_hz)] = True
        np.testing.assert_array_equal(np.isnan(signal.samples), expected)


def test_added_noise_has_the_signal_to_noise_ratio_of_the_truth(faulty):
    added = [f for f in faulty.truth if f.cause in (Cause.NOISE, Cause.MOTION, Cause.BASELINE)]
    assert len(added) > 5
    for fault in added:
        spoiled, untouched = (r.signals[fault.channel] for r in (faulty.recording, faulty.clean))
        begin = round(fault.start_s * spoiled.sample_rate_hz)
        span = slice(begin, begin + round(fault.duration_s * spoiled.sample_rate_hz))
        noise = np.mean((spoiled.samples[span] - untouched.samples[span]) ** 2)
        power = signal_power(untouched.samples[None], spoiled.sample_rate_hz)[0]
        assert 10 * np.log10(power / noise) == pytest.approx(fault.snr_db, abs=1)


def test_strength_is_given_as_a_ratio_only_where_it_is_one(faulty):
    with_ratio = {Cause.NOISE, Cause.MOTION, Cause.BASELINE, Cause.POWER_LINE, Cause.LOW_AMPLITUDE}
    assert all((fault.snr_db is not None) == (fault.cause in with_ratio) for fault in faulty.truth)


@pytest.mark.parametrize("rhythm", ["sinus", "brady", "tachy", "af"])
def test_the_r_wave_peaks_at_the_beat(rhythm):
    simulation = clean(rhythm)
    ecg = simulation.clean.signals[0]
    for time_s in simulation.beat_times_s[1:-1]:
        at = round(time_s * ecg.sample_rate_hz)
        assert abs(int(np.argmax(ecg.samples[at - 25 : at + 25])) - 25) <= 1


@pytest.mark.parametrize("rhythm", ["sinus", "brady", "tachy"])
@pytest.mark.parametrize("channel", [2, 3])
def test_pulses_follow_r_peaks_by_the_arrival_time(rhythm, channel):
    simulation = clean(rhythm, seed=4)
    signal = simulation.clean.signals[channel]
    arrival_s = (simulation.patient.ppg if channel == 2 else simulation.patient.abp).arrival_s
    rate_hz = signal.sample_rate_hz
    found = []
    for time_s in simulation.beat_times_s[1:-2]:
        begin = round(time_s * rate_hz)
        window = signal.samples[begin : begin + round(0.45 * rate_hz)]
        found.append(int(np.argmin(window[: int(np.argmax(window)) + 1])) / rate_hz)
    assert np.median(found) == pytest.approx(arrival_s, abs=0.03)


def test_ppg_comes_after_arterial_pressure():
    beats = clean().beats
    assert (beats.ppg_foot_s > beats.abp_foot_s).all()
    assert (beats.abp_foot_s > beats.times_s).all()


def irregularity(simulation):
    intervals = np.diff(simulation.beat_times_s)
    return np.std(intervals) / np.mean(intervals)


@pytest.mark.parametrize("seed", range(5))
def test_atrial_fibrillation_is_irregular_and_sinus_is_not(seed):
    assert irregularity(clean("af", seed, 120.0)) > 0.12
    assert irregularity(clean("sinus", seed, 120.0)) < 0.08


def test_intervals_of_atrial_fibrillation_do_not_follow_from_each_other():
    intervals = np.diff(clean("af", 3, 600.0).beat_times_s)
    assert abs(np.corrcoef(intervals[:-1], intervals[1:])[0, 1]) < 0.1


def bump_before_r_mv(simulation):
    """Height of the average beat where the P wave peaks, over its level 60 ms to both sides."""
    ecg = simulation.clean.signals[0]
    offset = round(simulation.patient.leads[0].p[0][0] * ecg.sample_rate_hz)
    is_late = np.diff(simulation.beat_times_s) > 0.65  # the T wave before is over
    at = np.round(simulation.beat_times_s[1:][is_late] * ecg.sample_rate_hz).astype(int) + offset
    return np.mean(ecg.samples[at] - (ecg.samples[at - 15] + ecg.samples[at + 15]) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_atrial_fibrillation_has_no_p_wave(seed):
    sinus, af = (bump_before_r_mv(clean(rhythm, seed, 120.0)) for rhythm in ("sinus", "af"))
    assert sinus > 0.06
    assert abs(af) < 0.4 * sinus


@pytest.mark.parametrize(("rhythm", "low_bpm", "high_bpm"), [("brady", 30, 52), ("sinus", 53, 98), ("tachy", 100, 155)])
def test_the_heart_rate_fits_the_rhythm(rhythm, low_bpm, high_bpm):
    for seed in range(5):
        rate_bpm = 60 / np.mean(np.diff(clean(rhythm, seed).beat_times_s))
        assert low_bpm < rate_bpm < high_bpm


def test_a_premature_beat_comes_early_and_is_followed_by_a_pause_and_a_weak_pulse():
    simulation = clean("ectopy", 1, 300.0)
    beats = simulation.beats
    intervals = np.diff(beats.times_s)
    early = np.flatnonzero(beats.kinds[1:-1] == BeatKind.PVC) + 1
    assert len(early) > 5
    usual = np.median(intervals)
    assert (intervals[early - 1] < 0.85 * usual).all()
    assert (intervals[early] > 1.15 * usual).all()
    pulse_mmhg = beats.systolic_mmhg - beats.diastolic_mmhg
    is_pvc = beats.kinds == BeatKind.PVC
    # The pause is part of the premature beat's own span, so its highest pressure, not its pulse, tells its weakness.
    assert np.nanmedian(beats.systolic_mmhg[is_pvc]) < np.nanmedian(beats.systolic_mmhg[~is_pvc]) - 10
    assert np.isfinite(pulse_mmhg[1:-2]).all()


@pytest.mark.parametrize("seed", range(5))
def test_ventricular_tachycardia_has_a_fast_run_with_little_pressure(seed):
    simulation = clean("vt", seed)
    beats = simulation.beats
    is_vt = beats.kinds == BeatKind.VT
    assert is_vt.sum() >= 5
    in_run = is_vt[1:] & is_vt[:-1]
    assert np.median(np.diff(beats.times_s)[in_run]) < 0.5
    pulse_mmhg = beats.systolic_mmhg - beats.diastolic_mmhg
    assert np.nanmedian(pulse_mmhg[is_vt]) < 0.6 * np.nanmedian(pulse_mmhg[~is_vt])


def test_a_ventricular_beat_is_broad():
    simulation = clean("vt", 1)
    ecg = simulation.clean.signals[0]

    def half_width_s(kind):
        at = np.round(simulation.beat_times_s[simulation.beats.kinds == kind][3:6] * 250).astype(int)
        widths = [np.sum(np.abs(ecg.samples[a - 20 : a + 20]) > 0.5 * np.abs(ecg.samples[a])) / 250 for a in at]
        return np.median(widths)

    assert half_width_s(BeatKind.VT) > 2 * half_width_s(BeatKind.SINUS)


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_pressure_is_plausible(rhythm):
    for seed in range(8):
        simulation = clean(rhythm, seed)
        abp = simulation.clean.signals[3].samples
        assert abp.min() > (8 if rhythm in ("vf", "asystole") else 15)  # a heart that stands still
        assert abp.max() < 230
        conducted = simulation.beats.kinds <= BeatKind.AF
        if rhythm in ("sinus", "brady", "tachy"):
            systolic, diastolic = simulation.beats.systolic_mmhg, simulation.beats.diastolic_mmhg
            assert np.nanmedian(systolic[conducted]) == pytest.approx(simulation.patient.systolic_mmhg, abs=5)
            assert np.nanmedian(diastolic[conducted]) == pytest.approx(simulation.patient.diastolic_mmhg, abs=5)


def test_patients_differ():
    patients = [clean(seed=seed, duration_s=2.0).patient for seed in range(6)]
    assert np.std([p.heart_rate_bpm for p in patients]) > 3
    assert np.std([p.systolic_mmhg for p in patients]) > 5
    assert len({p.leads for p in patients}) == len(patients)


def test_a_simulation_can_be_cut_into_segments(faulty):
    segments = cut_segments(faulty.recording)
    assert len(segments) == 20
    assert segments[0].names == ("II", "V", "PLETH", "ABP")


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("duration_s", [1.0, 10.004])
def test_short_and_odd_recordings_are_simulated(rhythm, duration_s):
    config = SimulationConfig(
        duration_s=duration_s, rhythm=rhythm, ppg_sample_rate_hz=62.4725, ecg_sample_rate_hz=360.0, faults_per_minute=60
    )
    simulation = simulate(0, config)
    assert simulation.quality.shape == simulation.causes.shape
    assert all(np.isfinite(s.samples).all() for s in simulation.clean.signals)


@pytest.mark.parametrize(
    "setting",
    [
        {"rhythm": "waltz"},
        {"duration_s": 0.0},
        {"duration_s": float("nan")},
        {"ppg_sample_rate_hz": -125.0},
        {"faults_per_minute": -1.0},
        {"fault_s_range": (5.0, 1.0)},
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        SimulationConfig(**setting)
