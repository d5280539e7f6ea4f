"""Fine-tuned networks: what the head sees, and what comes back from disk."""

import json
from pathlib import Path

import pytest
import torch

from qualityfm.errors import FormatError
from qualityfm.models.checkpoint import load_checkpoint
from qualityfm.models.config import ModelConfig
from qualityfm.models.low_rank import add_low_rank, fold_low_rank
from qualityfm.models.task_head import TaskHeadConfig
from qualityfm.models.task_network import TaskNetwork, TaskShape, load_task_network, save_task_network
from qualityfm.segments import SegmentConfig

SEGMENTS = SegmentConfig(channels=("ecg", "ppg"), sample_rate_hz=50.0, segment_s=4.0, step_s=4.0)
SMALL = ModelConfig(patch_samples=10, width=16, num_heads=2, num_layers=2, feed_forward=32, cause_head=False)
KIND = torch.tensor([0, 1, -1])


def make_network(body: str = "encoder", pooling: str = "statistics") -> TaskNetwork:
    torch.manual_seed(0)
    head = TaskHeadConfig(num_outputs=2, num_levels=6, num_kinds=2, pooling=pooling)
    network = TaskNetwork(SEGMENTS, SMALL, TaskShape(body=body, head=head)).eval()
    torch.nn.init.normal_(network.head.deviation)
    return network


def answer(network: TaskNetwork) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    values, levels = torch.randn(3, 2, 200, generator=rng), torch.randn(3, 6, generator=rng)
    with torch.no_grad():
        return network(values, levels, KIND)


@pytest.mark.parametrize("body", ["encoder", "resnet"])
@pytest.mark.parametrize("pooling", ["statistics", "attention"])
def test_a_fine_tuned_network_comes_back_bit_for_bit(body: str, pooling: str, tmp_path: Path) -> None:
    network = make_network(body, pooling)
    save_task_network(tmp_path, network, {"name": "custom"}, {"name": "mine"})
    loaded, card = load_task_network(tmp_path)
    assert torch.equal(answer(loaded), answer(network))
    assert card["task"]["name"] == "custom"


def test_a_fine_tuned_checkpoint_is_not_taken_for_a_pre_trained_one(tmp_path: Path) -> None:
    save_task_network(tmp_path, make_network(), {"name": "custom"}, {})
    with pytest.raises(FormatError, match="fine-tuned for a task"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("task",), None),
        (("task", "shape", "head", "num_outputs"), 3),
        (("task", "shape", "head", "num_outputs"), 10**9),
        (("task", "shape", "body"), "tree"),
        (("model", "num_layers"), 10**9),
        (("num_parameters",), 5),
    ],
)
def test_a_card_that_does_not_fit_its_weights_is_refused(path: tuple[str, ...], value: object, tmp_path: Path) -> None:
    save_task_network(tmp_path, make_network(), {"name": "custom"}, {})
    card = json.loads((tmp_path / "model.json").read_text())
    inner = card
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(FormatError):
        load_task_network(tmp_path)


def test_a_window_without_any_sample_has_a_finite_answer() -> None:
    network = make_network()
    values = torch.full((1, 2, 200), float("nan"))
    with torch.no_grad():
        assert torch.isfinite(network(values, torch.zeros(1, 6), torch.tensor([-1]))).all()


def test_an_unknown_kind_uses_the_shared_weights_alone() -> None:
    network = make_network()
    before = answer(network)
    torch.nn.init.zeros_(network.head.deviation)
    after = answer(network)
    assert torch.equal(before[2], after[2])
    assert not torch.allclose(before[:2], after[:2])


def test_a_folded_adapter_answers_as_the_adapter_did() -> None:
    network = make_network()
    before = answer(network)
    for parameter in add_low_rank(network.encoder, 2):
        torch.nn.init.normal_(parameter, std=0.1)
    adapted = answer(network)
    fold_low_rank(network.encoder)
    assert not torch.allclose(adapted, before)
    assert torch.allclose(answer(network), adapted, atol=1e-5)


def test_an_adapter_changes_nothing_at_the_start() -> None:
    network = make_network()
    before = answer(network)
    add_low_rank(network.encoder, 2)
    assert torch.allclose(answer(network), before, atol=1e-6)


def test_the_plain_resnet_is_as_small_as_it_says() -> None:
    head = TaskHeadConfig(num_outputs=1, num_levels=0)
    network = TaskNetwork(SegmentConfig(), SMALL, TaskShape(body="resnet", head=head))
    assert 60_000 < sum(p.numel() for p in network.encoder.parameters()) < 100_000
