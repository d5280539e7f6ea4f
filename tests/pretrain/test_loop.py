import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from qualityfm.errors import ConfigError, FormatError
from qualityfm.inference.loading import load_model
from qualityfm.models.checkpoint import load_checkpoint
from qualityfm.pretrain.loop import pretrain
from qualityfm.pretrain.preset import load_preset
from qualityfm.training.log import read_log


def losses(folder):
    return [(line["step"], line["loss"]) for line in read_log(folder) if "loss" in line]


def weights(folder):
    return load_checkpoint(folder / "checkpoint")[0].state_dict()


def test_four_steps_equal_two_and_two_bit_for_bit(small_preset, small_data, tmp_path):
    whole = pretrain(small_preset, small_data, tmp_path / "whole", steps=4, threads=1)
    first = pretrain(small_preset, small_data, tmp_path / "parts", steps=4, stop_after=2, threads=1)
    assert (first.steps, first.is_finished) == (2, False)
    torch.manual_seed(12345)  # what happens between two sessions must not matter
    second = pretrain(small_preset, small_data, tmp_path / "parts", steps=4, threads=1)
    assert second.is_finished
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert whole.heldout_end == second.heldout_end
    cards = [load_checkpoint(tmp_path / name / "checkpoint")[1]["metrics"] for name in ("whole", "parts")]
    assert cards[0]["heldout_lowest"] == cards[1]["heldout_lowest"]
    for sign, value in cards[0]["heldout_lowest"].items():
        assert value <= min(whole.heldout_start[sign], whole.heldout_end[sign])
    assert (whole.num_made, whole.num_natural) == (second.num_made, second.num_natural)
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "parts")[name]), name


def test_resuming_is_exact_with_dropout_too(small_preset, small_data, tmp_path):
    preset = replace(small_preset, model=replace(small_preset.model, dropout=0.1))
    pretrain(preset, small_data, tmp_path / "whole", steps=4, threads=1)
    pretrain(preset, small_data, tmp_path / "parts", steps=4, stop_after=2, threads=1)
    pretrain(preset, small_data, tmp_path / "parts", steps=4, threads=1)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_other_noise_or_another_held_out_set_is_another_plan(small_preset, small_data, other_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=4, stop_after=2, threads=1)
    with pytest.raises(ConfigError, match="heldout: found None"):
        pretrain(small_preset, small_data, tmp_path, steps=4, heldout=other_data, threads=1)


def test_a_gradient_that_is_not_finite_stops_the_run_and_leaves_the_last_save(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=4, stop_after=2, threads=1)
    before = (tmp_path / "state.json").read_text()
    state = json.loads(before)
    state["history"]["plan"]["preset"]["pretrain"]["distill_weight"] = 1e38
    (tmp_path / "state.json").write_text(json.dumps(state))
    broken = replace(small_preset, pretrain=replace(small_preset.pretrain, distill_weight=1e38))
    with pytest.raises(FormatError, match=r"training broke down: step: .* expected a finite number"):
        pretrain(broken, small_data, tmp_path, steps=4, threads=1, save_every_s=0.0)
    (tmp_path / "state.json").write_text(before)
    assert pretrain(small_preset, small_data, tmp_path, steps=4, threads=1).is_finished


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("steps", -3), ("threads", 0), ("seed", -1)])
def test_an_impossible_argument_is_refused_by_name(small_preset, small_data, tmp_path, name, value):
    with pytest.raises(ConfigError, match=name):
        pretrain(small_preset, small_data, tmp_path, **{"steps": 1, name: value})


def test_training_lowers_the_held_out_loss(small_preset, small_data, tmp_path):
    summary = pretrain(small_preset, small_data, tmp_path, steps=40, threads=1)
    assert summary.heldout_end["loss"] < summary.heldout_start["loss"]
    assert summary.num_made + summary.num_natural == 40 * 8
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_papers_recipe_trains_from_the_same_code(tmp_path):
    from qualityfm.prepare.archive import prepare
    from qualityfm.sources.wfdb_files import write_wfdb
    from qualityfm.waveform.simulate import SimulationConfig, simulate

    paper = load_preset("paper-base")
    preset = replace(
        paper,
        segments=replace(paper.segments, min_recording_s=0.0),
        model=replace(paper.model, num_layers=1),
        pretrain=replace(paper.pretrain, batch_size=4),
    )
    for seed in range(3):
        write_wfdb(simulate(seed, SimulationConfig(duration_s=120.0)).recording, tmp_path / "archive")
    prepare(tmp_path / "archive", tmp_path / "data", config=preset.segments)
    summary = pretrain(preset, tmp_path / "data", tmp_path / "run", steps=3, threads=1)
    assert summary.is_finished
    assert all(torch.isfinite(torch.tensor(loss)) for _, loss in losses(tmp_path / "run"))
    assert load_model(tmp_path / "run").network.quality is None


