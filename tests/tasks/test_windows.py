"""The window of an example: its own samples, and none from after its end."""

from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import SignalError
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.tasks.windows import read_window, window_config

CONFIG = window_config(SegmentConfig(channels=("ecg", "abp")), 10.0)


def write_record(folder: Path, after: float = 0.0) -> str:
    """Write 30 s of a wave at 250 Hz that is `after` higher from second 20 on."""
    time_s = np.arange(7500) / 250
    wave = (np.sin(7 * time_s) + after * (time_s >= 20)).astype(np.float32)
    signals = tuple(
        Signal(name=name, kind=kind, unit=unit, sample_rate_hz=250.0, samples=wave)
        for name, kind, unit in (("II", ChannelKind.ECG, "mV"), ("ABP", ChannelKind.ABP, "mmHg"))
    )
    recording = Recording(recording_id="r", subject_id=None, start=None, signals=signals)
    return str(write_wfdb(recording, folder).with_suffix(""))


def test_nothing_after_the_window_changes_it(tmp_path: Path) -> None:
    quiet = read_window(write_record(tmp_path / "a"), 10.0, CONFIG)
    stormy = read_window(write_record(tmp_path / "b", after=50.0), 10.0, CONFIG)
    assert np.nanmax(np.abs(quiet.values - stormy.values)) < 0.02  # steps of the file's digits


def test_what_lies_before_the_recording_is_missing(tmp_path: Path) -> None:
    values = read_window(write_record(tmp_path), -4.0, CONFIG).values
    assert np.isnan(values[:, :500]).all()
    assert np.isfinite(values[:, 510:]).all()


def test_a_hidden_channel_leaves_no_trace(tmp_path: Path) -> None:
    window = read_window(write_record(tmp_path), 5.0, CONFIG, hidden=(ChannelKind.ABP,))
    assert np.isnan(window.values[1]).all()
    assert (window.levels[3:] == 0).all()


def test_levels_keep_what_scaling_removed(tmp_path: Path) -> None:
    levels = read_window(write_record(tmp_path), 5.0, CONFIG).levels
    assert levels[0] == pytest.approx(1.0)
    assert np.exp(levels[1]) == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("start_s", [40.0, -20.0])
def test_a_window_beside_the_recording_is_refused(start_s: float, tmp_path: Path) -> None:
    with pytest.raises(SignalError):
        read_window(write_record(tmp_path), start_s, CONFIG)
