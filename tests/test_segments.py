from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualityfm.errors import ConfigError, SignalError
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig, assign_slots, cut_block, cut_segments, scale_values
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.seconds import second_starts

CONFIG = SegmentConfig(segment_s=10.0, step_s=10.0)


def wave(duration_s=40.0, rate_hz=250.0, frequency_hz=1.3, start_s=0.0):
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz + start_s
    return np.sin(2 * np.pi * frequency_hz * time_s).astype(np.float32)


def signal(samples, rate_hz=250.0, name="II", kind=ChannelKind.ECG, unit="mV", start_s=0.0):
    return Signal(name=name, kind=kind, unit=unit, sample_rate_hz=rate_hz, samples=samples, start_s=start_s)


def recording(*signals):
    return Recording(recording_id="r", subject_id=None, start=None, signals=signals)


@pytest.mark.parametrize("rate_hz", [62.4725, 100.0, 125.0, 249.89, 250.0, 300.0, 360.0, 499.78, 500.0, 1000.0])
def test_channels_of_any_rate_lie_on_one_clock(rate_hz):
    block = cut_block(recording(signal(wave(rate_hz=rate_hz), rate_hz)), CONFIG)
    expected = wave(rate_hz=125.0).reshape(-1, 1250)
    assert len(block) == 4
    inside = np.isfinite(block.values[:, 0])
    inside[0, :60] = inside[-1, -60:] = False  # the filter's run-in
    assert np.abs(block.values[:, 0] - expected)[inside].max() < 2e-3


def test_an_odd_rate_does_not_drift_over_hours():
    rate_hz, duration_s = 62.4725, 4 * 3600.0
    line = resample(wave(duration_s, rate_hz, 0.9), rate_hz, 125.0)
    tail = len(line) - 1000
    expected = np.sin(2 * np.pi * 0.9 * np.arange(tail, tail + 500) / 125.0)
    assert np.abs(line[tail : tail + 500] - expected).max() < 5e-3


def test_what_lies_above_the_new_nyquist_frequency_is_gone():
    line = resample(wave(20, 500.0, 90.0), 500.0, 125.0)
    assert np.abs(line[100:-100]).max() < 1e-3


@pytest.mark.parametrize("rate_hz", [50.0, 62.5, 125.0, 300.0, 360.0])
def test_a_flat_line_stays_flat(rate_hz):
    line = resample(np.full(2000, 3000.0, np.float32), rate_hz, 250.0)
    assert np.ptp(line) < 1e-2


def test_a_short_gap_is_filled_and_marked_and_a_long_one_stays_missing():
    samples = wave()
    samples[1000:1020] = np.nan  # 80 ms
    samples[5000:5500] = np.nan  # 2 s
    block = cut_block(recording(signal(samples)), CONFIG)
    line, real = block.values[:, 0].ravel(), block.is_real[:, 0].ravel()
    assert np.isfinite(line[500:510]).all()
    assert not real[500:510].any()
    assert np.isnan(line[2502:2748]).all()
    assert not real[2502:2748].any()
    assert np.isfinite(line).sum() > 4700


def test_a_recording_shorter_than_a_segment_gives_one_with_a_missing_rest():
    block = cut_block(recording(signal(wave(4.0))), CONFIG)
    assert block.values.shape[0] == 1
    assert block.length_s[0] == pytest.approx(4.0)
    assert np.isfinite(block.values[0, 0]).sum() == 500


def test_a_channel_that_starts_late_is_missing_before_it_starts():
    late = signal(wave(20.0, 125.0, start_s=10.0), 125.0, "PLETH", ChannelKind.PPG, "NU", start_s=10.0)
    block = cut_block(recording(signal(wave(30.0)), late), CONFIG)
    assert np.isnan(block.values[0, 2]).all()
    np.testing.assert_allclose(block.values[1, 2], wave(30.0, 125.0)[1250:2500], atol=1e-5)


def test_missing_channels_leave_empty_slots():
    block = cut_block(recording(signal(wave(), name="PLETH", kind=ChannelKind.PPG)), CONFIG)
    assert block.names == (None, None, "PLETH", None)
    assert np.isnan(block.values[:, [0, 1, 3]]).all()


def test_lead_ii_takes_the_first_slot_and_a_dead_lead_gives_way():
    v, ii = signal(wave(), name="V"), signal(wave(), name="II")
    assert [s and s.name for s in assign_slots(recording(v, ii), CONFIG.channels)] == ["II", "V", None, None]
    dead = replace(ii, samples=np.full(10000, np.nan, np.float32))
    assert [s and s.name for s in assign_slots(recording(v, dead), CONFIG.channels)] == ["V", "II", None, None]


@pytest.mark.parametrize(
    "name", ["II", "ii", "SNUADC/ECG_II", "ECG II", "EKG-II", "Lead II", "ECG lead ii", "II+", "a/b/II"]
)
def test_lead_ii_is_preferred_however_it_is_spelled(name):
    leads = [signal(wave(), name=lead) for lead in ("SNUADC/ECG_V5", "ECG I", name)]
    assert assign_slots(recording(*leads), (ChannelKind.ECG,))[0] is leads[2]


