"""Checksums find what sizes cannot."""

import pytest

from qualityfm.shards import verify

TWO_SHARDS = [[("a", "s1", 3)], [("c", "s2", 4)]]


def flip_bit(path, position=-1):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(bytes(content))


def test_a_data_set_as_written_has_no_problems(make_dataset):
    assert verify(make_dataset(TWO_SHARDS)[0]) == []


@pytest.mark.parametrize("name", ["values.npy", "is_real.npy", "quality.npy", "rows.parquet", "shard.json"])
def test_one_flipped_bit_is_found_and_its_file_named(make_dataset, name):
    folder, _ = make_dataset(TWO_SHARDS)
    flip_bit(folder / "shard-00001" / name)
    (line,) = verify(folder)
    assert f"shard-00001/{name}" in line


def test_a_flipped_bit_in_the_index_is_found(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    path = folder / "index.json"
    flip_bit(path, path.read_bytes().index(b'"hours": 1') + 9)
    (line,) = verify(folder)
    assert "index.json" in line


def test_every_damaged_shard_is_reported(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    flip_bit(folder / "shard-00000" / "step.npy")
    (folder / "shard-00001" / "step.npy").unlink()
    assert len(verify(folder)) == 2


def test_a_file_that_does_not_belong_is_reported(make_dataset):
    folder, _ = make_dataset(TWO_SHARDS)
    (folder / "notes.txt").write_text("hello")
    assert verify(folder) == [f"unknown file: {folder / 'notes.txt'}"]
