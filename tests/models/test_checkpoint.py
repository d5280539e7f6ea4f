import json

import pytest
import torch

from qualityfm.errors import FormatError
from qualityfm.models import checkpoint
from qualityfm.models.checkpoint import load_checkpoint, save_checkpoint
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.segments import SegmentConfig


@pytest.fixture
def network():
    torch.manual_seed(3)
    return Network(SegmentConfig(segment_s=10.0), ModelConfig(width=16, num_heads=2, num_layers=1, feed_forward=16))


@pytest.fixture
def folder(tmp_path, network):
    save_checkpoint(tmp_path / "model", network, {"name": "mine", "metrics": {"loss": 1.5}})
    return tmp_path / "model"


def test_a_checkpoint_brings_back_weights_recipe_and_card(folder, network):
    loaded, card = load_checkpoint(folder)
    assert card["name"] == "mine"
    assert loaded.segments == network.segments
    assert loaded.config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_half_precision_halves_the_file_and_comes_back_as_float32(folder, tmp_path, network):
    save_checkpoint(tmp_path / "half", network, {}, half_precision=True)
    sizes = [next(f.glob("*.safetensors")).stat().st_size for f in (folder, tmp_path / "half")]
    assert sizes[1] < 0.6 * sizes[0]
    loaded, _ = load_checkpoint(tmp_path / "half")
    assert all(p.dtype == torch.float32 for p in loaded.parameters())


def test_a_flipped_bit_is_found_before_use(folder):
    weights = next(folder.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    with pytest.raises(FormatError, match="sha256"):
        load_checkpoint(folder)


def test_another_version_is_refused_with_both_versions(folder):
    card = json.loads((folder / "model.json").read_text())
    card["format_version"] = 99
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(FormatError, match="format_version: found 99, expected 1"):
        load_checkpoint(folder)


def test_a_folder_that_is_no_checkpoint_says_what_is_missing(tmp_path):
    with pytest.raises(FormatError, match=r"model\.json"):
        load_checkpoint(tmp_path)


def test_weights_outside_the_folder_are_refused(folder):
    card = json.loads((folder / "model.json").read_text())
    card["weights"] = "../model/" + card["weights"]
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(FormatError, match="expected a file in the checkpoint"):
        load_checkpoint(folder)


def test_a_full_disk_leaves_the_old_checkpoint_and_no_litter(folder, network, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with torch.no_grad():
        network.encoder.summary += 1

    def refuse(tensors, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", refuse)
    with pytest.raises(FormatError, match="No space left"):
        save_checkpoint(folder, network, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_twice_leaves_one_set_of_weights(folder, network):
    with torch.no_grad():
        network.encoder.summary += 1
    save_checkpoint(folder, network, {"name": "later"})
    assert len(list(folder.iterdir())) == 2
    assert load_checkpoint(folder)[1]["name"] == "later"
