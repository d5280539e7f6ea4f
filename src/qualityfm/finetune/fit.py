"""A task learnt whole: patients set aside, training, calibration and thresholds, and the model that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from qualityfm.config import to_plain
from qualityfm.errors import TaskError, problem
from qualityfm.finetune.body import Body
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.data import WindowSet
from qualityfm.finetune.inner import InnerSide, inner_sides
from qualityfm.finetune.learn import Learned, Report, learn, outputs_of
from qualityfm.models.operating import OperatingPoint, fit_binary, fit_classes
from qualityfm.models.question import Question
from qualityfm.models.task_head import TaskHeadConfig
from qualityfm.models.task_network import TaskNetwork

#: Ridges that a probe may choose from, in steps of the configured one.
RIDGE_STEPS = (0.1, 1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A learnt task.

    Attributes:
        question: What it answers.
        network: In evaluation mode.
        operating: For classifications.
        best_epoch: Of the training that is kept; 0 is the probe.
        inner_loss: Loss on the patients set aside, before and at the best epoch; empty for a probe.
        num_examples: Examples learnt from, those set aside included.
        num_groups: Patients of the same.
    """

    question: Question
    network: TaskNetwork
    operating: OperatingPoint | None
    best_epoch: int
    inner_loss: tuple[float, ...]
    num_examples: int
    num_groups: int

    def scores(self, windows: WindowSet) -> Float[np.ndarray, "example output"]:
        """Return calibrated probabilities, or quantities in their unit."""
        return scores_of(self.network, self.operating, outputs_of(self.network, windows))

    def card(self) -> dict[str, Any]:
        """Return the plain values that using the model needs."""
        is_regression = self.question.answer == "regression"
        return {
            "name": self.question.task,
            "question": to_plain(self.question),
            "operating": None if self.operating is None else to_plain(self.operating),
            "train_mean": self.network.head.output_center.tolist() if is_regression else None,
        }


def scores_of(
    network: TaskNetwork, operating: OperatingPoint | None, outputs: torch.Tensor
) -> Float[np.ndarray, "example output"]:
    """Return what raw outputs mean: calibrated probabilities, or quantities in their unit."""
    if operating is None:
        return np.asarray(network.head.in_units(outputs).detach().numpy(), np.float64)
    return operating.probability(outputs.detach().numpy())


def fit_task(
    body: Body, question: Question, windows: WindowSet, config: FinetuneConfig, *, report: Report | None = None
) -> Fitted:
    """Teach a body a task. Everything that is chosen is chosen on patients set aside from `windows`.

    Args:
        body: What to begin with.
        question: What is asked.
        windows: All training examples, with labels and patients.
        config: How to learn.
        report: Called after each epoch.

    Raises:
        TaskError: A label or a patient is missing, or there is only one patient or one class.
        FormatError: Training broke down.
    """
    _require_fit(body, config)
    _require_labels(windows, question)
    groups = windows.groups
    num_parts = config.inner_folds if config.inner_folds > 1 else max(2, round(1 / config.inner_share))
    sides = inner_sides(windows.examples, _balanced_by(windows, question), num_parts, config.seed)
    used = sides if config.how == "probe" or config.inner_folds > 1 else sides[:1]
    is_trained = body.weights is not None
    config = _choose_ridge(body, question, windows, sides[0], config)
    outputs = np.full((len(windows), len(question.outputs)), np.nan)
    network, learned = None, []
    for side in used:
        network = _new_network(body, question, config)
        inner, watched = windows.chosen(side.train), windows.chosen(side.watched)
        learned.append(
            learn(network, question.answer, inner, config, is_trained=is_trained, watched=watched, report=report)
        )
        outputs[side.watched] = outputs_of(network, watched).numpy()
    assert network is not None  # there are at least two parts
    seen = np.isfinite(outputs).all(axis=1)
    operating = _operating_point(outputs[seen], windows.truth[seen], question, config)
    best_epoch = int(np.median([one.best_epoch for one in learned]))
    if len(used) > 1:
        network = _new_network(body, question, config)
        learn(
            network,
            question.answer,
            windows,
            config,
            is_trained=is_trained,
            num_epochs=best_epoch,
            report=report,
        )
    return Fitted(
        question=question,
        network=network.eval(),
        operating=operating,
        best_epoch=best_epoch,
        inner_loss=_first_and_best(learned),
        num_examples=len(windows),
        num_groups=len(set(groups)),
    )


