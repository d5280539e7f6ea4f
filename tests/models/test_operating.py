"""Thresholds, calibration and the operating point that holds a sensitivity."""

import numpy as np
import pytest

from qualityfm.models.operating import OperatingPoint, best_threshold, fit_binary, fit_classes, holding_threshold


def draw(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are twice too sure, and labels."""
    rng = np.random.default_rng(seed)
    logit = 2 * rng.standard_normal(num) - 1
    return 2 * logit, rng.random(num) < 1 / (1 + np.exp(-logit))


def test_calibration_undoes_what_is_too_sure() -> None:
    point = fit_binary(*draw(4000, 0), rule="balanced", sensitivity=0.95)
    assert point.slope == pytest.approx(0.5, abs=0.06)


def test_the_careful_threshold_holds_its_sensitivity_on_new_examples() -> None:
    held = []
    for seed in range(200):
        logits, is_true = draw(100, seed)
        point = fit_binary(logits, is_true, rule="balanced", sensitivity=0.9)
        new, new_true = draw(400, 10_000 + seed)
        held.append((point.probability(new[new_true][:, None])[:, 0] >= point.careful_threshold).mean())
    assert np.mean(held) >= 0.895


def test_too_few_true_examples_promise_nothing() -> None:
    assert holding_threshold(np.array([0.4, 0.5, 0.9]), 0.95) == 0.0


def test_missing_a_true_alarm_weighs_more_than_a_false_one() -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    is_true = np.array([False, False, True, False, False, False, True, True])
    assert best_threshold(probability, is_true, "challenge") < 0.3 < best_threshold(probability, is_true, "balanced")


@pytest.mark.parametrize("label", [True, False])
def test_one_class_alone_gives_the_middle(label: bool) -> None:
    assert best_threshold(np.array([0.2, 0.9]), np.array([label, label]), "challenge") == 0.5


def test_a_head_that_is_worse_than_chance_is_not_turned_round() -> None:
    logits, is_true = draw(500, 1)
    assert fit_binary(-logits, is_true, rule="balanced", sensitivity=0.9).slope > 0


def test_between_both_thresholds_and_without_samples_it_abstains() -> None:
    point = OperatingPoint(
        slope=1.0,
        offset=0.0,
        threshold=0.6,
        rule="balanced",
        careful_threshold=0.2,
        sensitivity=0.95,
        num_fitted=10,
        num_true=5,
    )
    answers = point.answers(np.array([0.1, 0.4, 0.9, 0.9]), np.array([True, True, True, False]))
    assert answers == ["no", "abstain", "yes", "abstain"]


def test_the_temperature_of_several_classes_undoes_what_is_too_sure() -> None:
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((3000, 3))
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    label = np.array([rng.choice(3, p=row) for row in chance])
    assert fit_classes(3 * logits, label.astype(float), 0.95).slope == pytest.approx(1 / 3, abs=0.05)
