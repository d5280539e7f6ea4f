"""A small simulated archive, a broken one, and a run of a few steps, shared by the tests of the verbs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qualityfm.cli.main import main
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate


def write_patient(folder: Path, name: str, seed: int, duration_s: float = 90.0) -> Path:
    """Write one simulated patient and return the record's path without extension."""
    recording = simulate(seed, SimulationConfig(duration_s=duration_s, faults_per_minute=2.0)).recording
    return write_wfdb(dataclasses.replace(recording, recording_id=name), folder).with_suffix("")


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "recordings"
    for number in range(4):
        write_patient(folder, f"p{number + 1:02d}", number)
    return folder


@pytest.fixture(scope="session")
def broken_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good record, and one each that is truncated, empty of samples, flat, lying in its header, without PPG."""
    folder = tmp_path_factory.mktemp("broken")
    write_patient(folder, "good", 1)
    truncated = write_patient(folder, "truncated", 2).with_suffix(".dat")
    truncated.write_bytes(truncated.read_bytes()[:5000])
    lying = write_patient(folder, "lying", 3).with_suffix(".hea")
    words = lying.read_text().split("\n")
    first = words[0].split(" ")
    words[0] = " ".join([*first[:2], "-125", *first[3:]])
    lying.write_text("\n".join(words))
    whole = simulate(4, SimulationConfig(duration_s=90.0)).recording
    for name, value in (("empty", np.nan), ("flat", 0.5)):
        signals = tuple(dataclasses.replace(s, samples=np.full_like(s.samples, value)) for s in whole.signals)
        write_wfdb(dataclasses.replace(whole, recording_id=name, signals=signals), folder)
    without = tuple(s for s in whole.signals if s.kind != "ppg")
    write_wfdb(dataclasses.replace(whole, recording_id="without-ppg", signals=without), folder)
    return folder


@pytest.fixture(scope="session")
def dataset(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "dataset"
    assert main(["prepare", str(archive), "--out", str(out), "--preset", "demo"]) == 0
    return out


@pytest.fixture(scope="session")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    words = ["pretrain", "demo", "--data", str(dataset), "--out", str(out), "--steps", "3", "--noise", "modelled"]
    assert main([*words, "--threads", "1"]) == 0
    return out
