"""The noise that makes worse members: recorded where a folder of noise records is given, modelled elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from qualityfm.errors import SourceError, problem
from qualityfm.sources import find_recordings, open_recording
from qualityfm.waveform.noise import NOISE_KINDS, NoiseBank

#: Shares of each noise record: of MIT-BIH NSTDB's 20 minutes, 0-12 are for training and 13-20 for evaluation only.
PARTS = {"training": (0.0, 0.6), "evaluation": (0.65, 1.0)}


def noise_name(folder: Path | None) -> str:
    """Return how a run's card calls its noise."""
    return "modelled" if folder is None else f"recorded: {folder.name}"


def load_noise(
    folder: Path | None, *, sample_rate_hz: float, seed: int, part: Literal["training", "evaluation"] = "training"
) -> NoiseBank:
    """Return the bank of noise for a run.

    Args:
        folder: WFDB records named by their kind (MIT-BIH NSTDB's bw, em, ma); None for modelled noise.
        sample_rate_hz: Rate of modelled noise, Hz.
        seed: Of modelled noise.
        part: Which part of every record to take; the two never overlap.

    Raises:
        SourceError: The folder holds no such record, or records of several rates.
    """
    if folder is None:
        return NoiseBank.modelled(seed, sample_rate_hz)
    found = {f.recording_id: f for f in find_recordings(folder) if f.recording_id in NOISE_KINDS and not f.problem}
    if not found:
        expected = f"WFDB records named {', '.join(NOISE_KINDS)}, such as MIT-BIH NSTDB's"
        raise SourceError(problem("no noise", where=folder, field="records", found=0, expected=expected))
    rates_hz = {channel.sample_rate_hz for entry in found.values() for channel in entry.channels}
    if len(rates_hz) > 1:
        raise SourceError(
            problem("noise of several rates", where=folder, field="rate", found=sorted(rates_hz), expected="one rate")
        )
    begin, end = PARTS[part]
    lines = {}
    for kind, entry in found.items():
        duration_s = (end - begin) * entry.duration_s
        recording = open_recording(entry.path, start_s=begin * entry.duration_s, duration_s=duration_s)
        lines[kind] = np.concatenate([signal.samples for signal in recording.signals])
    return NoiseBank.from_lines(lines, rates_hz.pop(), seed=seed)
