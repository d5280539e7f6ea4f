"""The pre-training run, from shard set to checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qualityfm.config import first_difference, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.files import disk_problem
from qualityfm.models.checkpoint import save_checkpoint
from qualityfm.models.network import Network
from qualityfm.pretrain import watch
from qualityfm.pretrain.batches import PairBatches
from qualityfm.pretrain.calibrate import calibrate
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.noise import load_noise, noise_name
from qualityfm.pretrain.objective import Objective
from qualityfm.pretrain.preset import Preset
from qualityfm.pretrain.start import start_from
from qualityfm.shards.format import INDEX_FILE
from qualityfm.shards.joined import JoinedReader
from qualityfm.shards.splits import refuse_leakage, split_by_subject
from qualityfm.training import runtime
from qualityfm.training.log import RunLog, draw_curves
from qualityfm.training.schedule import cosine, warmup_cosine
from qualityfm.training.state import STATE, TrainingState
from qualityfm.training.stop import StopRequest

#: Held-out pairs that are scored each time, and the share of recordings held out where no other set is given.
NUM_HELDOUT_PAIRS, HELDOUT_FRACTION = 256, 0.1

#: The held-out pairs are drawn with a seed of their own, so that they are the same in every run on the same data.
HELDOUT_SEED = 7_919

CHECKPOINT = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What a progress display needs after each step."""

    step: int
    num_steps: int
    loss: float
    pairs_per_s: float
    heldout_loss: float | None


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended.

    Attributes:
        folder: The run's folder; its checkpoint lies in `checkpoint/`.
        steps: Steps done.
        num_steps: Steps planned.
        heldout_start: Held-out losses before the first step.
        heldout_end: The same at the last check, with feature spread, effective rank
            and teacher entropy.
        num_natural: Pairs of two segments seen so far.
        num_made: Pairs made by adding noise.
        is_collapsed: Whether spread or rank fell below their bounds.
    """

    folder: Path
    steps: int
    num_steps: int
    heldout_start: dict[str, float]
    heldout_end: dict[str, float]
    num_natural: int
    num_made: int
    is_collapsed: bool

    @property
    def is_finished(self) -> bool:
        """Whether all planned steps are done."""
        return self.steps >= self.num_steps


def pretrain(
    preset: Preset,
    data: str | Path | Sequence[str | Path],
    out: Path,
    *,
    heldout: str | Path | None = None,
    noise: Path | None = None,
    init: Path | None = None,
    steps: int | None = None,
    stop_after: int | None = None,
    threads: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    save_every_s: float = 300.0,
    report: Callable[[StepReport], None] | None = None,
) -> RunSummary:
    """Pre-train a model on a shard set; goes on where an earlier run in `out` stopped.

    Args:
        preset: What to train and how.
        data: Data set to learn from, a folder or URL; or several that share no recording.
        out: Run folder: checkpoint/, log.jsonl, tensorboard/, curves.png and the state to resume from.
        heldout: Shard set that is never learnt from; by default a tenth of the patients of `data`.
        noise: Folder of WFDB noise records for made pairs; None for modelled noise.
        init: Checkpoint whose weights the run begins with; by default it begins at random.
        steps: Length of the run; by default the preset's epochs.
        stop_after: Save and stop after this step of the plan, to go on later.
        threads: CPU threads; None leaves torch's choice.
        seed: In place of the preset's.
        device: Torch device.
        save_every_s: Seconds between saves.
        report: Called after every step.

    Raises:
        ConfigError: Preset, data and earlier state do not belong together, or an argument is out of range.
        TaskError: Nobody can be held out: fewer than two patients.
        FormatError: A shard set or state is damaged, or the disk is full.
    """
    if steps is not None and steps < 1:
        raise ConfigError(problem("cannot start", where="pretrain", field="steps", found=steps, expected="at least 1"))
    config = preset.pretrain if seed is None else replace(preset.pretrain, seed=seed)
    place = runtime.start(seed=config.seed, threads=threads, device=device)
    reader = _open_data(data, preset)
    train_rows, heldout_reader, heldout_rows = _hold_out(reader, heldout, preset)
    bank = load_noise(noise, sample_rate_hz=preset.segments.sample_rate_hz, seed=config.seed)
    batches = PairBatches(reader, train_rows, config, preset.model, bank, seed=config.seed)
    checks = PairBatches(heldout_reader, heldout_rows, config, preset.model, bank, seed=HELDOUT_SEED)
    num_steps = steps or math.ceil(config.epochs * len(train_rows) / config.batch_size)

    objective = Objective(Network(preset.segments, preset.model), config)
    begun_with = None if init is None else start_from(objective, init)
    objective = objective.to(place)
    state = _new_state(objective, config)
    plan = {
        "preset": to_plain(replace(preset, pretrain=config)),
        "data": reader.content_hash,
        "num_steps": num_steps,
        "noise": noise_name(noise),
        "heldout": None if heldout is None else heldout_reader.content_hash,
        "init": begun_with,
    }
    _claim(out)
    if (out / STATE).is_file():
        state.load(out)
        _require_same_plan(state.history["plan"], plan, out)
    else:
        state.history = {
            "plan": plan,
            "num_natural": 0,
            "num_made": 0,
            "heldout_start": _check(objective, checks, place),
        }
        state.save(out)  # a disk without room is found now, not after hours
    log = RunLog(out, last_step=state.step or -1)
    if state.step == 0:
        log.write(0, {f"heldout/{k}": v for k, v in state.history["heldout_start"].items()})

    about = {
        "name": preset.name,
        "pretrain": to_plain(config),
        "data": reader.describe(train_rows),
        "noise": plan["noise"],
        "init": begun_with,
    }
    last_check = dict(state.history.get("heldout_last") or state.history["heldout_start"])
    check_every = max(1, min(100, num_steps // 10))
    last_save = time.monotonic()
    with StopRequest() as stop:
        for step in _steps(state.step, min(num_steps, stop_after or num_steps), stop):
            began = time.monotonic()
            _schedule(state.optimizer, config, step, num_steps)
            batch = batches.batch(step).to(place)
            values = _learn(objective, batch, state.optimizer, config)
            objective.teacher.follow(
                objective.network, objective.projection, cosine(config.teacher_momentum, 1.0, step, num_steps)
            )
            state.step = step + 1
            num_made = int(batch.same_moment.sum())
            state.history["num_made"] += num_made
            state.history["num_natural"] += len(batch.same_moment) - num_made
            values |= {"made_share": num_made / len(batch.same_moment)}
            is_check = state.step % check_every == 0 or state.step == num_steps
            if is_check:
                last_check = state.history["heldout_last"] = _check(objective, checks, place)
                values |= {f"heldout/{k}": v for k, v in last_check.items()}
            seconds = time.monotonic() - began
            log.write(step + 1, values | {"seconds": seconds, "learning_rate": state.optimizer.param_groups[0]["lr"]})
            if report:
                report(
                    StepReport(
                        step=state.step,
                        num_steps=num_steps,
                        loss=values["loss"],
                        pairs_per_s=len(batch.same_moment) / seconds,
                        heldout_loss=last_check["loss"] if is_check else None,
                    )
                )
            if time.monotonic() - last_save > save_every_s:
                _save(state, objective, out, about)
                last_save = time.monotonic()
    if state.step == num_steps:
        fitted = calibrate(objective.teacher.network.eval(), checks, place)
        about["calibration"] = None if fitted is None else to_plain(fitted)
    _save(state, objective, out, about)
    log.close()
    draw_curves(out)
    return _summary(state, num_steps, out, last_check)


def _open_data(data: str | Path | Sequence[str | Path], preset: Preset) -> JoinedReader:
    reader = JoinedReader([data] if isinstance(data, str | Path) else data)
    found, wanted = reader.segments, preset.segments
    if found != wanted:
        names = [name for name, value in to_plain(wanted).items() if to_plain(found)[name] != value]
        raise ConfigError(
            problem(
                f"{reader.url} was not prepared for preset {preset.name!r}",
                where=reader.url,
                field=f"segments.{names[0]}",
                found=to_plain(found)[names[0]],
                expected=repr(to_plain(wanted)[names[0]]),
                advice=f"run: qualityfm prepare ARCHIVE --out DATASET --preset {preset.name}",
            )
        )
    return reader


def _hold_out(
    reader: JoinedReader, heldout: str | Path | None, preset: Preset
) -> tuple[np.ndarray, JoinedReader, np.ndarray]:
    """Return the training rows, and the reader and rows that are only ever looked at."""
    if heldout is None:
        train, held = split_by_subject(reader, HELDOUT_FRACTION, seed=0)
        return train, reader, held
    other = _open_data(heldout, preset)
    refuse_leakage(reader, other)
    return np.arange(len(reader)), other, np.arange(len(other))


def _new_state(objective: Objective, config: PretrainConfig) -> TrainingState:
    # Decay pulls on matrices only: shrinking biases and norms helps nobody.
    parameters = objective.student_parameters()
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "decays": True},
        {"params": [p for p in parameters if p.ndim < 2], "decays": False, "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if config.decoupled_weight_decay else torch.optim.Adam
    optimizer = kind(groups, lr=0.0)
    return TrainingState(step=0, modules={"objective": objective}, optimizer=optimizer, history={})


def _require_same_plan(found: dict[str, Any], wanted: dict[str, Any], out: Path) -> None:
    for field in wanted:
        if found.get(field) != wanted[field]:
            name, was, now = first_difference(found.get(field), wanted[field], field)
            raise ConfigError(
                problem(
                    "the run in this folder follows another plan",
                    where=out,
                    field=name,
                    found=was,
                    expected=repr(now),
                    advice="choose another folder with --out, or repeat the earlier settings to resume",
                )
            )


def _claim(out: Path) -> None:
    """Make the run's folder, unless something else lives there."""
    if (out / INDEX_FILE).is_file() or (out.exists() and not out.is_dir()):
        found = "a data set" if out.is_dir() else "a file"
        expected = "a new folder, or one of an earlier run"
        raise ConfigError(problem("cannot train here", where=out, field="out", found=found, expected=expected))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_problem(error, out) from error


