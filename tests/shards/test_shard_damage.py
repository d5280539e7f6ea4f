"""Damage of any kind is found before a sample is handed out."""

import numpy as np
import pytest
import shard_damage

from qualityfm.errors import FormatError
from qualityfm.shards import ShardReader, verify
from qualityfm.shards import reader as reader_module
from qualityfm.shards.checks import RowHasher
from qualityfm.shards.format import ARRAYS

THREE_SHARDS = [[("a", "s1", 3), ("b", None, 2)], [("c", "s2", 5)], [("d", "s3", 4)]]


def flip_bit(path, position=-1):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(bytes(content))


def test_120_random_damages_are_found_before_use(make_dataset):
    whole, rng = shard_damage.take_whole(make_dataset(THREE_SHARDS)[0]), np.random.default_rng(1)
    kinds, missed = set(), []
    for _ in range(120):
        kind = shard_damage.spoil(whole, rng)
        kinds.add(kind)
        if shard_damage.outcome(whole) == "missed":
            missed.append(kind)
        shard_damage.mend(whole)
    assert missed == []
    assert kinds == set(shard_damage.KINDS)


def test_damage_that_is_no_damage_counts_as_missed(make_dataset):
    whole = shard_damage.take_whole(make_dataset(THREE_SHARDS)[0])
    assert shard_damage.outcome(whole) == "missed"


@pytest.mark.parametrize("name", list(ARRAYS))
def test_a_flipped_bit_in_a_row_is_refused_with_file_and_row_and_advice(make_dataset, name):
    folder, _ = make_dataset(THREE_SHARDS)
    flip_bit(folder / "shard-00001" / f"{name}.npy")
    reader = ShardReader(folder)
    with pytest.raises(FormatError, match=rf"shard-00001/{name}\.npy: checksum of row 4 .*qualityfm verify") as caught:
        reader.read(np.array([0, 9]))
    assert "\n" not in str(caught.value)


def test_the_neighbours_of_a_damaged_row_are_not_lost(make_dataset):
    folder, written = make_dataset(THREE_SHARDS)
    flip_bit(folder / "shard-00001" / "values.npy")
    batch = ShardReader(folder).read(np.array([8, 5]))
    np.testing.assert_allclose(batch.values, written.values[[8, 5]], atol=0.51 * 20 / 32767)


def test_a_damaged_row_is_refused_every_time(make_dataset):
    folder, _ = make_dataset(THREE_SHARDS)
    flip_bit(folder / "shard-00001" / "values.npy")
    reader = ShardReader(folder)
    for _ in range(2):
        with pytest.raises(FormatError, match="damaged row"):
            reader.read(np.array([9]))


def test_a_row_is_hashed_again_after_its_shard_was_closed(make_dataset, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_MAPPED_SHARDS", 1)
    folder, _ = make_dataset(THREE_SHARDS)
    reader = ShardReader(folder)
    reader.read(np.array([4, 9]))  # the first shard is closed for the second
    flip_bit(folder / "shard-00000" / "values.npy")
    with pytest.raises(FormatError, match="damaged row"):
        reader.read(np.array([4]))


@pytest.mark.parametrize("name", ["checks.npy", "rows.parquet"])
def test_the_checksums_and_the_table_of_rows_are_tested_themselves(make_dataset, name):
    folder, _ = make_dataset(THREE_SHARDS)
    flip_bit(folder / "shard-00000" / name)
    with pytest.raises(FormatError, match=rf"changed file: .*shard-00000/{name}: sha256"):
        ShardReader(folder).read(np.array([0]))


def test_rows_that_changed_places_in_every_array_are_refused(make_dataset):
    folder, _ = make_dataset(THREE_SHARDS)
    for name in ARRAYS:
        array = np.load(folder / "shard-00000" / f"{name}.npy", mmap_mode="r+")
        array[[0, 1]] = array[[1, 0]]
        array.flush()
    with pytest.raises(FormatError, match="damaged row"):
        ShardReader(folder).read(np.array([1]))


def test_a_header_that_differs_in_a_blank_is_refused(make_dataset):
    folder, _ = make_dataset(THREE_SHARDS)
    path = folder / "shard-00000" / "step.npy"
    path.write_bytes(path.read_bytes().replace(b"False, 's", b"False,\t's"))
    with pytest.raises(FormatError, match=r"step\.npy: array header"):
        ShardReader(folder).read(np.array([0]))


def test_an_index_in_another_form_reads_the_same_and_is_reported(make_dataset):
    folder, _ = make_dataset(THREE_SHARDS)
    path = folder / "index.json"
    path.write_text(path.read_text() + " ")
    assert len(ShardReader(folder)) == 14
    (line,) = verify(folder)
    assert "index.json: text" in line


def test_the_checksum_of_a_row_is_the_one_the_format_describes():
    """Row 1 is 03 00 04 00 and 07; `xxhash.xxh3_64_hexdigest(b"\\3\\0\\4\\0\\7")` of xxhash 0.8 gives the digest."""
    arrays = [np.array([[1, 2], [3, 4]], "<i2"), np.array([[5], [7]], "u1")]
    (found,) = RowHasher(arrays).hash_rows(np.array([1]))
    assert f"{found:016x}" == "de9dbab340ec0055"
