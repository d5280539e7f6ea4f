"""Whole files or none."""

import errno
import os

import pytest

from qualityfm.errors import FormatError
from qualityfm.files import remove_leftovers, sha256_of, write_atomically, write_text
from qualityfm.shards.files import folder_aside


def full_disk(handle):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FormatError, match=r"the disk is full.*goes on where it stopped") as caught:
        write_text(tmp_path / "index.json", "new")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "index.json").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FormatError, match="the disk is full"):
        write_text(tmp_path / "index.json", "new")
    assert (tmp_path / "index.json").read_bytes() == b"old"


def test_a_folder_appears_only_when_its_writing_is_over(tmp_path):
    with folder_aside(tmp_path / "shard") as aside:
        (aside / "file").write_text("content")
        assert not (tmp_path / "shard").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["shard"]


def test_a_folder_whose_writing_fails_leaves_nothing(tmp_path):
    def write_badly():
        with folder_aside(tmp_path / "shard") as aside:
            (aside / "file").write_text("content")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_badly()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".writing-shard-00001").mkdir()
    (tmp_path / ".writing-shard-00001" / "values.npy").write_text("part")
    (tmp_path / ".writing-index.json").write_text("part")
    (tmp_path / "shard-00000").mkdir()
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["shard-00000"]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "index.json"
    path.write_text("old")

    def write(aside):
        aside.write_text("new")
        assert path.read_text() == "old"

    write_atomically(path, write)
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["index.json"]


def test_what_a_killed_process_left_aside_does_not_hinder_the_next(tmp_path):
    (tmp_path / ".writing-index.json").write_text("part of something longer")
    write_text(tmp_path / "index.json", "new")
    assert (tmp_path / "index.json").read_text() == "new"


def test_the_checksum_is_the_published_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
