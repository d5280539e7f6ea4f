"""Noise to add to clean signals: recorded lines, or modelled ones of similar spectra where no recording is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Float32
from scipy.signal import butter, resample_poly, sosfiltfilt

from qualityfm.errors import SignalError, problem

#: Kinds of noise line. The first three are those of the MIT-BIH Noise Stress Test Database: baseline wander, electrode
#: motion, muscle. "motion" is the movement of a pulse sensor, for which there is no such recording.
NOISE_KINDS = ("bw", "em", "ma", "motion")

#: Drift below this is taken out of every kind but "bw", Hz: two thirds of the power of the recorded "ma" lie below
#: 0.3 Hz, so that without this step the SNR of muscle noise would be that of its drift.
DRIFT_CUT_HZ = 0.5

#: Power spectral density of the modelled lines, (Hz, log10 of density) for interpolation over log frequency.
#: "bw", "em", "ma": read off minutes 0 to 12 of the noise stress test database, rounded (Moody, Muldrow, Mark,
#: Computers in Cardiology 11:381, 1984). "motion": the band of hand movement, 0.3 to 4 Hz, our own choice.
SPECTRA = {
    "bw": ((0.02, 0.3), (0.15, -0.2), (0.5, -1.5), (1.1, -2.8), (2.2, -3.8), (4.5, -4.7), (180.0, -6.6)),
    "em": ((0.1, -0.3), (0.5, -1.1), (1.1, -0.9), (2.2, -1.2), (4.5, -2.0), (9.0, -2.5), (18.0, -3.4), (180.0, -6.0)),
    "ma": ((0.1, -2.5), (0.5, -3.5), (4.5, -4.5), (9.0, -4.4), (18.0, -4.0), (35.0, -4.0), (60.0, -5.0), (180.0, -6.4)),
    "motion": ((0.1, -2.0), (0.4, 0.0), (1.5, 0.3), (3.0, -0.3), (5.0, -2.0), (12.0, -4.0), (180.0, -6.0)),
}

#: Depth of the slow swell of the modelled lines, as the spread of a log amplitude: movement comes in bursts.
BURSTINESS = {"bw": 0.2, "em": 0.6, "ma": 0.4, "motion": 0.8}

MODELLED_S = 300.0


@dataclass(frozen=True)
class NoiseBank:
    """Lines of noise of each kind at one rate, from which excerpts are cut; other rates are made once and kept.

    Attributes:
        lines: Noise of each of `NOISE_KINDS`, all finite; the unit does not matter, an excerpt is scaled when added.
        sample_rate_hz: Samples per second of `lines`.
    """

    lines: Mapping[str, Float32[np.ndarray, " time"]]
    sample_rate_hz: float
    _at_rate: dict[float, Mapping[str, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_lines(
        cls, lines: Mapping[str, Float[np.ndarray, " time"]], sample_rate_hz: float, seed: int = 0
    ) -> NoiseBank:
        """Return a bank of recorded noise; kinds that were not recorded are modelled.

        Args:
            lines: Recorded noise of any of `NOISE_KINDS`; samples that are not finite are taken as 0.
            sample_rate_hz: Their rate, Hz.
            seed: For the kinds that are modelled.

        Raises:
            SignalError: A kind is unknown, or a line is shorter than two seconds or constant.
        """
        bank = dict(cls.modelled(seed, sample_rate_hz).lines)
        for kind, line in lines.items():
            if kind not in NOISE_KINDS:
                expected = f"one of {', '.join(NOISE_KINDS)}"
                raise SignalError(
                    problem("unknown noise", where="noise bank", field="kind", found=kind, expected=expected)
                )
            finite = np.nan_to_num(np.asarray(line, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
            if len(finite) < 2 * sample_rate_hz or np.ptp(finite) == 0:
                raise SignalError(
                    problem(
                        "unusable noise",
                        where=f"noise bank, {kind}",
                        field="samples",
                        found=len(finite),
                        expected="at least two seconds that are not constant",
                    )
                )
            bank[kind] = _settled(kind, finite, sample_rate_hz)
        return cls(bank, sample_rate_hz)

    @classmethod
    def modelled(cls, seed: int, sample_rate_hz: float) -> NoiseBank:
        """Return a bank of modelled noise: Gaussian lines of the spectra in `SPECTRA`, swelling and fading.

        Args:
            seed: The same seed gives the same bytes.
            sample_rate_hz: Rate of the lines, Hz, at least 2.

        Raises:
            SignalError: The rate is not at least 2 Hz.
        """
        if not 2 <= sample_rate_hz < 1e6:
            raise SignalError(
                problem(
                    "wrong rate",
                    where="noise bank",
                    field="sample_rate_hz",
                    found=sample_rate_hz,
                    expected="2 <= x < 1e6",
                )
            )
        rng = np.random.default_rng(seed)
        return cls({kind: _modelled_line(kind, rng, sample_rate_hz) for kind in NOISE_KINDS}, sample_rate_hz)

    def lines_at(self, sample_rate_hz: float) -> Mapping[str, Float32[np.ndarray, " time"]]:
        """Return the lines at another rate; the first call for a rate resamples, later ones are free."""
        if sample_rate_hz == self.sample_rate_hz:
            return self.lines
        if sample_rate_hz not in self._at_rate:
            ratio = Fraction(sample_rate_hz / self.sample_rate_hz).limit_denominator(200)
            up, down = max(ratio.numerator, 1), ratio.denominator
            self._at_rate[sample_rate_hz] = {
                kind: resample_poly(line.astype(np.float64), up, down).astype(np.float32)
                for kind, line in self.lines.items()
            }
        return self._at_rate[sample_rate_hz]

    def excerpt(
        self, kind: str, num_samples: int, sample_rate_hz: float, rng: np.random.Generator
    ) -> Float32[np.ndarray, " time"]:
        """Return a random stretch of one kind as a copy; a line that is too short is repeated."""
        line = self.lines_at(sample_rate_hz)[kind]
        if num_samples >= len(line):
            return np.resize(np.roll(line, int(rng.integers(len(line)))), num_samples)
        begin = int(rng.integers(len(line) - num_samples))
        return line[begin : begin + num_samples].copy()


def _settled(kind: str, line: Float[np.ndarray, " time"], sample_rate_hz: float) -> Float32[np.ndarray, " time"]:
    """Return a recorded line without its mean and, unless it is baseline wander, without its drift."""
    line = line - line.mean()
    if kind != "bw":
        highpass = butter(2, DRIFT_CUT_HZ, "highpass", fs=sample_rate_hz, output="sos")
        line = sosfiltfilt(highpass, line, padlen=min(len(line) - 1, round(4 * sample_rate_hz)))
    return np.asarray(line, np.float32)


def _modelled_line(kind: str, rng: np.random.Generator, sample_rate_hz: float) -> Float32[np.ndarray, " time"]:
    num_samples = round(MODELLED_S * sample_rate_hz)
    knots_hz, log_density = np.array(SPECTRA[kind]).T
    line = _coloured(rng, num_samples, sample_rate_hz, np.log(knots_hz), log_density)
    swell = _coloured(rng, num_samples, sample_rate_hz, np.log([0.05, 0.3, 1.0]), np.array([0.0, 0.0, -6.0]))
    line *= np.exp(BURSTINESS[kind] * swell)
    return np.asarray(line / line.std(), np.float32)


def _coloured(
    rng: np.random.Generator,
    num_samples: int,
    sample_rate_hz: float,
    log_hz: Float[np.ndarray, " knot"],
    log_density: Float[np.ndarray, " knot"],
) -> Float[np.ndarray, " time"]:
    """Return Gaussian noise of unit deviation whose density follows the knots; below the first knot it is silent."""
    frequency_hz = np.fft.rfftfreq(num_samples, 1 / sample_rate_hz)
    heard = frequency_hz >= np.exp(log_hz[0]) * 0.5
    amplitude = np.zeros(len(frequency_hz))
    amplitude[heard] = 10 ** (np.interp(np.log(frequency_hz[heard]), log_hz, log_density) / 2)
    spectrum = amplitude * (rng.standard_normal(len(amplitude)) + 1j * rng.standard_normal(len(amplitude)))
    line = np.fft.irfft(spectrum, num_samples)
    return np.asarray(line / line.std())
