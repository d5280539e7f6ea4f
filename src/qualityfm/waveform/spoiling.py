"""One implementation of each artefact: it changes a stretch of one channel and writes down what that cost.

`Line` is the channel being spoiled, with the quality each second has left; `spoil` puts one artefact of one `Cause` on
one span of it. `qualityfm.waveform.artefacts` draws artefacts for training, `qualityfm.waveform.simulate` for simulated
recordings. Every artefact is relative to the line's own power, so any unit will do.

What a second loses (factors of several artefacts multiply; the curves are our own choice):

- added noise, motion: logistic in the second's SNR, 0.5 at 6 dB, 0.88 at 12 dB, 0.12 at 0 dB;
- baseline wander: the same curve around -6 dB, for a high-pass filter undoes most of it;
- low amplitude: the first curve, for the SNR of the shrunken signal over the sensor's noise floor;
- flat, dropout: the share of its samples; saturation: three times the share from which a rail takes more than the
  sensor's own noise, for what is cut off are the peaks;
- spikes: the share of it that lies within an eighth of a second of a spike;
- power line: the first curve around 0 dB, for a notch filter undoes most of it;
- high amplitude, wrong rate, inverted, disagreement: a fixed share of each second under them (`COST_OF_CAUSE`).

Where the heart stands still there is no beat to be upside down, late, too fast or too small: those faults cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

from qualityfm.records import Cause, ChannelKind
from qualityfm.waveform.line import Line
from qualityfm.waveform.noise import NoiseBank

#: SNR at which added noise, or baseline wander, leaves half the quality, dB, and the slope of the logistic, dB.
NOISE_CENTRE_DB = 6.0
DRIFT_CENTRE_DB = -6.0
LOGISTIC_SLOPE_DB = 3.0

#: Noise floor of a sensor with a weak signal, relative to the deviation of the line: 26 dB below the healthy signal.
SENSOR_FLOOR = 0.05

SATURATION_WEIGHT = 3.0

#: SNR at which power-line interference leaves half the quality, dB.
POWER_LINE_CENTRE_DB = 0.0

#: Share of its quality that a second loses, where it does not depend on a strength. A wrong gain leaves the rhythm, a
#: channel upside down its timing; a stretched channel and one that belongs to other beats mislead.
COST_OF_CAUSE = {Cause.HIGH_AMPLITUDE: 0.5, Cause.INVERTED: 0.5, Cause.WRONG_RATE: 0.8, Cause.DISAGREEMENT: 0.7}

#: Channels that an artefact can be on; those not named here can be on all.
CHANNELS_OF_CAUSE = {
    Cause.POWER_LINE: (ChannelKind.ECG,),
    Cause.INVERTED: (ChannelKind.ECG, ChannelKind.PPG),
    Cause.DISAGREEMENT: (ChannelKind.PPG, ChannelKind.ABP),
}
#: How fast a channel runs whose file names a wrong rate: 125 Hz read as 250, 500 as 125, and the like; 300 and 360 Hz
#: read as 250, and 250 as 300 or 360. Factors of two are the more frequent, docs/decisions/0035.
SPEEDS_OF_WRONG_RATES = (2.0, 0.5, 2.0, 0.5, 4.0, 0.25, 250 / 300, 250 / 360, 300 / 250, 360 / 250)

CENTRE_DB_OF_CAUSE = {Cause.BASELINE: DRIFT_CENTRE_DB, Cause.POWER_LINE: POWER_LINE_CENTRE_DB}
SPIKE_REACH_S = 0.125

#: How much faster and slower the beats of a pulse that belongs elsewhere are, and how long one such cycle takes, s.
MISPLACED_DEPTH, MISPLACED_CYCLE_S = (0.15, 0.3), (6.0, 15.0)


def can_meet(cause: Cause, kind: ChannelKind) -> bool:
    """Tell whether an artefact can be on a channel of a kind."""
    return kind in CHANNELS_OF_CAUSE.get(cause, tuple(ChannelKind))


def spoil(
    line: Line, cause: Cause, begin: int, end: int, *, snr_db: float, bank: NoiseBank, rng: np.random.Generator
) -> bool:
    """Put one artefact on samples `begin` to `end` of a line; return whether there was anything to spoil.

    Args:
        line: Changed in place: samples, quality, causes.
        cause: A key of `ARTEFACTS`.
        begin: First sample of the span.
        end: The sample after its last.
        snr_db: Strength of what is added (noise, motion, baseline), or how far a weak signal stays above the sensor's
            noise floor (low amplitude), dB; the other artefacts draw their own strength.
        bank: Where noise comes from.
        rng: Every draw is made from it.
    """
    begin, end = max(begin, 0), min(end, len(line.samples))
    if end <= begin or not line.is_real[begin:end].any() or not can_meet(cause, line.kind):
        return False
    return ARTEFACTS[cause](line, begin, end, snr_db, bank, rng)


def _add_noise(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    wave = bank.excerpt("ma", end - begin, line.sample_rate_hz, rng)
    return _add(line, begin, end, wave, snr_db, Cause.NOISE)


def _add_motion(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    source = "em" if line.kind == ChannelKind.ECG else "motion"
    wave = bank.excerpt(source, end - begin, line.sample_rate_hz, rng)
    return _add(line, begin, end, wave, snr_db, Cause.MOTION)


def _add_baseline(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    wave = bank.excerpt("bw", end - begin, line.sample_rate_hz, rng)
    return _add(line, begin, end, wave, snr_db, Cause.BASELINE)


def _add(line: Line, begin: int, end: int, wave: Float32[np.ndarray, " time"], snr_db: float, cause: Cause) -> bool:
    """Add a wave whose mean power over the span lies `snr_db` below the power of the line."""
    wave = (wave - wave.mean()) * line.taper(begin, end)
    power = float(np.dot(wave, wave)) / len(wave)
    if power == 0 or line.power == 0:
        return False
    wave *= np.float32(np.sqrt(line.power / power) * 10 ** (-snr_db / 20))
    line.samples[begin:end] += wave
    square = np.square(wave)
    if not line.is_real[begin:end].all():
        square *= line.is_real[begin:end]
    if line.gain is not None:  # noise drowns a weak signal sooner
        square /= np.square(line.gain[begin:end])
    centre_db = CENTRE_DB_OF_CAUSE.get(cause, NOISE_CENTRE_DB)
    line.lower(begin, square, lambda noise: quality_of_noise(noise / line.power, centre_db), cause)
    return True


def quality_of_noise(noise_over_signal: Float[np.ndarray, " second"], centre_db: float) -> Float[np.ndarray, " second"]:
    """Return the quality that noise leaves: a logistic in its SNR in dB, written so that no noise gives exactly 1."""
    relative = np.asarray(noise_over_signal) * 10 ** (centre_db / 10)
    return np.asarray(1 / (1 + relative ** (10 / (LOGISTIC_SLOPE_DB * np.log(10)))))


def _add_power_line(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Add 50 or 60 Hz with odd harmonics, as far as the rate can hold them; mains wander by some 0.02 Hz."""
    mains_hz = (50.0, 60.0)[rng.integers(2)] + rng.normal(0, 0.02)
    if 2.05 * mains_hz >= line.sample_rate_hz:
        return False
    phase = 2 * np.pi * mains_hz / line.sample_rate_hz * np.arange(end - begin) + rng.uniform(0, 2 * np.pi)
    wave = np.sin(phase)
    for k in (3, 5):
        if 2 * k * mains_hz < line.sample_rate_hz:
            wave += rng.uniform(0, 0.4) / k * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return _add(line, begin, end, wave.astype(np.float32), snr_db, Cause.POWER_LINE)


