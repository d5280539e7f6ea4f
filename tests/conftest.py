"""Fixtures every room shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips where the machine has none, fails where it promised some."""
    folder = os.environ.get("QUALITYFM_DATA")
    if not folder:
        pytest.skip("QUALITYFM_DATA is not set: no real recordings here")
    path = Path(folder)
    if not (path / "challenge2015" / "records.csv").is_file():
        pytest.fail(f"QUALITYFM_DATA points to {path}, which has no challenge2015/records.csv")
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests met real recordings."""
    ran = [r for name in ("passed", "failed") for r in terminalreporter.stats.get(name, ()) if _is_real(r)]
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if _is_real(r)]
    terminalreporter.write_line(f"tests on real recordings: {len(ran)} ran, {len(skipped)} skipped")


def _is_real(report: pytest.TestReport) -> bool:
    return "real" in getattr(report, "keywords", {})
