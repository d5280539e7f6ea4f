"""Who trains and who is tested: folds that keep patients together, and the border that unnamed patients need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.alarms import is_neighbour
from qualityfm.tasks.examples import Example, groups_of

DEFAULT_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Side:
    """One round of a cross-validation, as numbers of examples.

    Attributes:
        name: Name of the round, such as "fold 2".
        train: May be learned from, and be used for every choice.
        test: Is answered.
    """

    name: str
    train: Int64[np.ndarray, " example"]
    test: Int64[np.ndarray, " example"]


def fold_sides(examples: Sequence[Example]) -> list[Side]:
    """Return one round for each fold; nobody near a tested one trains.

    Left out of training are examples of a tested group, and, where the archive names no patients, records whose number
    is within `MAX_NEIGHBOUR` of a tested one.

    Raises:
        TaskError: An example has no group or no fold, or a round has nothing to learn from.
    """
    groups_of(examples)
    folds = [example.fold for example in examples]
    if None in folds:
        name = examples[folds.index(None)].name
        raise TaskError(
            problem("no fold", where=name, field="fold", found=None, expected="a fold for each example", advice="")
        )
    every = np.array(folds, np.int64)
    return [_side(examples, f"fold {fold}", np.flatnonzero(every == fold)) for fold in np.unique(every)]


def leave_one_out_sides(examples: Sequence[Example]) -> list[Side]:
    """Return one round for each group (patient).

    Raises:
        TaskError: An example has no group, or there is only one.
    """
    groups = groups_of(examples)
    return [_side(examples, str(group), np.flatnonzero(groups == group)) for group in np.unique(groups)]


def train_test_side(examples: Sequence[Example]) -> Side:
    """Return the round that learns from the split `train` and answers the split `test`.

    Raises:
        TaskError: An example has no group, or one of the splits is empty.
    """
    groups_of(examples)
    side = _side(examples, "test", np.array([i for i, e in enumerate(examples) if e.split == "test"], np.int64))
    is_train = np.array([examples[i].split == "train" for i in side.train], bool)
    return _checked(Side(name="test", train=side.train[is_train], test=side.test))


def with_folds(examples: Sequence[Example], num_folds: int = DEFAULT_FOLDS, seed: int = 0) -> list[Example]:
    """Return the examples with a fold for each: as given, or whole groups dealt out by size where one is missing.

    Raises:
        TaskError: An example has no group, or there are fewer groups than folds.
    """
    groups = groups_of(examples)
    if all(example.fold is not None for example in examples):
        return list(examples)
    names, counts = np.unique(groups, return_counts=True)
    if len(names) < num_folds:
        expected = f"at least {num_folds}"
        raise TaskError(problem("no folds", where="examples", field="groups", found=len(names), expected=expected))
    order = np.lexsort((np.random.default_rng(seed).random(len(names)), -counts))
    sizes, fold_of_group = np.zeros(num_folds), {}
    for g in order:
        fold = int(sizes.argmin())
        fold_of_group[names[g]] = fold
        sizes[fold] += counts[g]
    return [replace(e, fold=fold_of_group[group]) for e, group in zip(examples, groups, strict=True)]


def _side(examples: Sequence[Example], name: str, test: Int64[np.ndarray, " example"]) -> Side:
    tested = {examples[i].group for i in test}
    numbers = np.array(sorted({n for i in test if (n := examples[i].number) is not None}), np.int64)
    is_tested = np.zeros(len(examples), bool)
    is_tested[test] = True
    train = [
        i
        for i, example in enumerate(examples)
        if not is_tested[i] and example.group not in tested and not is_neighbour(example.number, numbers)
    ]
    return _checked(Side(name=name, train=np.array(train, np.int64), test=test))


def _checked(side: Side) -> Side:
    for field, rows in (("train", side.train), ("test", side.test)):
        if not len(rows):
            raise TaskError(
                problem("no such side", where=side.name, field=field, found=0, expected="at least one example")
            )
    return side
