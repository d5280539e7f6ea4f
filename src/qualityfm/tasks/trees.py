"""Boosted trees as plain arrays: they are fitted by scikit-learn, and answer with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32

from qualityfm.errors import FormatError, problem

#: A row walks from the root to a leaf in at most so many steps; more say that the arrays were tampered with.
MAX_DEPTH = 64
#: A probability is held this far from 0 and 1 before it becomes a logit.
EDGE = 1e-4
#: Arrays of `Trees`, by their type.
DTYPES = {
    "roots": np.int32,
    "feature": np.int32,
    "threshold": np.float64,
    "left": np.int32,
    "right": np.int32,
    "is_leaf": np.bool_,
    "missing_goes_left": np.bool_,
    "value": np.float64,
}


@dataclass(frozen=True, kw_only=True)
class Trees:
    """The trees of one output; their leaves are summed.

    Attributes:
        baseline: What the sum begins with: a logit, or a quantity.
        roots: Node that each tree begins with.
        feature: Column that a node asks for.
        threshold: A value up to it goes left.
        left: Next node on the left.
        right: Next node on the right.
        is_leaf: Whether a node ends the walk.
        missing_goes_left: Where a missing value goes.
        value: What a leaf adds.
    """

    baseline: float
    roots: Int32[np.ndarray, " tree"]
    feature: Int32[np.ndarray, " node"]
    threshold: Float64[np.ndarray, " node"]
    left: Int32[np.ndarray, " node"]
    right: Int32[np.ndarray, " node"]
    is_leaf: Bool[np.ndarray, " node"]
    missing_goes_left: Bool[np.ndarray, " node"]
    value: Float64[np.ndarray, " node"]

    def predict(self, features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, " example"]:
        """Return the sum of the leaves for each row: a logit, or a quantity. NaN is a missing value."""
        total = np.full(len(features), self.baseline)
        rows = np.arange(len(features))
        for root in self.roots:
            node = np.full(len(features), root)
            for _ in range(MAX_DEPTH):
                if self.is_leaf[node].all():
                    break
                asked = features[rows, self.feature[node]]
                goes_left = np.where(np.isnan(asked), self.missing_goes_left[node], asked <= self.threshold[node])
                node = np.where(self.is_leaf[node], node, np.where(goes_left, self.left[node], self.right[node]))
            total += self.value[node]
        return total

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return all fields as arrays, for `np.savez`."""
        return {f"{prefix}{field.name}": np.asarray(getattr(self, field.name)) for field in fields(self)}

    @property
    def num_trees(self) -> int:
        """Trees that are summed."""
        return len(self.roots)

    @property
    def num_nodes(self) -> int:
        """Nodes of all trees."""
        return len(self.feature)


def logit(probability: Float[np.ndarray, " example"]) -> Float64[np.ndarray, " example"]:
    """Return the logit of probabilities, held at `EDGE` from 0 and 1."""
    held = np.clip(probability, EDGE, 1 - EDGE)
    return np.asarray(np.log(held / (1 - held)), np.float64)


def trees_of(fitted: Any) -> Trees:
    """Return the trees of a fitted `HistGradientBoostingClassifier` of two classes, or `...Regressor`."""
    parts = [stage[0].nodes for stage in fitted._predictors]
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    nodes = np.concatenate(parts)
    shift = np.repeat(starts, [len(part) for part in parts])
    return Trees(
        baseline=float(np.ravel(fitted._baseline_prediction)[0]),
        roots=starts.astype(np.int32),
        feature=nodes["feature_idx"].astype(np.int32),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=(nodes["left"] + shift).astype(np.int32),
        right=(nodes["right"] + shift).astype(np.int32),
        is_leaf=nodes["is_leaf"].astype(bool),
        missing_goes_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"].astype(np.float64),
    )


def trees_from(arrays: Mapping[str, np.ndarray], prefix: str, num_features: int, where: object) -> Trees:
    """Return stored trees.

    Raises:
        FormatError: An array is missing, of another type, or leads outside.
    """
    found: dict[str, Any] = {}
    for name, dtype in DTYPES.items():
        array = arrays.get(f"{prefix}{name}")
        if array is None or array.dtype != dtype or array.ndim != 1:
            raise _damaged(where, f"{prefix}{name}", None if array is None else f"{array.dtype} {array.shape}", dtype)
        found[name] = array
    baseline = np.asarray(arrays.get(f"{prefix}baseline", np.nan), np.float64)
    trees = Trees(baseline=float(baseline) if baseline.ndim == 0 else np.nan, **found)
    _check(trees, num_features, where, prefix)
    return trees


def _check(trees: Trees, num_features: int, where: object, prefix: str) -> None:
    num = trees.num_nodes
    if not np.isfinite(trees.baseline) or not np.isfinite(trees.value).all():
        raise _damaged(where, f"{prefix}value", "not finite", "finite numbers")
    if any(len(getattr(trees, name)) != num for name in DTYPES if name != "roots"):
        raise _damaged(where, f"{prefix}feature", num, "as many entries in each array of nodes")
    inner = ~trees.is_leaf
    pairs: Sequence[tuple[str, np.ndarray, int]] = (
        ("roots", trees.roots, num),
        ("left", trees.left[inner], num),
        ("right", trees.right[inner], num),
        ("feature", trees.feature[inner], num_features),
    )
    for name, array, limit in pairs:
        if len(array) and not (array.min() >= 0 and array.max() < limit):
            raise _damaged(where, f"{prefix}{name}", f"{array.min()} to {array.max()}", f"0 to {limit - 1}")


def _damaged(where: object, field: str, found: object, expected: object) -> FormatError:
    return FormatError(problem("damaged trees", where=str(where), field=field, found=found, expected=str(expected)))
