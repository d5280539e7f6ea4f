"""Boosted trees on features, answered out of fold: the baseline that every network stands beside.

Thresholds are chosen inside the training examples alone, from answers that are themselves out of fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.special import expit

from qualityfm.errors import TaskError, problem
from qualityfm.models.operating import fit_binary
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.folds import Side
from qualityfm.tasks.trees import Trees, logit, trees_of

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


class Fitted(Protocol):
    """What was learnt of a yes-or-no task."""

    def predict(self, features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, " example"]:
        """Return a logit for each row."""
        ...


#: Learns from features, whether each example is true, and a seed.
Learn = Callable[[np.ndarray, np.ndarray, int], Fitted]


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
    learn: Learn | None = None,
    is_asked: Bool[np.ndarray, " example"] | None = None,
    has_thresholds: bool = True,
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
        learn: Learns a yes-or-no task in place of boosted trees.
        is_asked: Which examples are answered and have thresholds chosen on them; the others only teach. None: all.
        has_thresholds: Whether thresholds are chosen; without, they are NaN and a yes-or-no task costs a quarter.
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
    learn = learn or partial(boosted_by, settings=chosen)
    asked_about = np.ones(len(examples), bool) if is_asked is None else is_asked
    rows, scores, thresholds, held, means, names = [], [], [], [], [], []
    for side in sides:
        test, counts = side.test[asked_about[side.test]], asked_about[side.train]
        known, asked, taught = features[side.train], features[test], truth[side.train]
        scores.append(
            _yes(known, taught, asked, learn, seed) if kind == "binary" else _much(known, taught, asked, chosen, seed)
        )
        limit = stays_on = np.nan
        if kind == "binary" and has_thresholds:
            inner = inner_answers(known, taught, groups[side.train], learn, seed)[counts]
            limit = best_threshold(taught[counts, 0] > 0.5, inner)
            stays_on = holding_threshold(taught[counts, 0] > 0.5, inner, HELD_SENSITIVITY)
        rows.append(test)
        thresholds.append(np.full(len(test), limit))
        held.append(np.full(len(test), stays_on))
        means.append(np.repeat(taught[counts].mean(axis=0)[None], len(test), axis=0))
        names += [side.name] * len(test)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return Answers(
        rows=np.concatenate(rows)[order],
        score=np.concatenate(scores)[order],
        threshold=np.concatenate(thresholds)[order],
        held=np.concatenate(held)[order],
        train_mean=np.concatenate(means)[order],
        side=tuple(names[i] for i in order),
    )


def _yes(known: np.ndarray, truth: np.ndarray, asked: np.ndarray, learn: Learn, seed: int) -> np.ndarray:
    """Return the probability of yes for each asked row, as a column."""
    is_true = truth[:, 0] > 0.5
    if is_true.all() or not is_true.any():
        return np.full((len(asked), 1), float(is_true.mean()))
    return np.asarray(expit(learn(known, is_true, seed).predict(asked)))[:, None]


def _much(known: np.ndarray, truth: np.ndarray, asked: np.ndarray, settings: Any, seed: int) -> np.ndarray:
    """Return each quantity for each asked row."""
    return np.stack([trees.predict(asked) for trees in _quantities(known, truth, settings, seed)], axis=1)


def boosted_by(known: np.ndarray, is_true: np.ndarray, seed: int, *, settings: Any) -> Trees:
    """Return boosted trees, as a `Learn` of stated settings."""
    return boosted(known, is_true, settings, seed)


def boosted(
    features: Float[np.ndarray, "example feature"], is_true: Bool[np.ndarray, " example"], settings: Any, seed: int
) -> Trees:
    """Return the boosted trees of a yes-or-no task; both classes must be there."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return trees_of(HistGradientBoostingClassifier(**settings, random_state=seed).fit(_shown(features), is_true))


def _quantities(features: np.ndarray, truth: np.ndarray, settings: Any, seed: int) -> list[Trees]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    def model() -> Any:
        return HistGradientBoostingRegressor(loss="absolute_error", **settings, random_state=seed)

    return [trees_of(model().fit(_shown(features), truth[:, k])) for k in range(truth.shape[1])]


def _shown(features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, "example feature"]:
    """Return features of which each is known somewhere: scikit-learn cannot bin a column without a number."""
    return np.where(np.isfinite(features).any(axis=0), features, 0.0).astype(np.float64)


def fitted_trees(
    features: Float[np.ndarray, "example feature"], truth: Float[np.ndarray, "example output"], seed: int = 0
) -> list[Trees]:
    """Return the trees of each quantity, learnt from all examples with `SETTINGS`."""
    return _quantities(features, truth, SETTINGS, seed)


def require_two_classes(truth: Float[np.ndarray, "example output"]) -> None:
    """Refuse a yes-or-no task whose labels are all the same.

    Raises:
        TaskError: They are.
    """
    if len(np.unique(truth[:, 0] > 0.5)) < 2:
        raise TaskError(
            problem("nothing to tell apart", where="boosting", field="labels", found=1, expected="two classes")
        )


def inner_answers(
    features: np.ndarray, truth: np.ndarray, groups: np.ndarray, learn: Learn, seed: int
) -> Float64[np.ndarray, " example"]:
    """Return out-of-fold answers within a training side, whole groups kept together; only for choosing."""
    names, of_example = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % INNER_FOLDS
    answers = np.full(len(truth), float(truth.mean()))
    for number in range(INNER_FOLDS):
        is_asked = fold[of_example] == number
        if is_asked.any() and not is_asked.all():
            answers[is_asked] = _yes(features[~is_asked], truth[~is_asked], features[is_asked], learn, seed)[:, 0]
    return answers


def best_threshold(is_true: Bool[np.ndarray, " example"], score: Float[np.ndarray, " example"]) -> float:
    """Return the probability from which the challenge score to be expected is best, once probabilities are calibrated.

    Example:
        >>> 0.1 < best_threshold(np.array([False] * 8 + [True] * 2), np.array([0.1] * 8 + [0.8] * 2)) < 0.8
        True
    """
    logits = logit(score)
    point = fit_binary(logits, is_true, rule="challenge", sensitivity=HELD_SENSITIVITY)
    return float(expit((logit(np.array([point.threshold]))[0] - point.offset) / point.slope))


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
