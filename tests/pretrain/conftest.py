"""A small simulated data set, prepared by the same road as real archives."""

from dataclasses import replace
from pathlib import Path

import pytest

from qualityfm.models.config import ModelConfig
from qualityfm.prepare.archive import prepare
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.preset import Preset
from qualityfm.segments import SegmentConfig
from qualityfm.sources.wfdb_files import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate

SEGMENTS = SegmentConfig(segment_s=10.0, step_s=10.0)


@pytest.fixture(scope="session")
def small_preset() -> Preset:
    return Preset(
        name="small",
        segments=SEGMENTS,
        model=ModelConfig(width=32, num_heads=2, num_layers=2, feed_forward=32, attention_radius=4),
        pretrain=PretrainConfig(batch_size=8, num_prototypes=16, max_distance_s=90.0, learning_rate_at_256=3e-2),
    )


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    for seed in range(8):
        recording = simulate(seed, SimulationConfig(duration_s=60.0, faults_per_minute=2.0)).recording
        write_wfdb(recording, folder / "archive")
    prepare(folder / "archive", folder / "data", config=SEGMENTS)
    return folder / "data"


@pytest.fixture(scope="session")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated-too")
    for seed in (100, 101):
        write_wfdb(replace(simulate(seed, SimulationConfig(duration_s=60.0)).recording), folder / "archive")
    prepare(folder / "archive", folder / "data", config=SEGMENTS)
    return folder / "data"
