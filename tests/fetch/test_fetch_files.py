"""Files arrive whole and checked, whatever the home and the line between do."""

import errno
import os
from pathlib import Path

import pytest

from qualityfm.errors import ConfigError, FormatError
from qualityfm.fetch import download, fetch, fetcher, find_set
from qualityfm.fetch.catalogue import OpenSet
from qualityfm.fetch.web import MAX_TRIES, Stopped, Web
from qualityfm.files import ASIDE_PREFIX

BODY = os.urandom(600_000)
SMALL = b"a record\n"
CONTENTS = {"a.dat": BODY, "records/b c.hea": SMALL, "empty": b""}


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_arrives_with_its_folders(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet(CONTENTS)
    report = fetch(toy, tmp_path / "toy", web=web)
    assert held(tmp_path / "toy") == CONTENTS
    assert report.failed == {}
    assert [one.path for one in report.fetched] == list(CONTENTS)
    assert all(one.is_verified and not one.was_there for one in report.fetched)


def test_a_zenodo_record_arrives_with_its_sizes(home, web: Web, toy_zenodo: OpenSet, tmp_path: Path) -> None:
    home.add_zenodo({"x.zip": BODY, "y.csv": SMALL})
    report = fetch(toy_zenodo, tmp_path / "toy", web=web)
    assert held(tmp_path / "toy") == {"x.zip": BODY, "y.csv": SMALL}
    assert report.num_bytes == len(BODY) + len(SMALL)


def test_a_second_run_asks_for_the_list_only(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet(CONTENTS)
    fetch(toy, tmp_path, web=web)
    home.asked.clear()
    report = fetch(toy, tmp_path, web=web)
    assert [path for path, _ in home.asked] == ["/files/toy/1.0.0/SHA256SUMS.txt"]
    assert all(one.was_there for one in report.fetched)


def test_a_dry_run_writes_nothing(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet(CONTENTS)
    report = fetch(toy, tmp_path / "toy", web=web, dry_run=True)
    assert report.is_dry_run
    assert [file.path for file in report.files] == list(CONTENTS)
    assert not (tmp_path / "toy").exists()


def test_a_pattern_chooses_files(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet(CONTENTS)
    fetch(toy, tmp_path, web=web, only="records/*")
    assert held(tmp_path) == {"records/b c.hea": SMALL}
    with pytest.raises(
        ConfigError, match=r"--only: found '\*\.edf', expected a pattern that matches some of its 3 files"
    ):
        fetch(toy, tmp_path, web=web, only="*.edf")


@pytest.mark.parametrize("has_note", [True, False])
def test_half_a_file_is_gone_on_with(home, web: Web, toy: OpenSet, tmp_path: Path, has_note: bool) -> None:
    home.add_physionet({"a.dat": BODY})
    home.faults["/files/toy/1.0.0/a.dat"] = ["cut"] * MAX_TRIES
    report = fetch(toy, tmp_path, web=web)
    assert "cut" in report.failed["a.dat"]
    assert list(held(tmp_path)) != ["a.dat"]
    if not has_note:
        (tmp_path / f".about{ASIDE_PREFIX}a.dat").unlink()
    left = (tmp_path / f"{ASIDE_PREFIX}a.dat").stat().st_size
    home.asked.clear()
    (one,) = fetch(toy, tmp_path, web=web).fetched
    assert home.asked[-1] == ("/files/toy/1.0.0/a.dat", f"bytes={left}-")
    assert one.num_resumed_bytes == left > 0
    assert held(tmp_path) == {"a.dat": BODY}


def test_a_cut_connection_is_taken_up_again_in_the_same_run(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY})
    home.faults["/files/toy/1.0.0/a.dat"] = ["cut", "cut"]
    assert fetch(toy, tmp_path, web=web).failed == {}
    assert held(tmp_path) == {"a.dat": BODY}
    assert [asked for path, asked in home.asked if path.endswith("a.dat")][1].startswith("bytes=")


def test_a_home_that_cannot_resume_sends_all_again(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY})
    home.has_ranges = False
    home.faults["/files/toy/1.0.0/a.dat"] = ["cut"]
    assert fetch(toy, tmp_path, web=web).failed == {}
    assert held(tmp_path) == {"a.dat": BODY}


def test_half_of_another_version_is_not_gone_on_with(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY})
    (tmp_path / f"{ASIDE_PREFIX}a.dat").write_bytes(b"?" * 300_000)  # no note: resumed, found wrong, fetched anew
    (one,) = fetch(toy, tmp_path, web=web).fetched
    assert one.num_resumed_bytes == 0
    assert held(tmp_path) == {"a.dat": BODY}


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_a_whole_file_without_its_name_is_checked(home, web: Web, toy: OpenSet, tmp_path: Path, extra: bytes) -> None:
    home.add_physionet({"a.dat": BODY})
    (tmp_path / f"{ASIDE_PREFIX}a.dat").write_bytes(BODY + extra)
    assert fetch(toy, tmp_path, web=web).failed == {}
    assert held(tmp_path) == {"a.dat": BODY}


def test_a_wrong_checksum_gives_no_file(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY, "b": SMALL}, sums={"a.dat": "0" * 64})
    report = fetch(toy, tmp_path, web=web)
    assert "wrong checksum" in report.failed["a.dat"]
    assert f"expected sha256:{'0' * 64}" in report.failed["a.dat"]
    assert held(tmp_path) == {"b": SMALL}
    assert home.num_asked("a.dat") == 2


