"""Parts of the training patients, set aside in turn: where training stops and where thresholds lie is chosen there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped

from qualityfm.errors import TaskError, problem


def inner_parts(
    groups: Shaped[np.ndarray, " example"], label: Float[np.ndarray, " example"], num_parts: int, seed: int
) -> list[Bool[np.ndarray, " example"]]:
    """Return disjoint parts that hold whole groups and have about the same labels.

    Groups are ordered by their mean label, with ties in random order, and dealt out like cards.

    Args:
        groups: Patient of each example.
        label: What to balance: a class, or a regression's first output.
        num_parts: How many.
        seed: Of the order of ties.

    Raises:
        TaskError: There are fewer groups than two.
    """
    names, of_example = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise TaskError(
            problem("cannot set patients aside", where="training", field="groups", found=len(names), expected="two")
        )
    num_parts = min(num_parts, len(names))
    sums = np.bincount(of_example, weights=np.nan_to_num(label))
    means = sums / np.bincount(of_example)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), means))
    part_of_group = np.empty(len(names), int)
    part_of_group[order] = np.arange(len(names)) % num_parts
    return [part_of_group[of_example] == part for part in range(num_parts)]
