"""What a simulated patient's ECG and pulse look like, beat by beat.

The ECG is a sum of Gaussian waves around each R peak (after McSharry et al., IEEE TBME 50(3):289, 2003, driven by a
list of beats instead of an oscillator). A pulse is a sum of one kernel for each beat: a rise, an exponential run-off
(the arterial windkessel) and the dicrotic wave. Because kernels overlap, a long pause lets the pressure fall and a fast
run piles pulses upon each other, as they do in an artery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from qualityfm.waveform.rhythm import BeatKind, Beats

#: Gaussian waves: offset from the R peak (s), amplitude (mV), width (s).
Waves = tuple[tuple[float, float, float], ...]

#: Beats that reach the ventricles through their own conduction, and so have a narrow QRS.
NARROW_KINDS = (BeatKind.SINUS, BeatKind.AF, BeatKind.PAC, BeatKind.SVT, BeatKind.FLUTTER)

#: Strength of a pulse by `BeatKind`, 1 for a sinus beat: a ventricle that contracts out of order ejects less.
STRENGTH_OF_KIND = np.array([1.0, 1.0, 0.55, 0.6, 1.0, 1.0, 1.0, 0.85])

#: Ventricular fibrillation: range of its dominant frequency, Hz, and time until the coarse form is reached, s.
#: Source: 4 to 7 Hz in man, Clayton, Murray, Campbell, Med Biol Eng Comput 33:651 (1995).
VF_HZ = (4.0, 7.0)
VF_ONSET_S = 0.5

#: A pacing spike after the monitor's low-pass filter: width in s and distance ahead of the R peak, s.
PACING_SPIKE_S = 0.004
PACING_LEAD_S = 0.06

#: Pressure that would remain if the heart stood still, mmHg (about the mean systemic filling pressure).
STANDSTILL_MMHG = 15.0


@dataclass(frozen=True, kw_only=True)
class Lead:
    """How one ECG lead sees the heart: one set of waves for conducted, one for ventricular beats.

    Attributes:
        p: P wave.
        qrs: Q, R and S of a conducted beat.
        t: T wave of a conducted beat, for an RR of 1 s.
        pvc: The whole premature ventricular beat.
        vt: One beat of ventricular tachycardia.
        paced: One beat paced from the ventricle, its spike not among them.
        f_wave_mv: Amplitude of the fibrillatory or flutter waves.
        vf_mv: Amplitude of ventricular fibrillation.
        breath_mv: Amplitude of the respiratory shift of the baseline.
    """

    p: Waves
    qrs: Waves
    t: Waves
    pvc: Waves
    vt: Waves
    paced: Waves
    f_wave_mv: float
    vf_mv: float
    breath_mv: float


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """Shape of one pulse at one site.

    Attributes:
        arrival_s: From R peak to the foot of the pulse.
        rise_s: From foot to peak.
        decay_s: Time constant of the run-off.
        systolic: Height of the systolic wave on top of the run-off, relative to it.
        dicrotic: Height of the dicrotic wave, relative to the run-off.
        dicrotic_s: From foot to the top of the dicrotic wave, at an RR of 1 s.
        dicrotic_width_s: Standard deviation of the dicrotic wave in time.
        breath: Relative modulation of the pulse by respiration.
        breath_baseline: Respiratory shift of the baseline, relative to the pulse.
    """

    arrival_s: float
    rise_s: float
    decay_s: float
    systolic: float
    dicrotic: float
    dicrotic_s: float
    dicrotic_width_s: float
    breath: float
    breath_baseline: float


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Everything that stays the same in one simulated patient."""

    heart_rate_bpm: float
    respiration_hz: float
    f_wave_hz: float
    systolic_mmhg: float
    diastolic_mmhg: float
    pleth_gain: float
    pleth_offset: float
    leads: tuple[Lead, Lead]
    ppg: Pulse
    abp: Pulse


