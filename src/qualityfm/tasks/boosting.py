"""Boosted trees on features, answered out of fold: the baseline that every network stands beside.

Thresholds are chosen inside the training examples alone, from answers that are themselves out of fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.folds import Side
from qualityfm.tasks.metrics import decision_metrics
from qualityfm.tasks.trees import Trees, trees_of

#: Settings of the trees; chosen on the folds of the 2015 challenge's `train`, docs/experiments/LOG.md 0009.
SETTINGS: dict[str, Any] = {
    "max_iter": 200,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 8,
    "l2_regularization": 1.0,
    "max_features": 0.3,
}
#: Inner rounds that thresholds are chosen from.
INNER_FOLDS = 3
#: Share of true alarms that the cautious operating point keeps. Our own choice, docs/decisions/0024.
HELD_SENSITIVITY = 0.95


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers out of fold.

    Attributes:
        rows: Numbers of the examples that were answered, in order.
        score: One probability, or quantity by output, for each of them.
        threshold: From which probability on the answer is yes, chosen in its own training side; NaN for quantities.
        held: From which probability on an alarm stays on, so that `HELD_SENSITIVITY` is held; chosen likewise.
        train_mean: Mean label of its training side, by output.
        side: Name of the round that answered.
    """

    rows: Int64[np.ndarray, " answer"]
    score: Float64[np.ndarray, "answer output"]
    threshold: Float64[np.ndarray, " answer"]
    held: Float64[np.ndarray, " answer"]
    train_mean: Float64[np.ndarray, "answer output"]
    side: tuple[str, ...]


def answer_sides(
    features: Float[np.ndarray, "example feature"],
    examples: Sequence[Example],
    sides: Sequence[Side],
    *,
    kind: str,
    extra_features: Float[np.ndarray, "example extra"] | None = None,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
) -> Answers:
    """Return answers of trees that each saw only the training side of their round.

    Args:
        features: Hand-made features; NaN where not defined.
        examples: Where they come from, with labels.
        sides: Rounds, as `folds` makes them.
        kind: "binary" or "regression".
        extra_features: More columns, such as an encoder's embedding; they must be as clean as the round is.
        settings: Differing settings of the trees.
        seed: Of the trees.

    Raises:
        TaskError: An example has no label or group, or rows and examples do not match.
    """
    if extra_features is not None:
        features = np.concatenate((features, extra_features), axis=1)
    if len(features) != len(examples):
        raise TaskError(
            problem("wrong features", where="boosting", field="rows", found=len(features), expected=str(len(examples)))
        )
    truth, groups = truths(examples), groups_of(examples)
    chosen = SETTINGS | (settings or {})
    rows, scores, thresholds, held, means, names = [], [], [], [], [], []
    for side in sides:
        known, asked = features[side.train], features[side.test]
        scores.append(_fit(known, truth[side.train], asked, kind, chosen, seed))
        limit = stays_on = np.nan
        if kind == "binary":
            inner = inner_answers(known, truth[side.train], groups[side.train], chosen, seed)
            limit = best_threshold(truth[side.train, 0] > 0.5, inner)
            stays_on = holding_threshold(truth[side.train, 0] > 0.5, inner, HELD_SENSITIVITY)
        rows.append(side.test)
        thresholds.append(np.full(len(side.test), limit))
        held.append(np.full(len(side.test), stays_on))
        means.append(np.repeat(truth[side.train].mean(axis=0)[None], len(side.test), axis=0))
        names += [side.name] * len(side.test)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return Answers(
        rows=np.concatenate(rows)[order],
        score=np.concatenate(scores)[order],
        threshold=np.concatenate(thresholds)[order],
        held=np.concatenate(held)[order],
        train_mean=np.concatenate(means)[order],
        side=tuple(names[i] for i in order),
    )


def _fit(known: np.ndarray, truth: np.ndarray, asked: np.ndarray, kind: str, settings: Any, seed: int) -> np.ndarray:
    if kind == "binary":
        is_true = truth[:, 0] > 0.5
        if is_true.all() or not is_true.any():
            return np.full((len(asked), 1), float(is_true.mean()))
        return np.asarray(_fitted(known, truth, kind, settings, seed)[0].predict_proba(asked)[:, 1:])
    return np.stack([model.predict(asked) for model in _fitted(known, truth, kind, settings, seed)], axis=1)


def _fitted(known: np.ndarray, truth: np.ndarray, kind: str, settings: Any, seed: int) -> list[Any]:
    """Return scikit-learn's model of each output."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    known = np.where(np.isfinite(known).any(axis=0), known, 0.0)  # a column without any number cannot be cut
    if kind == "binary":
        return [HistGradientBoostingClassifier(**settings, random_state=seed).fit(known, truth[:, 0] > 0.5)]
    return [
        HistGradientBoostingRegressor(loss="absolute_error", **settings, random_state=seed).fit(known, truth[:, k])
        for k in range(truth.shape[1])
    ]


def fitted_trees(
    features: Float[np.ndarray, "example feature"], truth: Float[np.ndarray, "example output"], kind: str, seed: int = 0
) -> list[Trees]:
    """Return the trees of each output, learnt from all examples with `SETTINGS`.

    Raises:
        TaskError: All labels of a yes-or-no task are the same.
    """
    if kind == "binary" and len(np.unique(truth[:, 0] > 0.5)) < 2:
        raise TaskError(
            problem("nothing to tell apart", where="boosting", field="labels", found=1, expected="two classes")
        )
    return [trees_of(one) for one in _fitted(features, truth, kind, SETTINGS, seed)]


def inner_answers(
    features: np.ndarray, truth: np.ndarray, groups: np.ndarray, settings: Any, seed: int
) -> Float64[np.ndarray, " example"]:
    """Return out-of-fold answers within a training side, whole groups kept together; only for choosing."""
    names, of_example = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % INNER_FOLDS
    answers = np.full(len(truth), float(truth.mean()))
    for number in range(INNER_FOLDS):
        is_asked = fold[of_example] == number
        if is_asked.any() and not is_asked.all():
            answers[is_asked] = _fit(
                features[~is_asked], truth[~is_asked], features[is_asked], "binary", settings, seed
            )[:, 0]
    return answers


def best_threshold(is_true: Bool[np.ndarray, " example"], score: Float[np.ndarray, " example"]) -> float:
    """Return the threshold of the highest challenge score, in the middle between two answers; ties take the lower one.

    Example:
        >>> best_threshold(np.array([False, False, True]), np.array([0.1, 0.4, 0.8]))
        0.6000000000000001
    """
    levels = np.unique(score)
    cuts = np.concatenate(([levels[0]], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1e-9]))
    worth = [decision_metrics(is_true, score >= cut)["score"] for cut in cuts]
    return float(cuts[int(np.argmax(worth))])


def holding_threshold(
    is_true: Bool[np.ndarray, " example"], score: Float[np.ndarray, " example"], sensitivity: float
) -> float:
    """Return the highest threshold that still calls the stated share of true examples true.

    Example:
        >>> holding_threshold(np.array([False, True, True]), np.array([0.1, 0.4, 0.8]), 1.0)
        0.4
    """
    true_scores = np.sort(score[is_true])
    if not len(true_scores):
        return -np.inf
    num_missed = int(np.floor((1 - sensitivity) * len(true_scores) + 1e-9))
    return float(true_scores[num_missed])
