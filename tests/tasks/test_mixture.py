"""Forests and mixtures as arrays: the same numbers as scikit-learn, and nothing believed of a file that was touched."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from qualityfm.errors import FormatError
from qualityfm.tasks.alarm_learner import fit_alarms
from qualityfm.tasks.boosting import SETTINGS, boosted
from qualityfm.tasks.forest import FOREST, fitted_forest, usual_values
from qualityfm.tasks.mixture import Mixture, mixture_from
from qualityfm.tasks.trees import logit

NAMES = ("kind_ventricular_tachycardia", "rate", "criterion_gap")


def table(num: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    features = rng.standard_normal((num, 3)).astype(np.float32).astype(np.float64)
    features[:, 0] = np.arange(num) % 2
    is_true = features[:, 1] + features[:, 2] > 0
    features[rng.random(num) < 0.2, 1] = np.nan
    return features, is_true


def mixture() -> Mixture:
    features, is_true = table()
    return fit_alarms(features, is_true, 0, names=NAMES)


def test_a_forest_gives_the_probabilities_of_scikit_learn_with_medians_for_missing_values() -> None:
    features, is_true = table()
    known = np.where(np.isfinite(features), features, usual_values(features))
    fitted = ExtraTreesClassifier(**FOREST, random_state=0).fit(known, is_true)
    found = fitted_forest(features, is_true).predict(features)
    np.testing.assert_allclose(found, fitted.predict_proba(known)[:, 1], atol=1e-9)


def test_boosted_trees_survive_a_column_that_is_never_known() -> None:
    features, is_true = table()
    blind = np.concatenate((features, np.full((len(features), 1), np.nan)), axis=1)
    assert np.isfinite(boosted(blind, is_true, SETTINGS, 0).predict(blind)).all()


def test_trees_of_one_kind_are_asked_of_that_kind_alone() -> None:
    made, (features, _) = mixture(), table()
    forest = logit(made.members[0].trees.predict(features))
    is_own = features[:, 0] == 1
    np.testing.assert_allclose(made.predict(features)[~is_own], forest[~is_own])
    assert np.abs(made.predict(features)[is_own] - forest[is_own]).max() > 0.1


def test_trees_of_one_kind_do_not_look_at_criteria() -> None:
    own = mixture().members[1].trees
    assert not (own.feature[~own.is_leaf] == NAMES.index("criterion_gap")).any()


def test_too_few_alarms_of_the_kind_leave_the_forest_alone() -> None:
    features, is_true = table()
    features[:, 0] = 0
    assert len(fit_alarms(features, is_true, 0, names=NAMES).members) == 1


def test_a_stored_mixture_comes_back_as_it_was() -> None:
    made, (features, _) = mixture(), table()
    again = mixture_from(made.arrays("0_"), "0_", 3, "file")
    assert np.array_equal(again.predict(features), made.predict(features))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("0_weight", np.array([0.7, -0.1, 0.1])),
        ("0_only", np.array([-1, 7, 0], np.int32)),
        ("0_only", np.array([0, 0, 0], np.int32)),
        ("0_is_probability", np.zeros(0, bool)),
        ("0_member1_left", np.zeros(3)),
    ],
)
def test_a_touched_mixture_is_refused(field: str, value: np.ndarray) -> None:
    with pytest.raises(FormatError, match="damaged"):
        mixture_from(mixture().arrays("0_") | {field: value}, "0_", 3, "file")
