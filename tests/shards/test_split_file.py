"""A patient has one side, whoever asks and whatever is added."""

import json

import numpy as np
import pytest

from qualityfm.errors import ConfigError, FormatError, TaskError
from qualityfm.shards import ShardReader
from qualityfm.shards.split_file import read_split, read_split_file, sides_of_rows, write_split
from qualityfm.shards.split_sides import make_split

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}


def patients(numbers, unknown=0):
    """One shard: two recordings for each patient, then recordings without a patient."""
    known = [(f"r{n}{part}", f"s{n}", 2) for n in numbers for part in "ab"]
    return [[*known, *((f"u{n}", None, 2) for n in range(unknown))]]


def side_of_recording(split, reader):
    return dict(zip(reader.rows["recording_id"], sides_of_rows(split, reader.rows), strict=True))


def test_every_row_has_one_side_and_no_patient_has_two(make_dataset):
    reader = ShardReader(make_dataset(patients(range(40)))[0])
    sides = sides_of_rows(make_split(reader, FRACTIONS, seed=0), reader.rows)
    assert set(sides) == set(FRACTIONS)
    for subject in set(reader.rows["subject_id"]):
        assert len(set(sides[reader.rows["subject_id"] == subject])) == 1


def test_the_shares_come_out_about_as_asked_for(make_dataset):
    reader = ShardReader(make_dataset([[(f"r{n}", f"s{n}", 1) for n in range(400)]])[0])
    sides = sides_of_rows(make_split(reader, FRACTIONS, seed=3), reader.rows)
    for name, fraction in FRACTIONS.items():
        assert np.mean(sides == name) == pytest.approx(fraction, abs=4 * (0.25 / 400) ** 0.5)


def test_the_same_seed_gives_the_same_sides_and_another_seed_others(make_dataset):
    reader = ShardReader(make_dataset(patients(range(40)))[0])
    first, again, other = (make_split(reader, FRACTIONS, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.subjects != other.subjects


def test_sides_do_not_depend_on_the_order_of_the_shares(make_dataset):
    reader = ShardReader(make_dataset(patients(range(40)))[0])
    turned = dict(reversed(FRACTIONS.items()))
    assert make_split(reader, turned, seed=0) == make_split(reader, FRACTIONS, seed=0)


def test_patients_who_are_added_move_nobody(make_dataset, tmp_path):
    few = make_split(ShardReader(make_dataset(patients(range(20)))[0]), FRACTIONS, seed=0)
    (tmp_path / "dataset").rename(tmp_path / "earlier")
    many = make_split(ShardReader(make_dataset(patients(range(60)))[0]), FRACTIONS, seed=0)
    assert {name: many.subjects[name] for name in few.subjects} == few.subjects


def test_rows_without_a_patient_are_for_training_alone(make_dataset):
    reader = ShardReader(make_dataset(patients(range(20), unknown=30))[0])
    sides = sides_of_rows(make_split(reader, FRACTIONS, seed=0), reader.rows)
    assert set(sides[reader.rows["subject_id"] == ""]) == {"train"}


def test_overlapping_recordings_of_two_patients_are_on_one_side(make_dataset):
    reader = ShardReader(make_dataset(patients(range(40)))[0])
    apart = make_split(reader, FRACTIONS, seed=0)
    pairs = [(f"r{n}a", f"r{n + 1}b") for n in range(0, 40, 2)]
    together = side_of_recording(make_split(reader, FRACTIONS, seed=0, overlaps=pairs), reader)
    assert any(apart.subjects[f"s{n}"] != apart.subjects[f"s{n + 1}"] for n in range(0, 40, 2))
    for n in range(0, 40, 2):
        assert len({together[f"r{n + k}{part}"] for k in (0, 1) for part in "ab"}) == 1


def test_a_chain_of_overlaps_is_on_one_side(make_dataset):
    reader = ShardReader(make_dataset(patients(range(40)))[0])
    chain = [("r2a", "r3a"), ("r3b", "r4a"), ("r5a", "r4b")]
    split = make_split(reader, FRACTIONS, seed=0, overlaps=chain)
    assert len({split.subjects[f"s{n}"] for n in (2, 3, 4, 5)}) == 1


def test_a_recording_without_a_patient_follows_the_known_one_it_overlaps(make_dataset):
    reader = ShardReader(make_dataset(patients(range(20), unknown=3))[0])
    tested = next(name for name, side in make_split(reader, FRACTIONS, seed=0).subjects.items() if side == "test")
    pairs = [(f"r{tested[1:]}a", "u0"), ("u0", "u1")]
    sides = side_of_recording(make_split(reader, FRACTIONS, seed=0, overlaps=pairs), reader)
    assert [sides[name] for name in ("u0", "u1", "u2")] == ["test", "test", "train"]


def test_unknown_patients_that_overlap_each_other_stay_in_training(make_dataset):
    reader = ShardReader(make_dataset(patients(range(20), unknown=3))[0])
    split = make_split(reader, FRACTIONS, seed=0, overlaps=[("u0", "u1")])
    assert split.recordings == {}


def test_a_recording_named_like_a_patient_is_not_that_patient(make_dataset):
    reader = ShardReader(make_dataset([[*patients(range(20))[0], ("s1", None, 1)]])[0])
    assert side_of_recording(make_split(reader, FRACTIONS, seed=0), reader)["s1"] == "train"


def test_a_split_file_gives_the_rows_of_each_side(make_dataset, tmp_path):
    reader = ShardReader(make_dataset(patients(range(40), unknown=2))[0])
    split = make_split(reader, FRACTIONS, seed=0, overlaps=[("r1a", "u0")])
    write_split(split, tmp_path / "splits.json")
    rows = read_split(reader, tmp_path / "splits.json")
    assert list(rows) == sorted(FRACTIONS)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(reader)))
    assert set(reader.rows["subject_id"][rows["test"]]) <= {n for n, s in split.subjects.items() if s == "test"} | {""}
    assert read_split_file(tmp_path / "splits.json") == split


