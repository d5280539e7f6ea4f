"""Public archives in their published layouts: their labels, patients and splits, and one command for each."""

from __future__ import annotations

import json
from pathlib import Path

import golden_archives
import numpy as np
import pytest

from qualityfm.cli.main import main
from qualityfm.errors import TaskError
from qualityfm.tasks.archives import ARCHIVES, labelled_examples
from qualityfm.tasks.boosting import SETTINGS
from qualityfm.tasks.task import TASKS

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "max_iter", 3)


@pytest.fixture(scope="module")
def vtac(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden_archives.write_vtac(tmp_path_factory.mktemp("vtac"))


@pytest.fixture(scope="module")
def perform_af(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden_archives.write_perform_af(tmp_path_factory.mktemp("perform"))


@pytest.fixture(scope="module")
def pulsedb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patients 0 to 7 train; 0 to 3 are met again in the calibrated test, 8 to 10 are new."""
    folder = tmp_path_factory.mktemp("pulsedb")
    golden_archives.write_pulsedb(folder, "Train", tuple(range(8)))
    golden_archives.write_pulsedb(folder, "CalBased_Test", (0, 1, 2, 3), num_windows=2)
    golden_archives.write_pulsedb(folder, "CalFree_Test", (8, 9, 10), num_windows=2)
    golden_archives.write_pulsedb(folder, "AAMI_Test", (11,), num_windows=2)
    return folder


@pytest.fixture(scope="module")
def uci(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uci")
    for part in (1, 2, 3, 4):
        golden_archives.write_uci(folder, part, (2 * part, 2 * part + 1))
    return folder


def benchmark(capture: Capture, name: str, folder: Path, out: Path) -> dict[str, object]:
    assert main(["benchmark", name, "--data", str(folder), "--out", str(out), "--json"]) == 0
    return dict(json.loads(capture.readouterr().out))


def test_vtac_is_split_by_patient_as_its_table_says(vtac: Path) -> None:
    examples = ARCHIVES["vtac"].examples(vtac)
    assert {e.split for e in examples} == {"train", "val", "test"}
    sides = [{e.group for e in examples if e.split == side} for side in ("train", "val", "test")]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert (examples[0].start_s, examples[0].end_s, examples[0].label) == (290.0, 300.0, (1.0,))


def test_perform_af_takes_its_label_from_the_file_and_keeps_a_patient_whole(perform_af: Path) -> None:
    examples = ARCHIVES["perform-af"].examples(perform_af)
    assert len(examples) == 12
    labels = {group: {e.label for e in examples if e.group == group} for group in {e.group for e in examples}}
    assert len(labels) == 6
    assert all(len(found) == 1 for found in labels.values())


def test_pulsedb_keeps_calibration_free_patients_out_of_training(pulsedb: Path) -> None:
    examples = ARCHIVES["pulsedb"].examples(pulsedb)
    sides = {side: {e.subject for e in examples if e.split == side} for side in ("train", "calibrated")}
    assert len(sides["train"]) == 8
    assert sides["calibrated"] < sides["train"]
    assert not {e.subject for e in examples if e.split == "calibration-free"} & sides["train"]
    assert {e.length_s for e in examples} == {10.0}
    assert {e.split for e in examples} == {"train", "calibrated", "calibration-free"}


def test_subsets_of_two_families_share_windows_and_are_refused(tmp_path: Path) -> None:
    golden_archives.write_pulsedb(tmp_path, "Train", (1,), num_windows=1)
    golden_archives.write_pulsedb(tmp_path, "VitalDB_Train", (1,), num_windows=1)
    with pytest.raises(TaskError, match="one family of subsets in a folder"):
        ARCHIVES["pulsedb"].examples(tmp_path)


def test_the_fourth_part_of_the_uci_archive_is_tested_and_no_patient_is_claimed(uci: Path) -> None:
    examples = ARCHIVES["uci"].examples(uci)
    assert {"Part_4" in e.name for e in examples if e.split == "test"} == {True}
    assert {e.subject for e in examples} == {None}
    assert len({e.group for e in examples}) == 8


def test_vtac_has_one_command(vtac: Path, tmp_path: Path, capsys: Capture) -> None:
    found = benchmark(capsys, "vtac", vtac, tmp_path)
    assert "test" in str(found["protocol"])
    assert {one["model"] for one in found["models"]} >= {"rules", "trees"}  # type: ignore[attr-defined]
    assert (tmp_path / "report.html").is_file()
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 3


def test_perform_af_has_one_command(perform_af: Path, tmp_path: Path, capsys: Capture) -> None:
    found = benchmark(capsys, "perform-af", perform_af, tmp_path)
    assert {row["figure"] for row in found["figures"]} == {"auc", "tpr", "tnr", "f1"}  # type: ignore[attr-defined]
    assert "left out once" in str(found["note"])


def test_pulsedb_has_one_command_for_both_protocols(pulsedb: Path, tmp_path: Path, capsys: Capture) -> None:
    found = benchmark(capsys, "pulsedb", pulsedb, tmp_path)["protocols"]
    assert set(found) == {"calibration-free", "calibrated"}  # type: ignore[call-overload]
    known = found["calibrated"]["figures"]  # type: ignore[index]
    assert {row["model"] for row in known if row["protocol"] == "calibrated"} == {
        "calibration held",
        "calibration and change",
    }
    assert {p.name for p in tmp_path.glob("report-*.html")} == {
        "report-calibration-free.html",
        "report-calibrated.html",
    }


def test_the_uci_archive_has_one_command_that_says_what_is_not_known(
    uci: Path, tmp_path: Path, capsys: Capture
) -> None:
    found = benchmark(capsys, "uci", uci, tmp_path)
    assert "patients are unknown" in str(found["note"])
    assert set(found["protocols"]) == {"test"}  # type: ignore[call-overload]


def test_a_shipped_model_is_judged_on_an_archive_by_its_layout(vtac: Path, perform_af: Path, capsys: Capture) -> None:
    words = ["evaluate", "vt-alarm", "--data", str(vtac), "--layout", "vtac", "--split", "test"]
    assert main([*words, "--model", "qualityfm-tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_examples"] == 2
    words = ["evaluate", "af", "--data", str(perform_af), "--layout", "mimic-perform-af"]
    assert main([*words, "--model", "qualityfm-tiny", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_groups"], found["num_seen"]) == (6, 0)
    assert np.isfinite(found["auc"])


def test_a_model_is_fitted_to_the_training_side_of_an_archive(pulsedb: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["--data", str(pulsedb), "--layout", "pulsedb-subset"]
    assert main(["finetune", "abp", *words, "--how", "linear", "--out", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_examples"] == 24
    judged = ["evaluate", "abp", *words, "--split", "calibration-free", "--model", str(tmp_path / "run"), "--json"]
    assert main(judged) == 0
    assert json.loads(capsys.readouterr().out)["num_groups"] == 3


def test_a_layout_that_does_not_answer_the_task_is_refused(vtac: Path) -> None:
    with pytest.raises(TaskError, match="found 'abp', expected vt-alarm or alarm"):
        labelled_examples(TASKS["abp"], vtac, None, "vtac")
    with pytest.raises(TaskError, match="expected one of vtac, mimic-perform-af"):
        labelled_examples(TASKS["abp"], vtac, None, "bidmc-csv")
    with pytest.raises(TaskError, match="--layout or --labels"):
        labelled_examples(TASKS["vt-alarm"], vtac, vtac / "event_labels.csv", "vtac")


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_empty_archive_is_refused_in_one_line(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["benchmark", name, "--data", str(tmp_path)]) != 0
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2
