"""A data set in an object store reads as one in a folder does."""

import shutil

import numpy as np
import pytest

from qualityfm.errors import FormatError
from qualityfm.shards import ShardReader, verify
from qualityfm.shards.format import INDEX_FILE
from qualityfm.shards.store import open_store

SHARDS = [[("a", "s1", 3), ("b", None, 2)], [], [("c", "s2", 4)]]


@pytest.fixture(params=["memory", "s3"])
def uploaded(request, make_dataset, tmp_path, monkeypatch):
    """A data set as a folder and as a store."""
    monkeypatch.setenv("QUALITYFM_CACHE", str(tmp_path / "cache"))
    folder, _ = make_dataset(SHARDS)
    place = request.getfixturevalue("bucket") if request.param == "s3" else f"test-{tmp_path.name}"
    store = open_store(f"{request.param}://{place}/dataset")
    for path in sorted(folder.glob("shard-*")):
        with store.staging() as scratch:
            store.put_folder(shutil.copytree(path, scratch / path.name), path.name)
    store.write_bytes(INDEX_FILE, (folder / INDEX_FILE).read_bytes())
    return folder, store


def test_rows_are_the_same_from_a_folder_and_from_an_object_store(uploaded):
    folder, store = uploaded
    near, far = ShardReader(folder), ShardReader(store.url)
    rows = np.array([8, 0, 4])
    for name, expected in vars(near.read(rows)).items():
        np.testing.assert_array_equal(getattr(far.read(rows), name), expected)
    for name, column in near.rows.items():
        np.testing.assert_array_equal(far.rows[name], column)


def test_an_uploaded_data_set_has_no_problems(uploaded):
    assert verify(uploaded[1].url) == []


def test_damage_in_an_object_store_is_found_by_reading_and_by_verify(uploaded):
    _, store = uploaded
    content = bytearray(store.read_bytes("shard-00002/values.npy"))
    content[-1] ^= 1
    store.write_bytes("shard-00002/values.npy", bytes(content))
    with pytest.raises(FormatError, match=r"://.*shard-00002/values\.npy: checksum of row 3"):
        ShardReader(store.url).read(np.array([8]))
    (line,) = verify(store.url)
    assert f"{store.url}/shard-00002/values.npy" in line


def test_an_object_that_is_missing_or_cut_is_found_at_opening(uploaded):
    _, store = uploaded
    store.write_bytes("shard-00002/values.npy", store.read_bytes("shard-00002/values.npy")[:-1])
    with pytest.raises(FormatError, match=r"shard-00002/values\.npy: size in bytes"):
        ShardReader(store.url)
    store.remove("shard-00002/values.npy")
    with pytest.raises(FormatError, match=r"missing file: .*shard-00002/values\.npy"):
        ShardReader(store.url)


def test_a_file_that_does_not_belong_is_reported_with_its_url(uploaded):
    _, store = uploaded
    store.write_bytes("notes.txt", b"hello")
    store.write_bytes("shard-00000/values.bak", b"hello")
    expected = [f"unknown file: {store.url}/{name}" for name in ("notes.txt", "shard-00000/values.bak")]
    assert verify(store.url) == expected


def test_a_place_without_data_set_is_refused_with_advice(uploaded):
    with pytest.raises(FormatError, match=r"no data set here.*interrupted"):
        ShardReader(f"{uploaded[1].url}-elsewhere")
