"""The guides run as they stand: each cell in order, in an empty folder; shell cells in bash, others in one Python."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
SHELL = "%%bash -e\n"

#: What each guide leaves behind.
MADE = {
    "score": ("quality.csv", "quality.parquet", "report.html", "report-pages"),
    "quality": ("quality.parquet",),
    "pretrain": ("dataset/index.json", "runs/first/checkpoint/model.json"),
    "finetune": ("labels.csv", "runs/disturbed/checkpoint/model.json", "answers.csv"),
    "service": ("report.html", "packets.jsonl"),
}

#: Runs cells of one Python and says each one's last value, as a notebook does.
NOTEBOOK = """
import ast, json, subprocess, sys
scope = {"__name__": "__main__"}
for cell in json.load(sys.stdin):
    if cell.startswith(SHELL):
        subprocess.run(["bash", "-e", "-c", cell.removeprefix(SHELL)], check=True)
    else:
        exec(compile(ast.Interactive(ast.parse(cell).body), "cell", "single"), scope)
"""


def cells_of(guide: str) -> list[str]:
    """Return the cells of a guide, in order."""
    return re.findall(
        r"^```\{code-cell\} python\n(.*?)^```", (GUIDES / f"{guide}.md").read_text(), re.DOTALL | re.MULTILINE
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell in which `qualityfm` is this code, pictures open no window, and no real recordings are known."""
    command = tmp_path / "bin" / "qualityfm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qualityfm "$@"\n')
    command.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUALITYFM_")}
    path = f"{command.parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "agg"}


def run_cells(cells: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run cells in a folder; whatever they left running is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"SHELL = {SHELL!r}\n{NOTEBOOK}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(json.dumps(cells), timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    return process.returncode, said


@pytest.mark.parametrize("guide", MADE)
def test_a_guide_runs_as_it_stands(guide: str, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    port = str(free_port())  # the port of the guide may be taken where tests run
    cells = [cell.replace("8765", port) for cell in cells_of(guide)]
    code, said = run_cells(cells, folder, environment)
    assert code == 0, said[-3000:]
    assert [name for name in MADE[guide] if not (folder / name).exists()] == []


def test_a_cell_that_fails_is_noticed(tmp_path: Path, environment: dict[str, str]) -> None:
    code, said = run_cells([f"{SHELL}qualityfm score nothing-here\ntouch after", "1 + 1"], tmp_path, environment)
    assert code != 0
    assert "nothing-here" in said
    assert not (tmp_path / "after").exists()


def test_every_guide_is_tested() -> None:
    assert {page.stem for page in GUIDES.glob("*.md")} - {"index"} == set(MADE)
