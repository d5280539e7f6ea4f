"""Bursts of broad waves: do both leads show them at once, do they repeat, and does the pulse fail with them?

A run of ventricular beats may be too fast or too odd for single complexes to be found; then the lines still grow broad
waves that come again in time, in both leads, and pressure and PPG lose their swing. A moving patient gives one without
the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32
from numpy.lib.stride_tricks import sliding_window_view

from qualityfm.tasks.beat_features import Figures, longest_run
from qualityfm.tasks.traces import RATE_HZ
from qualityfm.waveform.filters import Band, split_bands

#: Broad waves of ventricular complexes. Source: most energy of VT and VF lies below 8 Hz, Clayton, Murray, Campbell,
#: Med Biol Eng Comput 33:651, 1995.
BROAD = Band(low_hz=1.0, high_hz=8.0)
#: Stretches that are compared, one begins every quarter second, s; those of the last 16 s count. A pulse is looked for
#: some time later. Our own choice, docs/decisions/0037.
STRETCH_S, HOP_S, LATE_S, PULSE_LATER_S = 2.0, 0.25, 16.0, 0.3
#: Times after which ventricular beats come again, s: 100 to 400 a minute.
AGAIN_S = (0.15, 0.6)
#: A burst is larger than usual by this much (natural log) in all leads, and repeats this well. Ours, as above.
LARGE, REPEATS = 0.3, 0.4

Series = Float[np.ndarray, " stretch"]


def burst_features(lines: Mapping[str, Float32[np.ndarray, " time"]]) -> Figures:
    """Return features of bursts at the end; none without an ECG lead.

    Args:
        lines: Band-passed slots, by name.
    """
    leads = [_broad(line) for slot, line in lines.items() if slot.startswith("ecg")]
    if not leads:
        return {}
    sizes, repeats = (np.array(part) for part in zip(*(_size_and_repeat(line) for line in leads), strict=True))
    size, repeat = sizes.min(axis=0), repeats.mean(axis=0)
    swings = np.array([_swing(line) for slot, line in lines.items() if not slot.startswith("ecg")])
    strength = size * np.maximum(repeat, 0)
    found = {"size": float(size.max()), "size_one": float(sizes.max()), "strength": float(strength.max())}
    found["length_s"] = longest_run((size > LARGE) & (repeat > REPEATS)) * HOP_S
    at = int(strength.argmax())
    found |= {"repeat": float(repeat[at]), "repeat_least": float(repeats[:, at].min()), "agree": _agree(leads, at)}
    found["seconds_ago"] = (len(size) - 1 - at) * HOP_S
    for name, swing in (("most", swings.max(axis=0)), ("least", swings.min(axis=0))) if len(swings) else ():
        found[f"swing_{name}_then"] = float(swing[max(0, at - 2) : at + 5].min())
        found[f"swing_{name}"] = float(swing.min())
        found[f"without_{name}"] = float((strength - swing).max())
        found[f"both_{name}"] = float(np.minimum(size, -swing).max())
    return found


def _broad(line: Float32[np.ndarray, " time"]) -> Float32[np.ndarray, " time"]:
    return np.asarray(split_bands(line[None], RATE_HZ, BROAD)[0][0])


def _stretches(line: Float32[np.ndarray, " time"], later_s: float = 0.0) -> tuple[np.ndarray, int]:
    """Return all stretches, the last of which ends with the line, and how many of them are late ones."""
    width, hop, later = (round(seconds * RATE_HZ) for seconds in (STRETCH_S, HOP_S, later_s))
    line = np.concatenate((line[later:], np.full(later, line[-1], line.dtype)))
    if len(line) < width:
        line = np.pad(line, (width - len(line), 0))
    parts = sliding_window_view(line[::-1], width)[::hop][::-1, ::-1]
    return parts, min(len(parts), round((LATE_S - STRETCH_S) / HOP_S) + 1)


def _late_change(values: Series, num: int) -> Series:
    """Return the late values against the median of those before, or of all where few came before."""
    usual = np.median(values[:-num] if len(values) > 2 * num else values)
    return np.asarray(values[-num:] - usual)


def _size_and_repeat(line: Float32[np.ndarray, " time"]) -> tuple[Series, Series]:
    """Return the size of the late stretches, natural log against the usual, and how alike they are a beat later."""
    parts, num = _stretches(line)
    size = _late_change(np.log(parts.std(axis=1) + 1e-6), num)
    late = parts[-num:] - parts[-num:].mean(axis=1, keepdims=True)
    length = late.shape[1]
    energy = np.abs(np.fft.rfft(late, 2 * length, axis=1)) ** 2
    again = np.fft.irfft(energy, axis=1)[:, :length] * (length / np.arange(length, 0, -1))
    first, last = (round(seconds * RATE_HZ) for seconds in AGAIN_S)
    return size, np.asarray(again[:, first : last + 1].max(axis=1) / (again[:, 0] + 1e-12))


def _swing(line: Float32[np.ndarray, " time"]) -> Series:
    """Return the range of the late stretches of a pulse, natural log against the usual."""
    parts, num = _stretches(line, PULSE_LATER_S)
    return _late_change(np.log(np.ptp(parts, axis=1) + 1e-6), num)


def _agree(leads: list[Float32[np.ndarray, " time"]], at: int) -> float:
    """Return the largest correlation of both leads in one late stretch, shifted by up to 0.15 s; NaN with one lead."""
    if len(leads) < 2:
        return np.nan
    one, other = (_late(line)[at] for line in leads)
    one, other = one - one.mean(), other - other.mean()
    middle, reach = len(one) - 1, round(0.15 * RATE_HZ)
    together = np.correlate(one, other, "full")[middle - reach : middle + reach + 1]
    return float(np.abs(together).max() / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))


def _late(line: Float32[np.ndarray, " time"]) -> np.ndarray:
    parts, num = _stretches(line)
    return parts[-num:]
