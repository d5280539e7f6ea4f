"""No patient on both sides."""

from types import SimpleNamespace

import numpy as np
import pytest

from qualityfm.errors import ConfigError, TaskError
from qualityfm.shards import ShardReader, refuse_leakage, split_by_subject

MANY = [[(f"r{i}", f"s{i // 2}" if i % 4 else None, 2) for i in range(40)]]


def columns(recordings, subjects, folder="somewhere"):
    rows = {"recording_id": np.array(recordings, object), "subject_id": np.array(subjects, object)}
    return SimpleNamespace(url=folder, rows=rows)


def test_a_split_keeps_each_subject_and_recording_on_one_side_and_loses_no_row(make_dataset):
    reader = ShardReader(make_dataset(MANY)[0])
    train, heldout = split_by_subject(reader, 0.3, seed=1)
    assert sorted([*train, *heldout]) == list(range(80))
    for name in ("recording_id", "subject_id"):
        assert not (set(reader.rows[name][train]) & set(reader.rows[name][heldout])) - {""}
    assert 5 <= len(heldout) <= 50


def test_a_split_is_the_same_every_time_and_another_for_another_seed(make_dataset):
    reader = ShardReader(make_dataset(MANY)[0])
    first, again, other = (split_by_subject(reader, 0.3, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_two_subjects_are_split_one_and_one_whatever_the_fraction(make_dataset):
    reader = ShardReader(make_dataset([[("a", None, 2), ("b", None, 3)]])[0])
    for fraction in (0.001, 0.999):
        train, heldout = split_by_subject(reader, fraction, seed=0)
        assert {len(train), len(heldout)} == {2, 3}


def test_one_subject_cannot_be_split(make_dataset):
    reader = ShardReader(make_dataset([[("a", "s", 2), ("b", "s", 3)]])[0])
    with pytest.raises(ConfigError, match="found 1"):
        split_by_subject(reader, 0.5, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, float("nan"), -1.0])
def test_a_fraction_outside_0_to_1_is_refused(make_dataset, fraction):
    reader = ShardReader(make_dataset(MANY)[0])
    with pytest.raises(ConfigError, match="heldout_fraction"):
        split_by_subject(reader, fraction, seed=0)


def test_a_subject_in_two_sets_is_refused():
    with pytest.raises(TaskError, match="s1"):
        refuse_leakage(columns(["a", "b"], ["s1", ""]), columns(["c"], ["s1"]))


def test_a_leak_names_both_places_and_what_they_share():
    first = columns(["a", "b"], ["s1", "s2"], "training set")
    second = columns(["c", "d"], ["s2", "s1"], "held-out set")
    with pytest.raises(TaskError, match="training set and held-out set: subject_id: found 's1 and 1 more in both'"):
        refuse_leakage(first, second)


def test_a_recording_in_two_sets_is_refused_where_subjects_are_unknown():
    with pytest.raises(TaskError, match="'b'"):
        refuse_leakage(columns(["a", "b"], ["", ""]), columns(["b"], [""]))


def test_unknown_subjects_are_not_one_subject():
    refuse_leakage(columns(["a"], [""]), columns(["b"], [""]))
