"""A run stopped at any moment goes on from a whole state, and a damaged one is named as such."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from qualityfm.errors import FormatError
from qualityfm.files import sha256_of
from qualityfm.training.state import TrainingState, read_state


def make_state(seed, width=3):
    torch.manual_seed(seed)
    module = nn.Linear(width, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    return TrainingState(step=0, modules={"student": module}, optimizer=optimizer, history={})


def take_step(state):
    loss = state.modules["student"](torch.randn(4, 3)).square().sum()
    state.optimizer.zero_grad()
    loss.backward()
    state.optimizer.step()
    state.step += 1
    return float(loss.detach())


@pytest.fixture
def saved(tmp_path):
    """The folder of a state after two steps."""
    state = make_state(0)
    state.history = {"plan": {"num_steps": 9}}
    take_step(state)
    take_step(state)
    state.save(tmp_path)
    return tmp_path


def change(folder, **values):
    """Rewrite state.json; a field given as None is left out."""
    about = json.loads((folder / "state.json").read_text()) | values
    (folder / "state.json").write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


def test_a_loaded_state_goes_on_exactly_as_the_saved_one(saved):
    state = make_state(0)
    take_step(state)
    take_step(state)
    expected = [take_step(state) for _ in range(3)]
    loaded = make_state(1)
    loaded.load(saved)
    assert (loaded.step, loaded.history) == (2, {"plan": {"num_steps": 9}})
    assert [take_step(loaded) for _ in range(3)] == expected


def test_saving_again_leaves_one_file_of_tensors_and_nothing_unfinished(saved):
    (saved / ".writing-state-00000001.safetensors").write_bytes(b"part")
    state = make_state(1)
    state.load(saved)
    take_step(state)
    state.save(saved)
    assert sorted(path.name for path in saved.iterdir()) == ["state-00000003.safetensors", "state.json"]


@pytest.mark.parametrize("field", ["step", "tensors", "tensors_sha256", "history"])
def test_a_state_without_a_field_is_damaged(saved, field):
    change(saved, **{field: None})
    with pytest.raises(FormatError, match=f"damaged state.*: {field}: found None"):
        make_state(1).load(saved)


@pytest.mark.parametrize(("field", "value"), [("step", "two"), ("step", True), ("history", [1]), ("tensors", 7)])
def test_a_field_of_another_type_is_damaged(saved, field, value):
    change(saved, **{field: value})
    with pytest.raises(FormatError, match=f"damaged state.*: {field}: "):
        read_state(saved)


@pytest.mark.parametrize("text", ["", "[]", "{", "7", "[" * 100_000, '{"format": "qualityfm-state"}'])
def test_a_state_that_is_no_state_is_damaged(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(FormatError, match="damaged state"):
        read_state(tmp_path)


def test_another_version_is_refused(saved):
    change(saved, format_version=99)
    with pytest.raises(FormatError, match="99"):
        make_state(1).load(saved)


@pytest.mark.parametrize("name", ["random/torch", "module/student/weight"])
def test_tensors_without_a_part_are_damaged(saved, name):
    path = saved / "state-00000002.safetensors"
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path)
    change(saved, tensors_sha256=sha256_of(path))
    with pytest.raises(FormatError, match="damaged state") as caught:
        make_state(1).load(saved)
    assert "\n" not in str(caught.value)


def test_a_random_stream_that_is_none_is_damaged(saved):
    path = saved / "state-00000002.safetensors"
    save_file(load_file(path) | {"random/torch": torch.zeros(3)}, path)
    change(saved, tensors_sha256=sha256_of(path))
    with pytest.raises(FormatError, match="damaged state"):
        make_state(1).load(saved)


def test_changed_tensors_are_damaged(saved):
    path = saved / "state-00000002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(FormatError, match="sha256"):
        make_state(1).load(saved)


def test_tensors_outside_the_folder_are_refused(saved):
    change(saved, tensors=f"../{saved.name}/state-00000002.safetensors")
    with pytest.raises(FormatError, match="damaged state"):
        make_state(1).load(saved)


def test_the_state_of_another_model_is_refused(saved):
    with pytest.raises(FormatError, match="damaged state"):
        make_state(1, width=4).load(saved)


def test_a_number_that_is_not_finite_is_refused_and_the_old_state_stays(saved):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    state = make_state(1)
    state.load(saved)
    state.history["heldout_last"] = {"loss": float("nan")}
    with pytest.raises(FormatError, match=r"cannot save.*state\.json: history.*expected finite numbers"):
        state.save(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
