"""What other packages say of the same segments: one number for each, higher is better."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

from qualityfm.evidence.quality_data import RATE_HZ
from qualityfm.records import ChannelKind

#: A peer takes one line and returns its quality at every sample, or one number; NaN where it gives none.
Peer = Callable[[Float32[np.ndarray, " time"]], "Float[np.ndarray, ' time'] | float"]


def peers_of(kind: ChannelKind) -> dict[str, Peer]:
    """Return NeuroKit2's continuous indices for a kind of channel by name; empty where NeuroKit2 is not installed.

    Those that need no reference and run on any segment; called with their defaults at `RATE_HZ`.
    """
    try:
        import neurokit2
    except ModuleNotFoundError:
        return {}

    def ecg(method: str) -> Peer:
        return lambda line: neurokit2.ecg_quality(line.astype(float), sampling_rate=int(RATE_HZ), method=method)

    def ppg(method: str, sign: int = 1) -> Peer:
        return lambda line: sign * neurokit2.ppg_quality(line.astype(float), sampling_rate=int(RATE_HZ), method=method)

    if kind == ChannelKind.ECG:
        return {f"NeuroKit2 {m}": ecg(m) for m in ("averageQRS", "templatematch")}
    found = {f"NeuroKit2 {m}": ppg(m) for m in ("templatematch", "ici", "skewness")}
    return {**found, "NeuroKit2 dissimilarity": ppg("dissimilarity", -1)}  # the higher, the worse


def peer_seconds(peer: Peer, lines: Float32[np.ndarray, "line time"]) -> Float[np.ndarray, "line second"]:
    """Return a peer's mean over every second; the lowest value it gave anywhere, where it fails or says nothing."""
    per_second = int(RATE_HZ)
    seconds = np.full((len(lines), lines.shape[1] // per_second), np.nan)
    for i, line in enumerate(lines):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = np.asarray(peer(np.nan_to_num(line)), float)
            except Exception:  # a peer's own errors on noisy segments are part of what it is
                continue
        if found.size == 1:
            found = np.full(lines.shape[1], float(found.ravel()[0]))
        if found.shape == line.shape:
            seconds[i] = found[: seconds.shape[1] * per_second].reshape(-1, per_second).mean(axis=1)
    is_known = np.isfinite(seconds)
    return np.where(is_known, seconds, seconds[is_known].min() if is_known.any() else 0.0)
