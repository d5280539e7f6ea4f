from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qualityfm.config import from_mapping
from qualityfm.errors import ConfigError, SignalError
from qualityfm.records import Cause, ChannelKind
from qualityfm.waveform.artefacts import CorruptionConfig, NoiseBank, corrupt
from qualityfm.waveform.spoiling import ARTEFACTS, can_meet

RATE_HZ = 125.0
BANK = NoiseBank.modelled(0, RATE_HZ)
KINDS = (ChannelKind.ECG, ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP)
NEVER = {f"{cause.words.replace(' ', '_')}_probability": 0.0 for cause in ARTEFACTS}


def only(word, probability=1.0, **others):
    return CorruptionConfig(**{**NEVER, f"{word}_probability": probability, **others})


def segment(seed=0):
    rng = np.random.default_rng(seed)
    phase = np.cumsum(1 + 0.1 * rng.standard_normal((4, 3750)), axis=1) * 2 * np.pi * 1.2 / RATE_HZ
    values = np.sin(phase) * 1.1
    values[1] = np.nan
    values[2, 400:900] = np.nan
    return values.astype(np.float32)


def corrupted(settings=None, seed=0, values=None):
    values = segment() if values is None else values
    return corrupt(values, KINDS, RATE_HZ, BANK, np.random.default_rng(seed), settings)


def test_the_same_generator_state_gives_the_same_bytes():
    first, again, other = corrupted(seed=5), corrupted(seed=5), corrupted(seed=6)
    assert first.values.tobytes() == again.values.tobytes()
    assert first.quality.tobytes() == again.quality.tobytes()
    assert first.values.tobytes() != other.values.tobytes()


def test_the_input_is_not_changed():
    values = segment()
    corrupted(values=values)
    np.testing.assert_array_equal(values, segment())


def test_no_corruption_leaves_values_and_full_quality():
    result = corrupted(CorruptionConfig(**NEVER))
    np.testing.assert_array_equal(result.values, segment())
    assert (result.quality == 1).all()
    assert (result.causes == 0).all()


def test_missing_samples_and_empty_slots_stay_so():
    missing = np.isnan(segment())
    for seed in range(20):
        result = corrupted(seed=seed)
        assert np.isnan(result.values[missing]).all()
        assert (result.quality[1] == 1).all()


def test_something_is_always_spoiled_unless_told_otherwise():
    rare = only("noise", 0.001, snr_db_range=(0.0, 0.0))
    assert all(corrupted(rare, seed).quality.min() < 1 for seed in range(20))
    assert corrupted(only("noise", 0.001, is_never_clean=False)).quality.min() == 1


def test_quality_falls_with_the_signal_to_noise_ratio_on_average():
    def mean_quality(snr_db):
        settings = only("noise", snr_db_range=(snr_db, snr_db), whole_probability=1.0)
        return np.mean([corrupted(settings, seed).quality[[0, 2, 3]].mean() for seed in range(5)])

    means = [mean_quality(snr_db) for snr_db in (18.0, 12.0, 6.0, 0.0, -6.0)]
    assert all(better > worse + 0.02 for better, worse in pairwise(means))


def test_the_noise_in_the_values_has_the_signal_to_noise_ratio_asked_for():
    settings = only("noise", snr_db_range=(6.0, 6.0), whole_probability=1.0)
    result = corrupted(settings)
    noise = result.values[0] * result.scale[0] + result.center[0] - segment()[0]
    assert 10 * np.log10(np.var(segment()[0]) / np.var(noise)) == pytest.approx(6.0, abs=1)


def test_a_spoiled_channel_comes_back_in_the_robust_scale():
    result = corrupted(only("noise", snr_db_range=(-6.0, -6.0), whole_probability=1.0))
    for channel in (0, 2, 3):
        q1, median, q3 = np.nanpercentile(result.values[channel], (25, 50, 75))
        assert median == pytest.approx(0, abs=0.01)
        assert (q3 - q1) / 1.349 == pytest.approx(1, abs=0.01)
        assert result.scale[channel] > 1.5


