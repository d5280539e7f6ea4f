import numpy as np
import pytest
import torch

from qualityfm.errors import ConfigError
from qualityfm.pretrain.batches import PairBatches
from qualityfm.pretrain.feed import fed
from qualityfm.pretrain.loop import pretrain
from qualityfm.pretrain.noise import load_noise
from qualityfm.shards.reader import ShardReader
from qualityfm.training.engine import EngineConfig
from qualityfm.training.log import read_log


@pytest.fixture
def batches(small_data, small_preset):
    reader = ShardReader(small_data)
    bank = load_noise(None, sample_rate_hz=125.0, seed=0)
    return PairBatches(reader, np.arange(len(reader)), small_preset.pretrain, small_preset.model, bank, seed=0)


def same(a, b):
    return torch.equal(torch.nan_to_num(a.worse), torch.nan_to_num(b.worse)) and torch.equal(a.quality, b.quality)


def test_batches_made_by_other_processes_are_those_made_here(batches):
    parts = [slice(0, 4), slice(4, 8)]
    with fed(batches, range(2, 5), parts, num_workers=2) as source:
        for step in range(2, 5):
            for part in parts:
                assert same(source.batch(step, part), batches.batch(step, part))


def test_a_batch_that_nobody_ordered_is_made_all_the_same(batches):
    with fed(batches, range(3), [slice(0, 8)], num_workers=1) as source:
        assert same(source.batch(7, slice(0, 8)), batches.batch(7))
        assert same(source.batch(0, slice(0, 8)), batches.batch(0))


def test_a_run_with_workers_is_the_run_without(small_preset, small_data, tmp_path):
    for folder, workers in (("without", 0), ("with", 1)):
        engine = EngineConfig(workers=workers)
        pretrain(small_preset, small_data, tmp_path / folder, steps=3, threads=1, engine=engine)
    lines = [[line["loss"] for line in read_log(tmp_path / f) if "loss" in line] for f in ("without", "with")]
    assert lines[0] == lines[1]


def test_fewer_workers_than_none_are_refused():
    with pytest.raises(ConfigError, match="workers"):
        EngineConfig(workers=-1)
