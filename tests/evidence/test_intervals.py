import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from qualityfm.errors import TaskError
from qualityfm.evidence.intervals import auc, bootstrap


def test_auc_agrees_with_scikit_learn_ties_included():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth = rng.random(60) < 0.3
        score = np.round(rng.random(60) + 0.3 * truth, 1)
        assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score))


def test_auc_of_one_class_is_not_defined():
    assert np.isnan(auc(np.ones(5, bool), np.arange(5.0)))


def test_the_interval_covers_a_known_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(100):
        values = rng.standard_normal(60)
        found = bootstrap(lambda chosen, v=values: float(v[chosen].mean()), np.arange(60), num_rounds=300, seed=seed)
        hits += found.low <= 0.0 <= found.high
    assert 86 <= hits <= 100


def test_groups_are_drawn_whole():
    groups = np.repeat(np.arange(10), 7)
    sizes = set()

    def figure(chosen):
        counts = np.bincount(groups[chosen], minlength=10)
        sizes.update((counts % 7).tolist())
        return float(len(chosen))

    bootstrap(figure, groups, num_rounds=50)
    assert sizes == {0}


def test_one_group_has_no_interval():
    with pytest.raises(TaskError, match="at least two"):
        bootstrap(lambda chosen: 0.0, np.zeros(5))
