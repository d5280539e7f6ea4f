"""Clean waves made by formula, and blocks made of them."""

from collections.abc import Callable

import numpy as np
import pytest

from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock, SegmentConfig

RATE_HZ = 125.0
#: Height in mV, delay after the beat in s, and width in s of P, Q, R, S and T.
ECG_WAVES = ((0.12, -0.17, 0.025), (-0.1, -0.03, 0.01), (1.0, 0.0, 0.012), (-0.2, 0.03, 0.012), (0.25, 0.28, 0.06))
PULSE_WAVES = ((1.0, 0.20, 0.07), (0.45, 0.38, 0.10))


def wave(beats_s: np.ndarray, shape: tuple[tuple[float, float, float], ...], duration_s: float = 30.0) -> np.ndarray:
    """Return the sum of every beat's Gaussians, with 5 uV of sensor noise."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    line = np.random.default_rng(3).normal(0, 0.005, len(time_s))
    for height, delay_s, width_s in shape:
        line += (height * np.exp(-((time_s - beats_s[:, None] - delay_s) ** 2) / (2 * width_s**2))).sum(axis=0)
    return line.astype(np.float32)


@pytest.fixture
def regular_beats() -> np.ndarray:
    """A beat every 0.85 s."""
    return np.arange(-1.4, 31, 0.85)


@pytest.fixture
def irregular_beats() -> np.ndarray:
    """Beats as irregular as atrial fibrillation makes them."""
    return np.cumsum(np.random.default_rng(5).uniform(0.4, 1.2, 60)) - 2


@pytest.fixture
def ecg(regular_beats: np.ndarray) -> np.ndarray:
    return wave(regular_beats, ECG_WAVES)


@pytest.fixture
def ppg(regular_beats: np.ndarray) -> np.ndarray:
    return wave(regular_beats, PULSE_WAVES) + 2


@pytest.fixture
def make_ecg() -> Callable[[np.ndarray], np.ndarray]:
    return lambda beats_s: wave(beats_s, ECG_WAVES)


@pytest.fixture
def make_ppg() -> Callable[[np.ndarray], np.ndarray]:
    return lambda beats_s: wave(beats_s, PULSE_WAVES) + 2


@pytest.fixture
def make_block() -> Callable[..., SegmentBlock]:
    """Makes a block of one segment from channels given as kind=samples; None leaves the slot empty."""

    def make(
        *channels: tuple[str, np.ndarray | None], unit: str | None = None, length_s: float | None = None
    ) -> SegmentBlock:
        num_samples = next((len(x) for _, x in channels if x is not None), 3750)
        config = SegmentConfig(channels=tuple(ChannelKind(k) for k, _ in channels), segment_s=num_samples / RATE_HZ)
        values = np.full((1, len(channels), num_samples), np.nan, np.float32)
        for c, (_, samples) in enumerate(channels):
            if samples is not None:
                values[0, c] = samples
        units = {"ecg": "mV", "ppg": "NU", "abp": "mmHg", "other": ""}
        return SegmentBlock(
            recording_id="made",
            subject_id=None,
            config=config,
            names=tuple(None if x is None else f"{k}{c}" for c, (k, x) in enumerate(channels)),
            units=tuple("" if x is None else unit or units[k] for k, x in channels),
            start_s=np.zeros(1),
            length_s=np.array([length_s or num_samples / RATE_HZ]),
            values=values,
            is_real=np.isfinite(values),
        )

    return make
