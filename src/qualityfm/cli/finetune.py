"""`qualityfm finetune`: a pre-trained model and labels -> a model that answers a clinical task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.terminal import name_problems, progress, remark, say_facts, say_json, say_table
from qualityfm.errors import ConfigError, problem

if TYPE_CHECKING:
    from qualityfm.finetune.body import Body
    from qualityfm.finetune.config import FinetuneConfig
    from qualityfm.finetune.fit import Fitted
    from qualityfm.finetune.run import Material
    from qualityfm.tasks.examples import Example
    from qualityfm.tasks.folds import Side
    from qualityfm.tasks.task import Task

EXAMPLES = (
    "qualityfm finetune vt-alarm --data challenge2015 --labels challenge2015/records.csv --out runs/vt",
    "qualityfm finetune custom --data recordings --labels my-labels.csv --out runs/mine --how probe",
    "qualityfm finetune vt-alarm --data challenge2015 --how trees --out runs/vt-trees",
    "qualityfm finetune vt-alarm --data challenge2015 --model scratch:qualityfm-tiny --folds --out runs/vt-scratch",
)

SCRATCH, RESNET = "scratch:", "resnet"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `finetune`."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]
    """vt-alarm, alarm, af, abp, quality, or custom for a table of record, start, label."""
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder of the recordings."""
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Folder for the checkpoint, or with --folds for the scores."""
    labels: Annotated[Path | None, tyro.conf.arg(metavar="TABLE")] = None
    """Table of labels; where it has a column split, only its `train` rows are learnt from."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """An archive with labels and split of its own: vtac, mimic-perform-af, pulsedb-subset or kachuee-uci."""
    beat_lists: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """af with trees: beats of further patients to learn from, as in vitaldb_arrhythmia_annotations."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "qualityfm-tiny"
    """A shipped name, a run or a checkpoint; scratch:NAME (or a preset) for one untrained, or resnet."""
    model_folds: Annotated[str | None, tyro.conf.arg(metavar="PATTERN")] = None
    """Encoders pre-trained without a fold each, such as runs/fold{n}; {n} is the fold."""
    how: Literal["probe", "full", "adapter", "trees", "linear"] = "full"
    """probe: the head alone; full: all weights; adapter: low-rank changes of the attention; trees: boosted trees on
    hand-made features, without an encoder (vt-alarm, alarm, af, abp); linear: a shrunken linear map of them (abp)."""
    folds: bool = False
    """Cross-validate over the table's folds (made by patient where it has none) and print the figures."""
    window_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Length of a window in place of the task's; it ends where the labelled stretch ends."""
    epochs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Passes over the training windows at most."""
    inner_folds: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """More than 1: every training patient is set aside once, so that thresholds rest on all of them; costs N times."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """On the card; by default the model's name and the task."""
    half: bool = False
    """Store float16: half the size."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of everything random."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """CPU threads; a run is repeatable bit for bit at a fixed number."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Fine-tune, or cross-validate with --folds."""
    if options.how in ("trees", "linear"):
        from qualityfm.cli.finetune_trees import fit_trees

        return fit_trees(options)
    from qualityfm.finetune.run import gather, question_of, training_examples
    from qualityfm.tasks.archives import labelled_examples
    from qualityfm.tasks.folds import with_folds
    from qualityfm.tasks.task import find_task
    from qualityfm.training import runtime

    task = find_task(options.task)
    runtime.start(seed=options.seed, threads=options.threads, device="cpu")
    body = find_body(options.model)
    examples = training_examples(labelled_examples(task, options.data, options.labels, options.layout))
    question = question_of(task, examples, options.labels, options.window_s)
    if options.folds:
        examples = with_folds(examples, seed=options.seed)
    with progress("reading", len(examples)) as advance:
        material = gather(question, examples, body, advance)
    name_problems(material.problems)
    if options.folds:
        return _cross_validate(options, task, material, body)
    return _fit(options, material, body)


def find_body(model: str) -> Body:
    """Return what a word on the command line stands for.

    Raises:
        ConfigError: No such model or preset.
        FormatError: The checkpoint is damaged.
    """
    from qualityfm.finetune.body import Body, plain_resnet, pretrained_body, untrained
    from qualityfm.inference.loading import find_checkpoint, shipped_models
    from qualityfm.pretrain.preset import load_preset, preset_names
    from qualityfm.segments import SegmentConfig

    if model == RESNET:
        return plain_resnet(SegmentConfig())
    if not model.startswith(SCRATCH):
        return pretrained_body(find_checkpoint(model))
    name = model.removeprefix(SCRATCH)
    if name not in shipped_models() and (name in preset_names() or name.endswith(".toml")):
        preset = load_preset(name)
        return Body(name=model, kind="encoder", segments=preset.segments, model=preset.model, weights=None, origin={})
    return untrained(pretrained_body(find_checkpoint(name)))


