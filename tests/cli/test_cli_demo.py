"""The demo and the README walk the whole road."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qualityfm.cli import demo, pretrain
from qualityfm.cli.main import main

README = Path(__file__).parents[2] / "README.md"


def end_training_with(monkeypatch: pytest.MonkeyPatch, change: float) -> None:
    """Make training end at a held-out loss above or below its start: a few steps of real training could do either."""

    def train(options: pretrain.Options) -> Any:
        summary = original(replace(options, threads=1))
        loss = summary.heldout_start["loss"] + change
        return replace(summary, heldout_end=summary.heldout_end | {"loss": loss})

    original = pretrain.train
    monkeypatch.setattr(pretrain, "train", train)


@pytest.fixture(autouse=True)
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUALITYFM_DATA", raising=False)
    monkeypatch.setattr(demo, "RECORD_S", 60.0)


def test_the_demo_ends_with_a_report_and_commands_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end_training_with(monkeypatch, -0.1)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--records", "4", "--steps", "2"]) == 0
    said = capsys.readouterr().out
    page = tmp_path / "demo" / "report.html"
    assert page.is_file()
    assert str(page) in said
    for line in said.split("Try next:\n")[1].splitlines():
        assert main(shlex.split(line)[1:]) == 0


@pytest.mark.parametrize("change", [0.0, 0.1])
def test_a_demo_that_learns_nothing_says_so_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: float
) -> None:
    end_training_with(monkeypatch, change)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--records", "3", "--steps", "1"]) == 1
    assert "the demo failed" in capsys.readouterr().err


def test_a_second_demo_takes_away_the_first_and_only_that(tmp_path: Path) -> None:
    demo._clear(tmp_path)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "p01.hea").write_text("")
    (tmp_path / "notes.txt").write_text("mine")
    demo._clear(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {demo.MARKER, "notes.txt"}


def test_the_demo_never_touches_a_folder_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "folder in use" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def blocks(language: str) -> list[str]:
    """Return the README's code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_commands_of_the_readme_run(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(archive, tmp_path / "recordings")
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line.replace("--steps 240", "--steps 2"))
        assert main(words[1:]) == 0, line


def test_the_python_of_the_readme_runs(
    archive: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "recordings").symlink_to(archive)
    (tmp_path / "runs" / "first").symlink_to(trained)
    (code,) = blocks("python")
    exec(compile(code, str(README), "exec"), {})
    assert (tmp_path / "p01.html").is_file()
