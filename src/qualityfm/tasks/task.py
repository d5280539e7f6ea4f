"""The clinical tasks as one literal table: what is asked, of how much signal, and how an answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.alarms import VT, alarm_examples
from qualityfm.tasks.examples import Example
from qualityfm.tasks.metrics import binary_metrics, multiclass_metrics, regression_metrics
from qualityfm.tasks.pressures import PRESSURES, pressure_examples, unused_records
from qualityfm.tasks.rhythms import rhythm_examples
from qualityfm.tasks.tables import quality_examples, read_question, table_examples

TaskKind = Literal["binary", "regression", "multiclass"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question.

    Attributes:
        name: As on the command line.
        outputs: Name of each number of an answer; for multiclass of each class. Empty: the labels decide.
        kind: Answers are probabilities for "binary" and, by class, "multiclass"; quantities for "regression".
        window_s: Seconds that an answer is made from; None: the labels decide.
        max_lookback_s: How far before the window's end a variant may look, s.
        examples: Takes the data's folder and the table of labels (None: where the archive keeps them).
        unit: Unit of a quantity, such as "mmhg"; ends the names of its figures.
        kinds: Kinds of examples that are asked about; () for all.
        lessons: Gives what is learnt from, where that is more than what is asked about: examples of other kinds too.
        unused: Names the records of a split that gave no example, with the reason, where the task makes its own labels.
    """

    name: str
    outputs: tuple[str, ...]
    kind: TaskKind
    window_s: float | None
    max_lookback_s: float
    examples: Callable[[Path, Path | None], list[Example]]
    unit: str = ""
    kinds: tuple[str, ...] = ()
    lessons: Callable[[Path, Path | None], list[Example]] | None = None
    unused: Callable[[Path, Path | None, Sequence[Example], str | None], list[dict[str, str]]] | None = None

    def metrics(
        self,
        truth: Float[np.ndarray, "sample output"],
        score: Float[np.ndarray, "sample output"],
        examples: Sequence[Example],
        *,
        threshold: float | Float[np.ndarray, " sample"] = 0.5,
        train_mean: Float[np.ndarray, "#sample output"] | None = None,
    ) -> dict[str, float]:
        """Return the task's figures by name, without intervals; NaN where one is not defined.

        Args:
            truth: Labels, as `truths` gives them.
            score: Answers: probabilities or quantities.
            examples: The windows, in the same order.
            threshold: Binary tasks: from which probability on an answer is yes.
            train_mean: Regression: mean label of the training examples, for `mase_`.
        """
        if self.kind == "binary":
            return binary_metrics(truth, score, examples, threshold=threshold)
        outputs = self.outputs or tuple(str(k) for k in range(truth.shape[1]))
        if self.kind == "multiclass":
            return multiclass_metrics(truth, score, outputs)
        return regression_metrics(truth, score, outputs, train_mean, unit=self.unit)


#: Every task. "custom" takes a table of (record, start, label); `custom_task` says of which kind it is.
TASKS: dict[str, Task] = {
    "vt-alarm": Task(
        name="vt-alarm",
        outputs=("true_alarm",),
        kind="binary",
        window_s=10.0,
        max_lookback_s=300.0,
        examples=partial(alarm_examples, only=(VT,)),
        kinds=(VT,),
        lessons=alarm_examples,
    ),
    "alarm": Task(
        name="alarm",
        outputs=("true_alarm",),
        kind="binary",
        window_s=10.0,
        max_lookback_s=300.0,
        examples=alarm_examples,
    ),
    "af": Task(name="af", outputs=("af",), kind="binary", window_s=30.0, max_lookback_s=30.0, examples=rhythm_examples),
    "abp": Task(
        name="abp",
        outputs=PRESSURES,
        kind="regression",
        window_s=30.0,
        max_lookback_s=30.0,
        examples=pressure_examples,
        unit="mmhg",
        unused=unused_records,
    ),
    "quality": Task(
        name="quality",
        outputs=("acceptable",),
        kind="binary",
        window_s=10.0,
        max_lookback_s=10.0,
        examples=quality_examples,
    ),
    "custom": Task(
        name="custom", outputs=(), kind="binary", window_s=None, max_lookback_s=0.0, examples=table_examples
    ),
}


def find_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        TaskError: There is none of this name.
    """
    if name not in TASKS:
        raise TaskError(
            problem("no such task", where="tasks", field="task", found=name, expected=f"one of {', '.join(TASKS)}")
        )
    return TASKS[name]


def custom_task(labels: Path) -> Task:
    """Return the task that a user's own table asks: binary, regression or multiclass, as its labels are.

    Raises:
        TaskError: The table cannot be used.
    """
    question = read_question(labels)
    return replace(TASKS["custom"], kind=question.kind, outputs=question.outputs)
