"""Several sets of trees that answer together: the weighted mean of their logits, as plain arrays like the trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from qualityfm.errors import FormatError, problem
from qualityfm.tasks.trees import Trees, logit, trees_from

#: Most sets of trees of one mixture.
MAX_MEMBERS = 50


@dataclass(frozen=True, kw_only=True)
class Member:
    """One set of trees of a mixture.

    Attributes:
        trees: What is asked.
        is_probability: Whether the leaves sum up to a probability, as those of a forest do; else to a logit.
        weight: Beside the other members.
        only: Column that must be 1 for this member to be asked; -1: it is always asked.
    """

    trees: Trees
    is_probability: bool
    weight: float
    only: int = -1


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Members of which at least one is always asked."""

    members: tuple[Member, ...]

    def predict(self, features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, " example"]:
        """Return the logit for each row. NaN is a missing value."""
        total, weight = np.zeros(len(features)), np.zeros(len(features))
        for member in self.members:
            rows = np.flatnonzero(features[:, member.only] == 1) if member.only >= 0 else np.arange(len(features))
            found = member.trees.predict(features[rows])
            total[rows] += member.weight * (logit(found) if member.is_probability else found)
            weight[rows] += member.weight
        return np.asarray(total / weight)

    @property
    def num_trees(self) -> int:
        """Trees of all members."""
        return sum(member.trees.num_trees for member in self.members)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return everything as arrays, for `np.savez`."""
        about: dict[str, np.ndarray] = {
            f"{prefix}is_probability": np.array([member.is_probability for member in self.members]),
            f"{prefix}weight": np.array([member.weight for member in self.members], np.float64),
            f"{prefix}only": np.array([member.only for member in self.members], np.int32),
        }
        for number, member in enumerate(self.members):
            about |= member.trees.arrays(f"{prefix}member{number}_")
        return about


def is_mixture(arrays: Mapping[str, np.ndarray], prefix: str) -> bool:
    """Return whether stored arrays are those of a mixture."""
    return f"{prefix}is_probability" in arrays


def mixture_from(arrays: Mapping[str, np.ndarray], prefix: str, num_features: int, where: object) -> Mixture:
    """Return a stored mixture.

    Raises:
        FormatError: An array is missing, of another type or size, or leads outside.
    """
    about = {name: arrays.get(f"{prefix}{name}") for name in ("is_probability", "weight", "only")}
    types = {"is_probability": np.bool_, "weight": np.float64, "only": np.int32}
    num = len(np.atleast_1d(about["is_probability"])) if about["is_probability"] is not None else 0
    for name, array in about.items():
        if array is None or array.dtype != types[name] or array.shape != (num,) or not 0 < num <= MAX_MEMBERS:
            raise _damaged(where, f"{prefix}{name}", None if array is None else f"{array.dtype} {array.shape}")
    weight, only = np.asarray(about["weight"]), np.asarray(about["only"])
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise _damaged(where, f"{prefix}weight", "not above 0")
    if only.min() != -1 or only.max() >= num_features:
        raise _damaged(where, f"{prefix}only", f"{only.min()} to {only.max()}")
    is_probability: Sequence[Any] = np.asarray(about["is_probability"]).tolist()
    members = [
        Member(
            trees=trees_from(arrays, f"{prefix}member{number}_", num_features, where),
            is_probability=bool(is_probability[number]),
            weight=float(weight[number]),
            only=int(only[number]),
        )
        for number in range(num)
    ]
    return Mixture(members=tuple(members))


def _damaged(where: object, field: str, found: object) -> FormatError:
    expected = "one entry for each member, one of which is always asked"
    return FormatError(problem("damaged mixture", where=str(where), field=field, found=found, expected=expected))
