"""Small archives on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.sources.wfdb_files import write_wfdb

ECG_HZ, PPG_HZ = 125.0, 62.5


def make_recording(recording_id: str, duration_s: float, seed: int = 0, *, with_ppg: bool = True) -> Recording:
    rng = np.random.default_rng(seed)

    def signal(name: str, kind: ChannelKind, unit: str, rate_hz: float) -> Signal:
        time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
        samples = np.sin(2 * np.pi * 1.2 * time_s) ** 3 + 0.05 * rng.normal(size=len(time_s))
        return Signal(name=name, kind=kind, unit=unit, sample_rate_hz=rate_hz, samples=samples.astype(np.float32))

    signals = [signal("II", ChannelKind.ECG, "mV", ECG_HZ)]
    if with_ppg:
        signals.append(signal("PLETH", ChannelKind.PPG, "NU", PPG_HZ))
    return Recording(recording_id=recording_id, subject_id=None, start=None, signals=tuple(signals))


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[..., Path]:
    """Return a function: recording ids and durations -> archive folder."""

    def make(name: str = "archive", **durations_s: float) -> Path:
        folder = tmp_path / name
        for seed, (recording_id, duration_s) in enumerate(durations_s.items()):
            write_wfdb(make_recording(recording_id, duration_s, seed), folder)
        return folder

    return make


@pytest.fixture(name="make_recording")
def give_make_recording() -> Callable[..., Recording]:
    """The function above."""
    return make_recording
