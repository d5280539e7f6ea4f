"""The character of an ECG from moment to moment: is it complexes and rest, or the waves of a fibrillating ventricle?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32
from numpy.lib.stride_tricks import sliding_window_view

from qualityfm.tasks.beat_features import Figures
from qualityfm.tasks.line_features import PEAK_HZ
from qualityfm.tasks.traces import RATE_HZ

#: Width of the stretches, s, one begins every half second; those of the last 12 s are compared with all before. Our own
#: choice, docs/decisions/0037: a fibrillation of 4 s fills at least one stretch.
STRETCH_S, HOP_S, LATE_S = 3.0, 0.5, 12.0
#: Bands of narrow complexes and of broad waves, Hz. Our own choice, as above.
NARROW_HZ, BROAD_HZ = (10.0, 30.0), (1.0, 8.0)
#: A sample is away from rest above this share of the largest deflection of its stretch. Source: threshold crossing
#: sample count, Arafat, Chowdhury, Hasan, Signal Image Video Process 5:1, 2011.
AWAY = 0.2

Series = dict[str, Float[np.ndarray, " stretch"]]


def line_series(line: Float32[np.ndarray, " time"]) -> Series:
    """Return purity, leakage, sharpness and the like of an ECG without baseline in stretches of 3 s."""
    width, hop = round(STRETCH_S * RATE_HZ), round(HOP_S * RATE_HZ)
    if len(line) < width:
        line = np.pad(line, (width - len(line), 0))
    parts = sliding_window_view(line[::-1], width)[::hop][::-1, ::-1].astype(np.float64)
    parts = parts - parts.mean(axis=1, keepdims=True)
    deviation = parts.std(axis=1) + 1e-9
    power, hz = np.abs(np.fft.rfft(parts * np.hanning(width), axis=1)) ** 2, np.fft.rfftfreq(width, 1 / RATE_HZ)

    def within(low_hz: float, high_hz: float) -> np.ndarray:
        return np.asarray(power[:, (hz >= low_hz) & (hz <= high_hz)].sum(axis=1) + 1e-12)

    inside = (hz >= PEAK_HZ[0]) & (hz <= PEAK_HZ[1])
    peak_hz = hz[inside][power[:, inside].argmax(axis=1)]
    near = (power * (np.abs(hz - peak_hz[:, None]) <= 0.5)).sum(axis=1)
    largest = np.abs(parts).max(axis=1, keepdims=True) + 1e-9
    return {
        "purity": near / within(0.7, 40.0),
        "peak_hz": peak_hz,
        "leakage": wave_leakage(parts),
        "sharp": np.log(within(*NARROW_HZ) / within(*BROAD_HZ)),
        "busy": (np.abs(parts) > AWAY * largest).mean(axis=1),
        "crossings": np.diff(np.signbit(parts), axis=1).mean(axis=1) * RATE_HZ,
        "peakedness": (parts**4).mean(axis=1) / deviation**4,
        "log_size": np.log(deviation),
    }


def wave_leakage(parts: Float[np.ndarray, "stretch time"]) -> Float[np.ndarray, " stretch"]:
    """Return what is left when a line is added to itself half a mean period later: near 0 for a sine, 1 for spikes.

    Source: Kuo, Dillman, Computers in Cardiology 1978:347, in the form of Amann, Tratnig, Unterkofler, Biomed Eng
    Online 4:60, 2005.

    Example:
        >>> wave_leakage(np.sin(np.arange(375) * 2 * np.pi / 25)[None]).round(1).tolist()
        [0.1]
    """
    steps = np.abs(np.diff(parts, axis=1)).sum(axis=1) + 1e-12
    halves = np.floor(np.pi * np.abs(parts).sum(axis=1) / steps + 0.5).astype(int)
    left = np.empty(len(parts))
    for k, half in enumerate(np.clip(halves, 1, parts.shape[1] // 2)):
        one, other = parts[k, half:], parts[k, :-half]
        left[k] = np.abs(one + other).sum() / (np.abs(one).sum() + np.abs(other).sum() + 1e-12)
    return left


def series_features(lines: Mapping[str, Float32[np.ndarray, " time"]]) -> Figures:
    """Return the extremes of each lead's character at the end and against the time before, by lead and in all leads.

    Args:
        lines: ECG leads without baseline, by name.
    """
    found: Figures = {}
    leads: list[Series] = []
    for lead, line in lines.items():
        late = _late(line_series(line))
        leads.append(late)
        for name, values in late.items():
            found |= {f"{lead}_{name}_least": float(values.min()), f"{lead}_{name}_most": float(values.max())}
    for name in leads[0] if leads else ():
        values = np.stack([late[name] for late in leads])
        found[f"ecg_all_{name}_most"] = float(values.min(axis=0).max())
        found[f"ecg_all_{name}_least"] = float(values.max(axis=0).min())
    return found


def _late(series: Series) -> Series:
    """Return the series of the last stretches, and their change against the median of those before."""
    num = round((LATE_S - STRETCH_S) / HOP_S) + 1
    late: Series = {}
    for name, values in series.items():
        usual = float(np.median(values[:-num] if len(values) > 2 * num else values))
        late |= {f"m_{name}": values[-num:], f"m_{name}_change": values[-num:] - usual}
    return late
