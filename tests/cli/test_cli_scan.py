"""`qualityfm scan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qualityfm.cli.main import main


def test_a_scan_counts_records_hours_and_channels(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(archive), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_records"], found["hours"]) == (4, 0.1)
    assert {c["kind"] for c in found["channels"]} == {"ecg", "ppg", "abp"}
    assert all(c["num_records"] == 4 for c in found["channels"])


def test_a_scan_names_unreadable_files_and_goes_on(broken_archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(broken_archive)]) == 0
    said = capsys.readouterr()
    assert "good" in said.out
    assert "unreadable lying: " in said.err


def test_a_folder_without_recordings_is_a_data_error(tmp_path: Path) -> None:
    assert main(["scan", str(tmp_path)]) == 1


def test_names_from_files_cannot_steer_the_terminal() -> None:
    from qualityfm.cli.terminal import clean

    assert clean("II\x1b[31m\r") == "II?[31m?"


@pytest.mark.real
def test_a_scan_of_real_records_finds_every_one(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(real_data / "challenge2015" / "records"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_records"] == 588
    assert found["hours"] == pytest.approx(51.5, abs=0.1)
    assert not found["unreadable"]