def _steps(first: int, end: int, stop: StopRequest) -> Iterator[int]:
    for step in range(first, end):
        if stop.asked:
            return
        yield step


def _schedule(optimizer: torch.optim.Optimizer, config: PretrainConfig, step: int, num_steps: int) -> None:
    peak = config.learning_rate_at_256 * config.batch_size / 256
    rate = warmup_cosine(peak, config.final_learning_rate, step, num_steps, config.warmup_share)
    decay = cosine(config.weight_decay, config.final_weight_decay, step, num_steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
        if group["decays"]:
            group["weight_decay"] = decay


def _learn(
    objective: Objective, batch: Any, optimizer: torch.optim.Optimizer, config: PretrainConfig
) -> dict[str, float]:
    """Take one step of the student and return its losses.

    Raises:
        FormatError: Loss or gradient are not finite; the weights are left as they were.
    """
    objective.train()
    outcome = objective(batch)
    loss = outcome.terms["loss"]
    _require_finite("loss", loss)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    limit = config.gradient_clip or float("inf")
    norm = torch.nn.utils.clip_grad_norm_(objective.student_parameters(), limit)
    _require_finite("gradient norm", norm)
    optimizer.step()
    return {**outcome.numbers(), "gradient_norm": float(norm)}


def _require_finite(field: str, value: torch.Tensor) -> None:
    if not torch.isfinite(value):
        raise FormatError(
            problem(
                "training broke down",
                where="step",
                field=field,
                found=float(value),
                expected="a finite number",
                advice="the last save is intact; start again in a new folder with a lower learning rate",
            )
        )


@torch.no_grad()
def _check(objective: Objective, checks: PairBatches, place: torch.device) -> dict[str, float]:
    """Return held-out losses, and the collapse indicators of the teacher on the same pairs."""
    was_training = objective.training
    objective.eval()
    batch_size = checks.config.batch_size
    num_batches = max(1, min(NUM_HELDOUT_PAIRS, 4 * len(checks.index)) // batch_size)
    sums: dict[str, float] = {}
    pooled, logits = [], []
    for number in range(num_batches):
        batch = checks.batch(number).to(place)
        outcome = objective(batch)
        for name, value in outcome.numbers().items():
            sums[name] = sums.get(name, 0.0) + value / num_batches
        pooled.append(outcome.teacher_pooled)
        logits.append(outcome.teacher_logits)
    objective.train(was_training)
    features = torch.cat(pooled)
    return sums | {
        "feature_spread": watch.feature_spread(features),
        "effective_rank": watch.effective_rank(features),
        "teacher_entropy": watch.softmax_entropy(torch.cat(logits), checks.config.teacher_temperature),
    }


def _save(state: TrainingState, objective: Objective, out: Path, about: dict[str, Any]) -> None:
    """Save the state to resume from, and the teacher's network as the checkpoint to use."""
    state.save(out)
    metrics = {
        "steps": state.step,
        "num_steps": state.history["plan"]["num_steps"],
        "num_natural_pairs": state.history["num_natural"],
        "num_made_pairs": state.history["num_made"],
        "heldout_start": state.history["heldout_start"],
        "heldout_end": state.history.get("heldout_last"),
    }
    save_checkpoint(out / CHECKPOINT, objective.teacher.network, {**about, "metrics": metrics})


def _summary(state: TrainingState, num_steps: int, out: Path, last_check: dict[str, float]) -> RunSummary:
    start = state.history["heldout_start"]
    return RunSummary(
        folder=out,
        steps=state.step,
        num_steps=num_steps,
        heldout_start=start,
        heldout_end=last_check,
        num_natural=state.history["num_natural"],
        num_made=state.history["num_made"],
        is_collapsed=watch.is_collapsed(start, last_check),
    )
