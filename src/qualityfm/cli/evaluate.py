"""`qualityfm evaluate`: a fine-tuned model on labelled recordings, every figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from qualityfm.cli.terminal import name_problems, progress, remark, say_json, say_table

if TYPE_CHECKING:
    from qualityfm.evidence.evaluation import Evaluation

EXAMPLES = (
    "qualityfm evaluate vt-alarm --data alarms --labels alarms/records.csv --model qualityfm-tiny-vt-alarm",
    "qualityfm evaluate af --data mitdb --model runs/af --json",
    "qualityfm evaluate vt-alarm --data vtac --layout vtac --split test --model qualityfm-tiny",
    "qualityfm evaluate abp --data ward --model qualityfm-tiny --calibrated",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `evaluate`."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]
    """vt-alarm, alarm, af, abp, quality or custom."""
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder of the recordings."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """A fine-tuned model: a run, a checkpoint or a shipped name; NAME stands for the shipped NAME-TASK as well."""
    labels: Annotated[Path | None, tyro.conf.arg(metavar="TABLE")] = None
    """Table of labels; by default where the archive keeps them."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """An archive with labels and split of its own: vtac, mimic-perform-af, pulsedb-subset or kachuee-uci."""
    split: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Judge only the rows that the table's column split names so."""
    calibrated: bool = False
    """abp: the pressures of each recording's first minute are known; later windows are judged, beside holding them."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="TABLE")] = None
    """Write each answer too: .csv, .parquet or .json."""
    json: bool = False
    """Print the figures as JSON."""


def run(options: Options) -> int:
    """Judge, and print the figures."""
    from qualityfm.cli.places import check_suffix
    from qualityfm.cli.score_task import find_task_model
    from qualityfm.evidence.evaluation import evaluate
    from qualityfm.inference.tree_predictor import TreePredictor
    from qualityfm.tasks.archives import labelled_examples
    from qualityfm.tasks.task import find_task

    if options.out is not None:
        check_suffix(options.out, (".csv", ".parquet", ".json"))
    task = find_task(options.task)
    model = find_task_model(options.model, task.name)
    model = model.trees if isinstance(model, TreePredictor) else model
    examples = labelled_examples(task, options.data, options.labels, options.layout)
    unused = []
    if task.unused is not None and options.layout is None:
        unused = task.unused(options.data, options.labels, examples, options.split)
    examples = [e for e in examples if options.split is None or e.split == options.split]
    with progress("judging", len(examples)) as advance:
        found = evaluate(task, examples, model, advance, is_calibrated=options.calibrated)
    if options.out is not None:
        _write(found, options.out)
    problems = [*found.problems, *unused]
    name_problems(problems, "could not judge")
    if found.num_seen:
        remark(f"left out {found.num_seen} examples of patients that the model learnt from")
    if options.json:
        about = {"task": task.name, "model": model.name, "num_seen": found.num_seen, "problems": problems}
        held = {} if found.held is None else {"held": found.held.plain()}
        say_json(found.figures.plain() | about | held)
    else:
        say_table(("figure", "value [95 %]"), found.figures.rows())
        if found.held is not None:
            say_table(("first minute held", "value [95 %]"), found.held.rows())
    return 0


def _write(found: Evaluation, out: Path) -> None:
    import pandas as pd

    from qualityfm.cli.places import write_table

    about = {field: [getattr(e, field) for e in found.examples] for field in ("name", "start_s", "kind", "group")}
    labels = {f"label_{k}": [e.label[k] for e in found.examples if e.label] for k in range(found.values.shape[1])}
    values = {f"value_{k}": found.values[:, k] for k in range(found.values.shape[1])}
    write_table(pd.DataFrame(about | labels | values | {"answer": list(found.answers)}), out)
