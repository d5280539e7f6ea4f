"""Two processes on one machine against one: the same batch, the same losses, whatever is spread over them."""

import shutil
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from qualityfm.errors import ConfigError
from qualityfm.models.checkpoint import load_checkpoint
from qualityfm.pretrain import loop
from qualityfm.pretrain.loop import pretrain
from qualityfm.pretrain.onlooker import Onlooker
from qualityfm.training.engine import EngineConfig
from qualityfm.training.log import read_log

STEPS = 4


def without_pictures(patch):
    """Leave out what only draws, and costs more than the steps; all that the processes say to each other stays."""
    patch.setattr(loop, "draw_curves", lambda out: None)
    patch.setattr(Onlooker, "look", lambda *_: {})


def work(rank, preset, data, out):
    """What torchrun would start: every form of run, one after the other, in one pair of processes."""
    without_pictures(pytest.MonkeyPatch())
    dist.init_process_group("gloo", init_method=f"file://{out / 'meeting'}", rank=rank, world_size=2)
    pretrain(preset, data, out / "replicate", steps=STEPS, threads=1)
    shard = EngineConfig(sharding="shard")
    pretrain(preset, data, out / "shard", steps=STEPS, stop_after=2, threads=1, engine=shard)
    pretrain(preset, data, out / "shard", steps=STEPS, threads=1, engine=shard)
    pretrain(preset, data, out / "accumulate", steps=STEPS, threads=1, engine=EngineConfig(accumulate=2))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def runs(small_preset, small_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])  # where the new processes find this file
        without_pictures(patch)
        multiprocessing.spawn(work, (small_preset, small_data, out), nprocs=2)
        pretrain(small_preset, small_data, out / "alone", steps=STEPS, threads=1)
        pretrain(small_preset, small_data, out / "alone-2", steps=STEPS, threads=1, engine=EngineConfig(accumulate=2))
    return out


def traces(folder):
    names = ("loss", "distill", "power", "quality", "heldout/loss", "heldout/effective_rank")
    return {(line["step"], name): line[name] for line in read_log(folder) for name in names if name in line}


@pytest.mark.parametrize(("name", "alone"), [("replicate", "alone"), ("shard", "alone"), ("accumulate", "alone-2")])
def test_two_processes_have_the_losses_of_one(runs, name, alone):
    expected = traces(runs / alone)
    assert len(expected) > STEPS * 5
    assert traces(runs / name) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["replicate", "shard"])
def test_two_processes_end_with_the_weights_of_one(runs, name):
    expected = load_checkpoint(runs / "alone" / "checkpoint")[0].state_dict()
    for key, value in load_checkpoint(runs / name / "checkpoint")[0].state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-5, msg=key)


def test_a_run_of_two_processes_goes_on_in_one(runs, small_preset, small_data, tmp_path):
    shutil.copytree(runs / "replicate", tmp_path / "run")
    summary = pretrain(small_preset, small_data, tmp_path / "run", steps=STEPS, threads=1)
    assert summary.is_finished


def test_nothing_published_by_sharded_processes_is_a_pickle(runs):
    names = {path.suffix for path in (runs / "shard" / "checkpoint").iterdir()}
    assert names == {".json", ".safetensors"}


def test_a_batch_that_cannot_be_shared_is_refused_before_the_run_begins(small_preset, small_data, tmp_path):
    with pytest.raises(ConfigError, match="batch_size: found 8, expected a multiple of 3"):
        pretrain(small_preset, small_data, tmp_path / "run", steps=1, threads=1, engine=EngineConfig(accumulate=3))
    assert not (tmp_path / "run").exists()


def test_sharding_without_processes_is_refused_by_name(small_preset, small_data, tmp_path):
    with pytest.raises(ConfigError, match="sharding: found 'shard', expected processes started by torchrun"):
        pretrain(small_preset, small_data, tmp_path / "run", threads=1, engine=EngineConfig(sharding="shard"))


def test_bf16_trains_and_keeps_the_weights_in_float32(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=2, threads=1, engine=EngineConfig(precision="bf16"))
    assert all(line["loss"] < 100 for line in read_log(tmp_path) if "loss" in line)
    assert {value.dtype for value in load_checkpoint(tmp_path / "checkpoint")[0].state_dict().values()} == {
        torch.float32
    }
