"""Which segments are kept."""

from dataclasses import replace

import numpy as np

from qualityfm.prepare.rules import keep_usable
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig, cut_block

ECG, PPG = ChannelKind.ECG, ChannelKind.PPG
CONFIG = SegmentConfig(channels=(ECG, ECG, PPG), sample_rate_hz=10.0, segment_s=2.0, step_s=2.0)


def make_signals(rate_hz=10.0):
    rng = np.random.default_rng(0)
    kinds = {"II": ECG, "V": ECG, "PLETH": PPG}
    return [
        Signal(
            name=name,
            kind=kind,
            unit="mV",
            sample_rate_hz=rate_hz,
            samples=rng.normal(size=round(6 * rate_hz)).astype(np.float32),
        )
        for name, kind in kinds.items()
    ]


def lose(signal, first, end):
    signal.samples[first:end] = np.nan


def keep(signals, config=CONFIG):
    recording = Recording(recording_id="r", subject_id=None, start=None, signals=tuple(signals))
    block = cut_block(recording, config)
    return *keep_usable(block, recording), block


def test_whole_segments_are_kept_as_they_are():
    kept, dropped, block = keep(make_signals())
    np.testing.assert_array_equal(kept.values, block.values)
    assert dropped == {}


def test_a_channel_that_is_mostly_missing_counts_as_absent_in_that_segment_alone():
    signals = make_signals()
    lose(signals[0], 20, 31)
    lose(signals[0], 40, 50)
    kept, dropped, _ = keep(signals)
    assert np.isnan(kept.values[1, 0]).all()
    assert not kept.is_real[1, 0].any()
    assert np.isfinite(kept.values[2, 0, 10:]).all()
    assert dropped == {}


def test_a_segment_in_which_no_channel_is_left_is_dropped():
    signals = make_signals()
    for signal in signals:
        lose(signal, 20, 40)
    kept, dropped, _ = keep(signals)
    assert kept.start_s.tolist() == [0, 4]
    assert dropped == {"no usable channel": 1}


def test_nothing_recorded_is_absent_even_where_everything_may_be_missing():
    signals = make_signals()
    for signal in signals:
        lose(signal, 20, 40)
    assert keep(signals, replace(CONFIG, max_missing_fraction=1.0))[1] == {"no usable channel": 1}


def test_a_required_kind_may_be_filled_by_any_of_its_slots():
    signals = make_signals()
    lose(signals[0], 0, 20)
    lose(signals[0], 20, 40)
    lose(signals[1], 20, 40)
    kept, dropped, _ = keep(signals, replace(CONFIG, required=(ECG,)))
    assert kept.start_s.tolist() == [0, 4]
    assert dropped == {"required channel unusable: ecg": 1}


def test_a_kind_required_twice_needs_two_channels():
    signals = make_signals()
    lose(signals[0], 0, 20)
    assert keep(signals, replace(CONFIG, required=(ECG, ECG)))[1] == {"required channel unusable: ecg": 1}


def test_a_constant_required_channel_drops_its_segment_only_where_asked():
    signals = make_signals()
    signals[2].samples[40:] = 7.0
    config = replace(CONFIG, required=(PPG,))
    assert keep(signals, config)[1] == {}
    assert keep(signals, replace(config, drop_constant=True))[1] == {"required channel constant: ppg": 1}


def test_a_constant_channel_is_found_at_any_rate_of_the_file():
    signals = make_signals(rate_hz=7.5)
    signals[2].samples[30:] = 7.0
    config = replace(CONFIG, required=(PPG,), drop_constant=True)
    assert keep(signals, config)[1] == {"required channel constant: ppg": 1}


def test_an_empty_slot_is_no_channel():
    assert keep(make_signals()[:2], replace(CONFIG, required=(PPG,)))[1] == {"required channel unusable: ppg": 3}
