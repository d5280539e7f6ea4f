"""`qualityfm prepare`, `pretrain`, and what `inspect` says of their results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qualityfm.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_preparing_a_broken_archive_keeps_what_is_good_and_names_the_rest(
    broken_archive: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["prepare", str(broken_archive), "--out", str(tmp_path / "d"), "--preset", "demo", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"truncated", "lying"} <= {one["recording"] for one in report["refused"]}
    assert report["num_segments"] >= 3


def test_a_bad_record_stops_preparation_when_asked_to(broken_archive: Path, tmp_path: Path) -> None:
    words = ["prepare", str(broken_archive), "--out", str(tmp_path / "d"), "--on-problem", "raise"]
    assert main(words) == 1


def test_a_dry_run_writes_nothing(archive: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["prepare", str(archive), "--out", str(tmp_path / "d"), "--dry-run"]) == 0
    assert "would make" in capsys.readouterr().out
    assert not (tmp_path / "d").exists()


def test_a_selection_chooses_records_and_is_stored(archive: Path, tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "records.csv"
    table.write_text("record,fold\np01,0\np02,0\np03,1\np04,1\n")
    chosen = ["--select", str(table), "--where", "fold == 0"]
    assert main(["prepare", str(archive), "--out", str(tmp_path / "d"), "--preset", "demo", *chosen]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "d"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_recordings"], found["selection"]["where"]) == (2, "fold == 0")


def test_a_condition_without_a_table_is_a_usage_error(archive: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["prepare", str(archive), "--out", str(tmp_path / "d"), "--where", "fold == 0"]) == 2
    assert "--select" in capsys.readouterr().err


def test_a_data_set_of_another_plan_is_never_overwritten(
    archive: Path, dataset: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "records.csv").write_text("record\np01\n")
    chosen = ["--select", str(tmp_path / "records.csv")]
    assert main(["prepare", str(archive), "--out", str(dataset), "--preset", "demo", *chosen]) == 2
    assert "another data set" in capsys.readouterr().err


def test_an_unknown_preset_is_a_usage_error_that_names_the_known_ones(
    dataset: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["pretrain", "tiny", "--data", str(dataset), "--out", str(tmp_path / "r")]) == 2
    assert "qualityfm-tiny" in capsys.readouterr().err


def test_a_finished_run_is_left_as_it_is_by_the_same_command(dataset: Path, trained: Path, capsys: Capture) -> None:
    words = ["pretrain", "demo", "--data", str(dataset), "--out", str(trained), "--steps", "3"]
    assert main([*words, "--noise", "modelled", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 3


def test_a_run_of_another_plan_is_never_overwritten(dataset: Path, trained: Path, capsys: Capture) -> None:
    words = ["pretrain", "demo", "--data", str(dataset), "--out", str(trained), "--steps", "4"]
    assert main([*words, "--noise", "modelled"]) == 2
    assert "another plan" in capsys.readouterr().err


def test_an_interrupted_run_says_so_and_leaves_with_130(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from qualityfm.pretrain import loop

    whole = loop.pretrain
    monkeypatch.setattr(loop, "pretrain", lambda *a, **k: whole(*a, **k, stop_after=1))
    words = ["pretrain", "demo", "--data", str(dataset), "--out", str(tmp_path / "r"), "--steps", "3"]
    assert main([*words, "--noise", "modelled"]) == 130
    assert "saved at step 1 of 3" in capsys.readouterr().err


def test_noise_comes_from_the_real_recordings_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qualityfm.cli.places import open_data_folder

    (tmp_path / "nstdb").mkdir()
    monkeypatch.setenv("QUALITYFM_DATA", str(tmp_path))
    assert open_data_folder(None, "nstdb") == tmp_path / "nstdb"
    assert open_data_folder("modelled", "nstdb") is None
    monkeypatch.delenv("QUALITYFM_DATA")
    assert open_data_folder(None, "nstdb") is None


def test_inspect_counts_the_parameters_of_the_published_model(capsys: Capture) -> None:
    assert main(["inspect", "paper-base", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_parameters"], found["num_parameters_millions"]) == (9_576_714, 9.58)


@pytest.mark.parametrize("part", ["", "checkpoint"])
def test_inspect_shows_a_run_and_its_checkpoint(trained: Path, part: str, capsys: Capture) -> None:
    assert main(["inspect", str(trained / part), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["steps"] == 3
    assert found["num_parameters_millions"] == round(found["num_parameters"] / 1e6, 2)
    assert main(["inspect", str(trained / part)]) == 0
    assert "demo" in capsys.readouterr().out


def test_inspect_shows_a_record_and_a_data_set(archive: Path, dataset: Path, capsys: Capture) -> None:
    assert main(["inspect", str(archive / "p01")]) == 0
    assert "record p01" in capsys.readouterr().out
    assert main(["inspect", str(dataset)]) == 0
    assert "12 in 1 shards" in capsys.readouterr().out


def test_inspect_sends_a_plain_folder_to_scan(archive: Path, capsys: Capture) -> None:
    assert main(["inspect", str(archive)]) == 2
    assert "qualityfm scan" in capsys.readouterr().err


def test_a_checkpoint_of_another_version_is_one_line(trained: Path, tmp_path: Path, capsys: Capture) -> None:
    card = json.loads((trained / "checkpoint" / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"format_version": 99}))
    assert main(["inspect", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "99" in lines[0]


def test_doctor_gives_the_pip_line_for_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from importlib import metadata

    from qualityfm.cli import doctor

    def version(package: str) -> str | None:
        return None if package == "onnxruntime" else metadata.version("qualityfm")

    monkeypatch.setattr(doctor, "_version", version)
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["optional"]["onnx"]["install"] == "pip install 'qualityfm[onnx]'"
    assert found["optional"]["torch"]["present"]
    assert main(["doctor"]) == 0
    assert "pip install 'qualityfm[onnx]'" in capsys.readouterr().out
