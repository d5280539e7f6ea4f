"""Every example answered by a model that never met its patient: the rounds of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from qualityfm.finetune.body import Body
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.data import WindowSet
from qualityfm.finetune.fit import Fitted, fit_task
from qualityfm.models.question import Question
from qualityfm.tasks.folds import Side


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Answers from outside the folds that were learnt from; NaN for an example that no round tested.

    Attributes:
        values: Calibrated probabilities, or quantities.
        threshold: Of each example's own round; NaN for a regression.
        careful_threshold: The same for the operating point that holds a sensitivity.
        train_mean: Mean label of the round's training examples.
    """

    values: Float64[np.ndarray, "example output"]
    threshold: Float64[np.ndarray, " example"]
    careful_threshold: Float64[np.ndarray, " example"]
    train_mean: Float64[np.ndarray, "example output"]

    @property
    def is_tested(self) -> np.ndarray:
        """Which examples have an answer, Bool[example]."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


def run_folds(
    body_for: Callable[[Side], Body],
    question: Question,
    windows: WindowSet,
    sides: Sequence[Side],
    config: FinetuneConfig,
    *,
    report: Callable[[str, Fitted], None] | None = None,
) -> OutOfFold:
    """Learn and test in every round.

    Args:
        body_for: Gives the body for a round; it refuses one that met the round's tested patients.
        question: What is asked.
        windows: All examples, in the order that `sides` number.
        sides: The rounds.
        config: How to learn, the same in every round.
        report: Called after each round.

    Raises:
        TaskError: Labels or patients are missing, or a body met the tested patients.
    """
    num, num_outputs = len(windows), len(question.outputs)
    values, train_mean = np.full((num, num_outputs), np.nan), np.full((num, num_outputs), np.nan)
    threshold, careful = np.full(num, np.nan), np.full(num, np.nan)
    for side in sides:
        fitted = fit_task(body_for(side), question, windows.at(side.train), config)
        values[side.test] = fitted.scores(windows.at(side.test))
        train_mean[side.test] = np.nanmean(windows.truth[side.train], axis=0)
        if fitted.operating is not None:
            threshold[side.test] = fitted.operating.threshold
            careful[side.test] = fitted.operating.careful_threshold
        if report is not None:
            report(side.name, fitted)
    return OutOfFold(values=values, threshold=threshold, careful_threshold=careful, train_mean=train_mean)
