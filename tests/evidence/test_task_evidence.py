import json
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import TaskError
from qualityfm.evidence.canary import canary, nuisance_features, permuted, require_silent
from qualityfm.evidence.curves import held_point, reliability, risk_coverage, roc
from qualityfm.evidence.encoder_check import pretrained_records, require_unseen
from qualityfm.evidence.intervals import Estimate, auc
from qualityfm.evidence.paired import delong, paired_difference
from qualityfm.evidence.report_tasks import page, table
from qualityfm.evidence.standards import standard_row
from qualityfm.evidence.task_benchmark import per_patient
from qualityfm.evidence.task_scores import read_scores, write_scores
from qualityfm.files import sha256_of
from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import FeatureTable
from qualityfm.tasks.folds import fold_sides


def example(name: str, **fields: object) -> Example:
    known = {"recording": name, "name": name, "start_s": 0.0, "length_s": 30.0, "subject": None, "group": name}
    return Example(**(known | {"label": (1.0,)} | fields))  # type: ignore[arg-type]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "records.csv"
    path.write_text("record,split\na100,train\na120,train\na200,test\n")
    return path


def card(labels: Path) -> dict[str, object]:
    selection = {"table": "records.csv", "table_sha256": sha256_of(labels), "where": "split == 'train'"}
    return {"name": "m", "data": {"selection": selection}}


def test_an_encoder_that_saw_a_tested_record_makes_no_figure(labels: Path) -> None:
    with pytest.raises(TaskError, match="has seen a tested record: m"):
        require_unseen(card(labels), [example("a120")], labels)


def test_an_encoder_that_saw_a_neighbour_makes_no_figure(labels: Path) -> None:
    with pytest.raises(TaskError, match="a neighbour of a125"):
        require_unseen(card(labels), [example("a125", number=125)], labels)


def test_an_encoder_that_saw_neither_may_be_tested(labels: Path) -> None:
    require_unseen(card(labels), [example("a200", number=200)], labels)
    assert pretrained_records(card(labels), labels) == {"a100", "a120"}


@pytest.mark.parametrize("data", [None, {}, {"selection": None}])
def test_a_card_that_does_not_say_what_it_saw_makes_no_figure(labels: Path, data: object) -> None:
    with pytest.raises(TaskError, match="no proof"):
        require_unseen({"name": "m", "data": data}, [example("a200")], labels)


def test_a_card_of_another_table_makes_no_figure(labels: Path) -> None:
    about = card(labels)
    labels.write_text(labels.read_text() + "a300,test\n")
    with pytest.raises(TaskError, match="no proof"):
        require_unseen(about, [example("a200")], labels)


def test_equal_answers_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(50) > 0.5, rng.random(50)
    found = paired_difference(auc, truth, score, score, np.arange(50), num_rounds=50)
    assert (found.low, found.value, found.high) == (0, 0, 0)
    assert delong(truth, score, score).p_value == 1.0


def test_delong_agrees_with_the_paired_bootstrap() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(400) > 0.5
    good, bad = truth + rng.standard_normal(400), truth + 2 * rng.standard_normal(400)
    found = paired_difference(auc, truth, good, bad, np.arange(400), num_rounds=400)
    test = delong(truth, good, bad)
    assert test.difference == pytest.approx(found.value)
    assert (test.p_value < 0.05) == (found.low > 0)


