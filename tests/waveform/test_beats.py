import numpy as np
import pytest
import wfdb

from qualityfm.waveform.beats import find_qrs
from qualityfm.waveform.resampling import resample

RATE_HZ = 125.0
#: Annotation codes of the MIT-BIH databases that stand for a beat.
BEAT_CODES = "NLRBAaJSVrFejnE/fQ"


def needles(beats_s: np.ndarray) -> np.ndarray:
    time_s = np.arange(3750) / RATE_HZ
    return np.exp(-((time_s - beats_s[:, None]) ** 2) / (2 * 0.012**2)).sum(axis=0)[None].astype(np.float32)


def test_every_complex_is_found_at_its_moment():
    beats_s = np.cumsum(np.random.default_rng(0).uniform(0.4, 1.3, 30))
    beats_s = beats_s[beats_s < 29.5]
    found_s = np.flatnonzero(find_qrs(needles(beats_s), RATE_HZ)[0]) / RATE_HZ
    assert len(found_s) == len(beats_s)
    assert np.abs(found_s - beats_s).max() < 0.04


def test_each_line_is_judged_by_itself():
    slow, fast = needles(np.arange(0.5, 30, 1.0)), needles(np.arange(0.5, 30, 0.5))
    together = find_qrs(np.concatenate((slow, 1000 * fast)), RATE_HZ)
    np.testing.assert_array_equal(together[0], find_qrs(slow, RATE_HZ)[0])


def test_a_flat_line_has_no_complex():
    assert not find_qrs(np.ones((1, 1000), np.float32), RATE_HZ).any()


@pytest.mark.parametrize("shape", [(0, 100), (2, 0), (1, 1)])
def test_nothing_is_found_in_nothing(shape):
    assert find_qrs(np.zeros(shape, np.float32), RATE_HZ).sum() == 0


@pytest.mark.real
@pytest.mark.parametrize("record", ["100", "119", "203", "217"])
def test_annotated_beats_are_found(real_data, record):
    path = str(real_data / "mitdb" / record)
    waves = wfdb.rdrecord(path, sampto=10 * 60 * 360, channels=[0]).p_signal[:, 0]
    marks = wfdb.rdann(path, "atr", sampto=10 * 60 * 360)
    beats_s = np.array([s / 360 for s, code in zip(marks.sample, marks.symbol, strict=True) if code in BEAT_CODES])
    line = resample(waves, 360.0, RATE_HZ)[None].astype(np.float32)
    found_s = np.flatnonzero(find_qrs(line, RATE_HZ)[0]) / RATE_HZ
    nearest = np.abs(found_s - beats_s[:, None]).min(axis=1)
    sensitivity, precision = (nearest < 0.15).mean(), (nearest < 0.15).sum() / len(found_s)
    assert sensitivity > 0.97
    assert precision > 0.97