def test_an_unspoiled_channel_keeps_its_scale():
    result = corrupted(only("noise", 0.5), seed=3)
    untouched = (result.quality == 1).all(axis=1)
    assert untouched[[0, 2, 3]].any()
    assert not untouched[[0, 2, 3]].all()
    np.testing.assert_array_equal(result.values[untouched], segment()[untouched])
    assert (result.scale[untouched] == 1).all()
    assert (result.center[untouched] == 0).all()


def test_without_rescaling_samples_outside_the_artefact_are_the_same():
    result = corrupted(only("flat", is_rescaled=False))
    touched = result.quality < 1
    samples_touched = np.repeat(touched, 125, axis=1)
    np.testing.assert_array_equal(result.values[~samples_touched], segment()[~samples_touched])


@pytest.mark.parametrize("cause", [cause for cause in ARTEFACTS if cause != Cause.DROPOUT])
def test_the_cause_is_named_on_the_channels_that_can_have_it(cause):
    settings = only(cause.words.replace(" ", "_"), snr_db_range=(-6.0, 0.0), drift_snr_db_range=(-18.0, -12.0))
    named = np.bitwise_or.reduce(corrupted(settings).causes, axis=1)
    assert named.tolist() == [cause if can_meet(cause, kind) and c != 1 else 0 for c, kind in enumerate(KINDS)]


def test_artefacts_fall_on_the_channels_independently():
    touched = np.array([(corrupted(only("noise", 0.5), seed).quality < 1).any(axis=1) for seed in range(200)])
    assert touched[:, [0, 2, 3]].mean() == pytest.approx(0.5, abs=0.1)
    assert abs(np.corrcoef(touched[:, 0], touched[:, 3])[0, 1]) < 0.25


def test_a_constant_channel_is_left_alone():
    values = np.full((4, 3750), 2.0, np.float32)
    result = corrupted(values=values)
    np.testing.assert_array_equal(result.values, values)
    assert (result.quality == 1).all()


def test_settings_can_be_read_from_a_table():
    settings = from_mapping(CorruptionConfig, {"snr_db_range": [0, 12], "flat_probability": 0.0}, where="preset")
    assert settings.snr_db_range == (0.0, 12.0)


@pytest.mark.parametrize(
    "setting",
    [
        {"noise_probability": 1.5},
        {"snr_db_range": (10.0, 0.0)},
        {"snr_db_range": (float("nan"), 0.0)},
        {"span_s_range": (0.0, 5.0)},
        {"clip": 0.0},
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        CorruptionConfig(**setting)


def test_values_and_kinds_that_disagree_are_refused():
    with pytest.raises(SignalError, match="values"):
        corrupt(segment()[:2], KINDS, RATE_HZ, BANK, np.random.default_rng(0))


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(SignalError, match="sample_rate_hz"):
        corrupt(segment(), KINDS, 0.0, BANK, np.random.default_rng(0))


@given(
    values=arrays(
        np.float32,
        st.tuples(st.just(4), st.integers(0, 300)),
        elements=st.floats(-20, 20, width=32) | st.just(float("nan")),
    ),
    rate_hz=st.floats(2.0, 300.0),
    seed=st.integers(0, 1000),
)
def test_any_segment_survives(values, rate_hz, seed):
    result = corrupt(values, KINDS, rate_hz, BANK, np.random.default_rng(seed))
    assert result.values.shape == values.shape
    assert np.isnan(result.values[np.isnan(values)]).all()
    assert (np.abs(result.values[np.isfinite(result.values)]) <= 20).all()
    assert result.quality.shape == result.causes.shape == (4, int(np.ceil(values.shape[1] / rate_hz - 1e-9)))
    assert ((result.quality >= 0) & (result.quality <= 1)).all()


@pytest.mark.parametrize("fill", [np.nan, 0.0, 1e-30, np.inf])
@pytest.mark.parametrize("num_samples", [1, 2, 3750])
def test_a_segment_of_one_value_survives(fill, num_samples):
    values = np.full((4, num_samples), fill, np.float32)
    result = corrupted(values=values)
    np.testing.assert_array_equal(result.values, values)