@pytest.mark.parametrize("name", ["ECG", "Lead", "aVL", "VII", "II/V5"])
def test_another_name_is_not_taken_for_a_preferred_lead(name):
    leads = [signal(wave(), name=name), signal(wave(), name="ECG III")]
    assert assign_slots(recording(*leads), (ChannelKind.ECG,))[0] is leads[1]


@pytest.mark.parametrize(("rate_hz", "expected"), [(4.0, [0, 4, 8]), (2.5, [0, 3, 5]), (62.4725, [0, 63, 125])])
def test_a_second_begins_at_the_first_sample_in_it(rate_hz, expected):
    assert second_starts(3, rate_hz).tolist() == expected


@pytest.mark.parametrize("value", [1e20, np.inf, -1e15])
def test_a_sample_no_sensor_can_give_is_missing(value):
    samples = wave()
    samples[3000] = value
    block = cut_block(recording(signal(samples)), CONFIG)
    assert np.nanmax(np.abs(block.values)) < 1.1
    assert not block.is_real[1, 0, 250]


def test_nothing_to_cut_is_said_with_what_was_found():
    with pytest.raises(SignalError, match=r"found \['RESP:other'\], expected a channel of abp, ecg, ppg"):
        cut_segments(recording(signal(wave(), name="RESP", kind=ChannelKind.OTHER)), CONFIG)
    with pytest.raises(SignalError, match="samples: found 0"):
        cut_segments(recording(signal(np.zeros(0, np.float32))), CONFIG)


def test_scaling_is_by_median_and_quartiles_of_each_channel_alone():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4, 1250)).astype(np.float32) * np.array([1, 5, 100, 20], np.float32)[:, None] + 7
    values[1, 2, :500] = np.nan
    values[2, 3] = np.nan
    scaled = scale_values(values, CONFIG)
    for s, c in np.ndindex(3, 4):
        line = values[s, c][np.isfinite(values[s, c])]
        if len(line):
            q1, median, q3 = np.percentile(line, (25, 50, 75))
            assert scaled.center[s, c] == pytest.approx(median, rel=1e-4)
            assert scaled.scale[s, c] == pytest.approx((q3 - q1) / 1.349, rel=1e-4)
    assert np.array_equal(np.isnan(scaled.values), np.isnan(values))
    back = scaled.values * scaled.scale[..., None] + scaled.center[..., None]
    np.testing.assert_allclose(back, values, rtol=1e-4, atol=1e-3)


def test_a_flat_channel_stays_flat_after_scaling():
    values = np.full((1, 4, 1250), 0.3, np.float32)
    values[0, 0, ::2] += 1e-5  # quantisation
    assert np.abs(scale_values(values, CONFIG).values).max() < 0.01


def test_minmax_takes_the_range_of_all_channels_to_one():
    values = np.stack([wave(10.0, 125.0) * 3, wave(10.0, 125.0)])[None]
    config = SegmentConfig(channels=("ppg", "ecg"), segment_s=10.0, scaling="minmax", clip=1.0)
    scaled = scale_values(values, config).values
    assert scaled[0, 0].max() == pytest.approx(1, abs=1e-3)
    assert scaled[0, 1].max() == pytest.approx(1 / 3, abs=1e-3)


def test_a_segment_gives_back_its_physical_samples():
    segment = cut_segments(recording(signal(wave() * 0.8 + 0.1)), CONFIG)[1]
    np.testing.assert_allclose(segment.physical()[0], (wave(40.0, 125.0) * 0.8 + 0.1)[1250:2500], atol=2e-3)
    assert segment.to_tensor().shape == (4, 1250)
    assert "II:ecg" in repr(segment)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 3000),
    st.sampled_from([19.6, 62.4725, 100.0, 250.0, 360.0]),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_no_samples_make_cutting_fail_silently(num_samples, rate_hz, missing_share, seed):
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=num_samples).astype(np.float32)
    samples[rng.random(num_samples) < missing_share] = np.nan
    try:
        segments = cut_segments(recording(signal(samples, rate_hz)), CONFIG)
    except SignalError:
        assert num_samples == 0
        return
    for segment in segments:
        assert segment.values.shape == (4, 1250)
        assert not segment.is_real[:, :][np.isnan(segment.values)].any()
        assert np.nanmax(np.abs(segment.values), initial=0.0) <= CONFIG.clip


def test_a_segment_that_is_no_whole_number_of_samples_is_refused():
    with pytest.raises(ConfigError, match="expected a whole number of samples at 125 Hz"):
        SegmentConfig(segment_s=1.5)


def test_kinds_may_be_given_by_name_and_an_unknown_one_is_refused():
    assert SegmentConfig(channels=("ecg", "ppg")).channels == (ChannelKind.ECG, ChannelKind.PPG)
    with pytest.raises(ConfigError, match="channels: found 'eeg', expected one of ecg, ppg, abp, other"):
        SegmentConfig(channels=("eeg",))