def draw_patient(heart_rate_range_bpm: tuple[float, float], rng: np.random.Generator) -> Patient:
    """Return a patient with plausible, random traits; every range is our own choice within common physiology."""
    heart_rate_bpm = rng.uniform(*heart_rate_range_bpm)
    rr_s = 60 / heart_rate_bpm
    systolic = float(np.clip(rng.normal(122, 17), 90, 175))
    diastolic = float(np.clip(rng.normal(0.53, 0.05), 0.42, 0.64) * systolic)
    arrival_s = rng.uniform(0.13, 0.19)
    rise_s = rng.uniform(0.11, 0.16)
    dicrotic_s = rng.uniform(0.36, 0.42)
    # The run-off that takes this patient from systole to diastole within one beat.
    decay_s = (rr_s - rise_s) / np.log((0.9 * systolic - STANDSTILL_MMHG) / (diastolic - STANDSTILL_MMHG))
    return Patient(
        heart_rate_bpm=heart_rate_bpm,
        respiration_hz=rng.uniform(0.18, 0.33),
        f_wave_hz=rng.uniform(4.5, 7.5),
        systolic_mmhg=systolic,
        diastolic_mmhg=diastolic,
        pleth_gain=rng.uniform(0.3, 1.6),
        pleth_offset=rng.uniform(0.5, 2.0),
        leads=(_draw_lead_ii(rng), _draw_lead_v(rng)),
        ppg=Pulse(
            arrival_s=arrival_s + rng.uniform(0.05, 0.1),
            rise_s=rise_s + rng.uniform(0.02, 0.06),
            decay_s=rng.uniform(0.28, 0.42),
            systolic=rng.uniform(0.2, 0.5),
            dicrotic=rng.uniform(0.05, 0.28),
            dicrotic_s=dicrotic_s + rng.uniform(0.02, 0.06),
            dicrotic_width_s=rng.uniform(0.05, 0.075),
            breath=rng.uniform(0.03, 0.12),
            breath_baseline=rng.uniform(0.02, 0.12),
        ),
        abp=Pulse(
            arrival_s=arrival_s,
            rise_s=rise_s,
            decay_s=float(decay_s),
            systolic=rng.uniform(0.25, 0.55),
            dicrotic=rng.uniform(0.05, 0.16),
            dicrotic_s=dicrotic_s,
            dicrotic_width_s=rng.uniform(0.035, 0.05),
            breath=rng.uniform(0.02, 0.08),
            breath_baseline=rng.uniform(0.01, 0.06),
        ),
    )


def _draw_lead_ii(rng: np.random.Generator) -> Lead:
    r, width = rng.uniform(0.6, 1.6), rng.uniform(0.009, 0.013)
    pr_s, t = rng.uniform(0.14, 0.18), rng.uniform(0.15, 0.4)
    focus = rng.choice([-1.0, 1.0])
    return Lead(
        p=((-pr_s, rng.uniform(0.08, 0.18), rng.uniform(0.018, 0.026)),),
        qrs=(
            (-2.4 * width, -rng.uniform(0.03, 0.15), 0.8 * width),
            (0.0, r, width),
            (2.4 * width, -rng.uniform(0.05, 0.35), 0.9 * width),
        ),
        t=_t_wave(t, rng),
        pvc=_ventricular(focus * rng.uniform(1.1, 2.0) * r, rng.uniform(0.034, 0.045)),
        vt=_ventricular(rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 1.6) * r, rng.uniform(0.036, 0.048)),
        paced=_ventricular(-rng.uniform(0.8, 1.6) * r, rng.uniform(0.036, 0.046)),
        f_wave_mv=rng.uniform(0.02, 0.06),
        vf_mv=rng.uniform(0.15, 0.5),
        breath_mv=rng.uniform(0.005, 0.04),
    )


