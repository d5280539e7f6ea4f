"""Listing an archive: order, folders, links, what is set aside and what cannot be read."""

import os
from pathlib import Path

import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings

HEADER = "{name} 2 250 1000\n{name}.dat 16 200 16 0 0 0 0 II\n{name}.dat 16 200 16 0 0 0 0 PLETH\n"


def test_recordings_are_named_by_their_path_in_the_archive_and_sorted(make_record, tmp_path: Path) -> None:
    for folder in ["b", "a/deep", "."]:
        make_record(HEADER.format(name="r1"), folder=tmp_path / folder)
    assert [f.recording_id for f in find_recordings(tmp_path)] == ["a/deep/r1", "b/r1", "r1"]


def test_a_patient_folder_of_mimic_gives_the_subject(make_record, tmp_path: Path) -> None:
    make_record(HEADER.format(name="r1"), folder=tmp_path / "p100" / "p10014354" / "81739927")
    assert find_recordings(tmp_path)[0].subject_id == "p10014354"


def test_an_unreadable_header_is_listed_beside_the_good_ones(make_record, tmp_path: Path) -> None:
    make_record(HEADER.format(name="good"), name="good")
    make_record("bad 2 -125 1000\n", name="bad")
    bad, good = find_recordings(tmp_path)
    assert (good.problem, good.duration_s, len(good.channels)) == (None, 4.0, 2)
    assert "sampling rate: found '-125'" in str(bad.problem)
    assert (bad.duration_s, bad.channels, bad.path) == (0.0, (), tmp_path / "bad.hea")


def test_numerics_are_set_aside(make_record, tmp_path: Path) -> None:
    make_record("r1 1 0.0166666666667/125 16\nr1.dat 16 10/bpm 16 0 0 0 0 HR\n")
    (found,) = find_recordings(tmp_path)
    assert "numerics" in str(found.aside)
    assert found.problem is None
    assert found.duration_s == pytest.approx(960)


def test_a_linked_folder_is_not_entered(make_record, tmp_path: Path) -> None:
    make_record(HEADER.format(name="r1"), folder=tmp_path / "elsewhere")
    make_record(HEADER.format(name="r1"), folder=tmp_path / "archive")
    (tmp_path / "archive" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "archive" / "circle").symlink_to(tmp_path / "archive")
    circle, linked, record = find_recordings(tmp_path / "archive", passed_over=True)
    assert [circle.recording_id, linked.recording_id, record.recording_id] == ["circle", "out", "r1"]
    assert "symbolic link" in str(circle.aside)
    assert "symbolic link" in str(linked.aside)


def test_a_table_that_no_layout_speaks_of_and_a_pipe_are_set_aside(make_record, tmp_path: Path) -> None:
    make_record(HEADER.format(name="r1"))
    (tmp_path / "patients.csv").write_text("name,age\nx,3\n")
    os.mkfifo(tmp_path / "pipe.csv")
    found = {f.recording_id: f.aside for f in find_recordings(tmp_path, passed_over=True)}
    expected = {"patients.csv": "no layout speaks of this file", "pipe.csv": "neither a file nor a folder", "r1": None}
    assert found == expected
    assert [f.recording_id for f in find_recordings(tmp_path)] == ["r1"]


def test_the_segments_of_a_record_are_not_listed_beside_it(make_record, tmp_path: Path) -> None:
    make_record(HEADER.format(name="s1"), name="s1")
    make_record("whole/1 2 250 1000\ns1 1000\n", name="whole")
    assert [f.recording_id for f in find_recordings(tmp_path, passed_over=True)] == ["whole"]


def test_hidden_folders_are_not_entered(make_record, tmp_path: Path) -> None:
    make_record(HEADER.format(name="r1"), folder=tmp_path / ".cache")
    assert find_recordings(tmp_path) == []


def test_a_pipe_and_a_folder_named_like_headers_do_no_harm(make_record, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.hea")
    (tmp_path / "folder.hea").mkdir()
    (found,) = find_recordings(tmp_path)
    assert "no regular file" in str(found.problem)


def test_a_folder_that_cannot_be_opened_is_listed_with_its_problem(
    make_record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_record(HEADER.format(name="r1"))
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(folder: Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    refused, read = find_recordings(tmp_path)
    assert (refused.recording_id, read.recording_id) == ("closed", "r1")
    assert "Permission denied" in str(refused.problem)


@pytest.mark.parametrize("name", ["absent", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="no such archive"):
        find_recordings(tmp_path / name)