def _settings(options: Options, body: Body) -> FinetuneConfig:
    from dataclasses import replace

    from qualityfm.finetune.run import settings

    if options.inner_folds < 1 or (options.epochs is not None and options.epochs < 1):
        field, found = ("inner_folds", options.inner_folds) if options.inner_folds < 1 else ("epochs", options.epochs)
        raise ConfigError(problem("cannot start", where="finetune", field=field, found=found, expected="at least 1"))
    config = settings(options.how, options.seed)
    config = config if body.weights is not None else config.for_untrained()
    config = replace(config, inner_folds=options.inner_folds)
    return config if options.epochs is None else replace(config, max_epochs=options.epochs)


def _fit(options: Options, material: Material, body: Body) -> int:
    from qualityfm.finetune.fit import fit_task
    from qualityfm.finetune.run import save_run

    config = _settings(options, body)
    fitted = fit_task(body, material.question, material.windows, config, report=_show_epoch)
    name = options.name or f"{body.name}-{options.task}"
    folder = save_run(options.out, name, fitted, body, material.windows, config, half=options.half)
    outcome = _outcome(fitted) | {"name": name, "checkpoint": str(folder), "problems": list(material.problems)}
    if options.json:
        say_json(outcome)
    else:
        say_facts(f"run {options.out}", {key: value for key, value in outcome.items() if key != "problems"})
    return 0


def _show_epoch(epoch: int, num_epochs: int, loss: float) -> None:
    remark(f"epoch {epoch} of {num_epochs}" + (f": loss on patients set aside {loss:.4f}" if loss == loss else ""))


def _outcome(fitted: Fitted) -> dict[str, Any]:
    operating = fitted.operating
    return {
        "task": fitted.question.task,
        "num_examples": fitted.num_examples,
        "num_groups": fitted.num_groups,
        "best_epoch": fitted.best_epoch,
        "inner_loss": list(fitted.inner_loss),
        "threshold": None if operating is None else operating.threshold,
        "careful_threshold": None if operating is None else operating.careful_threshold,
    }


def _cross_validate(options: Options, task: Task, material: Material, body: Body) -> int:
    from qualityfm.evidence.task_figures import task_figures
    from qualityfm.finetune.folds import run_folds
    from qualityfm.tasks.folds import fold_sides

    windows = material.windows
    verdicts: set[str] = set()

    def body_for(side: Side) -> Body:
        tested = [windows.examples[i] for i in side.test]
        found = body if options.model_folds is None else find_body(_of_fold(options.model_folds, tested[0].fold))
        verdicts.add(_checked(found, tested, options))
        return found

    found = run_folds(
        body_for, material.question, windows, fold_sides(windows.examples), _settings(options, body), report=_show_fold
    )
    tested = found.is_tested
    figures = task_figures(
        task,
        [example for example, one in zip(windows.examples, tested, strict=True) if one],
        found.values[tested],
        threshold=found.threshold[tested],
        train_mean=found.train_mean[tested] if material.question.answer == "regression" else None,
    )
    _write_scores(options.out / "scores.csv", windows.examples, found.values, found.threshold)
    if options.json:
        say_json(figures.plain() | {"task": task.name, "model": options.model, "encoder_check": sorted(verdicts)})
    else:
        say_table(("figure", "value [95 %]"), figures.rows())
        say_facts("", {"encoder": ", ".join(sorted(verdicts)), "scores": options.out / "scores.csv"})
    return 0


def _of_fold(pattern: str, fold: int | None) -> str:
    if "{n}" not in pattern:
        expected = "a path with {n} where the fold's number belongs"
        raise ConfigError(
            problem("no such encoders", where="finetune", field="--model-folds", found=pattern, expected=expected)
        )
    return pattern.replace("{n}", str(fold))


def _checked(body: Body, tested: list[Example], options: Options) -> str:
    from qualityfm.evidence.encoder_check import check_encoder

    default = options.data / "records.csv"
    labels = options.labels or (default if default.is_file() else None)
    return check_encoder(body.origin, tested, labels, body.name)


def _show_fold(name: str, fitted: Fitted) -> None:
    remark(f"{name}: learnt from {fitted.num_examples}, best epoch {fitted.best_epoch}")


def _write_scores(out: Path, examples: tuple[Example, ...], values: Any, threshold: Any) -> None:
    import pandas as pd

    from qualityfm.cli.places import write_table

    columns = {f"value_{k}": values[:, k] for k in range(values.shape[1])}
    columns |= {f"label_{k}": [e.label[k] if e.label else None for e in examples] for k in range(values.shape[1])}
    about = {field: [getattr(e, field) for e in examples] for field in ("name", "start_s", "kind", "group", "fold")}
    write_table(pd.DataFrame(about | columns | {"threshold": threshold}), out)
