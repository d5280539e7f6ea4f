"""Small WFDB records made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qualityfm.records import ChannelKind, Recording, Signal

MakeRecord = Callable[..., Path]


@pytest.fixture
def make_record(tmp_path: Path) -> MakeRecord:
    """Write a header as given and a `.dat` of 16-bit samples [frame signal]; return the header's path."""

    def make(header: str, samples: np.ndarray | None = None, name: str = "r1", folder: Path = tmp_path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        samples = np.arange(2000).reshape(1000, 2) if samples is None else samples
        (folder / f"{name}.dat").write_bytes(samples.astype("<i2").tobytes())
        path = folder / f"{name}.hea"
        path.write_text(header, encoding="utf-8")
        return path

    return make


@pytest.fixture
def recording() -> Recording:
    """Twenty seconds of ECG at 250 Hz, PPG and ABP at 125 Hz, with a gap in the PPG and a dead ABP."""
    time_s = np.arange(5000) / 250
    ecg = np.sin(2 * np.pi * 1.2 * time_s).astype(np.float32)
    ppg = np.sin(2 * np.pi * 1.2 * time_s[::2]).astype(np.float32) * 3 + 10
    ppg[500:700] = np.nan
    abp = np.full(2500, 80.0, np.float32)
    return Recording(
        recording_id="golden",
        subject_id=None,
        start=None,
        signals=(
            Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=250.0, samples=ecg),
            Signal(name="PLETH", kind=ChannelKind.PPG, unit="NU", sample_rate_hz=125.0, samples=ppg),
            Signal(name="ABP", kind=ChannelKind.ABP, unit="mmHg", sample_rate_hz=125.0, samples=abp),
        ),
    )
