"""Statistics of RR intervals: the model of atrial fibrillation that a network must beat."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from qualityfm.tasks.alarm_features import ECG_BAND, PULSE_BAND, filtered
from qualityfm.tasks.beat_features import Figures, regularity_features
from qualityfm.tasks.pulses import find_pulses
from qualityfm.tasks.traces import RATE_HZ, SLOTS, Trace
from qualityfm.waveform.beats import find_qrs

#: Intervals outside are missed or doubled beats, s. Our own choice, docs/decisions/0024.
INTERVAL_S = (0.24, 2.4)
#: Two intervals are alike within this share of the median. Source: sample entropy for AF, Lake, Moorman, Am J Physiol
#: Heart 300:H319, 2011 (30 ms there; a share keeps it at any rate).
ALIKE = 0.06


def rhythm_features(trace: Trace) -> Figures:
    """Return RR statistics of the best ECG; without one, of the best pulse."""
    times = rhythm_times(trace)
    quality = float(trace.quality[[SLOTS["ecg1"], SLOTS["ecg2"]]].mean(axis=1).max(initial=0))
    return interval_features(np.diff(times)) | {"quality": quality}


def rhythm_times(trace: Trace) -> Float[np.ndarray, " beat"]:
    """Return the beats of the ECG slot of best quality in seconds; those of a pulse where there is no ECG."""
    order = sorted(SLOTS, key=lambda name: (not name.startswith("ecg"), -float(trace.quality[SLOTS[name]].mean())))
    for name in order:
        is_ecg = name.startswith("ecg")
        line = filtered(trace.values[SLOTS[name]], ECG_BAND if is_ecg else PULSE_BAND)
        if line is not None:
            beats = np.flatnonzero(find_qrs(line[None], RATE_HZ)[0]) if is_ecg else find_pulses(line, RATE_HZ).foot
            return np.asarray(beats / RATE_HZ)
    return np.zeros(0)


def interval_features(gaps_s: Float[np.ndarray, " interval"]) -> Figures:
    """Return statistics of RR intervals in seconds: rate, spread, steps, entropy, turning points, quantiles."""
    gaps_s = gaps_s[(gaps_s >= INTERVAL_S[0]) & (gaps_s <= INTERVAL_S[1])]
    if len(gaps_s) < 5:
        return {"num_intervals": float(len(gaps_s))}
    median, steps = float(np.median(gaps_s)), np.diff(gaps_s)
    relative = gaps_s / median
    found = {"num_intervals": float(len(gaps_s)), "rate_bpm": 60 / median} | regularity_features(gaps_s)
    found |= {f"quantile_{q}": float(np.percentile(relative, q)) for q in (5, 25, 75, 95)}
    found |= {f"step_{q}": float(np.percentile(np.abs(steps) / median, q)) for q in (25, 50, 75, 95)}
    found["turning_share"] = float((steps[1:] * steps[:-1] < 0).mean())
    found["step_over_spread"] = float(np.abs(steps).mean() / (gaps_s.std() + 1e-6))
    found["lag1"] = _correlation(gaps_s[1:], gaps_s[:-1])
    found["lag2"] = _correlation(gaps_s[2:], gaps_s[:-2])
    found["step_lag1"] = _correlation(steps[1:], steps[:-1])
    found["interval_entropy"] = _entropy(relative)
    found["pattern_entropy"] = _pattern_entropy(relative)
    found["step_dispersion"] = float(np.log(np.median(np.abs(np.diff(steps))) / median + 1e-4))
    return found


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or first.std() < 1e-9 or second.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _entropy(relative: np.ndarray) -> float:
    """Return the Shannon entropy of relative intervals in bins of 5 %, nat."""
    counts = np.histogram(relative, np.arange(0.3, 2.01, 0.05))[0]
    share = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(share * np.log(share)).sum())


def _pattern_entropy(relative: np.ndarray) -> float:
    """Return the sample entropy of two intervals against three, nat; high where no pattern comes again."""
    pairs = np.stack((relative[:-2], relative[1:-1]), axis=1)
    triples = np.stack((relative[:-2], relative[1:-1], relative[2:]), axis=1)
    return float(np.log((_num_alike(pairs) + 1) / (_num_alike(triples) + 1)))


def _num_alike(patterns: np.ndarray) -> int:
    near = np.abs(patterns[:, None] - patterns[None]).max(axis=2) < ALIKE
    return int(near.sum() - len(patterns)) // 2
