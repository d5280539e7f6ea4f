"""A task's model on labelled recordings it never met: scores and figures. Trees are judged without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import ConfigError, TaskError, problem
from qualityfm.evidence.task_figures import Figures, task_figures
from qualityfm.tasks.calibration import CALIBRATION_S, calibrated
from qualityfm.tasks.examples import Example, groups_of
from qualityfm.tasks.task import Task
from qualityfm.tasks.tree_model import TreeModel, can_measure
from qualityfm.tasks.tree_model import fingerprints as feature_prints

if TYPE_CHECKING:
    from qualityfm.inference.task_predictor import TaskModel

#: Entry of a card that says what the model answers.
TASK = "task"
Report = Callable[[int, str], None]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        examples: What was judged.
        values: The model's answers.
        answers: "yes", "no", "abstain", a class, or "".
        figures: Over all examples.
        num_seen: Examples left out because the model, or the patient's other windows, were learnt from.
        problems: Recordings that could not be judged, with the reason.
        held: With a calibration, the figures of holding it; else None.
    """

    examples: tuple[Example, ...]
    values: Float64[np.ndarray, "example output"]
    answers: tuple[str, ...]
    figures: Figures
    num_seen: int
    problems: tuple[dict[str, str], ...]
    held: Figures | None = None


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """Examples with a model's answers, before those it has met are left out."""

    examples: tuple[Example, ...]
    values: Float64[np.ndarray, "example output"]
    answers: tuple[str, ...]
    prints: list[str]
    problems: list[dict[str, str]]
    features: Float64[np.ndarray, "example feature"] | None = None


def evaluate(
    task: Task,
    examples: Sequence[Example],
    model: TaskModel | TreeModel,
    report: Report | None = None,
    *,
    is_calibrated: bool = False,
) -> Evaluation:
    """Judge labelled examples and measure the answers.

    Patients with a window that the model learnt from are left out and counted.

    Args:
        task: Which the model was made for.
        examples: Those without a label are passed over.
        model: A fine-tuned network, or trees.
        report: Called with the number of recordings read.
        is_calibrated: Quantities: the labels of each recording's first minute are known, later windows are judged.

    Raises:
        TaskError: The model answers another task, nothing can be read, it learnt from all of it, or no recording goes
            on after a first minute with labels.
        ConfigError: The model knows of no changes since a calibration.
    """
    question = model.question
    if question.task != task.name:
        raise TaskError(
            problem(
                "another task", where=model.name, field="task", found=question.task, expected=f"a model for {task.name}"
            )
        )
    known = [example for example in examples if example.label is not None]
    answered = _by_trees(known, model, report) if isinstance(model, TreeModel) else _by_network(known, model, report)
    is_new = _never_met(answered, model)
    since = _since(answered, model) if is_calibrated else None
    kept = np.flatnonzero(is_new if since is None else is_new & since.is_later)
    if since is not None and is_new.any() and not len(kept):
        expected = f"recordings that go on after {CALIBRATION_S:g} s with labels"
        raise TaskError(problem("nothing to judge", where=model.name, field="windows", found=0, expected=expected))
    if not len(kept):
        expected = "patients that the model never met"
        raise TaskError(problem("nothing to judge", where=model.name, field="examples", found=0, expected=expected))
    found = answered.values if since is None else since.changed
    judged, values = tuple(answered.examples[int(k)] for k in kept), found[kept]
    can_judge = np.isfinite(values).all(axis=1)
    named = {one["recording"] for one in answered.problems}
    unread = [
        {"recording": one.name, "reason": "nothing to judge by in the window"}
        for one, can in zip(judged, can_judge, strict=True)
        if not can and one.name not in named
    ]
    return Evaluation(
        examples=judged,
        values=values,
        answers=tuple(answered.answers[k] for k in kept),
        figures=_figures(task, judged, values, can_judge, model),
        num_seen=int((~is_new).sum()),
        problems=(*answered.problems, *unread),
        held=None if since is None else _figures(task, judged, since.held[kept], can_judge, model),
    )


@dataclass(frozen=True, kw_only=True)
class _Since:
    """What holding the first minute, and adding the estimated change, says of each example."""

    held: Float64[np.ndarray, "example output"]
    changed: Float64[np.ndarray, "example output"]
    is_later: np.ndarray


def _since(answered: _Answered, model: TaskModel | TreeModel) -> _Since:
    if not isinstance(model, TreeModel) or answered.features is None:
        expected = "a model with maps of changes, such as qualityfm-tiny-abp"
        raise ConfigError(
            problem("no calibration", where=model.name, field="model", found="a network", expected=expected)
        )
    known = calibrated(answered.examples, answered.features)
    is_there = can_measure(answered.features)[:, None]
    changed = np.where(is_there, known.held + model.changes_of(known.change), np.nan)
    return _Since(held=known.held, changed=changed, is_later=known.is_later)


def _by_network(examples: Sequence[Example], model: TaskModel, report: Report | None) -> _Answered:
    from qualityfm.finetune.data import collect_windows
    from qualityfm.finetune.run import fingerprints

    question = model.question
    windows, problems = collect_windows(
        examples,
        model.segments,
        window_s=question.window_s,
        num_outputs=len(question.outputs),
        kinds=question.kinds,
        hidden=question.hidden,
        report=report,
    )
    values = model.values_of(windows.values, windows.levels, windows.kind)
    return _Answered(
        examples=windows.examples,
        values=values,
        answers=model.answers_of(values),
        prints=fingerprints(windows),
        problems=list(problems),
    )


def _by_trees(examples: Sequence[Example], model: TreeModel, report: Report | None) -> _Answered:
    made = model.measure(examples, report)
    values = model.values_of(made.values)
    return _Answered(
        examples=tuple(examples),
        values=values,
        answers=model.answers_of(values, made.values),
        prints=feature_prints(made.values),
        features=made.values,
        problems=[{"recording": one.partition(": ")[0], "reason": one} for one in made.problems],
    )


def _never_met(answered: _Answered, model: TaskModel | TreeModel) -> np.ndarray:
    """Return which windows belong to patients none of whose windows was learnt from.

    A window of which nothing is known looks like any other such window, so it proves nothing.
    """
    learnt = set(model.card.get("examples", {}).get("fingerprints", ()))
    groups = groups_of(answered.examples)
    is_known = np.isfinite(answered.values).all(axis=1)
    rows = zip(groups, answered.prints, is_known, strict=True)
    met = {group for group, print_, known in rows if known and print_ in learnt}
    return np.array([group not in met for group in groups], bool)


def _figures(
    task: Task, judged: tuple[Example, ...], values: np.ndarray, can_judge: np.ndarray, model: TaskModel | TreeModel
) -> Figures:
    """Return the figures; a window without samples leaves an alarm on, and has no quantity."""
    if model.operating is not None:
        filled = np.where(np.isfinite(values), values, 1.0)
        return task_figures(task, judged, filled, threshold=model.operating.threshold)
    mean = model.card[TASK].get("train_mean")
    examples = [one for one, can in zip(judged, can_judge, strict=True) if can]
    train_mean = None if mean is None else np.array([mean])
    return task_figures(task, examples, values[can_judge], train_mean=train_mean)
