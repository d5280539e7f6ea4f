"""A forest of extremely randomised trees as plain arrays: fitted by scikit-learn, answered with NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64

from qualityfm.tasks.trees import Trees

#: Settings of the forest; chosen on the folds of the 2015 challenge's `train`, docs/experiments/LOG.md 0023. Source of
#: the method: Geurts, Ernst, Wehenkel, Machine Learning 63:3, 2006.
FOREST: dict[str, Any] = {
    "n_estimators": 300,
    "min_samples_leaf": 2,
    "max_features": 0.3,
    "class_weight": "balanced",
}


def fitted_forest(
    features: Float[np.ndarray, "example feature"], is_true: Bool[np.ndarray, " example"], seed: int = 0
) -> Trees:
    """Return trees whose leaves sum up to the probability of true, both classes weighing alike.

    A missing value counts as the feature's median, so it goes at each node where the median goes.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    usual = usual_values(features)
    known = np.where(np.isfinite(features), features, usual)
    fitted = ExtraTreesClassifier(**FOREST, random_state=seed).fit(known, is_true)
    return _trees([one.tree_ for one in fitted.estimators_], usual)


def usual_values(features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, " feature"]:
    """Return the median of each feature; 0 for one that is never known."""
    known = np.isfinite(features)
    shown = np.where(known | ~known.any(axis=0), np.where(known, features, 0.0), np.nan)
    shown[:, ~known.any(axis=0)] = 0.0
    return np.asarray(np.nanmedian(shown, axis=0), np.float64)


def _trees(parts: list[Any], usual: Float64[np.ndarray, " feature"]) -> Trees:
    sizes = [part.node_count for part in parts]
    starts = np.cumsum([0, *sizes])[:-1]
    shift = np.repeat(starts, sizes)
    left, right, feature, threshold = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("children_left", "children_right", "feature", "threshold")
    )
    is_leaf = left < 0
    asked = np.where(is_leaf, 0, feature)
    shares = np.concatenate([part.value[:, 0, 1] / part.value[:, 0].sum(axis=1) for part in parts])
    return Trees(
        baseline=0.0,
        roots=starts.astype(np.int32),
        feature=asked.astype(np.int32),
        threshold=np.where(is_leaf, 0.0, threshold).astype(np.float64),
        left=np.where(is_leaf, 0, left + shift).astype(np.int32),
        right=np.where(is_leaf, 0, right + shift).astype(np.int32),
        is_leaf=is_leaf.astype(bool),
        missing_goes_left=np.asarray(usual[asked].astype(np.float32) <= threshold),
        value=np.where(is_leaf, shares / len(parts), 0.0),
    )
