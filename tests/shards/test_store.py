"""One face for folders and object stores."""

import contextlib
import os
import socket
import uuid

import pytest

from qualityfm.errors import FormatError
from qualityfm.shards.store import open_store

KEY, SECRET = "AKIDNOBODYKNOWS", "a-secret-nobody-may-see"


@pytest.fixture
def fresh_clients():
    """No S3 client of another test is used, and none of this one is left."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def store(request, tmp_path, monkeypatch):
    """A new, empty place of every kind."""
    monkeypatch.setenv("QUALITYFM_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "place"
    if request.param == "s3":
        return open_store(f"s3://{request.getfixturevalue('bucket')}/data/set")
    urls = {"folder": str(place), "file": f"file://{place}", "memory": f"memory://{uuid.uuid4().hex}/data"}
    return open_store(urls[request.param])


def fill(folder):
    folder.mkdir()
    (folder / "shard.json").write_bytes(b"{}")
    (folder / "values.npy").write_bytes(b"abc")


def test_a_place_where_nothing_was_written_is_empty(store):
    assert store.names() == set()
    assert not store.exists("index.json")


def test_a_written_file_reads_back_and_is_listed(store):
    store.write_bytes("index.json", b"old and longer")
    store.write_bytes("index.json", b"new")
    assert store.read_bytes("index.json") == b"new"
    assert store.num_bytes("index.json") == 3
    assert store.names() == {"index.json"}
    assert store.sizes() == {"index.json": 3}


def test_a_finished_folder_appears_whole_and_leaves_no_trace_of_the_staging(store):
    with store.staging() as scratch:
        fill(scratch / "shard-00000")
        store.put_folder(scratch / "shard-00000", "shard-00000")
    assert not scratch.exists()
    assert store.names() == {"shard-00000"}
    assert store.sizes() == {"shard-00000/shard.json": 2, "shard-00000/values.npy": 3}
    assert store.exists("shard-00000")
    assert store.exists("shard-00000/values.npy")


def test_a_folder_put_again_takes_the_place_of_the_old_one(store):
    for _ in range(2):
        with store.staging() as scratch:
            fill(scratch / "shard-00000")
            store.put_folder(scratch / "shard-00000", "shard-00000")
    assert store.read_bytes("shard-00000/values.npy") == b"abc"
    assert store.names() == {"shard-00000"}


def test_a_file_can_be_mapped_from_a_local_path(store):
    store.write_bytes("shard-00000/values.npy", b"abc")
    path = store.local("shard-00000/values.npy", 3)
    assert path.read_bytes() == b"abc"
    assert store.local("shard-00000/values.npy", 3) == path


def test_a_local_copy_follows_the_file_when_it_is_replaced(store):
    store.write_bytes("a", b"abc")
    store.local("a")
    store.write_bytes("a", b"xyz")
    assert store.local("a").read_bytes() == b"xyz"


def test_a_file_of_another_size_than_expected_is_not_handed_out(store):
    store.write_bytes("a", b"abc")
    with pytest.raises(FormatError, match=r"size in bytes: found 3, expected 4"):
        store.local("a", 4)


def test_a_truncated_local_copy_is_noticed(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("QUALITYFM_CACHE", str(tmp_path / "cache"))
    store = open_store(f"s3://{bucket}")
    store.write_bytes("a", b"abc")
    store.local("a").write_bytes(b"ab")
    with pytest.raises(FormatError, match=r"size in bytes: found 2, expected 3"):
        store.local("a", 3)


def test_removing_takes_a_folder_with_all_that_is_in_it_and_nothing_else(store):
    for name in ("shard-00000/shard.json", "shard-00000/values.npy", "shard-000001/shard.json"):
        store.write_bytes(name, b"x")
    store.remove("shard-00000")
    store.remove("never there")
    assert store.names() == {"shard-000001"}


def test_a_missing_file_is_one_line_that_names_it(store):
    store.write_bytes("a", b"x")
    for ask in (store.read_bytes, store.num_bytes, store.local):
        with pytest.raises(FormatError, match=r"missing file: .*absent.*") as caught:
            ask("absent")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../outside", "a/../../b", "a\0b"])
def test_a_name_that_leads_out_of_the_store_is_refused(store, name):
    with pytest.raises(FormatError, match="unusable name"):
        store.read_bytes(name)


@pytest.mark.parametrize(
    "url", [f"s3://{KEY}:{SECRET}@bucket/x", f"https://host/x?token={SECRET}", f"simplecache::s3://{KEY}/x"]
)
def test_an_address_with_credentials_or_extras_is_refused_without_repeating_them(url):
    with pytest.raises(FormatError, match="unusable address") as caught:
        open_store(url)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(FormatError, match=r"nosuch://place"):
        open_store("nosuch://place").names()


@pytest.mark.parametrize(
    "ask", [lambda store: store.names(), lambda store: store.sizes(), lambda store: store.exists("a")]
)
def test_a_bucket_that_does_not_exist_is_no_empty_place(bucket, ask):
    with pytest.raises(FormatError, match=r"s3://nowhere-at-all/data.*specified bucket does not exist"):
        ask(open_store("s3://nowhere-at-all/data"))


def test_writing_to_a_bucket_that_does_not_exist_is_refused(bucket):
    with pytest.raises(FormatError, match=r"s3://nowhere-at-all/data/a.*specified bucket does not exist"):
        open_store("s3://nowhere-at-all/data").write_bytes("a", b"x")


def test_missing_credentials_are_said(bucket, fresh_clients, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(FormatError, match="no credentials"):
        open_store(f"s3://{bucket}/x").write_bytes("a", b"x")


def test_a_store_that_does_not_answer_is_said_without_credentials(bucket, fresh_clients, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(FormatError, match="no connection") as caught:
            open_store(f"s3://{bucket}/x").read_bytes("a")
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_store_travels_to_another_process(store):
    import pickle

    store.write_bytes("a", b"x")
    assert pickle.loads(pickle.dumps(store)).read_bytes("a") == b"x"


def test_a_full_disk_while_writing_is_one_clear_line(tmp_path, monkeypatch):
    import errno

    store = open_store(tmp_path / "place")

    def refuse(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(FormatError, match="the disk is full"):
        store.write_bytes("a", b"x")
    assert store.names() == set()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "index.json")
    for read in (lambda store: store.read_bytes("index.json"), lambda store: store.open("index.json").__enter__()):
        with pytest.raises(FormatError, match=r"index\.json: file: found 'no file'"):
            read(open_store(tmp_path))


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "shard-00000").mkdir()
    (tmp_path / "shard-00000" / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    sizes = open_store(tmp_path).sizes()
    assert "broken" not in sizes
    assert len(sizes) < 10


def test_an_upload_that_stops_in_the_middle_leaves_no_finished_folder(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def stop(system, source, target, **options):
        if target.endswith("values.npy"):
            raise ConnectionError("gone")
        return put_file(system, source, target, **options)

    put_file = MemoryFileSystem.put_file
    monkeypatch.setattr(MemoryFileSystem, "put_file", stop)
    store = open_store(f"memory://{uuid.uuid4().hex}")
    store.write_bytes("shard-00000/shard.json", b"of an earlier upload")
    with store.staging() as scratch:
        fill(scratch / "shard-00000")
        with pytest.raises(FormatError, match=r"no connection: .*values\.npy"):
            store.put_folder(scratch / "shard-00000", "shard-00000")
    assert not store.exists("shard-00000/shard.json")


def test_a_file_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FormatError, match="cannot read"):
        open_store(tmp_path / "file").names()