def _draw_lead_v(rng: np.random.Generator) -> Lead:
    """Return a chest lead anywhere between V1 (small R, deep S) and V5 (tall R)."""
    towards_v5 = rng.random()
    width = rng.uniform(0.009, 0.013)
    focus = rng.choice([-1.0, 1.0])
    size = rng.uniform(0.7, 1.5)
    return Lead(
        p=((-rng.uniform(0.14, 0.18), rng.uniform(0.04, 0.1), 0.02),),
        qrs=(
            (-0.3 * width, size * (0.25 + 0.9 * towards_v5), width),
            (2.2 * width, -size * (1.0 - 0.8 * towards_v5), 1.2 * width),
        ),
        t=_t_wave(rng.uniform(0.12, 0.35) * (-0.3 if towards_v5 < 0.15 else 1.0), rng),
        pvc=_ventricular(focus * rng.uniform(1.2, 2.2), rng.uniform(0.034, 0.045)),
        vt=_ventricular(rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 1.8), rng.uniform(0.036, 0.048)),
        paced=_ventricular(focus * rng.uniform(0.9, 1.8), rng.uniform(0.036, 0.046)),
        f_wave_mv=rng.uniform(0.03, 0.1),
        vf_mv=rng.uniform(0.15, 0.5),
        breath_mv=rng.uniform(0.005, 0.03),
    )


def _t_wave(amplitude_mv: float, rng: np.random.Generator) -> Waves:
    """Return a T wave with the slow rise and the quick fall of a real one: two Gaussians."""
    at, width = rng.uniform(0.29, 0.34), rng.uniform(0.035, 0.045)
    return ((at - 0.05, 0.45 * amplitude_mv, 1.4 * width), (at, 0.75 * amplitude_mv, width))


def _ventricular(amplitude_mv: float, width: float) -> Waves:
    """Return a broad beat (QRS of 0.14 s and more), notched, with the T wave on the other side."""
    return (
        (-0.6 * width, 0.6 * amplitude_mv, 0.8 * width),
        (0.5 * width, 0.75 * amplitude_mv, width),
        (0.27, -0.4 * amplitude_mv, 0.06),
    )


def ecg_line(
    num_samples: int, sample_rate_hz: float, beats: Beats, lead: Lead, patient: Patient, rng: np.random.Generator
) -> Float64[np.ndarray, " time"]:
    """Return one ECG lead in mV: the waves of every beat, fibrillatory waves, breath and a little amplifier noise.

    Args:
        num_samples: Length of the line; its first sample is at 0 s.
        sample_rate_hz: Samples per second.
        beats: Beats of the whole stretch and a little beyond.
        lead: The lead to draw.
        patient: Whose heart.
        rng: For amplifier noise and for the wandering of the fibrillatory waves.
    """
    times_s = np.arange(num_samples) / sample_rate_hz
    line = np.zeros(num_samples)
    is_sinus, is_early = beats.kinds == BeatKind.SINUS, beats.kinds == BeatKind.PAC
    is_narrow = np.isin(beats.kinds, NARROW_KINDS)
    repolarisation = np.sqrt(np.clip(beats.rr_s, 0.3, 1.5))  # Bazett: the QT time grows with the root of RR
    as_is = np.ones(len(beats.times_s))
    for waves, is_chosen, stretch in (
        (lead.p, is_sinus, 0.5 + 0.5 * repolarisation),
        (_ectopic_p(lead.p), is_early, 0.5 + 0.5 * repolarisation),
        (lead.qrs, is_narrow, as_is),
        (lead.t, is_narrow, repolarisation),
        (lead.pvc, beats.kinds == BeatKind.PVC, as_is),
        (lead.vt, beats.kinds == BeatKind.VT, np.clip(beats.rr_s / 0.4, 0.7, 1.0)),
        (lead.paced, beats.kinds == BeatKind.PACED, as_is),
    ):
        for offset_s, amplitude_mv, width_s in waves:
            at_s = beats.times_s[is_chosen] + offset_s * stretch[is_chosen]
            _add_at_beats(line, sample_rate_hz, at_s, (-5 * width_s, 5 * width_s), _gaussian(amplitude_mv, width_s))
    breath = np.sin(2 * np.pi * patient.respiration_hz * times_s)
    line *= 1 + 0.04 * breath
    if (beats.kinds == BeatKind.PACED).any():
        _add_pacing_spikes(line, sample_rate_hz, beats.times_s[beats.kinds == BeatKind.PACED], rng)
    if (beats.kinds == BeatKind.AF).any():
        line += lead.f_wave_mv * _f_waves(times_s, patient.f_wave_hz, rng)
    if beats.atrial_hz:
        line += 2 * lead.f_wave_mv * _flutter_waves(times_s, beats.atrial_hz)
    if beats.is_fibrillating:
        line += lead.vf_mv * _ventricular_fibrillation(times_s, beats.standstill_s, rng)
    return line + lead.breath_mv * breath + 0.004 * rng.standard_normal(num_samples)


