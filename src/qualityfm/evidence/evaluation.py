"""A fine-tuned model on labelled recordings it never met: scores and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.task_figures import Figures, task_figures
from qualityfm.finetune.data import WindowSet, collect_windows
from qualityfm.finetune.run import fingerprints
from qualityfm.inference.task_predictor import TaskModel
from qualityfm.models.checkpoint import TASK
from qualityfm.tasks.examples import Example, groups_of
from qualityfm.tasks.task import Task


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


def evaluate(
    task: Task, examples: Sequence[Example], model: TaskModel, report: Callable[[int, str], None] | None = None
) -> Evaluation:
    """Judge labelled examples and measure the answers.

    Patients with a window that the model learnt from are left out and counted.

    Args:
        task: Which the model was fine-tuned for.
        examples: Those without a label are passed over.
        model: A fine-tuned model.
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
    windows, problems = collect_windows(
        [example for example in examples if example.label is not None],
        model.segments,
        window_s=question.window_s,
        num_outputs=len(question.outputs),
        kinds=question.kinds,
        hidden=question.hidden,
        report=report,
    )
    is_new = _never_met(windows, model)
    if not is_new.any():
        expected = "patients that the model never met"
        raise TaskError(problem("nothing to judge", where=model.name, field="examples", found=0, expected=expected))
    judged = windows.chosen(is_new)
    values = model.values_of(judged.values, judged.levels, judged.kind)
    can_judge = np.isfinite(values).all(axis=1)
    problems += [
        {"recording": one.name, "reason": "no sample in the window"}
        for one, can in zip(judged.examples, can_judge, strict=True)
        if not can
    ]
    figures = _figures(task, judged, values, can_judge, model)
    return Evaluation(
        examples=judged.examples,
        values=values,
        answers=model.answers_of(values),
        figures=figures,
        num_seen=int((~is_new).sum()),
        problems=tuple(problems),
    )


def _never_met(windows: WindowSet, model: TaskModel) -> np.ndarray:
    """Return which windows belong to patients none of whose windows was learnt from."""
    learnt = set(model.card.get("examples", {}).get("fingerprints", ()))
    groups = groups_of(windows.examples)
    met = {group for group, print_ in zip(groups, fingerprints(windows), strict=True) if print_ in learnt}
    return np.array([group not in met for group in groups])


def _figures(task: Task, judged: WindowSet, values: np.ndarray, can_judge: np.ndarray, model: TaskModel) -> Figures:
    """Return the figures; a window without samples leaves an alarm on, and has no quantity."""
    if model.operating is not None:
        filled = np.where(np.isfinite(values), values, 1.0)
        return task_figures(task, judged.examples, filled, threshold=model.operating.threshold)
    mean = model.card[TASK].get("train_mean")
    examples = [one for one, can in zip(judged.examples, can_judge, strict=True) if can]
    train_mean = None if mean is None else np.array([mean])
    return task_figures(task, examples, values[can_judge], train_mean=train_mean)
