"""`finetune --how trees` and `evaluate` of what it made; the task models that ship."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualityfm import load_model, open_recording
from qualityfm.cli.main import main
from qualityfm.errors import ConfigError
from qualityfm.inference.loading import shipped_models
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate

Capture = pytest.CaptureFixture[str]
NUM_RECORDS = 24


@pytest.fixture(scope="module")
def alarms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alarms of ventricular tachycardia, every second of them true; the last is of a record that is not there."""
    import dataclasses

    folder = tmp_path_factory.mktemp("alarms")
    lines = ["record,alarm,true_alarm,alarm_s,subject,split"]
    for number in range(NUM_RECORDS):
        is_true = number % 2
        rhythm = "vt" if is_true else "sinus"
        recording = simulate(number, SimulationConfig(duration_s=20.0, rhythm=rhythm)).recording
        write_wfdb(dataclasses.replace(recording, recording_id=f"p{number}"), folder)
        split = "train" if number < NUM_RECORDS - 6 else "test"
        lines.append(f"p{number},Ventricular_Tachycardia,{is_true},20,s{number},{split}")
    lines.append("gone,Ventricular_Tachycardia,1,20,gone,test")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def trees(alarms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trees") / "run"
    assert main(["finetune", "vt-alarm", "--data", str(alarms), "--how", "trees", "--out", str(out)]) == 0
    return out


def test_trees_are_measured_on_patients_they_never_met(alarms: Path, trees: Path, capsys: Capture) -> None:
    assert main(["evaluate", "vt-alarm", "--data", str(alarms), "--model", str(trees), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"auc", "score", "tpr", "tnr", "f1", "intervals"} <= found.keys()
    assert (found["num_examples"], found["num_seen"]) == (7, NUM_RECORDS - 6)
    assert found["tpr"] > 0  # the record that is not there stays an alarm
    assert any("gone" in one["recording"] for one in found["problems"])


def test_trees_are_not_judged_on_their_own_patients_alone(alarms: Path, trees: Path, capsys: Capture) -> None:
    words = ["evaluate", "vt-alarm", "--data", str(alarms), "--model", str(trees), "--split", "train"]
    assert main(words) != 0
    assert "patients that the model never met" in capsys.readouterr().err


def test_a_recording_in_memory_gets_the_answer_of_its_file(alarms: Path, trees: Path) -> None:
    model = load_model(trees)
    recording = open_recording(alarms / "p20")
    in_memory = model.predict_task(recording, starts_s=[10.0], kind="Ventricular_Tachycardia")  # type: ignore[operator]
    from qualityfm.tasks.task import TASKS

    example = next(e for e in TASKS["vt-alarm"].examples(alarms, None) if e.name == "p20")
    made = model.trees.measure([example])  # type: ignore[union-attr]
    np.testing.assert_allclose(in_memory.values, model.trees.values_of(made.values))  # type: ignore[union-attr]


def test_trees_score_by_the_classical_quality_and_embed_nothing(alarms: Path, trees: Path) -> None:
    model, recording = load_model(trees), open_recording(alarms / "p20")
    assert model.score(recording).model_quality is None
    with pytest.raises(ConfigError, match="no embedding"):
        model.embed(recording)


@pytest.mark.parametrize(("field", "value"), [("trees_sha256", "0" * 64), ("features_version", 0), ("features", 5)])
def test_a_touched_card_is_refused(trees: Path, tmp_path: Path, field: str, value: object, capsys: Capture) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trees / "checkpoint", copy)
    card = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(card | {field: value}))
    assert main(["evaluate", "vt-alarm", "--data", str(copy), "--model", str(copy)]) != 0
    assert "damaged model" in capsys.readouterr().err


def test_trees_have_no_folds_of_their_own(alarms: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["finetune", "vt-alarm", "--data", str(alarms), "--how", "trees", "--folds", "--out", str(tmp_path / "r")]
    assert main(words) != 0
    assert "qualityfm benchmark" in capsys.readouterr().err


def test_a_folder_is_asked_for_the_moment_of_its_alarms(
    alarms: Path, trees: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "answers.csv"
    words = ["score", str(alarms), "--task", "vt-alarm", "--model", str(trees), "--end-s", "20", "--out", str(out)]
    assert main([*words, "--kind", "Ventricular_Tachycardia", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_windows"] == NUM_RECORDS
    assert sum(found["answers"].values()) == NUM_RECORDS
    assert len(pd.read_csv(out)) == NUM_RECORDS


def test_a_window_after_the_end_of_a_named_recording_is_refused(alarms: Path, trees: Path, capsys: Capture) -> None:
    words = ["score", str(alarms / "p20"), "--task", "vt-alarm", "--model", str(trees), "--end-s", "500"]
    assert main(words) != 0
    assert "nothing to judge" in capsys.readouterr().err


def test_a_tree_model_is_described(capsys: Capture) -> None:
    assert main(["inspect", "qualityfm-tiny-vt-alarm"]) == 0
    shown = capsys.readouterr().out
    assert "no encoder" in shown
    assert "CC BY 4.0" in shown


def test_a_model_without_the_task_is_refused_with_advice(alarms: Path, capsys: Capture) -> None:
    assert main(["score", str(alarms / "p20"), "--task", "quality"]) != 0
    assert "finetune quality" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["vt-alarm", "alarm", "af", "abp"])
def test_a_shipped_task_model_answers_by_name(task: str) -> None:
    name = f"qualityfm-tiny-{task}"
    assert name in shipped_models()
    recording = simulate(3, SimulationConfig(duration_s=60.0)).recording
    found = load_model(name).predict_task(recording)  # type: ignore[attr-defined]
    assert np.isfinite(found.values).all()
    assert found.question.task == task
