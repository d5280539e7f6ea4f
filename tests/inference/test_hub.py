"""A model saved as a folder comes back the same, without a network; what the hub refuses is one line."""

import pytest
import torch

from qualityfm.errors import ConfigError
from qualityfm.inference import hub
from qualityfm.inference.predictor import Predictor
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.segments import SegmentConfig


@pytest.fixture
def model():
    torch.manual_seed(3)
    config = ModelConfig(width=16, num_heads=2, num_layers=1, feed_forward=16)
    return Predictor(Network(SegmentConfig(segment_s=10.0), config).eval(), {"name": "mine", "noise": "modelled"})


def test_a_saved_model_comes_back_with_weights_and_card(model, tmp_path):
    loaded = hub.from_pretrained(hub.save_pretrained(model, tmp_path / "model"))
    assert (loaded.name, loaded.card["noise"]) == ("mine", "modelled")
    for name, value in model.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


def test_a_model_saved_twice_is_the_same_folder(model, tmp_path):
    hub.save_pretrained(hub.from_pretrained(hub.save_pretrained(model, tmp_path / "a")), tmp_path / "b")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second


def test_the_folder_holds_a_card_that_the_hub_can_read(model, tmp_path):
    text = (hub.save_pretrained(model, tmp_path) / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: qualityfm\ntags:\n")
    assert "10 s at 125 Hz" in text


def test_licence_and_sources_on_the_hub_are_those_of_the_card(model):
    assert "license" not in hub.model_card(model)
    shipped = hub.model_card(hub.from_pretrained("qualityfm-tiny"))
    assert "\nlicense: cc-by-4.0\n" in shipped
    assert "**Sources:** Trained on PhysioNet/CinC Challenge 2015" in shipped


def test_a_name_that_is_no_folder_and_no_repository_is_refused():
    with pytest.raises(ConfigError, match="no such model: models: name: found 'nowhere'"):
        hub.from_pretrained("nowhere")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    library = pytest.importorskip("huggingface_hub")

    def refuse(*args, **kwargs):
        raise library.errors.LocalEntryNotFoundError("no network\nand more")

    monkeypatch.setattr(library, "snapshot_download", refuse)
    with pytest.raises(ConfigError, match="the hub refuses: hub: repository: found 'no network'") as caught:
        hub.from_pretrained("someone/model")
    assert "\n" not in str(caught.value)


def test_only_weights_card_and_readme_are_pushed(model, tmp_path, monkeypatch):
    library = pytest.importorskip("huggingface_hub")
    pushed = {}
    monkeypatch.setattr(library, "create_repo", lambda name, **rest: None)
    monkeypatch.setattr(library, "upload_folder", lambda **given: pushed.update(given) or "address")
    assert hub.push_to_hub(model, "someone/model", tmp_path) == "address"
    assert pushed["repo_id"] == "someone/model"
    assert pushed["allow_patterns"] == ["model.json", "README.md", "weights-*.safetensors"]
