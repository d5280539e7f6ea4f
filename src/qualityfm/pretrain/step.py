"""One step of the student and of the teacher behind it."""

from __future__ import annotations

import math
from typing import Any

import torch

from qualityfm.errors import FormatError, problem
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.feed import BatchSource
from qualityfm.pretrain.objective import Objective
from qualityfm.training import ranks, runtime
from qualityfm.training.engine import Engine
from qualityfm.training.schedule import cosine, warmup_cosine
from qualityfm.training.state import TrainingState


def new_state(objective: Objective, config: PretrainConfig, *, is_sharded: bool) -> TrainingState:
    """Return the state of a run that has taken no step yet."""
    # Decay pulls on matrices only: shrinking biases and norms helps nobody.
    parameters = objective.student_parameters()
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "decays": True},
        {"params": [p for p in parameters if p.ndim < 2], "decays": False, "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if config.decoupled_weight_decay else torch.optim.Adam
    optimizer = kind(groups, lr=0.0)
    return TrainingState(
        step=0, modules={"objective": objective}, optimizer=optimizer, history={}, is_sharded=is_sharded
    )


def take_step(
    engine: Engine, state: TrainingState, batches: BatchSource, config: PretrainConfig, num_steps: int
) -> dict[str, float]:
    """Take the next step and return its losses over the whole batch.

    Raises:
        FormatError: Loss or gradient are not finite; the weights are left as they were.
    """
    step, objective = state.step, engine.module
    assert isinstance(objective, Objective)
    _schedule(state.optimizer, config, step, num_steps)
    runtime.seed_step(config.seed, step, ranks.index())
    values = _learn(engine, state, batches, config)
    momentum = cosine(config.teacher_momentum, 1.0, step, num_steps)
    objective.teacher.follow(objective.network, objective.projection, momentum)
    state.step += 1
    num_made = round(values["made_share"] * config.batch_size)
    state.history["num_made"] += num_made
    state.history["num_natural"] += config.batch_size - num_made
    return values | {"learning_rate": state.optimizer.param_groups[0]["lr"]}


def _learn(engine: Engine, state: TrainingState, batches: BatchSource, config: PretrainConfig) -> dict[str, float]:
    """Move the student's weights and return the losses, the share of made pairs and the norm of the gradient."""
    objective, optimizer = engine.module, state.optimizer
    assert isinstance(objective, Objective)
    objective.train()
    optimizer.zero_grad(set_to_none=True)
    parts = engine.parts(config.batch_size)
    values: dict[str, float] = {}
    for number, part in enumerate(parts, start=1):
        batch = batches.batch(state.step, part).to(engine.place)
        with engine.collecting(is_last=number == len(parts)):
            terms = engine(batch).terms
            numbers = _over_ranks({**terms, "made_share": batch.same_moment.float().mean()})
            _require_finite("loss", numbers["loss"])
            (terms["loss"] / len(parts)).backward()
        values = {name: values.get(name, 0.0) + value / len(parts) for name, value in numbers.items()}
    norm = float(engine.clip(objective.student_parameters(), config.gradient_clip or float("inf")))
    _require_finite("gradient norm", norm)
    optimizer.step()
    return {**values, "gradient_norm": norm}


def _over_ranks(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return the mean of each term over the processes, as plain numbers."""
    means = ranks.mean_over_ranks(torch.stack([value.detach().float() for value in terms.values()]))
    return dict(zip(terms, means.tolist(), strict=True))


def _schedule(optimizer: torch.optim.Optimizer, config: PretrainConfig, step: int, num_steps: int) -> None:
    peak = config.learning_rate_at_256 * config.batch_size / 256
    rate = warmup_cosine(peak, config.final_learning_rate, step, num_steps, config.warmup_share)
    decay = cosine(config.weight_decay, config.final_weight_decay, step, num_steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
        if group["decays"]:
            group["weight_decay"] = decay


def _require_finite(field: str, value: float) -> None:
    if not math.isfinite(value):
        raise FormatError(
            problem(
                "training broke down",
                where="step",
                field=field,
                found=value,
                expected="a finite number",
                advice="the last save is intact; start again in a new folder with a lower learning rate",
            )
        )
