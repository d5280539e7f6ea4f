"""How each yes-or-no task on hand-made features is learnt, with the words for a model's card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from qualityfm.tasks.alarm_learner import OWN_KIND, OWN_WEIGHT, fit_alarms
from qualityfm.tasks.boosting import SETTINGS, boosted
from qualityfm.tasks.forest import FOREST
from qualityfm.tasks.mixture import Mixture
from qualityfm.tasks.trees import Trees

#: Tasks that are learnt as alarms are.
ALARM_TASKS = ("vt-alarm", "alarm")
#: Column that a rhythm is not learnt from: lists of beats have no quality, so it would tell the archive.
QUALITY = "quality"


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A way to learn.

    Attributes:
        learn: Takes features, whether each example is true, and a seed; returns what answers with logits.
        made_of: What that is, in words.
        settings: What it was learnt with.
    """

    learn: Callable[[np.ndarray, np.ndarray, int], Trees | Mixture]
    made_of: str
    settings: dict[str, Any]


def learner_of(task: str, names: Sequence[str]) -> Learner:
    """Return how a task is learnt.

    Args:
        task: Its name.
        names: Names of the features' columns.
    """
    if task in ALARM_TASKS:
        settings = {"forest": FOREST, "boosted": SETTINGS, "own_kind": OWN_KIND, "own_weight": OWN_WEIGHT}
        made_of = "a forest and boosted trees"
        return Learner(learn=partial(fit_alarms, names=tuple(names)), made_of=made_of, settings=settings)
    learn = partial(_boosted, is_used=np.array([name != QUALITY for name in names], bool))
    return Learner(learn=learn, made_of="boosted trees", settings=dict(SETTINGS))


def _boosted(
    features: Float[np.ndarray, "example feature"],
    is_true: Bool[np.ndarray, " example"],
    seed: int,
    *,
    is_used: Bool[np.ndarray, " feature"],
) -> Trees:
    return boosted(np.where(is_used, features, np.nan), is_true, SETTINGS, seed)
