"""A channel that is being spoiled: its samples, how strong it was, and what each second has left."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt16

from qualityfm.records import GRADE_CUTS, Cause, ChannelKind
from qualityfm.waveform.seconds import second_starts

#: A second that loses more than this to one artefact is flagged with its cause: below grade A.
FLAG_BELOW = GRADE_CUTS["A"]

#: Time in which an artefact fades in and out, s.
EDGE_S = 0.25

#: Windows over which a signal's power is taken, s.
POWER_WINDOW_S = 2.0


def signal_power(values: Float32[np.ndarray, "channel time"], sample_rate_hz: float) -> Float64[np.ndarray, " channel"]:
    """Return each channel's signal power, the reference of every SNR here: 0 for an empty or constant channel.

    It is the median over windows of two seconds of the variance within the window, so that neither slow drift nor a
    single burst counts as signal.

    Args:
        values: Samples in any unit; NaN where missing.
        sample_rate_hz: Samples per second.
    """
    num_channels, num_samples = values.shape
    if num_samples == 0:
        return np.zeros(num_channels)
    length = min(num_samples, max(2, round(POWER_WINDOW_S * sample_rate_hz)))
    windows = values[:, : num_samples // length * length].reshape(num_channels, -1, length)
    is_real = np.isfinite(windows)
    count = is_real.sum(axis=2)
    divisor = np.maximum(count, 1)
    samples = windows if is_real.all() else np.where(is_real, windows, 0)
    mean = samples.sum(axis=2, dtype=np.float64) / divisor
    deviation = samples - mean[..., None].astype(np.float32)
    if samples is not windows:
        deviation *= is_real
    variance = np.einsum("cwt,cwt->cw", deviation, deviation, dtype=np.float64) / divisor
    # A window that hardly moves says nothing of the signal where another one does: a dead half must not silence it.
    usable = (count > length // 2) & (variance > 1e-10 * mean**2 + 1e-20)
    ordered = np.sort(np.where(usable, variance, np.inf), axis=1)
    middle = ordered[np.arange(num_channels), np.maximum(usable.sum(axis=1) - 1, 0) // 2]
    return np.asarray(np.where(usable.any(axis=1), middle, 0.0))


@lru_cache(maxsize=64)
def _seconds_of(
    num_samples: int, sample_rate_hz: float
) -> tuple[Int64[np.ndarray, " second"], Int64[np.ndarray, " second"]]:
    """Return the first sample of every second, a begun last one included, and the number of samples in each."""
    starts = second_starts(int(np.ceil(num_samples / sample_rate_hz - 1e-9)), sample_rate_hz)
    return starts, np.diff(starts, append=num_samples)


class Line:
    """A channel being spoiled: its samples (changed in place) and what each second has left.

    Attributes:
        samples: In any unit; NaN where missing, and missing stays missing.
        is_real: True where there was a sample to spoil.
        power: Signal power before any artefact, see `signal_power`.
        quality: Quality each second has left, 1 at first.
        causes: `Cause` flags of the seconds that lost more than a grade.
        is_touched: Whether any artefact was put on.
        gain: What is left of the signal's amplitude at each sample, None while that is all of it.
        is_beating: False for a sample at which no beat is due because the heart stands still; None for a heart that
            never does.
    """

    def __init__(
        self,
        samples: Float32[np.ndarray, " time"],
        kind: ChannelKind,
        sample_rate_hz: float,
        power: float,
        is_beating: Bool[np.ndarray, " time"] | None = None,
    ) -> None:
        self.samples = samples
        self.kind = kind
        self.sample_rate_hz = sample_rate_hz
        self.power = power
        self.is_real = np.isfinite(samples)
        self.starts, self.lengths = _seconds_of(len(samples), sample_rate_hz)
        self.quality: Float32[np.ndarray, " second"] = np.ones(len(self.starts), np.float32)
        self.causes: UInt16[np.ndarray, " second"] = np.zeros(len(self.starts), np.uint16)
        self.is_touched = False
        self.gain: Float32[np.ndarray, " time"] | None = None
        self.is_beating = is_beating

    def beats_in(self, begin: int, end: int) -> Bool[np.ndarray, " time"]:
        """Return where in a span beats are due."""
        return np.ones(end - begin, bool) if self.is_beating is None else self.is_beating[begin:end]

    def taper(self, begin: int, end: int) -> Float32[np.ndarray, " time"]:
        """Return weights 0 to 1 that fade a span in and out, except where it starts or ends with the line."""
        weights = np.ones(end - begin, np.float32)
        ramp = _ramp(min((end - begin) // 4, round(EDGE_S * self.sample_rate_hz)))
        if begin > 0:
            weights[: len(ramp)] = ramp
        if end < len(self.samples):
            weights[len(weights) - len(ramp) :] = ramp[::-1]
        return weights

    def lower(
        self,
        begin: int,
        damage: Float[np.ndarray, " time"],
        to_quality: Callable[[np.ndarray], np.ndarray],
        cause: Cause,
    ) -> None:
        """Lower the quality of the seconds under a span.

        Args:
            begin: First sample of the span.
            damage: What the artefact does to each sample of the span; a second sees its mean.
            to_quality: Maps a second's mean damage to the share of quality it keeps.
            cause: Flag for the seconds that lose more than a grade.
        """
        first = int(np.searchsorted(self.starts, begin, "right")) - 1
        last = int(np.searchsorted(self.starts, begin + len(damage), "left"))
        sums = np.add.reduceat(damage, np.maximum(self.starts[first:last] - begin, 0), dtype=np.float64)
        kept = to_quality(sums / self.lengths[first:last])
        self.quality[first:last] *= kept
        self.causes[first:last] |= np.where(kept < FLAG_BELOW, np.uint16(cause), np.uint16(0))
        self.is_touched = True


@lru_cache(maxsize=256)
def _ramp(num_samples: int) -> Float32[np.ndarray, " time"]:
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(num_samples) + 0.5) / max(num_samples, 1))).astype(np.float32)