def pulse_line(
    num_samples: int,
    sample_rate_hz: float,
    beats: Beats,
    feet_s: Float64[np.ndarray, " beat"],
    pulse: Pulse,
    patient: Patient,
) -> Float64[np.ndarray, " time"]:
    """Return a train of pulses, 0 at the foot and 1 at the peak of this patient's usual beat.

    Args:
        num_samples: Length of the line; its first sample is at 0 s.
        sample_rate_hz: Samples per second.
        beats: Beats of the whole stretch; enough of them before it for the run-off to settle.
        feet_s: When the pulse of each beat begins to rise, s.
        pulse: Shape of one pulse.
        patient: Whose pulse.
    """
    usual_rr_s = 60 / patient.heart_rate_bpm
    strength = stroke_strength(beats, usual_rr_s)
    strength *= 1 + pulse.breath * np.sin(2 * np.pi * patient.respiration_hz * feet_s)
    line = np.zeros(num_samples)
    length_s = 6 * pulse.decay_s + 1.0
    rr_s = beats.rr_s[:, None]
    _add_at_beats(
        line, sample_rate_hz, feet_s, (0.0, length_s), lambda t: strength[:, None] * _pulse_kernel(t, rr_s, pulse)
    )
    # The same train in a steady state, over one beat: what is usual for this patient.
    phase_s = np.arange(0, usual_rr_s, 0.004)
    past_s = phase_s + usual_rr_s * np.arange(int(length_s / usual_rr_s) + 1)[:, None]
    usual = _pulse_kernel(past_s, np.array(usual_rr_s), pulse).sum(axis=0)
    line = (line - usual.min()) / np.ptp(usual)
    times_s = np.arange(num_samples) / sample_rate_hz
    return np.asarray(line + pulse.breath_baseline * np.sin(2 * np.pi * patient.respiration_hz * times_s - 0.6))


def stroke_strength(beats: Beats, usual_rr_s: float) -> Float64[np.ndarray, " beat"]:
    """Return the strength of each beat's pulse, 1 for a conducted beat after the usual RR interval.

    A short interval leaves the ventricle half empty, a pause fills it; a ventricular beat contracts out of order.
    """
    filled = 1 - np.exp(-np.maximum(beats.rr_s - 0.15, 0.02) / 0.35)
    usual = 1 - np.exp(-(usual_rr_s - 0.15) / 0.35)
    order = STRENGTH_OF_KIND[beats.kinds]
    return np.asarray(filled / usual * order)


def _pulse_kernel(t: Float64[np.ndarray, "..."], rr_s: Float64[np.ndarray, "..."], pulse: Pulse) -> np.ndarray:
    """Return the pulse at times `t` after its foot, s."""
    rise = np.sin(np.pi / 2 * np.clip(t / pulse.rise_s, 0, 1)) ** 2
    run_off = np.exp(-np.maximum(t - 0.6 * pulse.rise_s, 0) / pulse.decay_s)
    systolic = pulse.systolic * np.exp(-0.5 * ((t - 1.1 * pulse.rise_s) / (0.55 * pulse.rise_s)) ** 2)
    # Ejection, and with it the notch, shortens a little in a fast heart.
    late = t - pulse.dicrotic_s * (0.6 + 0.4 * np.sqrt(np.clip(rr_s, 0.3, 1.5)))
    dicrotic = np.exp(-0.5 * (late / pulse.dicrotic_width_s) ** 2)
    dicrotic -= 0.4 * np.exp(-0.5 * ((late + 1.8 * pulse.dicrotic_width_s) / (0.55 * pulse.dicrotic_width_s)) ** 2)
    # A ventricle that had no time to fill leaves nothing to rebound.
    dicrotic *= np.clip((rr_s - 0.3) / 0.3, 0, 1)
    return np.asarray(rise * (run_off + systolic + pulse.dicrotic * dicrotic))


