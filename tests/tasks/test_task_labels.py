from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import TaskError
from qualityfm.tasks.examples import Example, groups_of
from qualityfm.tasks.folds import fold_sides, leave_one_out_sides, with_folds
from qualityfm.tasks.folds import test_side as side_of_test
from qualityfm.tasks.task import TASKS, custom_task, find_task

ALARMS = """record,alarm,true_alarm,overlap_cluster,split,fold
a103l,Asystole,0,,train,0
v131l,Ventricular_Tachycardia,1,7,train,0
v135s,Ventricular_Tachycardia,0,7,train,0
v142l,Ventricular_Tachycardia,0,,train,1
v139l,Ventricular_Tachycardia,0,,train,1
v300l,Ventricular_Tachycardia,,,test,
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def example(name: str = "a", **fields: object) -> Example:
    known = {"recording": name, "name": name, "start_s": 0.0, "length_s": 10.0, "subject": None, "group": name}
    return Example(**(known | {"label": (1.0,)} | fields))  # type: ignore[arg-type]


def test_an_alarm_window_ends_with_the_alarm(tmp_path: Path) -> None:
    found = TASKS["vt-alarm"].examples(tmp_path, write(tmp_path / "labels.csv", ALARMS))
    assert {(e.start_s, e.end_s) for e in found} == {(290.0, 300.0)}


def test_looking_back_never_looks_past_the_alarm() -> None:
    begin_s, duration_s = example(start_s=290.0).stretch(1e9)
    assert (begin_s, begin_s + duration_s) == (0.0, 300.0)


def test_only_the_wanted_kind_of_alarm_is_taken(tmp_path: Path) -> None:
    found = TASKS["vt-alarm"].examples(tmp_path, write(tmp_path / "labels.csv", ALARMS))
    assert [e.name[0] for e in found] == ["v"] * 5


def test_an_alarm_without_verdict_has_no_label(tmp_path: Path) -> None:
    found = TASKS["alarm"].examples(tmp_path, write(tmp_path / "labels.csv", ALARMS))
    assert [e.name for e in found if e.label is None] == ["v300l"]


def test_overlapping_records_are_one_group(tmp_path: Path) -> None:
    found = TASKS["alarm"].examples(tmp_path, write(tmp_path / "labels.csv", ALARMS))
    assert len({e.group for e in found}) == len(found) - 1


def test_neighbours_of_a_tested_record_do_not_train(tmp_path: Path) -> None:
    found = [e for e in TASKS["alarm"].examples(tmp_path, write(tmp_path / "l.csv", ALARMS)) if e.fold is not None]
    side = fold_sides(found)[0]
    assert [found[i].name for i in side.train] == ["v142l"]


def test_named_patients_need_no_border(tmp_path: Path) -> None:
    text = "record,alarm,true_alarm,subject,fold\n1,Asystole,1,p,0\n2,Asystole,0,q,1\n"
    found = TASKS["alarm"].examples(tmp_path, write(tmp_path / "labels.csv", text))
    assert [len(side.train) for side in fold_sides(found)] == [1, 1]


def test_an_example_without_a_group_makes_no_figure() -> None:
    with pytest.raises(TaskError, match="without one no test figure is made"):
        groups_of([example(group=None)])


def test_a_table_whose_patient_is_unknown_makes_no_figure(tmp_path: Path) -> None:
    text = "record,start,label,subject\na,0,1,p\nb,0,0,\n"
    found = TASKS["custom"].examples(tmp_path, write(tmp_path / "labels.csv", text))
    with pytest.raises(TaskError, match="no group: b: group"):
        leave_one_out_sides(found)


def test_folds_keep_a_group_together() -> None:
    examples = with_folds([example(str(i), group=f"p{i // 3}") for i in range(30)])
    assert all(len({e.fold for e in examples if e.group == f"p{p}"}) == 1 for p in range(10))


def test_the_test_side_learns_from_train_alone() -> None:
    examples = [example("a", split="train"), example("b", split="test"), example("c")]
    side = side_of_test(examples)
    assert (side.train.tolist(), side.test.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("labels", "kind", "outputs"),
    [
        (("0", "1"), "binary", ("label",)),
        (("1.5", "7"), "regression", ("label",)),
        (("bad", "good"), "binary", ("good",)),
        (("a", "b", "c"), "multiclass", ("a", "b", "c")),
    ],
)
def test_the_labels_say_what_is_asked(tmp_path: Path, labels: tuple[str, ...], kind: str, outputs: object) -> None:
    rows = "".join(f"r{i},0,{label}\n" for i, label in enumerate(labels))
    task = custom_task(write(tmp_path / "labels.csv", f"record,start,label\n{rows}"))
    assert (task.kind, task.outputs) == (kind, outputs)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("record,start\na,0\n", "column label"),
        ("record,start,label\n", "rows"),
        ("record,start,label\na,0\n", "line 2: values"),
        ("record,start,label\na,x,1\nb,0,0\n", "line 2: start"),
        ("record,start,label\na,nan,1\nb,0,0\n", "line 2: start"),
        ("record,start,label\na,-1,1\nb,0,0\n", "start, length"),
        ("record,start,label\n../a,0,1\nb,0,0\n", "line 2: record"),
        ("record,start,label\na,0,1\nb,0,1\n", "at least two different labels"),
        ("record,start,label,fold\na,0,1,x\nb,0,0,1\n", "line 2: fold"),
    ],
)
def test_a_table_that_cannot_be_true_is_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(TaskError, match=named):
        TASKS["custom"].examples(tmp_path, write(tmp_path / "labels.csv", text))


def test_an_alarm_verdict_that_is_no_verdict_is_refused(tmp_path: Path) -> None:
    text = "record,alarm,true_alarm\na1,Asystole,maybe\n"
    with pytest.raises(TaskError, match="line 2: true_alarm: found 'maybe'"):
        TASKS["alarm"].examples(tmp_path, write(tmp_path / "labels.csv", text))


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(TaskError, match="no such task"):
        find_task("af2")


def test_the_challenge_score_charges_five_for_a_miss() -> None:
    truth, score = np.array([[1.0], [1.0], [0.0]]), np.array([[0.9], [0.1], [0.2]])
    found = TASKS["vt-alarm"].metrics(truth, score, [example()] * 3)
    assert found["score"] == pytest.approx(100 * 2 / 7)


def test_a_kind_with_one_class_has_no_auc() -> None:
    examples = [example(kind="a"), example(kind="a"), example(kind="b")]
    found = TASKS["alarm"].metrics(np.array([[1.0], [0.0], [1.0]]), np.array([[0.9], [0.1], [0.2]]), examples)
    assert np.isnan(found["auc_b"])
    assert found["auc_macro"] == 1.0


def test_saying_the_training_mean_has_a_mase_of_one_hundred() -> None:
    truth, mean = np.array([[120.0, 60, 80], [140, 80, 100]]), np.array([[100.0, 70, 90]])
    found = TASKS["abp"].metrics(truth, np.repeat(mean, 2, axis=0), [], train_mean=mean)
    assert found["mase_systolic"] == pytest.approx(100)
    assert found["mae_systolic_mmhg"] == pytest.approx(30)


@pytest.mark.real
def test_the_folds_of_the_challenge_do_not_touch(real_data: Path) -> None:
    examples = [e for e in TASKS["alarm"].examples(real_data / "challenge2015", None) if e.split == "train"]
    for side in fold_sides(examples):
        tested = np.array([examples[i].number for i in side.test])
        assert min(np.abs(tested - examples[i].number).min() for i in side.train) > 6