def test_chance_answers_rarely_differ_for_delong() -> None:
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(60):
        truth = rng.random(80) > 0.5
        p_values.append(delong(truth, rng.random(80), rng.random(80)).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.2


def test_permuted_labels_keep_the_share_of_each_kind() -> None:
    examples = [example(str(i), kind="a" if i < 10 else "b", label=(float(i < 10 or i % 3 == 0),)) for i in range(30)]
    told = permuted(examples)
    assert sum(e.label == (1.0,) for e in told if e.kind == "a") == 10
    assert [e.label for e in told] != [e.label for e in examples]


def test_a_canary_is_silent_on_clean_folds() -> None:
    rng = np.random.default_rng(3)
    examples = [example(str(i), fold=i % 3, label=(float(i % 2),)) for i in range(90)]
    made = FeatureTable(names=("a", "b"), values=rng.standard_normal((90, 2)))
    found = canary(made, examples, fold_sides(examples), num_rounds=100)
    require_silent(found, "folds")
    assert found.low < found.high


def test_a_canary_that_sings_stops_the_benchmark() -> None:
    with pytest.raises(TaskError, match="the protocol leaks"):
        require_silent(Estimate(value=0.9, low=0.8, high=0.95), "folds")


def test_nuisance_features_hold_no_physiology() -> None:
    made = FeatureTable(names=("ecg1_rate_bpm", "ppg_rate_bpm"), values=np.array([[70.0, np.nan]]))
    found = nuisance_features(made, [example("a7", number=7)])
    assert dict(zip(found.names, found.values[0], strict=True)) == {
        "number": 7,
        "start_s": 0,
        "length_s": 30,
        "ecg1_missing": 0,
        "ppg_missing": 1,
    }


def test_the_area_under_the_roc_is_the_auc() -> None:
    rng = np.random.default_rng(4)
    truth, score = rng.random(200) > 0.6, rng.integers(0, 20, 200) / 20
    x, y = roc(truth, score)
    assert float(np.trapezoid(y, x)) == pytest.approx(auc(truth, score))


def test_honest_probabilities_are_reliable() -> None:
    probability = np.random.default_rng(5).random(5000)
    truth = np.random.default_rng(6).random(5000) < probability
    assert reliability(truth, probability).error < 0.03
    assert reliability(~truth, probability).error > 0.3


def test_confidence_that_knows_its_errors_lowers_the_risk() -> None:
    error = np.repeat([0.0, 1.0], 50)
    assert risk_coverage(error, -error).area < risk_coverage(error, error).area


def test_an_alarm_without_an_answer_stays_on() -> None:
    truth, nothing = np.array([True, False]), np.zeros(2)
    found = held_point(truth, nothing, np.ones(2), np.zeros(2, bool))
    assert (found.sensitivity, found.removed, found.abstained) == (1.0, 0.0, 1.0)


def test_a_patient_without_fibrillation_has_no_sensitivity() -> None:
    rows = per_patient(np.array([True, False]), np.array([True, False]), np.array(["p", "q"]))
    assert [row["sensitivity"] for row in rows] == [1.0, "not defined", 1.0, 1.0]


def test_small_errors_compare_well_with_both_standards() -> None:
    truth = np.linspace(90, 150, 100)
    row = standard_row("m", "systolic", truth, truth + np.where(np.arange(100) % 2, 2, -2), num_patients=85)
    assert row["compared with AAMI"] == "within its limits"
    assert row["compared with BHS"] == "as grade A"


def test_too_few_patients_for_a_standard_are_named() -> None:
    row = standard_row("m", "systolic", np.array([90.0, 100]), np.array([91.0, 100]), num_patients=2)
    assert row["compared with AAMI"] == "within its limits; only 2 of 85 patients"


def test_saved_scores_come_back_exactly(tmp_path: Path) -> None:
    answers = np.array([[1 / 3], [2e-17]])
    write_scores(tmp_path / "s.csv", [example("a"), example("b,c")], ("y",), {"m": answers}, quality=np.array([0.1, 1]))
    found = read_scores(tmp_path / "s.csv")
    np.testing.assert_array_equal(found["m:y"], answers[:, 0])
    assert found["record"].tolist() == ["a", "b,c"]


def test_words_from_outside_are_escaped_in_a_report() -> None:
    html = page("<b>", ["<script>"], [table("t", ("<i>",), [("<u>",)])])
    assert not any(word in html for word in ("<b>", "<script>", "<i>", "<u>"))
    assert "http" not in html


@pytest.mark.real
def test_the_shipped_encoder_may_be_tested_on_the_records_that_it_kept_away_from(real_data: Path) -> None:
    import qualityfm
    from qualityfm.tasks.task import TASKS

    about = json.loads((Path(qualityfm.__file__).parent / "weights" / "qualityfm-tiny" / "model.json").read_text())
    folder = real_data / "challenge2015"
    examples = TASKS["vt-alarm"].examples(folder, None)
    require_unseen(about, [e for e in examples if e.split == "test"], folder / "records.csv")
    require_unseen(about, [e for e in examples if e.fold == 4], folder / "records.csv")
    with pytest.raises(TaskError, match="has seen a tested record"):
        require_unseen(about, [e for e in examples if e.fold == 0], folder / "records.csv")
