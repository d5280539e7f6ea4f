"""The pre-training run, from shard set to checkpoint; in one process, or in each of those that torchrun starts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from qualityfm.config import to_plain
from qualityfm.errors import ConfigError, problem
from qualityfm.models.checkpoint import save_checkpoint
from qualityfm.models.network import Network
from qualityfm.pretrain import heldout as watching
from qualityfm.pretrain import watch
from qualityfm.pretrain.batches import HELD_BACK, PairBatches
from qualityfm.pretrain.calibrate import calibrate
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.feed import BatchSource, fed
from qualityfm.pretrain.noise import load_noise, noise_name
from qualityfm.pretrain.objective import Objective, Outcome
from qualityfm.pretrain.onlooker import Onlooker, is_time_to_look
from qualityfm.pretrain.opening import claim, hold_out, open_data, require_same_plan
from qualityfm.pretrain.preset import Preset
from qualityfm.pretrain.progress import RunSummary, StepReport
from qualityfm.pretrain.start import start_from
from qualityfm.pretrain.step import new_state, take_step
from qualityfm.training import ranks, runtime
from qualityfm.training.engine import Engine, EngineConfig
from qualityfm.training.log import RunLog, draw_curves
from qualityfm.training.state import STATE, TrainingState, read_state
from qualityfm.training.stop import StopRequest

CHECKPOINT = "checkpoint"


def pretrain(
    preset: Preset,
    data: str | Path | Sequence[str | Path],
    out: Path,
    *,
    init: Path | None = None,
    heldout: str | Path | Sequence[str | Path] | None = None,
    noise: Path | None = None,
    steps: int | None = None,
    stop_after: int | None = None,
    threads: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    engine: EngineConfig | None = None,
    save_every_s: float = 300.0,
    report: Callable[[StepReport], None] | None = None,
) -> RunSummary:
    """Pre-train a model on a shard set; goes on where an earlier run in `out` stopped.

    Started by torchrun, each process works on its share of every batch; the first one writes and reports.

    Args:
        preset: What to train and how.
        data: Data set to learn from, a folder or URL; or several that share no recording.
        init: Checkpoint whose weights the run begins with; by default it begins at random.
        out: Run folder: checkpoint/, log.jsonl, tensorboard/, curves.png, samples.png and the state to resume from.
        heldout: Shard set that is never learnt from, or several; by default a tenth of the patients of `data`.
        noise: Folder of WFDB noise records for made pairs; None for modelled noise.
        steps: Length of the run; by default the preset's epochs.
        stop_after: Save and stop after this step of the plan, to go on later.
        threads: CPU threads; None leaves torch's choice.
        seed: In place of the preset's.
        device: Torch device.
        engine: Precision, sharding and accumulation; by default those of one device.
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
    runtime.start(seed=config.seed, threads=threads, device=device)
    with ranks.joined(device) as place:
        material = _gather(replace(preset, pretrain=config), data, heldout, noise)
        run = _begin(material, out, init, steps, engine or EngineConfig(), place)
        return _work(run, stop_after, save_every_s, report)


@dataclass(frozen=True, kw_only=True)
class _Material:
    """What a run is made from."""

    preset: Preset
    batches: PairBatches
    checks: PairBatches
    about: dict[str, Any]
    plan: dict[str, Any]


@dataclass(kw_only=True)
class _Run:
    """A run at work."""

    material: _Material
    engine: Engine
    objective: Objective
    state: TrainingState
    num_steps: int
    out: Path
    last_check: dict[str, float]
    onlooker: Onlooker

    @property
    def config(self) -> PretrainConfig:
        return self.material.preset.pretrain


