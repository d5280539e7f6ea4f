"""Parquet tables that others read, and the way back."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from qualityfm.errors import ConfigError, FormatError
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader, verify
from qualityfm.shards import parquet_export as export_module
from qualityfm.shards.parquet_export import export_parquet
from qualityfm.shards.parquet_form import slot_labels
from qualityfm.shards.parquet_import import import_parquet
from qualityfm.shards.store import open_store

SHARDS = [[("a", "s1", 3), ("b", None, 2)], [], [("c", "s2", 4)]]


@pytest.fixture
def exported(make_dataset, tmp_path):
    """A data set, what went into it, and its export."""
    folder, written = make_dataset(SHARDS)
    export_parquet(ShardReader(folder), tmp_path / "set.parquet")
    return folder, written, tmp_path / "set.parquet"


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_way_there_and_back_gives_the_same_bytes(exported, tmp_path):
    folder, _, tables = exported
    index = import_parquet(tables, tmp_path / "again")
    assert tree(tmp_path / "again") == tree(folder)
    assert index == ShardReader(folder).index
    assert verify(tmp_path / "again") == []


def test_rows_in_several_pieces_come_back_the_same(make_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "PIECE_ROWS", 2)
    folder, _ = make_dataset(SHARDS)
    export_parquet(ShardReader(folder), tmp_path / "set.parquet")
    import_parquet(tmp_path / "set.parquet", tmp_path / "again")
    assert tree(tmp_path / "again") == tree(folder)


def test_pandas_reads_the_samples_without_this_package(exported):
    _, written, tables = exported
    frame = pd.read_parquet(tables)
    assert frame["recording_id"].tolist() == [*"aaabbcccc"]
    for slot, label in enumerate(("ecg", "ppg")):
        integers = np.stack(frame[f"{label}_values"])
        step, scale = frame[f"{label}_step"].to_numpy()[:, None], frame[f"{label}_scale"].to_numpy()[:, None]
        expected = written.values[:, slot] * scale
        np.testing.assert_array_equal(integers == -32768, np.isnan(expected))
        found = np.where(integers == -32768, np.nan, integers * step * scale)
        np.testing.assert_allclose(found, expected, atol=0.51 * 20 / 32767 * 9)
        np.testing.assert_array_equal(np.stack(frame[f"{label}_is_real"]), written.is_real[:, slot])
        np.testing.assert_allclose(np.stack(frame[f"{label}_quality"]), written.quality[:, slot], atol=5e-4)
        np.testing.assert_array_equal(np.stack(frame[f"{label}_causes"]), written.causes[:, slot])


def test_arrow_reads_the_folder_as_one_data_set(exported):
    data = pa.dataset.dataset(exported[2])
    assert data.count_rows() == 9
    assert data.schema.field("ecg_values").type == pa.list_(pa.int16(), 75)


def test_a_table_says_how_it_was_made(exported):
    folder, _, tables = exported
    note = json.loads(pq.read_schema(tables / "shard-00000.parquet").metadata[b"qualityfm"])
    assert note["content_hash"] == ShardReader(folder).index.content_hash
    assert note["segments"]["sample_rate_hz"] == 25.0
    assert note["missing"] == -32768


def test_slots_of_one_kind_are_numbered():
    kinds = (ChannelKind.ECG, ChannelKind.ECG, ChannelKind.PPG)
    assert slot_labels(SegmentConfig(channels=kinds)) == ("ecg_1", "ecg_2", "ppg")


def test_an_interrupted_export_is_written_anew(exported):
    folder, _, tables = exported
    whole = tree(tables)
    (tables / "_index.json").unlink()
    (tables / "shard-00000.parquet").write_bytes(b"part")
    (tables / ".writing-shard-00002.parquet").write_bytes(b"part")
    export_parquet(ShardReader(folder), tables)
    assert {name: tree(tables)[name] for name in whole} == whole


def test_a_damaged_data_set_is_not_exported(make_dataset, tmp_path):
    folder, _ = make_dataset(SHARDS)
    path = folder / "shard-00002" / "values.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    with pytest.raises(FormatError, match=r"values\.npy: checksum of row 3"):
        export_parquet(ShardReader(folder), tmp_path / "set.parquet")
    assert not (tmp_path / "set.parquet" / "_index.json").exists()


@pytest.mark.parametrize("name", ["notes.txt", "_index.json"])
def test_a_folder_that_is_taken_is_not_written_to(make_dataset, tmp_path, name):
    out = tmp_path / "set.parquet"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"the folder is taken.*{name}"):
        export_parquet(ShardReader(make_dataset(SHARDS)[0]), out)
    assert (out / name).read_text() == "mine"


def test_an_unfinished_export_is_not_imported(exported, tmp_path):
    (exported[2] / "_index.json").unlink()
    with pytest.raises(FormatError, match="no data set here"):
        import_parquet(exported[2], tmp_path / "again")


def test_a_place_that_is_taken_is_not_imported_into(exported, tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="the place is taken"):
        import_parquet(exported[2], tmp_path / "again")


def test_an_interrupted_import_is_written_anew(exported, tmp_path):
    folder, _, tables = exported
    import_parquet(tables, tmp_path / "again")
    (tmp_path / "again" / "index.json").unlink()
    (tmp_path / "again" / "shard-00002" / "values.npy").unlink()
    import_parquet(tables, tmp_path / "again")
    assert tree(tmp_path / "again") == tree(folder)


def test_a_data_set_goes_from_and_to_an_object_store(exported, tmp_path):
    folder, _, tables = exported
    store = open_store(f"memory://test-{tmp_path.name}/again")
    import_parquet(tables, store)
    assert {name: store.read_bytes(name) for name in store.sizes()} == tree(folder)


def edit(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table), path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda t: t.slice(0, 3), "rows"),
        (lambda t: t.drop_columns(["ecg_step"]), "columns"),
        (lambda t: t.replace_schema_metadata({}), "metadata"),
        (lambda t: t.set_column(0, "recording_id", pa.array(["z"] * 5)), "columns that describe the rows"),
        (lambda t: t.set_column(9, "ecg_values", t["ecg_values"].combine_chunks().take([1, 0, 2, 3, 4])), "values"),
        (lambda t: t.set_column(11, "ecg_step", pa.array([None, 1, 1, 1, 1], pa.float32())), "cells"),
    ],
)
def test_a_table_that_somebody_changed_is_refused(exported, tmp_path, change, field):
    edit(exported[2] / "shard-00000.parquet", change)
    with pytest.raises(FormatError, match=field) as caught:
        import_parquet(exported[2], tmp_path / "again")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "again" / "index.json").exists()


def test_tables_that_changed_places_are_refused(exported, tmp_path):
    tables = exported[2]
    (tables / "shard-00000.parquet").rename(tables / "aside")
    (tables / "shard-00002.parquet").rename(tables / "shard-00000.parquet")
    with pytest.raises(FormatError, match=r"shard-00000\.parquet: shard: found 'shard-00002'"):
        import_parquet(tables, tmp_path / "again")


def test_random_damage_of_a_table_never_comes_back_as_data(exported, tmp_path):
    folder, _, tables = exported
    path, rng = tables / "shard-00000.parquet", np.random.default_rng(0)
    whole = path.read_bytes()
    num_refused = 0
    for number in range(40):
        content = bytearray(whole)
        content[int(rng.integers(0, len(content)))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(content) if number % 4 else whole[: int(rng.integers(0, len(whole)))])
        out = tmp_path / f"again-{number}"
        try:
            import_parquet(tables, out)
        except FormatError:
            num_refused += 1
        else:
            assert tree(out) == tree(folder)
    assert num_refused > 30
