"""What other packages say of the same segments: one number for each, higher is better.

Every index that pip installs beside us, needs no reference and runs on any segment. Which ones were tried and do not
run is written in docs/QUALITY.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from qualityfm.evidence.quality_data import RATE_HZ
from qualityfm.records import ChannelKind

#: A peer takes one line and returns its quality at every sample, or one number; NaN where it gives none.
Peer = Callable[[Float32[np.ndarray, " time"]], "Float[np.ndarray, ' time'] | float"]

#: Packages that are asked, by the name that pip knows.
PACKAGES = ("neurokit2", "biosppy", "biosqi", "ecg-integrity", "e2epyppg")

#: Windows of those that give one number for a stretch: the length that their documentation names.
WINDOW_S = 10

#: What the words of Zhao and Zhang's index stand for. Source: Zhao and Zhang, Frontiers in Physiology 9:727, 2018.
ZHAO_WORDS = {"Unacceptable": 0.0, "Barely acceptable": 0.5, "Excellent": 1.0}


def installed_peers() -> dict[str, str | None]:
    """Return the version of each of `PACKAGES`; None where it is not installed."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def peers_of(kind: ChannelKind) -> dict[str, Peer]:
    """Return the indices of every installed package for a kind of channel by name, with their defaults at `RATE_HZ`."""
    found: dict[str, Peer] = {}
    for load in (_neurokit2, _biosppy, _biosqi, _ecg_integrity, _e2e_ppg):
        try:
            found |= load(kind)
        except ImportError:  # also where it is there, and what it needs is not
            continue
    return found


def _neurokit2(kind: ChannelKind) -> dict[str, Peer]:
    import neurokit2

    def ecg(method: str) -> Peer:
        return lambda line: neurokit2.ecg_quality(line.astype(float), sampling_rate=int(RATE_HZ), method=method)

    def ppg(method: str, sign: int = 1) -> Peer:
        return lambda line: sign * neurokit2.ppg_quality(line.astype(float), sampling_rate=int(RATE_HZ), method=method)

    def zhao(line: Float32[np.ndarray, " time"]) -> float:
        word = neurokit2.ecg_quality(
            line.astype(float), sampling_rate=int(RATE_HZ), method="zhao2018", approach="fuzzy"
        )
        return ZHAO_WORDS[str(word)]

    if kind == ChannelKind.ECG:
        found = {f"NeuroKit2 {m}": ecg(m) for m in ("averageQRS", "templatematch")}
        return {**found, "NeuroKit2 zhao2018": in_windows(zhao)}
    found = {f"NeuroKit2 {m}": ppg(m) for m in ("templatematch", "ici", "skewness")}
    return {**found, "NeuroKit2 dissimilarity": ppg("dissimilarity", -1)}  # the higher, the worse


def _biosppy(kind: ChannelKind) -> dict[str, Peer]:
    if kind != ChannelKind.ECG:
        return {}
    from biosppy.quality import quality_ecg

    def index(method: str) -> Peer:
        return in_windows(
            lambda line: float(
                quality_ecg(line.astype(float), methods=[method], sampling_rate=RATE_HZ, verbose=0)[method]
            )
        )

    return {f"BioSPPy {method}": index(method) for method in ("kSQI", "Level3")}


def _biosqi(kind: ChannelKind) -> dict[str, Peer]:
    import biosqi

    def score(line: Float32[np.ndarray, " time"]) -> float:
        family = "ecg" if kind == ChannelKind.ECG else "ppg"
        recording = biosqi.Recording(data=line.astype(float)[None], sample_rate=RATE_HZ, signal_type=family)
        return float(np.mean([window.calibrated_score for window in biosqi.analyze(recording).windows]))

    return {"biosqi": in_windows(score)}


def _ecg_integrity(kind: ChannelKind) -> dict[str, Peer]:
    if kind != ChannelKind.ECG:
        return {}
    import ecg_integrity

    def score(line: Float32[np.ndarray, " time"]) -> float:
        found: Any = ecg_integrity.run_detectors(line.astype(float), fs=RATE_HZ, line_freq=60)
        return float(ecg_integrity.aggregate_results({"lead": found}).aggregate_score)

    return {"ecg-integrity": in_windows(score)}


def _e2e_ppg(kind: ChannelKind) -> dict[str, Peer]:
    if kind != ChannelKind.PPG:
        return {}
    from e2epyppg.ppg_sqa import sqa

    def score(line: Float32[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        clean, _ = sqa(line.astype(float), int(RATE_HZ), filter_signal=True)
        answers = np.zeros(len(line))
        for indices in clean:
            answers[np.asarray(indices, int)] = 1.0
        return answers

    return {"E2E-PPG": score}


def in_windows(peer: Callable[[Float32[np.ndarray, " time"]], float]) -> Peer:
    """Return a peer that is asked about each `WINDOW_S` of a line; NaN for a window that it refuses."""

    def ask(line: Float32[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        answers = np.full(len(line), np.nan)
        step = WINDOW_S * int(RATE_HZ)
        for first in range(0, len(line), step):
            try:
                answers[first : first + step] = peer(line[first : first + step])
            except Exception:  # a peer's own errors on noisy segments are part of what it is
                continue
        return answers

    return ask


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
