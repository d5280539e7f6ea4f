"""Windows with a known answer: a fast sine is true, a slow one false; whoever learns nothing is right half the time."""

import numpy as np
import pytest

from qualityfm.finetune.body import Body, plain_resnet
from qualityfm.finetune.data import WindowSet
from qualityfm.models.config import ModelConfig
from qualityfm.models.question import Question
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.tasks.examples import Example
from qualityfm.tasks.windows import window_config

SEGMENTS = SegmentConfig(channels=("ecg", "ppg"), sample_rate_hz=50.0)
SMALL = ModelConfig(patch_samples=10, width=16, num_heads=2, num_layers=2, feed_forward=32, cause_head=False)


def make_windows(num: int, seed: int, num_outputs: int = 1) -> WindowSet:
    rng = np.random.default_rng(seed)
    is_fast = rng.random(num) < 0.5
    time_s = np.arange(200) / 50
    rate_hz = np.where(is_fast, 3.0, 1.0)[:, None]
    wave = np.sin(2 * np.pi * (rate_hz * time_s + rng.random((num, 1))))
    values = np.stack([wave, np.full_like(wave, np.nan)], axis=1) + 0.1 * rng.standard_normal((num, 2, 200))
    truth = np.repeat(is_fast[:, None].astype(float), num_outputs, axis=1)
    examples = tuple(
        Example(
            recording=f"r{i}",
            name=f"r{i}",
            start_s=0.0,
            length_s=4.0,
            subject=None,
            group=f"patient{i // 2}",
            label=tuple(truth[i]),
            fold=i // 2 % 3,
        )
        for i in range(num)
    )
    return WindowSet(
        config=window_config(SEGMENTS, 4.0),
        examples=examples,
        values=values.astype(np.float32),
        levels=np.zeros((num, 6), np.float32),
        kind=np.full(num, -1),
        truth=truth,
    )


@pytest.fixture
def windows() -> WindowSet:
    return make_windows(48, seed=1)


@pytest.fixture
def unseen() -> WindowSet:
    return make_windows(40, seed=2)


@pytest.fixture
def question() -> Question:
    return Question(task="custom", answer="binary", outputs=("fast",), window_s=4.0)


@pytest.fixture
def scratch() -> Body:
    return Body(name="scratch", kind="encoder", segments=SEGMENTS, model=SMALL, weights=None, origin={})


@pytest.fixture
def pretrained(scratch: Body) -> Body:
    """An encoder whose weights count as given; nobody trained it."""
    import dataclasses

    import torch

    from qualityfm.models.encoder import Encoder

    torch.manual_seed(3)
    weights = Encoder(SEGMENTS.channels, SMALL).state_dict()
    return dataclasses.replace(scratch, name="given", weights=weights, origin={"name": "given"})


@pytest.fixture
def resnet() -> Body:
    return plain_resnet(SEGMENTS)


@pytest.fixture
def hidden_kind() -> ChannelKind:
    return ChannelKind.ABP
