"""Boosted trees as arrays: the same numbers as scikit-learn, and nothing believed of a file that was touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from qualityfm.errors import FormatError, TaskError
from qualityfm.tasks.boosting import fitted_trees, require_two_classes
from qualityfm.tasks.trees import trees_from, trees_of


def table(num: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    features = rng.standard_normal((num, 6))
    features[rng.random(features.shape) < 0.2] = np.nan
    return features, np.nan_to_num(features[:, 0]) + 2 * np.nan_to_num(features[:, 1])


def test_trees_give_the_logits_of_scikit_learn_for_missing_values_too() -> None:
    features, quantity = table()
    fitted = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(features, quantity > 0)
    np.testing.assert_allclose(trees_of(fitted).predict(features), fitted.decision_function(features), atol=1e-12)


def test_trees_give_the_quantities_of_scikit_learn() -> None:
    features, quantity = table()
    fitted = HistGradientBoostingRegressor(loss="absolute_error", max_iter=30).fit(features, quantity)
    np.testing.assert_allclose(trees_of(fitted).predict(features), fitted.predict(features), atol=1e-12)


def test_stored_trees_come_back_as_they_were() -> None:
    features, quantity = table()
    (trees,) = fitted_trees(features, quantity[:, None])
    again = trees_from(trees.arrays("0_"), "0_", 6, "file")
    assert np.array_equal(again.predict(features), trees.predict(features))


@pytest.mark.parametrize("field", ["roots", "left", "right", "feature"])
def test_arrays_that_lead_outside_are_refused(field: str) -> None:
    features, quantity = table()
    (trees,) = fitted_trees(features, quantity[:, None])
    wrong = replace(trees, **{field: np.full_like(getattr(trees, field), 10**6)})
    with pytest.raises(FormatError, match=f"0_{field}"):
        trees_from(wrong.arrays("0_"), "0_", 6, "file")


def test_missing_and_mistyped_arrays_are_refused() -> None:
    features, quantity = table()
    arrays = fitted_trees(features, quantity[:, None])[0].arrays("0_")
    for broken in ({k: v for k, v in arrays.items() if k != "0_value"}, arrays | {"0_left": arrays["0_value"]}):
        with pytest.raises(FormatError, match="damaged trees"):
            trees_from(broken, "0_", 6, "file")


def test_a_column_without_any_number_is_never_asked() -> None:
    features, quantity = table()
    features[:, 3] = np.nan
    (trees,) = fitted_trees(features, quantity[:, None])
    assert 3 not in trees.feature[~trees.is_leaf]


def test_labels_of_one_class_teach_nothing() -> None:
    with pytest.raises(TaskError, match="two classes"):
        require_two_classes(np.ones((20, 1)))
