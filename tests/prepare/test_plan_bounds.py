"""What a worker must hold at once does not grow with the archive."""

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.prepare import plan
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.shards.format import ARRAYS, array_shape
from qualityfm.sources.found import Found, FoundChannel

CONFIG = SegmentConfig(channels=(ChannelKind.ECG, ChannelKind.PPG))


def plan_for(monkeypatch, folder, *, num_channels, rate_hz, hours, config=CONFIG):
    channels = tuple(
        FoundChannel(name=f"{c}", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=rate_hz) for c in range(num_channels)
    )
    one = Found(
        path=folder / "r.hea",
        recording_id="r",
        subject_id=None,
        source="wfdb",
        duration_s=3600 * hours,
        channels=channels,
    )
    monkeypatch.setattr(plan, "find_recordings", lambda archive, layout=None: [one])
    return plan.make_plan(folder, config, None, "0")


def stretches(made):
    return [stretch for group in made.groups for stretch in group.stretches]


@pytest.mark.parametrize(
    ("num_channels", "rate_hz", "hours"), [(3, 125.0, 240.0), (8, 500.0, 24.0), (64, 1000.0, 5.0), (16, 20_000.0, 1.0)]
)
def test_a_stretch_holds_a_bounded_number_of_samples(monkeypatch, tmp_path, num_channels, rate_hz, hours):
    made = plan_for(monkeypatch, tmp_path, num_channels=num_channels, rate_hz=rate_hz, hours=hours)
    longest_s = max(s.num_segments for s in stretches(made)) * CONFIG.step_s
    assert longest_s <= plan.STRETCH_S
    one_segment = CONFIG.segment_s * num_channels * rate_hz
    assert longest_s * num_channels * rate_hz <= max(plan.MAX_STRETCH_SAMPLES, one_segment)
    assert sum(s.num_segments for s in stretches(made)) == hours * 3600 / CONFIG.step_s


def test_overlapping_segments_make_shorter_stretches(monkeypatch, tmp_path):
    made = plan_for(monkeypatch, tmp_path, num_channels=1, rate_hz=125.0, hours=2.0, config=replace(CONFIG, step_s=0.1))
    most = max(s.num_segments for s in stretches(made))
    assert most * CONFIG.num_samples * len(CONFIG.channels) <= plan.MAX_STRETCH_SAMPLES


@pytest.mark.parametrize("rate_hz", [125.0, 1000.0])
def test_a_shard_is_no_larger_than_its_bound(monkeypatch, tmp_path, rate_hz):
    monkeypatch.setattr(plan, "NUM_SHARDS_WANTED", 1)
    config = replace(CONFIG, channels=(ChannelKind.ECG,) * 8, sample_rate_hz=rate_hz)
    made = plan_for(monkeypatch, tmp_path, num_channels=1, rate_hz=125.0, hours=48.0, config=config)
    row = sum(dtype.itemsize * int(np.prod(array_shape(name, 1, config))) for name, dtype in ARRAYS.items())
    sizes = [row * sum(s.num_segments for s in group.stretches) for group in made.groups]
    assert plan.MAX_SHARD_BYTES / 4 < max(sizes) <= plan.MAX_SHARD_BYTES
