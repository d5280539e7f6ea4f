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