def _add_spikes(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Add 0.3 to 3 one-sided spikes a second, 10 to 40 ms wide and 5 to 20 deviations high."""
    if line.power == 0:
        return False
    rate_hz = line.sample_rate_hz
    num_spikes = 1 + rng.poisson(rng.uniform(0.3, 3.0) * (end - begin) / rate_hz)
    is_near = np.zeros(end - begin, np.float32)
    reach = max(1, round(SPIKE_REACH_S * rate_hz))
    for at in rng.integers(begin, end, num_spikes):
        width = min(max(1, round(rng.uniform(0.01, 0.04) * rate_hz)), end - at)
        height = rng.uniform(5, 20) * np.sqrt(line.power) * (1 if rng.random() < 0.5 else -1)
        line.samples[at : at + width] += np.float32(height)
        is_near[max(at - begin - reach, 0) : at - begin + reach] = 1
    line.lower(begin, is_near * line.is_real[begin:end], _kept, Cause.SPIKE)
    return True


def _weaken(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Shrink the signal towards its mean until it stands `snr_db` above the noise floor of the sensor."""
    if line.power == 0:
        return False
    gain = min(1.0, SENSOR_FLOOR * 10 ** (snr_db / 20))
    samples, is_real = line.samples[begin:end], line.is_real[begin:end]
    weight = line.taper(begin, end)
    level = samples[is_real].mean()
    floor = rng.standard_normal(end - begin, np.float32) * np.float32(SENSOR_FLOOR * np.sqrt(line.power))
    samples += weight * (np.float32(gain - 1) * (samples - level) + floor)
    if line.gain is None:
        line.gain = np.ones(len(line.samples), np.float32)
    line.gain[begin:end] *= 1 + weight * np.float32(gain - 1)
    lost = 1 - quality_of_noise(np.array((SENSOR_FLOOR / gain) ** 2), NOISE_CENTRE_DB)
    line.lower(begin, is_real * line.beats_in(begin, end) * lost, _kept, Cause.LOW_AMPLITUDE)
    return True


def _saturate(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Cut the signal off at the rails of its amplifier.

    As often as not they are as near as 20 to 80 % of its range, both of them; otherwise an offset carries 30 % of the
    range and more, up to all of it, beyond a rail that no clean sample of the span reaches.
    """
    samples, is_real = line.samples[begin:end], line.is_real[begin:end]
    level, low, high = samples[is_real].mean(), samples[is_real].min(), samples[is_real].max()
    if high - low <= 1e-6 * abs(level):
        return False
    pushed, floor, ceiling = samples.copy(), np.float32(-np.inf), np.float32(np.inf)
    if rng.random() < 0.5:
        room = rng.uniform(0.2, 0.8)
        floor, ceiling = np.float32(level + room * (low - level)), np.float32(level + room * (high - level))
    else:
        beyond, carried = (np.float32(rng.uniform(*share) * (high - low)) for share in ((0.05, 0.5), (0.3, 1.3)))
        if rng.random() < 0.5:
            ceiling, pushed = high + beyond, pushed + (beyond + carried)
        else:
            floor, pushed = low - beyond, pushed - (beyond + carried)
    np.clip(pushed, floor, ceiling, out=samples)
    is_cut = np.abs(pushed - samples) > SENSOR_FLOOR * np.sqrt(line.power)  # nothing is lost that noise hides
    line.lower(begin, is_cut * 1.0, lambda s: _kept(SATURATION_WEIGHT * s), Cause.SATURATION)
    return True


def _magnify(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Make the signal 8 to 40 times too large, as a wrong gain does; flush an arterial line."""
    if line.power == 0:
        return False
    samples, is_real = line.samples[begin:end], line.is_real[begin:end]
    weight = line.taper(begin, end)
    level, deviation = samples[is_real].mean(), np.float32(np.sqrt(line.power))
    if line.kind == ChannelKind.ABP:  # a fast flush: the pressure bag's 300 mmHg, on which the pulse is lost
        samples += weight * (level + np.float32(rng.uniform(8, 12)) * deviation - samples)
    else:
        samples += weight * np.float32(8 * 5 ** rng.random() - 1) * (samples - level)
    return _charge(line, begin, end, Cause.HIGH_AMPLITUDE)


def _invert(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Turn the signal upside down about its mean."""
    if line.power == 0:
        return False
    samples = line.samples[begin:end]
    level = samples[line.is_real[begin:end]].mean()
    np.subtract(2 * level, samples, out=samples)
    return _charge(line, begin, end, Cause.INVERTED)


def _stretch(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Play the signal at another rate, as a file does that names a wrong one: `SPEEDS_OF_WRONG_RATES`."""
    if line.power == 0 or end - begin < line.sample_rate_hz:
        return False
    speed = SPEEDS_OF_WRONG_RATES[rng.integers(len(SPEEDS_OF_WRONG_RATES))]
    # Once more from the start where a fast copy runs out of signal: played backwards it would be no heart's.
    _replay(line, begin, end, np.arange(end - begin) * speed % (end - begin))
    return _charge(line, begin, end, Cause.WRONG_RATE)


def _misplace(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Let the pulse follow beats of its own, as another patient's sensor does: from elsewhere, now faster, now slower.

    A pulse that is only late still follows the beats; nobody could tell it from one of a longer artery.
    """
    num_samples = end - begin
    if line.power == 0 or num_samples < line.sample_rate_hz:
        return False
    cycle = rng.uniform(*MISPLACED_CYCLE_S) * line.sample_rate_hz / (2 * np.pi)  # samples per radian
    here = np.arange(num_samples)
    wander = rng.uniform(*MISPLACED_DEPTH) * cycle * np.sin(here / cycle + rng.uniform(0, 2 * np.pi))
    _replay(line, begin, end, (here + rng.integers(num_samples) + wander) % num_samples)
    return _charge(line, begin, end, Cause.DISAGREEMENT)


def _replay(line: Line, begin: int, end: int, place: Float[np.ndarray, " time"]) -> None:
    """Put the signal of other places of a span, in samples from its start, where there is and was any."""
    samples = line.samples[begin:end]
    left = place.astype(np.int64)
    right, fraction = (left + 1) % len(samples), (place - left).astype(np.float32)
    moved = samples[left] * (1 - fraction) + samples[right] * fraction
    is_movable = line.is_real[begin:end] & np.isfinite(moved)
    samples[is_movable] = moved[is_movable]


def _charge(line: Line, begin: int, end: int, cause: Cause) -> bool:
    is_charged = line.is_real[begin:end]
    if cause is not Cause.HIGH_AMPLITUDE:
        is_charged = is_charged & line.beats_in(begin, end)
    line.lower(begin, is_charged * COST_OF_CAUSE[cause], _kept, cause)
    return True


def _flatten(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    """Hold the value before the span, or its mean or an extreme, as monitors do when a sensor is off."""
    samples, is_real = line.samples[begin:end], line.is_real[begin:end]
    present = samples[is_real]
    draw = rng.random()
    if draw < 0.6:
        level = present[0]
    elif draw < 0.8:
        level = present.mean()
    else:
        level = present.max() if draw < 0.9 else present.min()
    samples[is_real] = level
    line.lower(begin, is_real * 1.0, _kept, Cause.FLAT)
    return True


def _drop(line: Line, begin: int, end: int, snr_db: float, bank: NoiseBank, rng: np.random.Generator) -> bool:
    line.samples[begin:end] = np.nan
    line.lower(begin, line.is_real[begin:end] * 1.0, _kept, Cause.DROPOUT)
    line.is_real[begin:end] = False
    return True


def _kept(lost: Float[np.ndarray, " second"]) -> Float[np.ndarray, " second"]:
    return np.asarray(np.clip(1 - lost, 0, 1))


#: Every artefact by its cause, in the order in which they meet a signal: sensor, body, amplifier, transmission.
ARTEFACTS: dict[Cause, Callable[[Line, int, int, float, NoiseBank, np.random.Generator], bool]] = {
    Cause.WRONG_RATE: _stretch,
    Cause.DISAGREEMENT: _misplace,
    Cause.LOW_AMPLITUDE: _weaken,
    Cause.INVERTED: _invert,
    Cause.BASELINE: _add_baseline,
    Cause.NOISE: _add_noise,
    Cause.MOTION: _add_motion,
    Cause.POWER_LINE: _add_power_line,
    Cause.HIGH_AMPLITUDE: _magnify,
    Cause.SATURATION: _saturate,
    Cause.SPIKE: _add_spikes,
    Cause.FLAT: _flatten,
    Cause.DROPOUT: _drop,
}