def _new_network(body: Body, question: Question, config: FinetuneConfig) -> TaskNetwork:
    torch.manual_seed(config.seed)
    head = TaskHeadConfig(
        num_outputs=len(question.outputs),
        num_levels=body.num_levels,
        num_kinds=len(question.kinds),
        pooling=config.pooling,
        dropout=config.dropout,
    )
    return body.network(head, question.window_s)


def _require_fit(body: Body, config: FinetuneConfig) -> None:
    if config.how == "adapter" and (body.kind != "encoder" or body.weights is None):
        expected, advice = "a pre-trained encoder", "choose full"
        raise TaskError(
            problem(
                "no adapter for this",
                where="finetune",
                field="model",
                found=body.name,
                expected=expected,
                advice=advice,
            )
        )


def _require_labels(windows: WindowSet, question: Question) -> None:
    is_known = np.isfinite(windows.truth)
    has_label = is_known.any(axis=1) if question.answer == "regression" else is_known.all(axis=1)
    if not has_label.all():
        name = windows.examples[int(np.flatnonzero(~has_label)[0])].name
        raise TaskError(
            problem("no label", where=name, field="label", found=None, expected="a label for each training example")
        )
    classes = _classes(windows, question)
    if classes is not None and len(np.unique(classes)) < 2:
        raise TaskError(
            problem("nothing to tell apart", where=question.task, field="labels", found=1, expected="two classes")
        )


def _classes(windows: WindowSet, question: Question) -> np.ndarray | None:
    if question.answer == "regression":
        return None
    return np.asarray(windows.truth.argmax(axis=1) if question.answer == "multiclass" else windows.truth[:, 0])


def _balanced_by(windows: WindowSet, question: Question) -> Float[np.ndarray, " example"]:
    """Return the number of each example by which parts are made alike: kind and class, or the first quantity."""
    classes = _classes(windows, question)
    if classes is None:
        first = windows.truth[:, 0]
        return np.where(np.isfinite(first), first, np.nanmean(first))
    return np.asarray(windows.kind * len(question.outputs) * 2 + classes, np.float64)


def _choose_ridge(
    body: Body,
    question: Question,
    windows: WindowSet,
    side: InnerSide,
    config: FinetuneConfig,
) -> FinetuneConfig:
    """Return the settings with the ridge whose probe is best on the first patients set aside."""
    if body.weights is None and config.how != "probe":
        return config  # an untrained body's features are about to change anyway
    inner, watched = windows.chosen(side.train), windows.chosen(side.watched)
    losses = []
    candidates = [config.ridge * step for step in RIDGE_STEPS]
    for ridge in candidates:
        network = _new_network(body, question, config)
        probe = replace(config, how="probe", ridge=ridge)
        losses.append(learn(network, question.answer, inner, probe, watched=watched).losses[0])
    return replace(config, ridge=candidates[int(np.argmin(losses))])


def _operating_point(
    outputs: Float[np.ndarray, "example output"],
    truth: Float[np.ndarray, "example output"],
    question: Question,
    config: FinetuneConfig,
) -> OperatingPoint | None:
    if question.answer == "regression":
        return None
    if question.answer == "multiclass":
        return fit_classes(outputs, truth.argmax(axis=1).astype(np.float64), config.sensitivity)
    return fit_binary(outputs[:, 0], truth[:, 0] > 0.5, rule=question.rule, sensitivity=config.sensitivity)


def _first_and_best(learned: Sequence[Learned]) -> tuple[float, ...]:
    if not all(one.losses for one in learned):
        return ()
    return (
        float(np.mean([one.losses[0] for one in learned])),
        float(np.mean([one.losses[one.best_epoch] for one in learned])),
    )