def test_a_split_of_another_data_set_is_refused(make_dataset, tmp_path):
    write_split(
        make_split(ShardReader(make_dataset(patients(range(20)))[0]), FRACTIONS, seed=0), tmp_path / "splits.json"
    )
    (tmp_path / "dataset").rename(tmp_path / "earlier")
    other = ShardReader(make_dataset(patients(range(21)))[0])
    with pytest.raises(FormatError, match=r"splits\.json: content_hash: found .*, expected .*same seed"):
        read_split(other, tmp_path / "splits.json")


def test_a_split_file_changed_by_hand_is_refused(make_dataset, tmp_path):
    file = tmp_path / "splits.json"
    write_split(make_split(ShardReader(make_dataset(patients(range(20)))[0]), FRACTIONS, seed=0), file)
    plain = json.loads(file.read_text())
    moved = next(name for name, side in plain["subjects"].items() if side == "test")
    plain["subjects"][moved] = "train"
    file.write_text(json.dumps(plain))
    with pytest.raises(FormatError, match="split_hash"):
        read_split_file(file)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '{"format": "qualityfm-split"}', "[" * 5000, None])
def test_a_file_that_is_no_split_file_is_one_line(tmp_path, text):
    file = tmp_path / "splits.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(FormatError, match=r"splits\.json") as caught:
        read_split_file(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fractions",
    [
        {},
        {"train": 0.5},
        {"train": 1.2, "test": -0.2},
        {"train": 0.0, "test": 1.0},
        {"val": 0.5, "test": 0.5},
        {"train": float("nan"), "test": 0.5},
        {"train": 0.5, "a b": 0.5},
    ],
)
def test_shares_that_are_none_are_refused(make_dataset, fractions):
    reader = ShardReader(make_dataset(patients(range(4)))[0])
    with pytest.raises(ConfigError, match="fractions"):
        make_split(reader, fractions, seed=0)


def test_a_side_without_a_patient_is_refused(make_dataset):
    reader = ShardReader(make_dataset(patients(range(1), unknown=50))[0])
    with pytest.raises(TaskError, match=r"an empty side.*0 of 1 known subjects"):
        make_split(reader, FRACTIONS, seed=0)


def test_an_overlap_of_a_recording_that_is_not_there_is_refused(make_dataset):
    reader = ShardReader(make_dataset(patients(range(20)))[0])
    with pytest.raises(TaskError, match="'elsewhere'"):
        make_split(reader, FRACTIONS, seed=0, overlaps=[("r1a", "elsewhere")])
