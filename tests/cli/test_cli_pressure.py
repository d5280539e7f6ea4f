"""`evaluate abp`, `score --task abp`, `finetune abp --how linear` and the pressure model that ships."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from qualityfm import load_model
from qualityfm.cli.main import main
from qualityfm.records import ChannelKind, Recording
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate

Capture = pytest.CaptureFixture[str]
NUM_RECORDS = 8


def without(recording: Recording, kind: ChannelKind) -> Recording:
    return dataclasses.replace(recording, signals=tuple(s for s in recording.signals if s.kind != kind))


def spoiled(recording: Recording, kind: ChannelKind, value: float) -> Recording:
    signals = tuple(
        dataclasses.replace(s, samples=np.full_like(s.samples, value)) if s.kind == kind else s
        for s in recording.signals
    )
    return dataclasses.replace(recording, signals=signals)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two minutes, and beside them what cannot be judged: no PPG, a dead PPG, dead ABP, too short."""
    folder = tmp_path_factory.mktemp("ward")
    for number in range(NUM_RECORDS):
        recording = simulate(number, SimulationConfig(duration_s=120.0, faults_per_minute=0.0)).recording
        write_wfdb(dataclasses.replace(recording, recording_id=f"p{number}"), folder)
    for name, changed in (
        ("no_ppg", without(recording, ChannelKind.PPG)),
        ("dead_ppg", spoiled(recording, ChannelKind.PPG, 0.0)),
        ("missing_abp", spoiled(recording, ChannelKind.ABP, np.nan)),
        ("short", simulate(3, SimulationConfig(duration_s=12.0)).recording),
    ):
        write_wfdb(dataclasses.replace(changed, recording_id=name), folder)
    return folder


def evaluated(capture: Capture, *words: str) -> dict[str, object]:
    assert main(["evaluate", "abp", "--model", "qualityfm-tiny", "--json", *words]) == 0
    return dict(json.loads(capture.readouterr().out))


def test_the_shipped_model_is_judged_on_any_folder_with_a_pressure_line(ward: Path, capsys: Capture) -> None:
    found = evaluated(capsys, "--data", str(ward))
    for output in ("systolic", "diastolic", "mean"):
        assert np.isfinite(found[f"mae_{output}_mmhg"])  # type: ignore[call-overload]
        assert {f"mae_{output}_mmhg", f"mase_{output}"} <= found["intervals"].keys()  # type: ignore[attr-defined]
    assert found["num_groups"] == NUM_RECORDS
    reasons = {one["recording"]: one["reason"] for one in found["problems"]}  # type: ignore[attr-defined]
    assert reasons.keys() == {"no_ppg", "dead_ppg", "missing_abp", "short"}
    assert reasons["no_ppg"] == "no ppg channel"
    assert "shorter" in reasons["short"]


def test_a_table_names_records_and_patients(ward: Path, tmp_path: Path, capsys: Capture) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("record,subject,split\np0,a,test\np1,a,test\np2,b,test\np3,c,train\ngone,d,test\nlost,e,train\n")
    found = evaluated(capsys, "--data", str(ward), "--labels", str(labels), "--split", "test")
    assert found["num_groups"] == 2
    assert [one["recording"] for one in found["problems"]] == ["gone"]  # type: ignore[attr-defined]


def test_a_calibrated_figure_stands_beside_the_held_first_minute(ward: Path, capsys: Capture) -> None:
    found = evaluated(capsys, "--data", str(ward), "--calibrated")
    assert found["num_examples"] == found["held"]["num_examples"]  # type: ignore[index]
    assert found["num_groups"] == NUM_RECORDS
    assert np.isfinite([found["mae_systolic_mmhg"], found["held"]["mae_systolic_mmhg"]]).all()  # type: ignore[index]


def test_recordings_of_a_minute_cannot_be_judged_after_it(tmp_path: Path, capsys: Capture) -> None:
    recording = simulate(2, SimulationConfig(duration_s=60.0, faults_per_minute=0.0)).recording
    write_wfdb(dataclasses.replace(recording, recording_id="a"), tmp_path)
    assert main(["evaluate", "abp", "--data", str(tmp_path), "--model", "qualityfm-tiny", "--calibrated"]) != 0
    assert "go on after 60 s" in capsys.readouterr().err


def test_a_folder_without_any_pressure_is_refused_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    recording = without(simulate(2, SimulationConfig(duration_s=60.0)).recording, ChannelKind.ABP)
    write_wfdb(dataclasses.replace(recording, recording_id="a"), tmp_path)
    assert main(["evaluate", "abp", "--data", str(tmp_path), "--model", "qualityfm-tiny"]) != 0
    assert "records with ABP, PPG and ECG" in capsys.readouterr().err


def test_a_recording_without_a_pressure_line_gets_the_same_answer(ward: Path, capsys: Capture) -> None:
    model = load_model("qualityfm-tiny-abp")
    recording = simulate(9, SimulationConfig(duration_s=60.0, faults_per_minute=0.0)).recording
    blind = without(recording, ChannelKind.ABP)
    one, other = (model.predict_task(r).values for r in (recording, blind))  # type: ignore[attr-defined]
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, other)
    assert (one[:, 0] > one[:, 2]).all()
    assert (one[:, 2] > one[:, 1]).all()


@pytest.mark.parametrize("name", ["dead_ppg", "no_ppg", "short", "p0"])
def test_a_recording_is_asked_whatever_its_state(ward: Path, name: str, capsys: Capture) -> None:
    assert main(["score", str(ward / name), "--task", "abp", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["windows"]
    is_known = [row["systolic"] is not None for row in rows]
    assert all(is_known) if name in ("p0", "short") else not any(is_known)


def test_a_linear_model_of_ones_own_is_fitted_and_judged(ward: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    labels = tmp_path / "labels.csv"
    rows = [f"p{n},s{n},{'train' if n < 6 else 'test'}" for n in range(NUM_RECORDS)]
    labels.write_text("\n".join(["record,subject,split", *rows]) + "\n")
    words = ["--data", str(ward), "--labels", str(labels)]
    assert main(["finetune", "abp", *words, "--how", "linear", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "linear-abp"
    assert main(["evaluate", "abp", *words, "--model", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_groups"], found["num_seen"]) == (2, 24)


def test_a_yes_or_no_task_has_no_linear_model(tmp_path: Path, capsys: Capture) -> None:
    recording = simulate(2, SimulationConfig(duration_s=20.0)).recording
    write_wfdb(dataclasses.replace(recording, recording_id="a"), tmp_path)
    (tmp_path / "records.csv").write_text("record,alarm,true_alarm,alarm_s\na,Ventricular_Tachycardia,1,20\n")
    words = ["finetune", "vt-alarm", "--data", str(tmp_path), "--how", "linear", "--out", str(tmp_path / "r")]
    assert main(words) != 0
    assert "expected quantities" in capsys.readouterr().err
