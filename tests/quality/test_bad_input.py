"""Whatever a file holds: a low quality with a cause, never an exception, never a NaN."""

import numpy as np
import pytest

from qualityfm.errors import SignalError
from qualityfm.quality import score_quality
from qualityfm.records import Cause, ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig

CONTENTS = {
    "one sample": np.ones(1),
    "missing": np.full(3750, np.nan),
    "constant": np.full(3750, 0.3),
    "huge": np.full(3750, 1e20),
    "infinite": np.full(3750, np.inf),
    "rails": np.resize([1e9, -1e9], 3750),
}
EXPECTED = Cause.DROPOUT | Cause.FLAT | Cause.SATURATION | Cause.HIGH_AMPLITUDE | Cause.NOISE | Cause.LOW_AMPLITUDE


def recording_of(samples, kind=ChannelKind.ECG, rate_hz=125.0):
    units = {ChannelKind.ECG: "mV", ChannelKind.ABP: "mmHg"}
    signal = Signal(name="x", kind=kind, unit=units.get(kind, "NU"), sample_rate_hz=rate_hz, samples=samples)
    return Recording(recording_id="r", subject_id=None, start=None, signals=(signal,))


@pytest.mark.parametrize("kind", [ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP])
@pytest.mark.parametrize("content", CONTENTS)
def test_what_holds_no_heart_is_worth_little_and_says_why(content, kind):
    score = score_quality(recording_of(CONTENTS[content].astype(np.float32), kind), SegmentConfig(channels=(kind,)))
    assert np.isfinite(score.quality).all()
    assert score.overall[0] < 0.3
    assert score.causes[0, 0, 0] & EXPECTED


@pytest.mark.parametrize("rate_hz", [0.5, 20.0, 62.4725, 5000.0])
def test_any_rate_gives_a_score(rate_hz):
    samples = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    score = score_quality(recording_of(samples, rate_hz=rate_hz))
    assert np.isfinite(score.quality).all()


def test_whole_numbers_score_like_the_same_numbers_with_a_point(ecg):
    counts = np.round(1000 * ecg)
    as_float, as_int = (score_quality(recording_of(counts.astype(t))) for t in (np.float32, np.int32))
    np.testing.assert_allclose(as_int.quality, as_float.quality, atol=1e-4)


def test_no_samples_at_all_are_refused_in_one_line():
    with pytest.raises(SignalError, match="nothing to cut"):
        score_quality(recording_of(np.zeros(0, np.float32)))