def test_the_teacher_is_what_the_checkpoint_holds(small_preset, small_data, tmp_path):
    from safetensors.torch import load_file

    pretrain(small_preset, small_data, tmp_path, steps=3, threads=1)
    state = load_file(next(tmp_path.glob("state-*.safetensors")))
    for name, value in weights(tmp_path).items():
        assert torch.equal(value, state[f"module/objective/teacher.network.{name}"])
    assert not torch.equal(
        state["module/objective/network.encoder.summary"], state["module/objective/teacher.network.encoder.summary"]
    )


def test_a_signal_ends_the_step_saves_and_the_same_call_resumes(small_preset, small_data, tmp_path):
    def interrupt(step):
        if step.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = pretrain(small_preset, small_data, tmp_path / "a", steps=5, threads=1, report=interrupt)
    assert stopped.steps == 2
    done = pretrain(small_preset, small_data, tmp_path / "a", steps=5, threads=1)
    assert done.is_finished
    pretrain(small_preset, small_data, tmp_path / "b", steps=5, threads=1)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_a_folder_with_another_plan_is_left_alone(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=2, threads=1)
    before = (tmp_path / "state.json").read_text()
    with pytest.raises(ConfigError, match="num_steps: found 2, expected 3"):
        pretrain(small_preset, small_data, tmp_path, steps=3, threads=1)
    assert (tmp_path / "state.json").read_text() == before


def test_the_setting_that_differs_from_the_earlier_run_is_named(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=2, stop_after=1, threads=1)
    with pytest.raises(ConfigError, match=r"preset\.pretrain\.seed: found 0, expected 3"):
        pretrain(small_preset, small_data, tmp_path, steps=2, threads=1, seed=3)


def test_a_folder_of_another_network_names_the_setting_before_any_weight_is_loaded(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=2, stop_after=1, threads=1)
    wider = replace(small_preset, model=replace(small_preset.model, width=2 * small_preset.model.width))
    with pytest.raises(ConfigError, match=r"follows another plan: .*preset\.model\.width"):
        pretrain(wider, small_data, tmp_path, steps=2, threads=1)


def test_a_data_set_is_no_place_for_a_run(small_preset, small_data):
    before = sorted(path.name for path in small_data.iterdir())
    with pytest.raises(ConfigError, match="out: found 'a data set'"):
        pretrain(small_preset, small_data, small_data, steps=1, threads=1)
    assert sorted(path.name for path in small_data.iterdir()) == before


def test_data_of_another_recipe_is_refused_with_the_command_that_helps(small_data, tmp_path):
    with pytest.raises(ConfigError, match="qualityfm prepare ARCHIVE --out DATASET --preset paper-base"):
        pretrain(load_preset("paper-base"), small_data, tmp_path, steps=1)


def test_a_held_out_patient_that_is_also_trained_on_is_refused(small_preset, small_data, tmp_path):
    with pytest.raises(Exception, match="simulated-sinus"):
        pretrain(small_preset, small_data, tmp_path, heldout=small_data, steps=1)


def test_another_shard_set_can_be_held_out(small_preset, small_data, other_data, tmp_path):
    summary = pretrain(small_preset, small_data, tmp_path, heldout=other_data, steps=2, threads=1)
    assert summary.is_finished


def test_a_damaged_state_is_found_before_use(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=4, stop_after=2, threads=1)
    tensors = next(tmp_path.glob("state-*.safetensors"))
    data = bytearray(tensors.read_bytes())
    data[len(data) // 2] ^= 4
    tensors.write_bytes(data)
    with pytest.raises(FormatError, match="damaged state"):
        pretrain(small_preset, small_data, tmp_path, steps=4, threads=1)


def test_the_card_tells_data_recipe_and_figures(small_preset, small_data, tmp_path):
    pretrain(small_preset, small_data, tmp_path, steps=2, threads=1)
    card = json.loads((tmp_path / "checkpoint" / "model.json").read_text())
    assert card["name"] == "small"
    assert card["segments"]["sample_rate_hz"] == 125.0
    assert card["pretrain"]["objective"] == "aligned"
    assert len(card["data"]["content_hash"]) == 64
    assert card["noise"] == "modelled"
    assert card["metrics"]["num_made_pairs"] + card["metrics"]["num_natural_pairs"] == 16


def test_a_full_disk_while_saving_is_one_clear_line(small_preset, small_data, tmp_path, monkeypatch):
    from qualityfm.training import state

    def refuse(tensors, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "save_file", refuse)
    with pytest.raises(FormatError, match="No space left on device") as caught:
        pretrain(small_preset, small_data, tmp_path, steps=2, threads=1)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob(".writing-*"))
