from pathlib import Path

import pytest

from qualityfm.prepare import plan
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.sources.found import Found, FoundChannel

CONFIG = SegmentConfig()
HOUR_S, DAY_S = 3600.0, 86_400.0


def estimated_bytes(monkeypatch, folder: Path, duration_s: float, *gaps_s: float) -> int:
    channels = tuple(
        FoundChannel(name=f"{gap_s}", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=250.0, gap_s=gap_s)
        for gap_s in gaps_s
    )
    resp = FoundChannel(name="RESP", kind=ChannelKind.OTHER, unit="", sample_rate_hz=125.0)
    one = Found(
        path=folder / "r.hea",
        recording_id="r",
        subject_id=None,
        source="wfdb",
        duration_s=duration_s,
        channels=(*channels, resp),
    )
    monkeypatch.setattr(plan, "find_recordings", lambda archive, layout=None: (one,))
    return plan.make_plan(folder, CONFIG, None, "0").estimated_bytes


@pytest.mark.parametrize("gaps_s", [(60 * DAY_S,), (60 * DAY_S, 60 * DAY_S + 600.0)])
def test_a_gap_of_months_takes_no_room(monkeypatch, tmp_path, gaps_s):
    hour = estimated_bytes(monkeypatch, tmp_path, HOUR_S, 0.0)
    assert hour > 1e6
    assert estimated_bytes(monkeypatch, tmp_path, HOUR_S + 60 * DAY_S, *gaps_s) == hour


def test_a_gap_in_one_channel_that_another_fills_takes_room(monkeypatch, tmp_path):
    whole = estimated_bytes(monkeypatch, tmp_path, DAY_S, 0.0)
    assert estimated_bytes(monkeypatch, tmp_path, DAY_S, DAY_S / 2, 0.0) == whole
