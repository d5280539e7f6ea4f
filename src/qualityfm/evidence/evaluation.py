"""A task's model on labelled recordings it never met: scores and figures. Trees are judged without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.task_figures import Figures, task_figures
from qualityfm.tasks.examples import Example, groups_of
from qualityfm.tasks.task import Task
from qualityfm.tasks.tree_model import TreeModel
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
    """

    examples: tuple[Example, ...]
    values: Float64[np.ndarray, "example output"]
    answers: tuple[str, ...]
    figures: Figures
    num_seen: int
    problems: tuple[dict[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """Examples with a model's answers, before those it has met are left out."""

    examples: tuple[Example, ...]
    values: Float64[np.ndarray, "example output"]
    answers: tuple[str, ...]
    prints: list[str]
    problems: list[dict[str, str]]


def evaluate(
    task: Task, examples: Sequence[Example], model: TaskModel | TreeModel, report: Report | None = None
) -> Evaluation:
    """Judge labelled examples and measure the answers.

    Patients with a window that the model learnt from are left out and counted.

    Args:
        task: Which the model was made for.
        examples: Those without a label are passed over.
        model: A fine-tuned network, or trees.
        report: Called with the number of recordings read.

    Raises:
        TaskError: The model answers another task, nothing can be read, or it learnt from all of it.
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
    kept = np.flatnonzero(_never_met(answered, model))
    if not len(kept):
        expected = "patients that the model never met"
        raise TaskError(problem("nothing to judge", where=model.name, field="examples", found=0, expected=expected))
    judged, values = tuple(answered.examples[k] for k in kept), answered.values[kept]
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
        num_seen=len(answered.examples) - len(kept),
        problems=(*answered.problems, *unread),
    )


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
