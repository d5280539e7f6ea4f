"""Numbers about a line as a whole: its spectrum, its size against the minutes before, its quality."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt16
from numpy.lib.stride_tricks import sliding_window_view

from qualityfm.records import Cause
from qualityfm.tasks.beat_features import Figures
from qualityfm.tasks.traces import RATE_HZ

#: Spectra are taken of stretches of this length, one for each second, s.
STRETCH_S = 4
BANDS_HZ = ((0.7, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, 40.0))
#: Where a fibrillating or fluttering ventricle has its peak, Hz. Source: 4 to 7 Hz in man, Clayton, Murray, Campbell,
#: Med Biol Eng Comput 33:651, 1995; VT from 1.6 Hz on (100 beats a minute).
PEAK_HZ = (1.6, 9.0)
LAGS_S = (0.24, 1.6)


def spectrum_features(line: Float32[np.ndarray, " time"], window_s: float) -> Figures:
    """Return band shares, purity and size of the last `window_s` seconds, and against the stretches before.

    Args:
        line: Finite samples without baseline.
        window_s: Length of the window at the end, s.
    """
    powers, sizes = _stretches(line)
    num_late = max(1, int(window_s) - STRETCH_S + 1)
    late, early = powers[-num_late:], powers[:-num_late] if len(powers) > 2 * num_late else powers
    frequency = np.fft.rfftfreq(STRETCH_S * round(RATE_HZ), 1 / RATE_HZ)
    shares, usual = _band_shares(late, frequency), np.median(_band_shares(early, frequency), axis=0)
    found: Figures = {}
    for k, (low, _) in enumerate(BANDS_HZ):
        found |= {f"band{low:g}_max": float(shares[:, k].max()), f"band{low:g}_mean": float(shares[:, k].mean())}
        found[f"band{low:g}_change"] = float(shares[:, k].mean() - usual[k])
    peak_hz, purity = _purity(late, frequency)
    _, usual_purity = _purity(early, frequency)
    found |= {"purity_max": float(purity.max()), "purity_mean": float(purity.mean())}
    found |= {"purity_hz": float(peak_hz[purity.argmax()]), "purity_change": float(purity.max() - usual_purity.mean())}
    size = np.log(sizes[-num_late:] + 1e-6) - np.log(np.median(sizes) + 1e-6)
    return found | {"log_size_max": float(size.max()), "log_size_min": float(size.min())}


def _stretches(line: Float32[np.ndarray, " time"]) -> tuple[np.ndarray, np.ndarray]:
    """Return power spectrum and standard deviation of every stretch, one begins each second."""
    width = STRETCH_S * round(RATE_HZ)
    if len(line) < width:
        line = np.pad(line, (width - len(line), 0))
    last_first = sliding_window_view(line[::-1], width)[:: round(RATE_HZ)]
    parts = last_first[::-1, ::-1] - last_first.mean(axis=1)[::-1, None]
    return np.abs(np.fft.rfft(parts * np.hanning(width), axis=1)) ** 2, parts.std(axis=1)


def _band_shares(powers: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    parts = [powers[:, (frequency >= low) & (frequency < high)].sum(axis=1) for low, high in BANDS_HZ]
    whole = np.stack(parts, axis=1)
    return np.asarray(whole / (whole.sum(axis=1, keepdims=True) + 1e-12))


def _purity(powers: np.ndarray, frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the main frequency in `PEAK_HZ` and the share of all power (0.7 to 40 Hz) within 0.5 Hz of it."""
    inside = (frequency >= PEAK_HZ[0]) & (frequency <= PEAK_HZ[1])
    peak = frequency[inside][powers[:, inside].argmax(axis=1)]
    near = np.abs(frequency - peak[:, None]) <= 0.5
    whole = (frequency >= 0.7) & (frequency <= 40)
    return peak, (powers * near).sum(axis=1) / ((powers * whole).sum(axis=1) + 1e-12)


def shape_of_samples(line: Float32[np.ndarray, " time"]) -> Figures:
    """Return how the samples of a window lie: peakedness, skewness, time near rest, self-likeness at a beat's lag."""
    line = line - line.mean()
    sd = float(line.std())
    if sd < 1e-6:
        return dict.fromkeys(("kurtosis", "skewness", "rest_share", "activity", "repeat", "repeat_lag_s"), np.nan)
    unit = line / sd
    spread = np.fft.irfft(np.abs(np.fft.rfft(unit, 2 * len(unit))) ** 2)[: len(unit)] / np.arange(len(unit), 0, -1)
    first, last = (round(lag * RATE_HZ) for lag in LAGS_S)
    lag = first + int(spread[first:last].argmax())
    return {
        "kurtosis": float((unit**4).mean()),
        "skewness": float((unit**3).mean()),
        "rest_share": float((np.abs(unit) < 0.2).mean()),
        "activity": float(np.diff(unit).std()),
        "repeat": float(spread[lag]),
        "repeat_lag_s": lag / RATE_HZ,
    }


def quality_features(
    quality: Float32[np.ndarray, " second"], causes: UInt16[np.ndarray, " second"], window_s: int
) -> Figures:
    """Return the quality of a slot's last seconds, of the minutes before, and the shares of the main causes."""
    late, marks = quality[-window_s:], causes[-window_s:]
    found = {
        "quality_mean": float(late.mean()),
        "quality_min": float(late.min()),
        "quality_before": float(quality.mean()),
        "good_share": float((late >= 0.5).mean()),
    }
    for cause in (Cause.NOISE, Cause.MOTION, Cause.BASELINE, Cause.FLAT, Cause.DISAGREEMENT, Cause.LOW_AMPLITUDE):
        found[f"cause_{cause.name}".lower()] = float(((marks & int(cause)) > 0).mean())
    return found


def level_features(line: Float[np.ndarray, " time"], window_s: float) -> Figures:
    """Return the levels of a pressure line's last seconds in mmHg, and against the minutes before."""
    late, early = line[-round(window_s * RATE_HZ) :], line[: -round(window_s * RATE_HZ)]
    if not np.isfinite(late).any():
        return dict.fromkeys(("level_low", "level_high", "level_mid", "level_change"), np.nan)
    low, mid, high = np.nanpercentile(late, (5, 50, 95))
    before = np.nanmedian(early) if np.isfinite(early).any() else np.nan
    return {
        "level_low": float(low),
        "level_high": float(high),
        "level_mid": float(mid),
        "level_change": float(mid - before),
    }