def _gaussian(amplitude: float, width_s: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda t: amplitude * np.exp(-0.5 * (t / width_s) ** 2)


def _add_at_beats(
    line: Float64[np.ndarray, " time"],
    sample_rate_hz: float,
    at_s: Float64[np.ndarray, " beat"],
    window_s: tuple[float, float],
    shape: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Add a shape, a function of the time since the beat [beat time], to the line around every beat."""
    first = np.ceil((at_s + window_s[0]) * sample_rate_hz).astype(np.int64)
    index = first[:, None] + np.arange(int((window_s[1] - window_s[0]) * sample_rate_hz) + 1)
    values = shape(index / sample_rate_hz - at_s[:, None])
    is_inside = (index >= 0) & (index < len(line))
    np.add.at(line, index[is_inside], values[is_inside])


def _f_waves(
    times_s: Float64[np.ndarray, " time"], rate_hz: float, rng: np.random.Generator
) -> Float64[np.ndarray, " time"]:
    """Return fibrillatory waves of about unit amplitude: a saw-tooth whose rate and size wander.

    Source: form after Stridh and Sörnmo, IEEE TBME 48(1):105 (2001).
    """
    wander = sum(np.sin(2 * np.pi * hz * times_s + rng.uniform(0, 2 * np.pi)) for hz in (0.11, 0.27, 0.63))
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else 0.0
    phase = 2 * np.pi * np.cumsum(rate_hz * (1 + 0.06 * wander)) * step_s
    size = 1 + 0.25 * np.sin(2 * np.pi * 0.19 * times_s + rng.uniform(0, 2 * np.pi))
    return np.asarray(size * (np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)))


def _flutter_waves(times_s: Float64[np.ndarray, " time"], rate_hz: float) -> Float64[np.ndarray, " time"]:
    """Return the saw-tooth of fluttering atria, about unit amplitude: a slow fall and a quick rise."""
    phase = 2 * np.pi * rate_hz * times_s
    return np.asarray(sum(np.sin(k * phase) / k for k in (1, 2, 3)) / 1.5)


def _ventricular_fibrillation(
    times_s: Float64[np.ndarray, " time"], spans_s: tuple[tuple[float, float], ...], rng: np.random.Generator
) -> Float64[np.ndarray, " time"]:
    """Return fibrillation of about unit amplitude inside the spans: a wave whose rate and size wander without order."""
    rate_hz = rng.uniform(*VF_HZ)
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else 0.0
    knots_s = np.arange(times_s[0] - 1, times_s[-1] + 1.5, 0.35)
    wander = np.interp(times_s, knots_s, 0.18 * rng.standard_normal(len(knots_s)))
    size = np.interp(times_s, knots_s, np.abs(1 + 0.35 * rng.standard_normal(len(knots_s))))
    phase = 2 * np.pi * np.cumsum(rate_hz * (1 + wander)) * step_s
    wave = size * (np.sin(phase) + 0.25 * np.sin(2 * phase + rng.uniform(0, 2 * np.pi)))
    inside = np.zeros(len(times_s))
    for begin, end in spans_s:
        inside += np.clip((times_s - begin) / VF_ONSET_S, 0, 1) * (times_s < end)
    return np.asarray(wave * inside)


def _add_pacing_spikes(
    line: Float64[np.ndarray, " time"],
    sample_rate_hz: float,
    at_s: Float64[np.ndarray, " beat"],
    rng: np.random.Generator,
) -> None:
    """Add a spike ahead of every paced beat, as high as the monitor's filter leaves it."""
    width_s = max(PACING_SPIKE_S, 0.6 / sample_rate_hz)
    shape = _gaussian(float(rng.uniform(0.4, 2.0)), width_s)
    _add_at_beats(line, sample_rate_hz, at_s - PACING_LEAD_S, (-4 * width_s, 4 * width_s), shape)


def _ectopic_p(p: Waves) -> Waves:
    """Return the P wave of an atrial focus elsewhere: upside down or flat, and nearer to the QRS."""
    return tuple((0.75 * offset_s, -0.6 * amplitude_mv, width_s) for offset_s, amplitude_mv, width_s in p)
