"""Reading back what was written, and refusing what is not what the index promises."""

import json

import numpy as np
import pytest

from qualityfm.errors import FormatError
from qualityfm.shards import ShardReader, read_index
from qualityfm.shards import reader as reader_module
from qualityfm.shards.format import hash_plain

TWO_SHARDS = [[("a", "s1", 3), ("b", None, 2)], [("c", "s2", 4)]]


def rewrite_index(folder, **changes):
    plain = json.loads((folder / "index.json").read_text()) | changes | {"content_hash": ""}
    plain["content_hash"] = hash_plain(plain)
    (folder / "index.json").write_text(json.dumps(plain))


def test_rows_come_back_in_the_order_asked_for_across_shards(make_dataset):
    folder, written = make_dataset(TWO_SHARDS)
    rows = np.array([8, 0, 4, 4, 5])
    batch = ShardReader(folder).read(rows)
    np.testing.assert_allclose(batch.values, written.values[rows], atol=0.51 * 20 / 32767)
    np.testing.assert_array_equal(batch.center, written.center[rows])
    np.testing.assert_array_equal(batch.scale, written.scale[rows])


def test_missing_samples_stay_missing_and_no_others(make_dataset):
    folder, written = make_dataset(TWO_SHARDS)
    batch = ShardReader(folder).read(np.arange(9))
    np.testing.assert_array_equal(np.isnan(batch.values), np.isnan(written.values))


def test_realness_survives_packing_into_bits(make_dataset):
    folder, written = make_dataset(TWO_SHARDS)
    np.testing.assert_array_equal(ShardReader(folder).read(np.arange(9)).is_real, written.is_real)


def test_quality_and_causes_of_every_second_come_back(make_dataset):
    folder, written = make_dataset(TWO_SHARDS)
    batch = ShardReader(folder).read(np.arange(9))
    np.testing.assert_allclose(batch.quality, written.quality, atol=5e-4)
    np.testing.assert_array_equal(batch.causes, written.causes)


def test_the_table_of_rows_names_recording_subject_and_time(make_dataset):
    reader = ShardReader(make_dataset(TWO_SHARDS)[0])
    assert reader.rows["recording_id"].tolist() == [*"aaabbcccc"]
    assert reader.rows["subject_id"].tolist() == ["s1"] * 3 + [""] * 2 + ["s2"] * 4
    assert reader.rows["start_s"].tolist() == [0, 3, 6, 0, 3, 0, 3, 6, 9]
    assert reader.rows["quality"].dtype == np.float32
    assert reader.names(0) == ("II", None)
    assert reader.units(8) == ("mV", "")


def test_reading_no_rows_gives_an_empty_batch(make_dataset):
    batch = ShardReader(make_dataset(TWO_SHARDS)[0]).read(np.array([], int))
    assert len(batch) == 0
    assert batch.values.shape == (0, 2, 75)


@pytest.mark.parametrize("row", [-1, 9])
def test_a_row_outside_the_data_set_is_an_index_error(make_dataset, row):
    with pytest.raises(IndexError):
        ShardReader(make_dataset(TWO_SHARDS)[0]).read(np.array([row]))


def test_a_shard_without_rows_is_stepped_over(make_dataset):
    folder, written = make_dataset([[("a", None, 2)], [], [("b", None, 1)]])
    batch = ShardReader(folder).read(np.array([2, 0]))
    np.testing.assert_allclose(batch.values, written.values[[2, 0]], atol=0.51 * 20 / 32767)


def test_more_shards_than_may_be_mapped_are_all_readable(make_dataset, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_MAPPED_SHARDS", 2)
    folder, written = make_dataset([[(name, None, 1)] for name in "abcde"])
    reader = ShardReader(folder)
    for rows in (np.arange(5), np.arange(5)[::-1]):
        np.testing.assert_allclose(reader.read(rows).values, written.values[rows], atol=0.51 * 20 / 32767)


def test_a_truncated_file_is_found_at_opening(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    path = folder / "shard-00001" / "values.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"shard-00001/values\.npy.*size in bytes"):
        ShardReader(folder)


def test_a_missing_file_is_found_at_opening(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    (folder / "shard-00000" / "causes.npy").unlink()
    with pytest.raises(FormatError, match=r"causes\.npy"):
        ShardReader(folder)


def test_a_file_truncated_after_opening_is_found_when_it_is_mapped(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    reader = ShardReader(folder)
    path = folder / "shard-00001" / "values.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="truncated"):
        reader.read(np.array([8]))


def test_an_array_header_that_promises_another_shape_is_refused(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    path = folder / "shard-00000" / "values.npy"
    path.write_bytes(path.read_bytes().replace(b"(5, 2, 75)", b"(5, 3, 50)"))
    with pytest.raises(FormatError, match=r"values\.npy"):
        ShardReader(folder).read(np.array([0]))


def test_another_format_version_is_refused_with_both_versions_named(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    rewrite_index(folder, format_version=7)
    with pytest.raises(FormatError, match="found 7, expected version 2"):
        ShardReader(folder)


def test_a_foreign_index_is_refused(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    rewrite_index(folder, format="something else")
    with pytest.raises(FormatError, match="something else"):
        ShardReader(folder)


def test_an_index_changed_by_hand_is_refused(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"num_segments": 9', '"num_segments": 8'))
    with pytest.raises(FormatError, match="content_hash"):
        read_index(folder)


@pytest.mark.parametrize("field", ["clip", "drop_constant", "step_s"])
def test_an_index_without_a_setting_is_refused_and_not_filled_with_a_default(make_dataset, field):
    folder, _ = make_dataset(TWO_SHARDS)
    segments = json.loads((folder / "index.json").read_text())["segments"]
    del segments[field]
    rewrite_index(folder, segments=segments)
    with pytest.raises(FormatError, match=f"missing setting.*{field}"):
        ShardReader(folder)


def test_an_index_that_points_out_of_its_folder_is_refused(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    shards = json.loads((folder / "index.json").read_text())["shards"]
    shards[0]["name"] = "../elsewhere"
    rewrite_index(folder, shards=shards)
    with pytest.raises(FormatError, match="elsewhere"):
        ShardReader(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '{"format": NaN}', "[" * 5000])
def test_an_index_that_is_no_index_is_a_format_error(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(FormatError):
        ShardReader(tmp_path)


def test_a_folder_without_index_is_a_format_error_with_advice(tmp_path):
    with pytest.raises(FormatError, match="interrupted"):
        ShardReader(tmp_path)