def _gather(
    preset: Preset,
    data: str | Path | Sequence[str | Path],
    heldout: str | Path | Sequence[str | Path] | None,
    noise: Path | None,
) -> _Material:
    """Open data and noise, and say what the run is about."""
    reader = open_data(data, preset)
    train_rows, heldout_reader, heldout_rows = hold_out(reader, heldout, preset)
    seed = preset.pretrain.seed
    bank = load_noise(noise, sample_rate_hz=preset.segments.sample_rate_hz, seed=seed)
    shape = (preset.pretrain, preset.model, bank)
    plan = {
        "preset": to_plain(preset),
        "data": reader.content_hash,
        "noise": noise_name(noise),
        "heldout": heldout_reader.content_hash if heldout else None,
    }
    about = {"name": preset.name, "pretrain": to_plain(preset.pretrain), "data": reader.describe(train_rows)}
    return _Material(
        preset=preset,
        batches=PairBatches(reader, train_rows, *shape, seed=seed, held_back=HELD_BACK),
        checks=PairBatches(heldout_reader, heldout_rows, *shape, seed=watching.SEED),
        about={**about, "noise": plan["noise"]},
        plan=plan,
    )


def _begin(
    material: _Material,
    out: Path,
    init: Path | None,
    steps: int | None,
    settings: EngineConfig,
    place: torch.device,
) -> _Run:
    """Build the networks and take over the state of an earlier run, if there is one."""
    preset, config = material.preset, material.preset.pretrain
    num_steps = steps or math.ceil(config.epochs * len(material.batches.index) / config.batch_size)
    objective = Objective(Network(preset.segments, preset.model), config)
    begun_with = material.about["init"] = None if init is None else start_from(objective, init)
    objective = objective.to(place)
    is_sharded = settings.sharding == "shard"
    if is_sharded:
        torch.export.register_dataclass(Outcome)  # FSDP looks for the tensors of an answer, which it waits for
    engine = Engine(objective, settings, place)
    engine.parts(config.batch_size)  # refuses a batch that cannot be shared, before anything is written
    state = new_state(objective, config, is_sharded=is_sharded)
    how = {"precision": engine.precision, "sharding": settings.sharding, "accumulate": settings.accumulate}
    plan = {**material.plan, "init": begun_with, "num_steps": num_steps, "engine": how}
    if ranks.is_first():
        claim(out)
    ranks.wait()
    if (out / STATE).is_file():
        known = read_state(out)["history"].get("plan") or {}
        require_same_plan(known, plan, out)  # before loading, which another network could not
        state.load(out)
    else:
        start = watching.check(objective, material.checks, place)
        state.history = {"plan": plan, "num_natural": 0, "num_made": 0, "heldout_start": start}
        state.save(out)  # a disk without room is found now, not after hours
    last_check = dict(state.history.get("heldout_last") or state.history["heldout_start"])
    return _Run(
        material=material,
        engine=engine,
        objective=objective,
        state=state,
        num_steps=num_steps,
        out=out,
        last_check=last_check,
        onlooker=Onlooker(material.batches, material.checks, place),
    )


def _work(
    run: _Run, stop_after: int | None, save_every_s: float, report: Callable[[StepReport], None] | None
) -> RunSummary:
    """Take the steps that are left, save now and then, and close the run."""
    state, place = run.state, run.engine.place
    log = RunLog(run.out, last_step=state.step or -1) if ranks.is_first() else None
    end = min(run.num_steps, stop_after or run.num_steps)
    last_save = time.monotonic()
    if state.step == 0:
        start = {f"heldout/{name}": value for name, value in state.history["heldout_start"].items()} | _look(run, log)
        if log is not None:
            log.write(0, start)
    parts = run.engine.parts(run.config.batch_size)
    ahead = fed(run.material.batches, range(state.step, end), parts, run.engine.config.workers)
    with StopRequest() as stop, ahead as source:
        must_stop = False
        while state.step < end and not must_stop:
            told, values = _one_step(run, source)
            values |= _look(run, log)
            if log is not None:
                log.write(state.step, values)
            if report and ranks.is_first():
                report(told)
            is_due = time.monotonic() - last_save > save_every_s
            must_stop, must_save = ranks.any_rank(stop.asked, is_due, device=place)
            if must_save:
                _save(run)
                last_save = time.monotonic()
    if log is not None:
        log.close()
    _save(run, is_end=state.step == run.num_steps)
    if ranks.is_first():
        draw_curves(run.out)
    return _summary(run)


