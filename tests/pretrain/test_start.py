"""A run that begins with an earlier run's weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qualityfm.errors import ConfigError
from qualityfm.inference.loading import load_model
from qualityfm.models.checkpoint import load_checkpoint, read_card, save_checkpoint
from qualityfm.models.network import Network
from qualityfm.pretrain.loop import pretrain
from qualityfm.pretrain.objective import Objective
from qualityfm.pretrain.start import start_from
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture
def checkpoint(small_preset, tmp_path):
    torch.manual_seed(1)
    network = Network(small_preset.segments, replace(small_preset.model, cause_head=False))
    save_checkpoint(tmp_path / "earlier", network, {})
    return tmp_path / "earlier"


def test_student_and_teacher_begin_where_the_earlier_run_ended(small_preset, checkpoint):
    objective = Objective(Network(small_preset.segments, small_preset.model), small_preset.pretrain)
    start_from(objective, checkpoint)
    earlier = load_checkpoint(checkpoint)[0].state_dict()
    for network in (objective.network, objective.teacher.network):
        assert all(torch.equal(network.state_dict()[name], value) for name, value in earlier.items())


def test_the_card_says_where_a_run_began(small_preset, small_data, checkpoint, tmp_path):
    pretrain(small_preset, small_data, tmp_path / "run", init=checkpoint, steps=1, threads=1)
    began = read_card(tmp_path / "run" / "checkpoint")["init"]
    assert began == read_card(checkpoint)["weights_sha256"]


def test_a_checkpoint_of_another_shape_is_refused_with_the_setting(small_preset, checkpoint):
    wider = replace(small_preset.model, feed_forward=64)
    objective = Objective(Network(small_preset.segments, wider), small_preset.pretrain)
    with pytest.raises(ConfigError, match=r"model\.feed_forward: found 32, expected 64"):
        start_from(objective, checkpoint)


def test_new_heads_that_see_findings_can_begin_on_an_earlier_encoder(small_preset, small_data, checkpoint, tmp_path):
    preset = replace(small_preset, model=replace(small_preset.model, heads_see="tokens and findings"))
    pretrain(preset, small_data, tmp_path / "run", init=checkpoint, steps=2, threads=1)
    model = load_model(tmp_path / "run")
    recording = simulate(500, SimulationConfig(duration_s=30.0)).recording
    score = model.score(recording)
    assert score.model_causes is not None
    alone = replace(recording, signals=recording.signals[2:3])
    assert np.isfinite(model.score(alone).model_good).all()
