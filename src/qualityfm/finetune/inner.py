"""Parts of the training patients, set aside in turn: where training stops and where thresholds lie is chosen there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from qualityfm.errors import TaskError, problem
from qualityfm.tasks.examples import Example, groups_of
from qualityfm.tasks.folds import fold_sides


@dataclass(frozen=True, kw_only=True)
class InnerSide:
    """One round among the training patients.

    Attributes:
        train: True for what is learnt from.
        watched: True for what is set aside.
    """

    train: Bool[np.ndarray, " example"]
    watched: Bool[np.ndarray, " example"]


def inner_sides(
    examples: Sequence[Example], label: Float[np.ndarray, " example"], num_parts: int, seed: int
) -> list[InnerSide]:
    """Return rounds that set each training example aside once.

    Where all examples have a fold, those are the parts, with the border that `fold_sides` keeps. Elsewhere whole groups
    are ordered by their mean label, with ties in random order, and dealt out like cards.

    Args:
        examples: To learn from.
        label: What to balance: a class, or a regression's first output.
        num_parts: How many parts, where there are no folds.
        seed: Of the order of ties.

    Raises:
        TaskError: An example has no group, or there are fewer groups than two.
    """
    groups = groups_of(examples)
    folds = {example.fold for example in examples}
    if None not in folds and len(folds) > 1:
        return [_of_numbers(len(examples), side.train, side.test) for side in fold_sides(examples)]
    names, of_example = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise TaskError(
            problem("cannot set patients aside", where="training", field="groups", found=len(names), expected="two")
        )
    num_parts = min(num_parts, len(names))
    means = np.bincount(of_example, weights=np.nan_to_num(label)) / np.bincount(of_example)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), means))
    part_of_group = np.empty(len(names), int)
    part_of_group[order] = np.arange(len(names)) % num_parts
    parts = [part_of_group[of_example] == part for part in range(num_parts)]
    return [InnerSide(train=~part, watched=part) for part in parts]


def _of_numbers(num: int, train: np.ndarray, watched: np.ndarray) -> InnerSide:
    numbers = np.arange(num)
    return InnerSide(train=np.isin(numbers, train), watched=np.isin(numbers, watched))
