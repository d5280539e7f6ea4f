import time

import pytest

from qualityfm.cli import batches, terminal
from qualityfm.cli.batches import FIRST_USE, for_each_recording
from qualityfm.sources.wfdb_files import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture
def record(tmp_path):
    recording = simulate(0, SimulationConfig(duration_s=10.0)).recording
    write_wfdb(recording, tmp_path)
    return tmp_path / recording.recording_id


def test_a_recording_that_takes_long_says_why(record, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "PATIENCE_S", 0.01)
    for_each_recording(record, lambda _: time.sleep(0.5), "waiting")
    assert FIRST_USE in capsys.readouterr().err


def test_a_recording_that_is_done_soon_says_nothing(record, capsys):
    for_each_recording(record, lambda _: None, "hurrying")
    assert capsys.readouterr().err == ""


def test_one_that_fails_while_it_waits_says_only_what_was_wrong(record, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "PATIENCE_S", 0.2)

    def fail(_):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        batches.for_each_recording(record, fail, "failing")
    time.sleep(0.4)
    assert capsys.readouterr().err == ""
