"""The noise that makes worse members: recorded where a folder of noise records is given, modelled elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qualityfm.errors import SourceError, problem
from qualityfm.sources import find_recordings, open_recording
from qualityfm.waveform.artefacts import NoiseBank

#: Training takes the first 60 % of every noise record (minutes 0-12 of MIT-BIH NSTDB's 20); the rest is for evaluation.
TRAINING_SHARE = 0.6


def load_noise(folder: Path | None, *, sample_rate_hz: float, seed: int) -> NoiseBank:
    """Return the bank of noise for a run.

    Args:
        folder: WFDB records of noise (MIT-BIH NSTDB's bw, em, ma); None for modelled noise.
        sample_rate_hz: Rate of the segments, Hz.
        seed: Of modelled noise.

    Raises:
        SourceError: The folder holds no readable record.
    """
    if folder is None:
        return NoiseBank.modelled(seed, sample_rate_hz)
    found = [f for f in find_recordings(folder) if f.problem is None and f.aside is None]
    if not found:
        expected = "WFDB records of noise, such as MIT-BIH NSTDB's bw, em and ma"
        raise SourceError(problem("no noise", where=folder, field="records", found=0, expected=expected))
    lines, rate_hz = {}, found[0].channels[0].sample_rate_hz
    for entry in found:
        recording = open_recording(entry.path, duration_s=TRAINING_SHARE * entry.duration_s)
        for signal in recording.signals:
            if signal.sample_rate_hz != rate_hz:
                expected = f"{rate_hz:g} Hz as in the other records"
                raise SourceError(
                    problem(
                        "noise of two rates",
                        where=entry.path,
                        field=signal.name,
                        found=signal.sample_rate_hz,
                        expected=expected,
                    )
                )
            lines[f"{entry.recording_id}/{signal.name}"] = np.nan_to_num(signal.samples)
    return NoiseBank.from_lines(lines, rate_hz, sample_rate_hz)
