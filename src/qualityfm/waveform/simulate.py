"""One simulated patient: ECG, PPG and arterial pressure of the same heart, with artefacts of known kind, time and size.

For the demo and for tests that need truth. Nothing here is meant to replace recordings of patients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64, Int8, UInt16

from qualityfm.errors import ConfigError, problem
from qualityfm.records import Cause, ChannelKind, Recording, Signal
from qualityfm.waveform.line import Line, signal_power
from qualityfm.waveform.morphology import Patient, draw_patient, ecg_line, pulse_line
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.rhythm import HEART_RATE_BPM, RHYTHMS, BeatKind, Beats, Rhythm, make_beats
from qualityfm.waveform.rhythm_bank import LABELS, RhythmBank
from qualityfm.waveform.spoiling import ARTEFACTS, can_meet, spoil

#: Artefacts whose strength is an SNR.
CAUSES_WITH_SNR = (Cause.NOISE, Cause.MOTION, Cause.BASELINE, Cause.POWER_LINE, Cause.LOW_AMPLITUDE)

#: Usual heart rates that the pulse model holds for, per minute; a real patient outside of it is drawn at its edge.
POSSIBLE_RATE_BPM = (34.0, 160.0)

#: Faults of the set-up last until somebody sees them: this long at least, s, or a whole recording, as often as not.
SET_UP_WRONG, SET_UP_WRONG_S, WHOLE_SHARE = (Cause.WRONG_RATE, Cause.DISAGREEMENT, Cause.INVERTED), 60.0, 0.5

#: Swapped electrodes turn leads of the limbs over, and leave that of the chest as it is.
CHEST_LEAD = "V"

#: A pulse runs off for so long after the last beat, s.
RUN_OFF_S = 1.0

#: Least distance between two faults of one channel, s, so that each has its own truth.
FAULT_DISTANCE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What to simulate.

    Attributes:
        duration_s: Length of the recording, s.
        rhythm: The heart's rhythm; in "ectopy" and "vt" the abnormal beats come between sinus beats.
        ecg_sample_rate_hz: Rate of the two ECG leads, Hz.
        ppg_sample_rate_hz: Rate of the PPG, Hz.
        abp_sample_rate_hz: Rate of the arterial pressure, Hz.
        faults_per_minute: Mean number of passing artefacts in a minute of each channel; 0 for a clean recording.
        fault_s_range: Shortest and longest artefact, s, drawn evenly on a log scale.
        snr_db_range: SNR of noise and motion, and of weak signals over their sensor's noise floor, dB.
        drift_snr_db_range: SNR of baseline wander, dB.
        set_up_probability: Chance that a channel of a recording with artefacts was set up wrongly: upside down, at a
            wrong rate or on another patient.
        causes: Artefacts to draw from, of each sort all equally likely on the channels that can have them.
    """

    duration_s: float = 300.0
    rhythm: Rhythm = "sinus"
    ecg_sample_rate_hz: float = 250.0
    ppg_sample_rate_hz: float = 125.0
    abp_sample_rate_hz: float = 125.0
    faults_per_minute: float = 0.7
    fault_s_range: tuple[float, float] = (2.0, 20.0)
    snr_db_range: tuple[float, float] = (-6.0, 12.0)
    drift_snr_db_range: tuple[float, float] = (-18.0, 0.0)
    set_up_probability: float = 0.15
    causes: tuple[Cause, ...] = tuple(ARTEFACTS)

    def __post_init__(self) -> None:
        _check("rhythm", self.rhythm, self.rhythm in RHYTHMS, f"one of {', '.join(RHYTHMS)}")
        _check("duration_s", self.duration_s, 1 <= self.duration_s <= 1e5, "1 <= x <= 1e5")
        for name in ("ecg_sample_rate_hz", "ppg_sample_rate_hz", "abp_sample_rate_hz"):
            _check(name, getattr(self, name), 20 <= getattr(self, name) <= 1e4, "20 <= x <= 1e4")
        _check("faults_per_minute", self.faults_per_minute, 0 <= self.faults_per_minute <= 60, "0 <= x <= 60")
        is_chance = 0 <= self.set_up_probability <= 1
        _check("set_up_probability", self.set_up_probability, is_chance, "a probability in [0, 1]")
        for name in ("fault_s_range", "snr_db_range", "drift_snr_db_range"):
            pair = getattr(self, name)
            is_pair = len(pair) == 2 and -100 <= pair[0] <= pair[1] <= 1e5
            _check(name, pair, is_pair, "two numbers, the lower first")
        _check("fault_s_range", self.fault_s_range, self.fault_s_range[0] >= 0.1, "spans of at least 0.1 s")
        is_known = len(self.causes) > 0 and all(cause in ARTEFACTS for cause in self.causes)
        _check("causes", self.causes, is_known, f"some of {', '.join(cause.words for cause in ARTEFACTS)}")


