"""Artefacts for training: spoil a segment in known ways and say how much each second of each channel lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt16

from qualityfm.errors import ConfigError, SignalError, problem
from qualityfm.records import Cause, ChannelKind
from qualityfm.waveform.line import Line, signal_power
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.spoiling import ARTEFACTS, can_meet, spoil

__all__ = ["Corrupted", "CorruptionConfig", "NoiseBank", "corrupt"]

#: Interquartile range of a standard normal distribution: the robust scale in which segments arrive.
NORMAL_IQR = 1.349

#: Smallest scale, relative to the one before, when a spoiled channel is scaled anew: what is mostly flat stays flat.
RESCALE_FLOOR = 0.1


_CAUSE_WORDS = tuple((cause.name or "").lower() for cause in ARTEFACTS)


def _check(name: str, found: object, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ConfigError(problem("wrong setting", where="corruption", field=name, found=found, expected=expected))


@dataclass(frozen=True, kw_only=True)
class CorruptionConfig:
    """How often and how badly `corrupt` spoils a segment. Each probability is for one channel of one segment.

    Attributes:
        noise_probability: Muscle or other wide-band noise.
        motion_probability: Electrode motion on an ECG, hand movement on a pulse.
        baseline_probability: Baseline wander.
        spike_probability: Spikes.
        low_amplitude_probability: A signal that sinks towards the noise floor of its sensor.
        saturation_probability: An amplifier at its rails.
        flat_probability: A held or constant value.
        dropout_probability: Missing samples.
        power_line_probability: 50 or 60 Hz on an ECG.
        inverted_probability: An ECG or PPG upside down.
        wrong_rate_probability: A signal played at another rate.
        disagreement_probability: A pulse moved in time, so that it no longer follows the ECG.
        high_amplitude_probability: A wrong gain, or a flushed arterial line; never over the whole segment, for scaling
            would undo it.
        snr_db_range: SNR of noise and motion over their span, and of a weak signal over its sensor's noise floor, dB.
        drift_snr_db_range: The same of baseline wander, which does less harm, dB.
        span_s_range: Shortest and longest span of an artefact, s, drawn evenly on a log scale.
        whole_probability: Chance that an artefact other than flat and dropout lasts the whole segment.
        is_never_clean: Where nothing was drawn for any channel, put one artefact on one of them.
        is_rescaled: Scale the spoiled channels anew (median 0, IQR / 1.349 = 1), as cutting a noisy recording would;
            otherwise the mere size of the samples gives the artefact away.
        clip: Spoiled channels are held within +-clip.
    """

    noise_probability: float = 0.35
    motion_probability: float = 0.3
    baseline_probability: float = 0.25
    spike_probability: float = 0.1
    low_amplitude_probability: float = 0.08
    saturation_probability: float = 0.08
    flat_probability: float = 0.08
    dropout_probability: float = 0.08
    power_line_probability: float = 0.06
    inverted_probability: float = 0.02
    wrong_rate_probability: float = 0.02
    disagreement_probability: float = 0.04
    high_amplitude_probability: float = 0.03
    snr_db_range: tuple[float, float] = (-6.0, 18.0)
    drift_snr_db_range: tuple[float, float] = (-18.0, 6.0)
    span_s_range: tuple[float, float] = (1.0, 15.0)
    whole_probability: float = 0.4
    is_never_clean: bool = True
    is_rescaled: bool = True
    clip: float = 20.0

    def __post_init__(self) -> None:
        names = (*(f"{word}_probability" for word in _CAUSE_WORDS), "whole_probability")
        for name in names:
            _check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "a probability in [0, 1]")
        for name in ("snr_db_range", "drift_snr_db_range", "span_s_range"):
            pair = getattr(self, name)
            is_pair = len(pair) == 2 and np.isfinite(pair).all() and pair[0] <= pair[1]
            _check(name, pair, is_pair, "two numbers, the lower first")
        _check("span_s_range", self.span_s_range, self.span_s_range[0] > 0, "spans above 0 s")
        _check("snr_db_range", self.snr_db_range, abs(self.snr_db_range[0]) <= 100, "decibels within +-100")
        _check("clip", self.clip, self.clip > 0, "a number above 0")

    @property
    def probabilities(self) -> dict[Cause, float]:
        """The probability of each artefact, in the order in which they are put on."""
        return {
            cause: getattr(self, f"{word}_probability") for cause, word in zip(ARTEFACTS, _CAUSE_WORDS, strict=True)
        }


_DEFAULTS = CorruptionConfig()


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """A spoiled segment and what it lost against the segment it was made from.

    Attributes:
        values: Spoiled samples; what was missing before stays missing.
        quality: Share of the quality before that each second kept, in [0, 1]; 1 where nothing was done, also in an
            empty slot. Multiply it by the quality the segment had.
        causes: `Cause` flags of the artefacts that cost a second more than a grade.
        center: Value of the unspoiled scale that became 0, per channel; 0 unless rescaled.
        scale: Size on the unspoiled scale of 1, per channel; 1 unless rescaled.
    """

    values: Float32[np.ndarray, "channel time"]
    quality: Float32[np.ndarray, "channel second"]
    causes: UInt16[np.ndarray, "channel second"]
    center: Float32[np.ndarray, " channel"]
    scale: Float32[np.ndarray, " channel"]


def corrupt(
    values: Float32[np.ndarray, "channel time"],
    kinds: Sequence[ChannelKind],
    sample_rate_hz: float,
    bank: NoiseBank,
    rng: np.random.Generator,
    settings: CorruptionConfig | None = None,
) -> Corrupted:
    """Return a segment spoiled by random artefacts, drawn for each channel apart, and the truth about them.

    Channels that are empty or constant are left as they are. The input is not changed.

    Args:
        values: Scaled samples (median 0, IQR / 1.349 = 1); NaN where missing, an empty slot all NaN.
        kinds: What each channel holds.
        sample_rate_hz: Samples per second, at least 2.
        bank: Where noise comes from.
        rng: Every draw is made from it: the same state gives the same bytes.
        settings: Frequencies and strengths.

    Raises:
        SignalError: `kinds` and `values` disagree about the channels, or the rate is below 2 Hz.
    """
    settings = settings or _DEFAULTS
    if values.ndim != 2 or len(values) != len(kinds):
        raise SignalError(
            problem("cannot spoil", where="segment", field="values", found=values.shape, expected=f"{len(kinds)} rows")
        )
    if not 2 <= sample_rate_hz < 1e6:
        raise SignalError(
            problem(
                "cannot spoil", where="segment", field="sample_rate_hz", found=sample_rate_hz, expected="2 <= x < 1e6"
            )
        )
    spoiled = np.array(values, np.float32)
    power = signal_power(spoiled, sample_rate_hz)
    lines = [Line(spoiled[c], kind, sample_rate_hz, float(power[c])) for c, kind in enumerate(kinds)]
    for c, is_drawn in enumerate(_draw_artefacts(power > 0, kinds, settings, rng)):
        for cause in (cause for cause, drawn in zip(ARTEFACTS, is_drawn, strict=True) if drawn):
            begin, end = _draw_span(cause, spoiled.shape[1], sample_rate_hz, settings, rng)
            snr_range = settings.drift_snr_db_range if cause is Cause.BASELINE else settings.snr_db_range
            spoil(lines[c], cause, begin, end, snr_db=rng.uniform(*snr_range), bank=bank, rng=rng)

    center, scale = np.zeros(len(lines), np.float32), np.ones(len(lines), np.float32)
    for c, line in enumerate(lines):
        if line.is_touched:
            if settings.is_rescaled:
                center[c], scale[c] = _robust_scale(line)
                line.samples -= center[c]
                line.samples /= scale[c]
            np.clip(line.samples, -settings.clip, settings.clip, out=line.samples)
    num_seconds = int(np.ceil(spoiled.shape[1] / sample_rate_hz - 1e-9))
    return Corrupted(
        values=spoiled,
        quality=np.array([line.quality for line in lines], np.float32).reshape(len(lines), num_seconds),
        causes=np.array([line.causes for line in lines], np.uint16).reshape(len(lines), num_seconds),
        center=center,
        scale=scale,
    )


def _draw_artefacts(
    is_live: np.ndarray, kinds: Sequence[ChannelKind], settings: CorruptionConfig, rng: np.random.Generator
) -> np.ndarray:
    """Return which artefact each channel gets, Bool[channel cause]."""
    can_have = _possible(tuple(kinds))
    chances = np.array(list(settings.probabilities.values()))
    is_drawn = (rng.random((len(is_live), len(chances))) < chances) & is_live[:, None] & can_have
    if settings.is_never_clean and is_live.any() and chances.any() and not is_drawn.any():
        channel = rng.choice(np.flatnonzero(is_live))
        possible = chances * can_have[channel]
        if possible.any():
            is_drawn[channel, rng.choice(len(possible), p=possible / possible.sum())] = True
    return np.asarray(is_drawn)


@lru_cache(maxsize=64)
def _possible(kinds: tuple[ChannelKind, ...]) -> np.ndarray:
    """Return which artefact each channel can have, Bool[channel cause]."""
    return np.array([[can_meet(cause, kind) for cause in ARTEFACTS] for kind in kinds]).reshape(-1, len(ARTEFACTS))


def _draw_span(
    cause: Cause, num_samples: int, sample_rate_hz: float, settings: CorruptionConfig, rng: np.random.Generator
) -> tuple[int, int]:
    can_be_whole = cause not in (Cause.FLAT, Cause.DROPOUT, Cause.HIGH_AMPLITUDE)
    if rng.random() < settings.whole_probability and can_be_whole:
        return 0, num_samples
    low_s, high_s = settings.span_s_range
    length = min(num_samples, max(1, round(low_s * (high_s / low_s) ** rng.random() * sample_rate_hz)))
    begin = int(rng.integers(num_samples - length + 1))
    return begin, begin + length


def _robust_scale(line: Line) -> tuple[float, float]:
    """Return median and IQR / 1.349 of the samples there are, by one partial sort."""
    present = line.samples[line.is_real]
    if not len(present):
        return 0.0, 1.0
    last = len(present) - 1
    ranks = (round(0.25 * last), round(0.5 * last), round(0.75 * last))
    present.partition(ranks)
    q1, median, q3 = (float(present[rank]) for rank in ranks)
    return median, max((q3 - q1) / NORMAL_IQR, RESCALE_FLOOR)
