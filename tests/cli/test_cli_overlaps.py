"""`qualityfm overlaps`: a table, a file or JSON, and exit code 0 whatever is found."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from qualityfm.cli.main import main
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlapping")
    whole = simulate(5, SimulationConfig(duration_s=140.5)).recording
    for name, start_s in (("early", 0.0), ("late", 20.5)):
        signals = tuple(
            dataclasses.replace(s, samples=s.samples[round(start_s * s.sample_rate_hz) :]) for s in whole.signals
        )
        write_wfdb(dataclasses.replace(whole, recording_id=name, signals=signals), folder / "archive")
    write_wfdb(dataclasses.replace(simulate(6).recording, recording_id="alone"), folder / "archive")
    assert main(["prepare", str(folder / "archive"), "--out", str(folder / "dataset")]) == 0
    return folder / "dataset"


def test_the_table_names_the_pair(overlapping: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlaps", str(overlapping)]) == 0
    out = capsys.readouterr().out
    assert "early  late" in out
    assert "overlapping pairs     1" in out
    assert "alone" not in out


def test_json_gives_everything(overlapping: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlaps", str(overlapping), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_overlaps"] == 1
    assert found["overlaps"][0]["offset_s"] == pytest.approx(20.5, abs=0.02)
    assert found["num_recordings"] == 3
    assert found["unchecked"] == []


def test_pairs_are_written_as_a_table(overlapping: Path, tmp_path: Path) -> None:
    assert main(["overlaps", str(overlapping), "--out", str(tmp_path / "pairs.csv")]) == 0
    with (tmp_path / "pairs.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert (row["first"], row["second"]) == ("early", "late")
    assert float(row["shared_s"]) == pytest.approx(120.0, abs=0.1)


def test_two_data_sets_are_compared(overlapping: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlaps", str(overlapping), str(overlapping)]) == 0
    assert "overlapping pairs     5" in capsys.readouterr().out


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlaps", str(tmp_path)]) == 1
    assert f"qualityfm: no data set here: {tmp_path}: index.json" in capsys.readouterr().err
