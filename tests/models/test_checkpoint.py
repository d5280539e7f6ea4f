import json

import pytest
import torch
from safetensors import SafetensorError

from qualityfm.errors import ConfigError, FormatError
from qualityfm.models import checkpoint
from qualityfm.models.checkpoint import load_checkpoint, save_checkpoint
from qualityfm.models.config import ADDED_LATER, ModelConfig
from qualityfm.models.network import Network, count_parameters
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


def change_card(folder, change):
    """Rewrite the card of a checkpoint after `change` has had its way with it."""
    card = json.loads((folder / "model.json").read_text())
    change(card)
    (folder / "model.json").write_text(json.dumps(card))


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


def test_a_card_older_than_a_setting_means_what_it_meant_then(folder, network):
    def forget(card):
        for name in ADDED_LATER:
            del card["model"][name]

    change_card(folder, forget)
    restored, _ = load_checkpoint(folder)
    assert restored.config == network.config


def test_saving_twice_leaves_one_set_of_weights(folder, network):
    with torch.no_grad():
        network.encoder.summary += 1
    save_checkpoint(folder, network, {"name": "later"})
    assert len(list(folder.iterdir())) == 2
    assert load_checkpoint(folder)[1]["name"] == "later"


@pytest.mark.parametrize(
    "field", ["package_version", "weights", "weights_sha256", "num_parameters", "segments", "model"]
)
def test_a_card_without_a_field_is_damaged(folder, field):
    change_card(folder, lambda card: card.pop(field))
    with pytest.raises(FormatError, match=f"damaged checkpoint.*{field}"):
        load_checkpoint(folder)


@pytest.mark.parametrize(("part", "field"), [("segments", "clip"), ("segments", "scaling"), ("model", "num_global")])
def test_a_card_without_a_setting_is_refused_and_not_filled_with_a_default(folder, part, field):
    change_card(folder, lambda card: card[part].pop(field))
    with pytest.raises(FormatError, match=f"missing setting.*{field}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("value", [True, "many", None, 1.5])
def test_a_number_of_weights_that_is_no_number_is_damaged(folder, value):
    change_card(folder, lambda card: card.update(num_parameters=value))
    with pytest.raises(FormatError, match="num_parameters"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "shape",
    [{"num_layers": 10**9}, {"width": 4 * 10**8}, {"width": 4 * 10**17}, {"feed_forward": 10**30}, {"num_layers": 2}],
    ids=str,
)
def test_a_card_with_another_shape_is_refused_before_a_network_is_built(folder, shape, monkeypatch):
    monkeypatch.setattr(checkpoint, "Network", lambda *args: pytest.fail("built"))
    change_card(folder, lambda card: card["model"].update(shape))
    with pytest.raises(FormatError, match="damaged checkpoint") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_a_card_whose_size_fits_its_shape_but_not_its_weights_is_refused_before_a_network_is_built(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "Network", lambda *args: pytest.fail("built"))

    def enlarge(card):
        card["model"]["width"] = 4 * 10**6
        model = ModelConfig(**card["model"])
        card["num_parameters"] = count_parameters(SegmentConfig(segment_s=10.0), model)

    change_card(folder, enlarge)
    with pytest.raises(FormatError, match="weights do not fit"):
        load_checkpoint(folder)


def test_a_model_that_does_not_fit_its_segments_is_a_format_error(folder, monkeypatch):
    def refuse(segments, config):
        raise ConfigError("model and segments do not fit")

    monkeypatch.setattr(checkpoint, "count_parameters", refuse)
    with pytest.raises(FormatError, match="do not fit"):
        load_checkpoint(folder)


def test_a_refusal_by_the_tensor_library_is_one_clear_line(folder, network, monkeypatch):
    def refuse(tensors, path):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(checkpoint, "save_file", refuse)
    with pytest.raises(FormatError, match=r"cannot write.*No space left.*make room"):
        save_checkpoint(folder, network, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_figure_that_is_not_finite_is_refused_and_the_old_checkpoint_stays(folder, network):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FormatError, match=r"cannot save.*metrics"):
        save_checkpoint(folder, network, {"metrics": {"loss": [1.0, float("inf")]}})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_a_killed_save_left_is_removed_by_the_next(folder, network):
    (folder / ".writing-weights-0.safetensors").write_bytes(b"part")
    save_checkpoint(folder, network, {})
    assert not list(folder.glob(".*"))


def test_weights_are_as_readable_as_any_file_of_this_account(folder, tmp_path):
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in (*folder.iterdir(), tmp_path / "plain")}
    assert len(modes) == 1
