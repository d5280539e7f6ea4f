"""The benchmark of pressure on features that are made up: it must see what is there, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from qualityfm.evidence.pressure_benchmark import benchmark_pressures, bland_altman, nuisance_table, permuted_patients
from qualityfm.evidence.report_tasks import scatter
from qualityfm.tasks.boosting import SETTINGS
from qualityfm.tasks.examples import Example, truths
from qualityfm.tasks.features import FeatureTable
from qualityfm.tasks.folds import fold_sides


def material(num_patients: int = 28, told: float = 20.0) -> tuple[FeatureTable, list[Example]]:
    """Four windows of each patient; the width tells the level, the rate tells the change since the first minute."""
    rng = np.random.default_rng(0)
    examples, rows = [], []
    for patient in range(num_patients):
        level = rng.standard_normal()
        for place in range(4):
            moved = rng.standard_normal() * (place > 1)
            systolic = 120 + told * level + 0.4 * told * moved
            label = (systolic, systolic - 50, systolic - 30)
            examples.append(
                Example(
                    recording=f"r{patient}",
                    name=f"r{patient}",
                    start_s=30.0 * place,
                    length_s=30.0,
                    subject=None,
                    group=f"p{patient}",
                    label=label,
                    fold=patient % 4,
                )
            )
            rows.append([level, 70 + 10 * moved, rng.random()])
    return FeatureTable(names=("area", "rate_bpm", "quality"), values=np.array(rows)), examples


@pytest.fixture(scope="module")
def found():  # type: ignore[no-untyped-def]
    made, examples = material()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, "max_iter", 3)
        return benchmark_pressures(made, examples, fold_sides(examples), num_rounds=50)


def test_every_figure_has_an_interval_in_both_protocols(found) -> None:  # type: ignore[no-untyped-def]
    rows = {(row.protocol, row.model): row for row in found.rows}
    assert {model for protocol, model in rows if protocol == "calibrated"} == {
        "first minute held",
        "first minute and change",
    }
    assert {"training mean", "training median", "nuisance", "trees", "linear"} <= {model for _, model in rows}
    assert all(row.estimate.low <= row.estimate.value <= row.estimate.high for row in found.rows)
    assert {"mae_systolic_mmhg", "me_mean_mmhg", "sd_mean_mmhg", "mase_diastolic"} <= {r.figure for r in found.rows}


def test_what_features_tell_of_levels_and_of_changes_is_found(found) -> None:  # type: ignore[no-untyped-def]
    paired = {(model, against, figure): estimate for model, against, figure, estimate in found.differences}
    assert paired["linear", "training mean", "mae_systolic_mmhg"].high < 0
    assert paired["first minute and change", "first minute held", "mae_systolic_mmhg"].high < 0


def test_neither_permuted_labels_nor_nuisance_tell_anything(found) -> None:  # type: ignore[no-untyped-def]
    assert all(estimate.high >= 0 for estimate in found.canary.values())
    paired = {(model, figure): estimate for model, _, figure, estimate in found.differences}
    assert paired["nuisance", "mae_systolic_mmhg"].high > 0


def test_the_report_has_the_pictures_and_compares_with_standards(found) -> None:  # type: ignore[no-untyped-def]
    assert found.html.count("<svg") == 4
    assert "as grade" in found.html
    assert not any("meets" in str(row) for row in found.standards)


def test_limits_of_agreement_lie_around_the_mean_difference() -> None:
    truth = np.linspace(80, 120, 101)
    _, difference, (low, middle, high) = bland_altman(truth, truth + 3 + np.where(np.arange(101) % 2, 1, -1))
    assert (middle, high - middle) == (pytest.approx(3, abs=0.02), pytest.approx(1.96, abs=0.05))
    assert low < difference.min() < difference.max() < high


def test_a_patient_gets_the_labels_of_one_other_patient() -> None:
    _, examples = material(6)
    told = permuted_patients(examples)
    for place in range(0, 24, 4):
        rows = truths(told)[place : place + 4]
        assert any(np.array_equal(rows, truths(examples)[k : k + 4]) for k in range(0, 24, 4))
    assert not np.array_equal(truths(told), truths(examples))


def test_nuisance_holds_quality_and_time_but_no_pulse() -> None:
    made, examples = material(4)
    assert nuisance_table(made, examples).names == ("number", "start_s", "of_quality")


@pytest.mark.parametrize("values", [np.array([1.0]), np.zeros(5)])
def test_points_without_a_range_are_drawn(values: np.ndarray) -> None:
    assert scatter("one", values, values, (0.0,)).count("<circle") == len(values)
    assert "nan" not in scatter("one", values, values, (0.0,))
