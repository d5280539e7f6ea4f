"""`qualityfm finetune TASK --how trees` or `linear`: a task learnt on hand-made features, without an encoder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qualityfm.cli.terminal import progress, remark, say_facts, say_json
from qualityfm.errors import ConfigError, problem

if TYPE_CHECKING:
    from qualityfm.cli.finetune import Options


def fit_trees(options: Options) -> int:
    """Fit, save, and tell what was chosen.

    Raises:
        ConfigError: An option that belongs to networks.
    """
    from qualityfm.finetune.run import CHECKPOINT, question_of, training_examples
    from qualityfm.tasks.archives import labelled_examples
    from qualityfm.tasks.linear_model import fit_linear_model
    from qualityfm.tasks.task import find_task
    from qualityfm.tasks.tree_model import fit_tree_model, save_tree_model

    if options.folds:
        raise ConfigError(
            problem(
                "no folds for trees",
                where="finetune",
                field="--folds",
                found=True,
                expected="a network",
                advice="`qualityfm benchmark vt`, alarm, af or abp measures trees in folds",
            )
        )
    if options.beat_lists is not None and (options.task, options.how) != ("af", "trees"):
        found = f"{options.task}, {options.how}"
        raise ConfigError(
            problem("no beat lists", where="finetune", field="--beat-lists", found=found, expected="af, trees")
        )
    task = find_task(options.task)
    lessons = replace(task, examples=task.lessons or task.examples)  # more may teach than is asked about
    examples = training_examples(labelled_examples(lessons, options.data, options.labels, options.layout))
    question = question_of(task, examples, options.labels, options.window_s)
    name = options.name or f"{options.how}-{task.name}"
    fit = fit_linear_model if options.how == "linear" else partial(fit_tree_model, beat_lists=options.beat_lists)
    with progress("measuring", len(examples)) as advance:
        fitted = fit(task, question, examples, name=name, seed=options.seed, report=advance)
    for line in fitted.problems:
        remark(f"could not read: {line}")
    folder = options.out / CHECKPOINT
    save_tree_model(folder, fitted.model)
    operating = fitted.model.operating
    outcome = {
        "task": task.name,
        "name": name,
        "num_examples": len(examples),
        "num_features": len(fitted.model.names),
        "threshold": None if operating is None else operating.threshold,
        "careful_threshold": None if operating is None else operating.careful_threshold,
        "checkpoint": str(folder),
    }
    if options.json:
        say_json(outcome | {"problems": list(fitted.problems)})
    else:
        say_facts(f"run {options.out}", outcome)
    return 0
