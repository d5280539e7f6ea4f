"""`qualityfm finetune` and `evaluate`: labels of one's own -> a model, its figures, its answers."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from qualityfm import load_model, open_recording
from qualityfm.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients to learn from and two to judge, with windows of both classes."""
    table = tmp_path_factory.mktemp("labels") / "labels.csv"
    rows = [
        f"p{patient:02d},{start},10,{(start // 10) % 2},{'train' if patient < 4 else 'test'}"
        for patient in range(1, 5)
        for start in range(0, 60, 10)
    ]
    table.write_text("record,start,length,label,split\n" + "\n".join(rows) + "\n")
    return table


@pytest.fixture(scope="module")
def tuned(archive: Path, labels: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "run"
    words = ["finetune", "custom", "--data", str(archive), "--labels", str(labels), "--model", str(trained)]
    assert main([*words, "--how", "probe", "--out", str(out), "--name", "mine"]) == 0
    return out


def test_labels_of_ones_own_make_a_model_that_is_measured(
    archive: Path, labels: Path, tuned: Path, tmp_path: Path, capsys: Capture
) -> None:
    table = tmp_path / "answers.csv"
    words = ["evaluate", "custom", "--data", str(archive), "--labels", str(labels), "--model", str(tuned)]
    assert main([*words, "--out", str(table), "--split", "test", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"auc", "tpr", "tnr", "f1", "intervals"} <= found.keys()
    assert (found["num_examples"], found["num_seen"]) == (6, 0)
    assert set(pd.read_csv(table)["answer"]) <= {"yes", "no", "abstain"}


def test_patients_that_were_learnt_from_are_left_out_of_the_figures(
    archive: Path, labels: Path, tuned: Path, capsys: Capture
) -> None:
    words = ["evaluate", "custom", "--data", str(archive), "--labels", str(labels), "--model", str(tuned), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_examples"], found["num_seen"]) == (6, 18)


def test_a_model_is_not_judged_on_its_own_patients_alone(
    archive: Path, labels: Path, tuned: Path, capsys: Capture
) -> None:
    words = ["evaluate", "custom", "--data", str(archive), "--labels", str(labels), "--model", str(tuned)]
    assert main([*words, "--split", "train"]) == 1
    assert "never met" in capsys.readouterr().err


def test_python_and_the_command_line_give_the_same_answers(
    archive: Path, labels: Path, tuned: Path, tmp_path: Path
) -> None:
    table = tmp_path / "answers.csv"
    words = ["evaluate", "custom", "--data", str(archive), "--labels", str(labels), "--model", str(tuned)]
    assert main([*words, "--out", str(table), "--split", "test"]) == 0
    rows = pd.read_csv(table)
    model = load_model(tuned)
    found = model.predict_task(open_recording(archive / "p04"), starts_s=list(rows["start_s"]))
    # a window cut from the whole recording is resampled with its neighbours, one read alone without them
    assert found.values[:, 0] == pytest.approx(rows["value_0"], abs=0.02)


def test_a_fine_tuned_model_still_scores_and_embeds(archive: Path, tuned: Path) -> None:
    model = load_model(tuned)
    recording = open_recording(archive / "p04")
    assert model.score(recording).model_quality is None
    assert len(model.embed(recording).vectors) == 9


def test_by_default_windows_end_with_the_recording(archive: Path, tuned: Path) -> None:
    found = load_model(tuned).predict_task(open_recording(archive / "p04", duration_s=34.0))
    assert found.start_s == pytest.approx([4.0, 14.0, 24.0])
    assert list(found.to_pandas().columns) == ["recording", "start_s", "label", "answer"]


def test_folds_write_the_scores_behind_their_figures(
    archive: Path, labels: Path, trained: Path, tmp_path: Path, capsys: Capture
) -> None:
    table = tmp_path / "labels.csv"
    rows = pd.read_csv(labels).drop(columns="split")
    rows.assign(fold=rows["record"].str[-1].astype(int) % 2).to_csv(table, index=False)
    words = ["finetune", "custom", "--data", str(archive), "--labels", str(table), "--model", "resnet", "--folds"]
    assert main([*words, "--epochs", "1", "--out", str(tmp_path / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["encoder_check"] == ["untrained"]
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert (len(scores), scores["value_0"].isna().sum()) == (24, 0)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["evaluate", "custom", "--model", "RUN"], 1, "no task head"),
        (["finetune", "ecg-song", "--out", "OUT"], 1, "no such task"),
        (["finetune", "custom", "--out", "OUT", "--model", "RUN", "--epochs", "0"], 2, "epochs"),
        (["finetune", "custom", "--out", "OUT", "--model", "RUN", "--window-s", "500"], 2, "window_s"),
        (["finetune", "custom", "--out", "OUT", "--model", "scratch:RUN", "--how", "adapter"], 1, "no adapter"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str], code: int, says: str, archive: Path, labels: Path, trained: Path, tmp_path: Path, capsys: Capture
) -> None:
    filled = [word.replace("RUN", str(trained)).replace("OUT", str(tmp_path / "out")) for word in words]
    assert main([*filled, "--data", str(archive), "--labels", str(labels)]) == code
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith("qualityfm: ")
    assert says in complaint
