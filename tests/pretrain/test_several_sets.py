"""Learning from several data sets at once."""

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.errors import ConfigError, TaskError
from qualityfm.models.checkpoint import load_checkpoint, read_card
from qualityfm.prepare.archive import prepare
from qualityfm.pretrain.loop import pretrain
from qualityfm.shards.joined import JoinedReader, recording_marks
from qualityfm.shards.reader import ShardReader


def test_joined_sets_give_the_rows_of_each_in_any_order(small_data, other_data):
    first, second, joined = ShardReader(small_data), ShardReader(other_data), JoinedReader([small_data, other_data])
    assert len(joined) == len(first) + len(second)
    rows = np.array([len(first) + 1, 0, len(first) - 1, len(first), 0])
    read = joined.read(rows)
    expected = [second.read(np.array([1])), first.read(np.array([0])), first.read(np.array([len(first) - 1]))]
    for place, one in enumerate(expected):
        np.testing.assert_array_equal(read.values[place], one.values[0])
        np.testing.assert_array_equal(read.causes[place], one.causes[0])
        np.testing.assert_array_equal(read.scale[place], one.scale[0])
    assert list(joined.rows["recording_id"][rows[:2]]) == [
        second.rows["recording_id"][1],
        first.rows["recording_id"][0],
    ]


@pytest.mark.parametrize("row", [-1, 10**6])
def test_a_row_that_is_not_there_is_refused(small_data, other_data, row):
    with pytest.raises(IndexError):
        JoinedReader([small_data, other_data]).read(np.array([row]))


def test_one_set_twice_is_leakage(small_data):
    with pytest.raises(TaskError, match="leakage"):
        JoinedReader([small_data, small_data])


def test_sets_of_another_form_are_refused_with_the_setting(small_data, other_data, tmp_path):
    archive = other_data.parent / "archive"
    config = replace(ShardReader(other_data).segments, clip=5.0)
    prepare(archive, tmp_path / "other", config=config)
    with pytest.raises(ConfigError, match=r"segments\.clip.*prepare both with one preset"):
        JoinedReader([small_data, tmp_path / "other"])


def test_a_run_on_two_sets_tells_of_both_in_its_card(small_data, other_data, small_preset, tmp_path):
    pretrain(small_preset, [small_data, other_data], tmp_path / "run", steps=2, threads=1)
    data = read_card(tmp_path / "run" / "checkpoint")["data"]
    assert [one["content_hash"] for one in data["sets"]] == [
        ShardReader(place).index.content_hash for place in (small_data, other_data)
    ]
    assert data["num_segments"] == sum(one["num_segments"] for one in data["sets"])
    held_out = len(JoinedReader([small_data, other_data])) - data["num_segments"]
    assert held_out > 0
    assert len(data["recording_marks"]) == data["num_recordings"]


def test_marks_know_a_recording_in_any_folder_and_do_not_tell_its_name():
    (mark,) = recording_marks(["records/a103l"])
    assert recording_marks(["a103l"]) == {mark}
    assert recording_marks(["a104l"]) != {mark}
    assert "a103l" not in mark


def test_heads_are_taught_alone_and_watched_on_several_sets(small_data, other_data, small_preset, tmp_path):
    heads_alone = replace(small_preset.pretrain, distill_weight=0.0, amplitude_weight=0.0, phase_weight=0.0)
    preset = replace(small_preset, pretrain=replace(heads_alone, cause_emphasis=3.0, channel_dropout=0.0))
    begin = pretrain(small_preset, small_data, tmp_path / "begin", heldout=[other_data], steps=1, threads=1)
    run = tmp_path / "run"
    summary = pretrain(
        preset, small_data, run, heldout=[other_data], steps=3, threads=1, init=begin.folder / "checkpoint"
    )
    assert set(summary.heldout_end) >= {"loss", "quality", "causes"}
    assert not {"distill", "power", "phase"} & set(summary.heldout_end)
    before, after = (load_checkpoint(folder / "checkpoint")[0].state_dict() for folder in (begin.folder, run))
    is_same = {name: bool((before[name] == after[name]).all()) for name in before}
    assert all(same for name, same in is_same.items() if name.startswith("decoder."))
    assert not all(same for name, same in is_same.items() if not name.startswith("decoder."))


def test_a_recipe_without_any_loss_is_refused(small_data, small_preset, tmp_path):
    nothing = {f"{name}_weight": 0.0 for name in ("distill", "amplitude", "phase", "quality", "cause")}
    preset = replace(small_preset, pretrain=replace(small_preset.pretrain, **nothing))
    with pytest.raises(ConfigError, match="nothing to learn"):
        pretrain(preset, small_data, tmp_path / "run", steps=1, threads=1)