def _look(run: _Run, log: RunLog | None) -> dict[str, float]:
    """Where it is time, let the onlooker see the teacher's network; every process takes part, the first one looks."""
    if not is_time_to_look(run.state.step, run.num_steps):
        return {}
    network = whole_network(run)
    return {} if network is None or log is None else run.onlooker.look(network, run.state.step, log)


def _one_step(run: _Run, source: BatchSource) -> tuple[StepReport, dict[str, float]]:
    """Take one step, and look at the held-out patients where it is time; return what to show and what to log."""
    state, began = run.state, time.monotonic()
    values = take_step(run.engine, state, source, run.config, run.num_steps)
    is_check = state.step % max(1, min(100, run.num_steps // 10)) == 0 or state.step == run.num_steps
    if is_check:
        run.last_check = watching.check(run.objective, run.material.checks, run.engine.place)
        state.history["heldout_last"] = run.last_check
        state.history["heldout_lowest"] = watch.lowest(_lowest(state), run.last_check)
        values |= {f"heldout/{k}": v for k, v in run.last_check.items()}
    seconds = time.monotonic() - began
    told = StepReport(
        step=state.step,
        num_steps=run.num_steps,
        loss=values["loss"],
        pairs_per_s=run.config.batch_size / seconds,
        heldout_loss=run.last_check["loss"] if is_check else None,
        is_collapsed=watch.is_collapsed(state.history["heldout_start"], run.last_check),
    )
    return told, values | {"seconds": seconds}


def _save(run: _Run, *, is_end: bool = False) -> None:
    """Save the state to resume from, and the teacher's network as the checkpoint to use; calibrated at the end."""
    run.state.save(run.out)
    network = whole_network(run)
    if network is None:
        ranks.wait()
        return
    about = {**run.material.about, "metrics": _metrics(run.state)}
    if is_end:
        fitted = calibrate(network.eval(), run.material.checks, run.engine.place)
        about["calibration"] = None if fitted is None else to_plain(fitted)
    save_checkpoint(run.out / CHECKPOINT, network, about)
    ranks.wait()


def whole_network(run: _Run) -> Network | None:
    """Return the teacher's network with all its weights, in the first process; None in the others."""
    network = run.objective.teacher.network
    if not run.state.is_sharded:
        return network if ranks.is_first() else None
    from qualityfm.training.sharded import whole_tensors

    tensors = whole_tensors(network)
    if not ranks.is_first():
        return None
    whole = Network(network.segments, network.config)
    whole.load_state_dict(tensors)
    return whole.to(run.engine.place)


def _lowest(state: TrainingState) -> dict[str, float]:
    """Return the least of each sign of collapse so far; a state that was saved before they were kept has its start."""
    return dict(state.history.get("heldout_lowest") or watch.lowest(state.history["heldout_start"]))


def _metrics(state: TrainingState) -> dict[str, Any]:
    history = state.history
    return {
        "steps": state.step,
        "num_steps": history["plan"]["num_steps"],
        "num_natural_pairs": history["num_natural"],
        "num_made_pairs": history["num_made"],
        "heldout_start": history["heldout_start"],
        "heldout_end": history.get("heldout_last"),
        "heldout_lowest": _lowest(state),
    }


def _summary(run: _Run) -> RunSummary:
    history = run.state.history
    return RunSummary(
        folder=run.out,
        steps=run.state.step,
        num_steps=run.num_steps,
        heldout_start=history["heldout_start"],
        heldout_end=run.last_check,
        num_natural=history["num_natural"],
        num_made=history["num_made"],
        is_collapsed=watch.is_collapsed(history["heldout_start"], _lowest(run.state)),
    )