def _check(name: str, found: object, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ConfigError(problem("wrong setting", where="simulation", field=name, found=found, expected=expected))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One artefact that was put on a channel.

    Attributes:
        channel: Index of the channel in `Recording.signals`.
        cause: What kind of artefact.
        start_s: Its first sample, in seconds from the start of the recording.
        duration_s: Its length, s.
        snr_db: Power of the clean channel (`signal_power`) over that of what was added, averaged over the fault, dB;
            for low amplitude the power of the shrunken signal over that of the sensor noise; None for other causes.
    """

    channel: int
    cause: Cause
    start_s: float
    duration_s: float
    snr_db: float | None


@dataclass(frozen=True, kw_only=True)
class BeatTruth:
    """The beats of a simulated recording.

    Attributes:
        times_s: R peak of each beat, in seconds from the start of the recording.
        kinds: `BeatKind` of each beat.
        ppg_foot_s: When its pulse begins to rise in the PPG, s; may lie beyond the end.
        abp_foot_s: The same in the arterial pressure, s.
        systolic_mmhg: Highest pressure of the clean channel from this foot to the next; NaN where the recording ends.
        diastolic_mmhg: Lowest pressure there.
    """

    times_s: Float64[np.ndarray, " beat"]
    kinds: Int8[np.ndarray, " beat"]
    ppg_foot_s: Float64[np.ndarray, " beat"]
    abp_foot_s: Float64[np.ndarray, " beat"]
    systolic_mmhg: Float64[np.ndarray, " beat"]
    diastolic_mmhg: Float64[np.ndarray, " beat"]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A simulated recording and the truth about it.

    Attributes:
        recording: Two ECG leads (mV), PPG (arbitrary unit) and arterial pressure (mmHg), with artefacts.
        clean: The same without artefacts.
        truth: Every artefact, by channel and time; outside of them the two recordings are equal.
        quality: True quality of each second of each channel, in [0, 1].
        causes: `Cause` flags of the seconds that lost more than a grade to an artefact.
        beats: Every beat.
        patient: The traits that were drawn.
    """

    recording: Recording
    clean: Recording
    truth: tuple[Fault, ...]
    quality: Float32[np.ndarray, "channel second"]
    causes: UInt16[np.ndarray, "channel second"]
    beats: BeatTruth
    patient: Patient

    @property
    def beat_times_s(self) -> Float64[np.ndarray, " beat"]:
        """Time of every R peak in seconds from the start of the recording."""
        return self.beats.times_s


def simulate(
    seed: int,
    config: SimulationConfig | None = None,
    bank: NoiseBank | None = None,
    rhythms: RhythmBank | None = None,
) -> Simulation:
    """Return a simulated recording of one patient; the same seed and settings give the same bytes.

    Args:
        seed: Draws patient, beats and artefacts; also names the recording and its subject.
        config: What to simulate.
        bank: Noise for the artefacts; modelled from the seed where there is none.
        rhythms: Beats of real patients; without it, and for rhythms it does not know, beats are modelled.

    Raises:
        ConfigError: No patient of `rhythms` has a stretch of this rhythm that is long enough.

    Example:
        >>> simulation = simulate(1, SimulationConfig(duration_s=10.0, faults_per_minute=0.0))
        >>> [(s.name, s.unit, len(s.samples)) for s in simulation.recording.signals]
        [('II', 'mV', 2500), ('V', 'mV', 2500), ('PLETH', 'NU', 1250), ('ABP', 'mmHg', 1250)]
    """
    config = config or SimulationConfig()
    # Streams of their own, so that a change of the fault settings leaves patient and beats as they are.
    body_rng, wave_rng, fault_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    patient, beats = _patient_and_beats(config, rhythms, body_rng)
    delay_s = _arrival_jitter_s(beats, patient, body_rng)
    ppg_foot_s = beats.times_s + delay_s + patient.ppg.arrival_s
    abp_foot_s = beats.times_s + delay_s + patient.abp.arrival_s
    clean = _clean_signals(config, patient, beats, ppg_foot_s, abp_foot_s, wave_rng)
    bank = bank or NoiseBank.modelled(seed, 250.0)
    signals, truth, quality, causes = _with_faults(clean, beats, config, bank, fault_rng)
    is_inside = (beats.times_s >= 0) & (beats.times_s < config.duration_s)
    systolic, diastolic = _beat_pressures(clean[3], abp_foot_s)
    name = f"simulated-{config.rhythm}-{seed}"
    return Simulation(
        recording=Recording(recording_id=name, subject_id=name, start=None, signals=signals),
        clean=Recording(recording_id=name, subject_id=name, start=None, signals=clean),
        truth=truth,
        quality=quality,
        causes=causes,
        beats=BeatTruth(
            times_s=beats.times_s[is_inside],
            kinds=beats.kinds[is_inside],
            ppg_foot_s=ppg_foot_s[is_inside],
            abp_foot_s=abp_foot_s[is_inside],
            systolic_mmhg=systolic[is_inside],
            diastolic_mmhg=diastolic[is_inside],
        ),
        patient=patient,
    )


def _patient_and_beats(
    config: SimulationConfig, rhythms: RhythmBank | None, rng: np.random.Generator
) -> tuple[Patient, Beats]:
    if rhythms is not None and config.rhythm in LABELS:
        beats, _ = rhythms.draw(config.rhythm, config.duration_s, rng)
        usual_bpm = float(np.clip(60 / np.median(beats.rr_s), *POSSIBLE_RATE_BPM))
        return draw_patient((usual_bpm, usual_bpm), rng), beats
    patient = draw_patient(HEART_RATE_BPM[config.rhythm], rng)
    return patient, make_beats(config.rhythm, config.duration_s, patient.heart_rate_bpm, patient.respiration_hz, rng)


def _arrival_jitter_s(beats: Beats, patient: Patient, rng: np.random.Generator) -> Float64[np.ndarray, " beat"]:
    """Return how much later than usual each pulse comes, s: breath, chance, and the slower ventricular beats."""
    breath = 0.004 * np.sin(2 * np.pi * patient.respiration_hz * beats.times_s)
    is_ventricular = np.isin(beats.kinds, (BeatKind.PVC, BeatKind.VT, BeatKind.PACED))
    return np.asarray(breath + 0.003 * rng.standard_normal(len(breath)) + 0.03 * is_ventricular)


def _clean_signals(
    config: SimulationConfig,
    patient: Patient,
    beats: Beats,
    ppg_foot_s: Float64[np.ndarray, " beat"],
    abp_foot_s: Float64[np.ndarray, " beat"],
    rng: np.random.Generator,
) -> tuple[Signal, ...]:
    def signal(name: str, kind: ChannelKind, unit: str, rate_hz: float, line: Float64[np.ndarray, " time"]) -> Signal:
        return Signal(name=name, kind=kind, unit=unit, sample_rate_hz=rate_hz, samples=line.astype(np.float32))

    ecg_hz, ppg_hz, abp_hz = config.ecg_sample_rate_hz, config.ppg_sample_rate_hz, config.abp_sample_rate_hz
    num_ecg, num_ppg, num_abp = (round(config.duration_s * rate_hz) for rate_hz in (ecg_hz, ppg_hz, abp_hz))
    leads = [ecg_line(num_ecg, ecg_hz, beats, lead, patient, rng) for lead in patient.leads]
    ppg = pulse_line(num_ppg, ppg_hz, beats, ppg_foot_s, patient.ppg, patient)
    ppg = patient.pleth_offset + patient.pleth_gain * (ppg + 0.002 * rng.standard_normal(num_ppg))
    abp = pulse_line(num_abp, abp_hz, beats, abp_foot_s, patient.abp, patient)
    abp = patient.diastolic_mmhg + (patient.systolic_mmhg - patient.diastolic_mmhg) * abp
    abp += 0.15 * rng.standard_normal(num_abp)
    return (
        signal("II", ChannelKind.ECG, "mV", ecg_hz, leads[0]),
        signal(CHEST_LEAD, ChannelKind.ECG, "mV", ecg_hz, leads[1]),
        signal("PLETH", ChannelKind.PPG, "NU", ppg_hz, ppg),
        signal("ABP", ChannelKind.ABP, "mmHg", abp_hz, abp),
    )


def _with_faults(
    clean: tuple[Signal, ...], beats: Beats, config: SimulationConfig, bank: NoiseBank, rng: np.random.Generator
) -> tuple[
    tuple[Signal, ...], tuple[Fault, ...], Float32[np.ndarray, "channel second"], UInt16[np.ndarray, "channel second"]
]:
    """Return the signals with artefacts, the list of them, and the quality they leave with its causes."""
    signals, faults, lines = [], [], []
    for channel, signal in enumerate(clean):
        line = _line(signal, beats)
        for cause, start_s, end_s in _draw_faults(signal, config, rng):
            rate_hz = signal.sample_rate_hz
            begin, end = round(start_s * rate_hz), min(round(end_s * rate_hz), len(line.samples))
            snr_db = rng.uniform(*(config.drift_snr_db_range if cause is Cause.BASELINE else config.snr_db_range))
            if spoil(line, cause, begin, end, snr_db=snr_db, bank=bank, rng=rng):
                faults.append(
                    Fault(
                        channel=channel,
                        cause=cause,
                        start_s=begin / rate_hz,
                        duration_s=(end - begin) / rate_hz,
                        snr_db=snr_db if cause in CAUSES_WITH_SNR else None,
                    )
                )
        signals.append(replace(signal, samples=line.samples))
        lines.append(line)
    num_seconds = min(len(line.quality) for line in lines)
    quality = np.array([line.quality[:num_seconds] for line in lines], np.float32)
    return tuple(signals), tuple(faults), quality, np.array([line.causes[:num_seconds] for line in lines], np.uint16)


def _line(signal: Signal, beats: Beats) -> Line:
    """Return a clean signal to be spoiled; its power is that of the beating heart, where it beats."""
    rate_hz = signal.sample_rate_hz
    at_s = np.arange(len(signal.samples)) / rate_hz
    late_s = 0.0 if signal.kind is ChannelKind.ECG else RUN_OFF_S
    is_beating = np.ones(len(at_s), bool)
    for begin_s, end_s in beats.standstill_s:
        is_beating[(at_s >= begin_s + late_s) & (at_s < end_s)] = False
    power = float(signal_power(np.where(is_beating, signal.samples, np.float32(np.nan))[None], rate_hz)[0])
    power = power or float(signal_power(signal.samples[None], rate_hz)[0])
    return Line(signal.samples.copy(), signal.kind, rate_hz, power, is_beating)


def _draw_faults(
    signal: Signal, config: SimulationConfig, rng: np.random.Generator
) -> list[tuple[Cause, float, float]]:
    """Return cause, start and end of each fault of one channel, s, in time order and apart from each other."""
    spans = _draw_spans(config, rng)
    drawn: list[tuple[Cause, float, float]] = []
    wrong = [cause for cause in config.causes if cause in SET_UP_WRONG and can_meet(cause, signal.kind)]
    if signal.name == CHEST_LEAD:
        wrong = [cause for cause in wrong if cause is not Cause.INVERTED]
    if wrong and config.faults_per_minute > 0 and rng.random() < config.set_up_probability:
        start_s, end_s = _draw_set_up_span(config.duration_s, rng)
        drawn.append((wrong[rng.integers(len(wrong))], start_s, end_s))
        spans = [span for span in spans if _is_apart(span, (start_s, end_s))]
    passing = [cause for cause in config.causes if cause not in SET_UP_WRONG and can_meet(cause, signal.kind)]
    for start_s, end_s in spans if passing else ():
        drawn.append((passing[rng.integers(len(passing))], start_s, end_s))
    return sorted(drawn, key=lambda fault: fault[1])


def _draw_set_up_span(duration_s: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return start and end of a fault of the set-up, s."""
    if duration_s <= SET_UP_WRONG_S or rng.random() < WHOLE_SHARE:
        return 0.0, duration_s
    length_s = SET_UP_WRONG_S * (duration_s / SET_UP_WRONG_S) ** rng.random()
    start_s = rng.uniform(0, duration_s - length_s)
    return start_s, start_s + length_s


def _draw_spans(config: SimulationConfig, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Return the start and end of each fault of one channel, s, in time order and apart from each other."""
    low_s, high_s = config.fault_s_range
    spans: list[tuple[float, float]] = []
    for _ in range(rng.poisson(config.faults_per_minute * config.duration_s / 60)):
        length_s = min(low_s * (high_s / low_s) ** rng.random(), config.duration_s)
        start_s = rng.uniform(0, config.duration_s - length_s)
        if all(_is_apart((start_s, start_s + length_s), span) for span in spans):
            spans.append((start_s, start_s + length_s))
    return sorted(spans)


def _is_apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] > other[1] + FAULT_DISTANCE_S or one[1] < other[0] - FAULT_DISTANCE_S


def _beat_pressures(
    abp: Signal, foot_s: Float64[np.ndarray, " beat"]
) -> tuple[Float64[np.ndarray, " beat"], Float64[np.ndarray, " beat"]]:
    """Return highest and lowest pressure of each beat, foot to foot; NaN for a beat that leaves the recording."""
    systolic, diastolic = np.full(len(foot_s), np.nan), np.full(len(foot_s), np.nan)
    feet = np.round(foot_s * abp.sample_rate_hz).astype(int)
    for beat, (begin, end) in enumerate(pairwise(feet)):
        if 0 <= begin < end <= len(abp.samples):
            systolic[beat], diastolic[beat] = abp.samples[begin:end].max(), abp.samples[begin:end].min()
    return systolic, diastolic