def test_a_size_that_is_not_announced_is_refused(home, web: Web, toy_zenodo: OpenSet, tmp_path: Path) -> None:
    home.add_zenodo({"x.zip": SMALL})
    home.files["/records/77/files/x.zip"] = BODY
    report = fetch(toy_zenodo, tmp_path, web=web)
    assert "too much data" in report.failed["x.zip"]
    assert "x.zip" not in held(tmp_path)


def test_a_missing_file_is_named_and_the_others_arrive(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY}, sums={"gone": "0" * 64})
    report = fetch(toy, tmp_path, web=web)
    assert held(tmp_path) == {"a.dat": BODY}
    assert list(report.failed) == ["gone"]
    assert "status: found 404" in report.failed["gone"]
    assert home.num_asked("gone") == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_for_a_moment_is_asked_again(
    home, web: Web, toy: OpenSet, tmp_path: Path, status: int
) -> None:
    home.add_physionet({"a.dat": BODY})
    home.faults["/files/toy/1.0.0/a.dat"] = [status, status]
    home.faults["/files/toy/1.0.0/SHA256SUMS.txt"] = [status]
    assert fetch(toy, tmp_path, web=web).failed == {}
    assert home.num_asked("a.dat") == 3


def test_a_server_that_goes_on_failing_is_given_up(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY})
    home.faults["/files/toy/1.0.0/a.dat"] = [500] * 99
    report = fetch(toy, tmp_path, web=web)
    assert "status 500" in report.failed["a.dat"]
    assert home.num_asked("a.dat") == MAX_TRIES


def test_after_many_failures_the_rest_is_not_tried(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({}, sums={f"gone-{number:03d}": "0" * 64 for number in range(60)})
    report = fetch(toy, tmp_path, web=web)
    assert len(report.failed) == 60
    assert sum("not tried" in reason for reason in report.failed.values()) >= 60 - fetcher.MAX_FAILURES - 4


def test_something_else_under_the_name_is_left_alone(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY})
    (tmp_path / "a.dat").write_bytes(b"my notes")
    report = fetch(toy, tmp_path, web=web)
    assert "something else is there already" in report.failed["a.dat"]
    assert held(tmp_path) == {"a.dat": b"my notes"}


def test_a_link_out_of_the_folder_is_not_followed(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet(CONTENTS)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "records").symlink_to(tmp_path / "elsewhere")
    report = fetch(toy, tmp_path / "toy", web=web)
    assert "a link leads out" in report.failed["records/b c.hea"]
    assert held(tmp_path / "elsewhere") == {}


def test_a_linked_leftover_is_not_written_through(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({"a.dat": BODY})
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / f"{ASIDE_PREFIX}a.dat").symlink_to(tmp_path / "precious")
    fetch(toy, tmp_path / "toy", web=web)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert held(tmp_path / "toy") == {"a.dat": BODY}


def test_a_full_disk_is_one_line_and_what_arrived_stays(
    home, web: Web, toy: OpenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.add_physionet({"a.dat": BODY})

    class FullDisk:
        def __init__(self, path: Path) -> None:
            self._stream = path.open("ab")

        def __enter__(self) -> "FullDisk":
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def tell(self) -> int:
            return self._stream.tell()

        def write(self, chunk: bytes) -> None:
            self._stream.write(chunk[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download.Partial, "append", lambda partial: FullDisk(partial.path))
        with pytest.raises(FormatError, match="the disk is full"):
            fetch(toy, tmp_path, web=web)
    assert "a.dat" not in held(tmp_path)
    (one,) = fetch(toy, tmp_path, web=Web(home.url)).fetched
    assert one.num_resumed_bytes == 1000
    assert held(tmp_path) == {"a.dat": BODY}


def test_a_disk_too_small_is_said_before_the_first_byte(
    home, web: Web, toy_zenodo: OpenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.add_zenodo({"x.zip": BODY})
    monkeypatch.setattr(fetcher.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(FormatError, match="free bytes: found 1000, expected 600000 or more"):
        fetch(toy_zenodo, tmp_path, web=web)


def test_an_interruption_keeps_what_has_arrived(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet({f"{number}.dat": BODY for number in range(6)})

    def interrupt(progress: fetcher.FetchProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(toy, tmp_path, web=web, progress=interrupt)
    left = held(tmp_path)
    assert all(content == BODY for name, content in left.items() if not name.startswith("."))
    with pytest.raises(Stopped):
        web.read_small(toy.url, 10)
    assert fetch(toy, tmp_path, web=Web(home.url)).failed == {}
    assert len(held(tmp_path)) == 6


def test_progress_ends_with_everything(home, web: Web, toy: OpenSet, tmp_path: Path) -> None:
    home.add_physionet(CONTENTS)
    told: list[fetcher.FetchProgress] = []
    fetch(toy, tmp_path, web=web, progress=told.append)
    assert told[-1] == fetcher.FetchProgress(files_done=3, num_files=3, num_bytes=len(BODY) + len(SMALL))


def test_what_is_fetched_by_hand_says_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pulsedb: home: .* unzip PulseDB_MIMIC"):
        fetch(find_set("pulsedb"), tmp_path)


def test_a_file_without_a_published_checksum_is_said_to_be_unchecked(home, web: Web, tmp_path: Path) -> None:
    one_file = OpenSet(
        name="one", title="", holds="", licence="", page="", home="file", url="https://example.org/data/one+set.zip"
    )
    home.files["/data/one+set.zip"] = BODY
    (one,) = fetch(one_file, tmp_path, web=web).fetched
    assert not one.is_verified
    assert held(tmp_path) == {"one-set.zip": BODY}
