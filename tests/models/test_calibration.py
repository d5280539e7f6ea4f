"""What the quality head's numbers mean after training."""

import numpy as np
import pytest
from scipy.special import expit

from qualityfm.config import from_mapping, to_plain
from qualityfm.models.calibration import FALSE_CAUSE_SHARE, GOOD_FROM, Calibration, calibration_error, fit_calibration
from qualityfm.records import Cause

NUM_CAUSES = len(Cause.learnable())


def heldout(num_seconds=20_000, slope=0.5, offset=-0.7, seed=0):
    """Return logits of a head that is too sure and too optimistic, and what is true of the same seconds."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, num_seconds)
    is_good = rng.random(num_seconds) < expit(slope * logits + offset)
    quality = np.where(is_good, 0.95, 0.2)
    has_cause = (rng.random((num_seconds, NUM_CAUSES)) < 0.1) & ~is_good[:, None]
    has_cause[:, -1] = False
    cause_logits = np.where(has_cause, 2.0, -3.0) + rng.standard_normal((num_seconds, NUM_CAUSES))
    features = rng.standard_normal((600, 32)) * np.linspace(4, 0.1, 32) + 5
    return logits, quality, cause_logits, has_cause, features


@pytest.fixture(scope="module")
def fitted():
    return fit_calibration(*heldout())


def test_calibrated_probabilities_are_frequencies(fitted):
    logits, quality, *_ = heldout(seed=1)
    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.offset == pytest.approx(-0.7, abs=0.05)
    assert calibration_error(fitted.good_probability(logits), quality >= GOOD_FROM) < 0.015
    assert fitted.error_after < 0.015 < 0.1 < fitted.error_before


def test_causes_are_named_where_they_are_and_rarely_elsewhere(fitted):
    _, quality, cause_logits, has_cause, _ = heldout(seed=1)
    named = fitted.causes(cause_logits)
    assert (named[quality > 0.9] != 0).mean() < 0.02
    first = Cause.learnable()[0]
    assert ((named & first) != 0)[has_cause[:, 0]].mean() > 0.8


def test_a_cause_that_never_occurred_is_never_named(fitted):
    sure = np.full((1, NUM_CAUSES), 30.0)
    assert not int(fitted.causes(sure)[0]) & Cause.learnable()[-1]


def test_the_model_knows_what_it_was_shown_and_nothing_far_from_it(fitted):
    *_, features = heldout(seed=1)
    assert fitted.knows(features).mean() > 0.97
    assert not fitted.knows(features + 40).any()
    odd = features.copy()
    odd[:, -1] += 20  # far off along a direction in which nothing ever varied
    assert fitted.knows(odd).mean() < 0.05


def test_one_class_alone_gives_finite_numbers():
    logits, quality, cause_logits, has_cause, features = heldout(200)
    fitted = fit_calibration(logits, np.ones_like(quality), cause_logits, has_cause, features)
    assert np.isfinite([fitted.slope, fitted.offset, fitted.error_after]).all()


def test_a_head_without_causes_and_no_held_out_second_are_allowed():
    empty = np.empty(0)
    fitted = fit_calibration(empty, empty, np.empty((0, 0)), np.empty((0, 0), bool), np.zeros((3, 8)))
    assert (fitted.slope, fitted.offset, fitted.cause_thresholds) == (1.0, 0.0, ())


def test_a_card_keeps_it_as_plain_numbers(fitted):
    assert from_mapping(Calibration, to_plain(fitted), where="card", is_complete=True) == fitted


def test_perfect_and_useless_probabilities_have_the_errors_of_the_definition():
    is_true = np.array([True, False] * 50)
    assert calibration_error(is_true.astype(float), is_true) == 0
    assert calibration_error(1.0 - is_true, is_true) == pytest.approx(1)
    assert calibration_error(np.full(100, 0.5), is_true) == pytest.approx(0)


def test_rare_causes_are_named_below_one_half_where_that_is_right_more_often_than_not():
    logits, quality, cause_logits, has_cause, features = heldout()
    fitted = fit_calibration(logits, quality, cause_logits - 2.5, has_cause, features)
    assert all(0 < threshold < 0.5 for threshold in fitted.cause_thresholds[:-1])
    first = Cause.learnable()[0]
    assert ((fitted.causes(cause_logits - 2.5) & first) != 0)[has_cause[:, 0]].mean() > 0.8


def test_all_causes_together_keep_the_bound_on_false_ones():
    logits, quality, cause_logits, has_cause, features = heldout()
    noisy = cause_logits + np.random.default_rng(2).normal(0, 2, cause_logits.shape)
    fitted = fit_calibration(logits, quality, noisy, has_cause, features)
    named = fitted.causes(noisy)[quality >= 0.9] != 0
    assert named.mean() <= FALSE_CAUSE_SHARE
    assert named.mean() > FALSE_CAUSE_SHARE / NUM_CAUSES  # and use it up, rather than share it out evenly


def test_a_cause_that_is_guessed_at_random_is_never_named():
    logits, quality, cause_logits, has_cause, features = heldout()
    random = np.random.default_rng(3).permutation(cause_logits)
    fitted = fit_calibration(logits, quality, random, has_cause, features)
    share_named = (fitted.causes(random) != 0).mean()
    assert share_named < 0.01
