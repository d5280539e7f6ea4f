"""How alarms are learnt: a forest on all kinds of alarm, and boosted trees for the kind that has enough of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from qualityfm.tasks.alarm_features import CRITERION
from qualityfm.tasks.alarms import VT
from qualityfm.tasks.boosting import SETTINGS, boosted
from qualityfm.tasks.forest import fitted_forest
from qualityfm.tasks.mixture import Member, Mixture

#: Kind of alarm with trees of its own, and what they weigh beside the forest; they do not look at the criteria, of
#: which the forest learns from all kinds. Chosen on the folds of `train`, docs/experiments/LOG.md 0023.
OWN_KIND, OWN_WEIGHT = VT, 0.3
#: Seeds of these trees that are averaged: a single one moves the AUC by up to .01.
OWN_SEEDS = 2
#: Fewest true and fewest false alarms of that kind that trees of their own are fitted to.
FEWEST_OF_A_CLASS = 10


def fit_alarms(
    features: Float[np.ndarray, "example feature"],
    is_true: Bool[np.ndarray, " example"],
    seed: int,
    *,
    names: Sequence[str],
) -> Mixture:
    """Return the mixture that was learnt from alarms of any kinds.

    Args:
        features: Of alarms, with the columns `kind_...`.
        is_true: Labels, of both classes.
        seed: Of the trees.
        names: Of the columns.
    """
    forest = Member(trees=fitted_forest(features, is_true, seed), is_probability=True, weight=1 - OWN_WEIGHT)
    column = f"kind_{OWN_KIND.lower()}"
    if column not in names:
        return Mixture(members=(forest,))
    own = list(names).index(column)
    is_own = features[:, own] == 1
    if min((is_true & is_own).sum(), (~is_true & is_own).sum()) < FEWEST_OF_A_CLASS:
        return Mixture(members=(forest,))
    plain = np.array([k for k, name in enumerate(names) if not name.startswith(CRITERION)])
    members = [forest]
    for number in range(OWN_SEEDS):
        trees = boosted(features[is_own][:, plain], is_true[is_own], SETTINGS, seed + number)
        moved = replace(trees, feature=plain[trees.feature].astype(np.int32))
        weight = OWN_WEIGHT / OWN_SEEDS
        members.append(Member(trees=moved, is_probability=False, weight=weight, only=own))
    return Mixture(members=tuple(members))
