"""Shrunken linear maps: what they learn, what they refuse to learn, and nothing believed of a file that was touched."""

from __future__ import annotations

import numpy as np
import pytest

from qualityfm.errors import FormatError
from qualityfm.tasks.linear import Linear, fit_linear, linear_from
from qualityfm.tasks.linear_model import PARTS, fit_levels


def patients(num: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three windows of each patient; the quantity is 100 plus ten times the first of four features."""
    rng = np.random.default_rng(seed)
    features = np.repeat(rng.standard_normal((num, 4)), 3, axis=0)
    return features, 100 + 10 * features[:, 0], np.repeat(np.arange(num).astype(str), 3)


def test_a_map_learns_the_feature_that_matters() -> None:
    features, truth, groups = patients()
    fitted = fit_linear(features, truth, groups)
    assert fitted.coefficient[0] > 5 * np.abs(fitted.coefficient[1:]).max()
    assert np.abs(fitted.predict(features) - truth).mean() < 0.8 * np.abs(truth - np.median(truth)).mean()


@pytest.mark.parametrize("seed", range(4))
def test_labels_without_meaning_leave_little_but_the_median(seed: int) -> None:
    features, truth, groups = patients()
    told = np.repeat(np.random.default_rng(seed).permutation(truth[::3]), 3)
    fitted = fit_linear(features, told, groups)
    assert fitted.baseline == pytest.approx(np.median(told), abs=1)
    assert fitted.predict(features).std() < 0.2 * told.std()


def test_a_missing_feature_adds_nothing() -> None:
    features, truth, groups = patients()
    fitted = fit_linear(features, truth, groups)
    assert fitted.predict(np.full((1, 4), np.nan)) == pytest.approx([fitted.baseline])


def test_a_column_of_which_nothing_is_known_has_no_part() -> None:
    features, truth, groups = patients()
    features[:, 2] = np.nan
    fitted = fit_linear(features, truth, groups)
    assert fitted.coefficient[2] == 0
    assert np.isfinite(fitted.predict(features)).all()


def test_an_absurd_feature_moves_an_answer_no_further_than_a_large_one() -> None:
    features, truth, groups = patients()
    fitted = fit_linear(features, truth, groups)
    assert fitted.predict(np.full((1, 4), 1e12)) == pytest.approx(fitted.predict(np.full((1, 4), 1e6)))


def test_where_nothing_changed_nothing_is_said_to_have_changed() -> None:
    features, truth, groups = patients()
    fitted = fit_linear(features, truth - 100, groups, is_change=True)
    assert fitted.predict(np.zeros((1, 4))) == [0.0]
    assert fitted.predict(np.array([[1.0, 0, 0, 0]]))[0] > 1


def test_windows_of_a_patient_weigh_no_more_for_being_many() -> None:
    features, truth, groups = patients(20)
    often = np.concatenate((np.arange(60), np.zeros(500, int)))
    once = fit_linear(features[::3], truth[::3], groups[::3])
    again = fit_linear(features[often], truth[often], groups[often])
    assert abs(again.baseline - once.baseline) < 5


def test_maps_of_parts_add_up_to_maps_of_outputs() -> None:
    features, truth, groups = patients()
    outputs = np.stack([truth + 30 + 5 * features[:, 1], truth - 20, truth], axis=1)
    fitted = fit_levels(features, outputs, groups, PARTS["abp"])
    parts = [fit_linear(features, column, groups) for column in (outputs @ PARTS["abp"].T).T]
    np.testing.assert_allclose(
        fitted[0].predict(features), parts[0].predict(features) + parts[1].predict(features), atol=1e-9
    )
    np.testing.assert_allclose(
        fitted[1].predict(features), parts[0].predict(features) - parts[2].predict(features), atol=1e-9
    )


def test_a_stored_map_comes_back_as_it_was() -> None:
    features, truth, groups = patients()
    fitted = fit_linear(features, truth, groups)
    again = linear_from(fitted.arrays("0_"), "0_", 4, "file")
    np.testing.assert_array_equal(again.predict(features), fitted.predict(features))


@pytest.mark.parametrize(
    ("field", "value"),
    [("coefficient", np.zeros(3)), ("center", np.full(4, np.nan)), ("scale", np.zeros(4)), ("baseline", np.zeros(2))],
)
def test_touched_arrays_are_refused(field: str, value: np.ndarray) -> None:
    whole = Linear(baseline=1.0, center=np.zeros(4), scale=np.ones(4), coefficient=np.ones(4))
    with pytest.raises(FormatError, match=f"0_{field}"):
        linear_from(whole.arrays("0_") | {f"0_{field}": value}, "0_", 4, "file")
