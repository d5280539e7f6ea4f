"""What the score makes of PPG from a finger oximeter and from a watch with accelerometer, both with motion.

Nobody annotated these two recordings of one person each, so the truth is what their devices measured beside the PPG:
movement, samples at the converter's ends, the device's own pulse rate. The figures say how the score behaves on such
signals; they cannot say how it does on other people, and their intervals draw 30-s stretches, not people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32
from scipy.signal import butter, periodogram, sosfiltfilt

from qualityfm.evidence.quality_data import SEGMENT_S
from qualityfm.evidence.quality_figures import Figure, auc_figure, mean_figure
from qualityfm.evidence.quality_scorers import Scorer
from qualityfm.records import Cause, Signal
from qualityfm.sources import open_recording

PART = "wearables"
WATCH, OXIMETER = "e2epyppg_201902020222_Data.csv.gz", "vital_sqi_ppg_smartcare.csv.gz"

#: A second in which the size of the acceleration deviates by more than this moves; rest has 0.02. Our own choice, m/s2.
MOVING_MS2 = 0.3

#: Lowest and highest value of the oximeter's 16-bit PLETH: samples there are cut off.
CONVERTER_ENDS = (1.0, 65535.0)

#: The band of a pulse, windows and step of its rate, and how far it may lie off the device's. Our own choice.
PULSE_BAND_HZ, RATE_BAND_HZ = (0.5, 8.0), (0.6, 3.3)
WINDOW_S, STEP_S, RATE_WITHIN_BPM = 8, 4, 5.0


def wearable_figures(folder: Path, scorers: Mapping[str, Scorer], rounds: int) -> list[Figure]:
    """Return the figures of both devices for each score."""
    return [*_watch_figures(folder / WATCH, scorers, rounds), *_oximeter_figures(folder / OXIMETER, scorers, rounds)]


def _watch_figures(path: Path, scorers: Mapping[str, Scorer], rounds: int) -> list[Figure]:
    """Return how well a low score finds seconds in which the watch moves; as it delivers its PPG, and filtered."""
    watch = open_recording(path)
    ppg, axes = watch.signals[0], watch.signals[1:4]
    is_moving = moving_seconds(np.stack([axis.samples for axis in axes]), axes[0].sample_rate_hz) > MOVING_MS2
    forms = {"as delivered": ppg, "0.5 to 8 Hz, turned over": replace(ppg, samples=pulse_band(ppg, sign=-1.0))}
    figures = []
    for form, signal in forms.items():
        case = f"watch ppg, {form}"
        for method, scorer in scorers.items():
            quality = scorer(replace(watch, signals=(signal,))).quality[0, : len(is_moving)]
            groups = np.arange(len(quality)) // SEGMENT_S
            names = (
                PART,
                case,
                method,
                f"AUC of a low score in seconds that move, {is_moving.sum()} of {len(quality)}",
            )
            figures.append(auc_figure(names, is_moving, quality, groups, rounds))
            names = (PART, case, method, "mean quality of seconds at rest")
            figures.append(mean_figure(names, quality[~is_moving], groups[~is_moving], rounds))
    return figures


def moving_seconds(
    acceleration: Float32[np.ndarray, "axis time"], sample_rate_hz: float
) -> Float[np.ndarray, " second"]:
    """Return the deviation of the size of the acceleration in each whole second, in its unit."""
    size = np.sqrt(np.square(acceleration, dtype=float).sum(axis=0))
    begins = (np.arange(int(len(size) / sample_rate_hz)) * sample_rate_hz).astype(int)
    return np.array([np.nanstd(size[b : b + int(np.ceil(sample_rate_hz))]) for b in begins])


def pulse_band(signal: Signal, sign: float = 1.0) -> Float32[np.ndarray, " time"]:
    """Return a pulse without drift, straight lines in its gaps; `sign` is -1 for light, which falls with each pulse."""
    filled = pd.Series(signal.samples.astype(float)).interpolate(limit_direction="both").to_numpy()
    band = butter(2, PULSE_BAND_HZ, "bandpass", fs=signal.sample_rate_hz, output="sos")
    return np.asarray(sign * sosfiltfilt(band, filled), np.float32)


def _oximeter_figures(path: Path, scorers: Mapping[str, Scorer], rounds: int) -> list[Figure]:
    """Return how well a low score finds cut-off seconds and wrong pulse rates of the oximeter."""
    recording = open_recording(path)
    pleth = recording.signals[0]
    is_cut, device_bpm = cut_off_seconds(pleth), _device_bpm(path, pleth.duration_s)
    is_wrong = np.abs(pulse_rates_bpm(pleth) - device_bpm) > RATE_WITHIN_BPM
    is_known = device_bpm > 0
    figures = []
    for method, scorer in scorers.items():
        scored = scorer(replace(recording, signals=(pleth,)))
        figures += _cut_figures(is_cut, scored.quality[0], scored.causes, method, rounds)
        mean = np.array([scored.quality[0, k : k + WINDOW_S].mean() for k in _window_starts(pleth.duration_s)])
        groups = np.array(_window_starts(pleth.duration_s)) // SEGMENT_S
        measure = (
            f"AUC of a low score in 8 s with a rate over 5 bpm off, {is_wrong[is_known].sum()} of {is_known.sum()}"
        )
        names = (PART, "oximeter ppg", method, measure)
        figures.append(auc_figure(names, is_wrong[is_known], mean[is_known], groups[is_known], rounds))
    return figures


def _cut_figures(
    is_cut: Bool[np.ndarray, " second"], quality: np.ndarray, causes: np.ndarray | None, method: str, rounds: int
) -> list[Figure]:
    groups = np.arange(len(is_cut)) // SEGMENT_S
    measure = f"AUC of a low score in cut-off seconds, {is_cut.sum()} of {len(is_cut)}"
    names = (PART, "oximeter ppg", method, measure)
    figures = [auc_figure(names, is_cut, quality[: len(is_cut)], groups, rounds)]
    if causes is not None and len(np.unique(groups[is_cut])) > 1:
        named = ((causes[0, : len(is_cut)] & int(Cause.SATURATION)) > 0).astype(float)
        for words, chosen in (("cut-off", is_cut), ("other", ~is_cut)):
            names = (PART, "oximeter ppg", method, f"saturation named in {words} seconds")
            figures.append(mean_figure(names, named[chosen], groups[chosen], rounds))
    return figures


def cut_off_seconds(pleth: Signal) -> Bool[np.ndarray, " second"]:
    """Return which whole seconds hold a sample at the converter's ends."""
    per_second = round(pleth.sample_rate_hz)
    whole = pleth.samples[: len(pleth.samples) // per_second * per_second].reshape(-1, per_second)
    low, high = CONVERTER_ENDS
    return np.asarray(((whole <= low) | (whole >= high)).any(axis=1))


def _device_bpm(path: Path, duration_s: float) -> Float[np.ndarray, " window"]:
    """Return the pulse rate that the device gave in the last half of each window; NaN where it gave none."""
    table = pd.read_csv(path, usecols=["TIMESTAMP_MS", "PULSE_BPM"])
    second, bpm = table["TIMESTAMP_MS"].to_numpy() / 1000, table["PULSE_BPM"].to_numpy(float)
    halves = [bpm[(second >= k + STEP_S) & (second < k + WINDOW_S)] for k in _window_starts(duration_s)]
    return np.array([np.median(half) if len(half) else np.nan for half in halves])


def _window_starts(duration_s: float) -> list[int]:
    return list(range(0, int(duration_s) - WINDOW_S, STEP_S))


def pulse_rates_bpm(signal: Signal) -> Float[np.ndarray, " window"]:
    """Return the strongest frequency of each window of a pulse, as beats per minute."""
    line, rate_hz = pulse_band(signal), signal.sample_rate_hz
    rates = []
    for k in _window_starts(signal.duration_s):
        window = line[int(k * rate_hz) : int((k + WINDOW_S) * rate_hz)]
        frequency_hz, power = periodogram(window, rate_hz, "hann", nfft=2**14)
        is_rate = (frequency_hz > RATE_BAND_HZ[0]) & (frequency_hz < RATE_BAND_HZ[1])
        rates.append(60 * frequency_hz[is_rate][power[is_rate].argmax()])
    return np.array(rates)
