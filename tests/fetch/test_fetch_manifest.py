"""Lists of files are not believed: a name becomes a path only where it stays in its folder."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualityfm.errors import ConfigError, SourceError
from qualityfm.fetch import OPEN_SETS, find_set, manifest
from qualityfm.fetch.catalogue import OpenSet
from qualityfm.fetch.manifest import checked_path, read_manifest
from qualityfm.fetch.web import MAX_REDIRECTS, Web, is_safe_url

HOSTILE = [
    "../outside",
    "a/../../outside",
    "/etc/passwd",
    "//host/share",
    "a//b",
    "a/./b",
    "..",
    ".",
    "",
    " a",
    "a ",
    "a.",
    "C:/windows",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a\x1b[2Jb",
    "con",
    "NUL.txt",
    ".writing-a",
    ".about.writing-a",
    "x" * 300,
    "a/" * 600 + "b",
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="unsafe name in the list of files: LIST: path"):
        checked_path(name, "LIST")


@pytest.mark.parametrize("name", [None, 3, ["a"], {"a": 1}])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(SourceError, match="unsafe name"):
        checked_path(name, "LIST")


@pytest.mark.parametrize("name", ["RECORDS", "training/a103l.mat", "p100/p1001/81739927/81739927.hea", "a b+c,(d).csv"])
def test_a_plain_name_is_taken(name: str) -> None:
    assert checked_path(name, "LIST") == name


@given(st.text(max_size=40))
def test_an_accepted_name_stays_in_its_folder(name: str) -> None:
    try:
        path = checked_path(name, "LIST")
    except SourceError:
        return
    assert os.path.normpath(f"/archive/{path}").startswith("/archive/")


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.isprintable() and name.strip() == name and name])
def test_a_hostile_list_fetches_nothing(home, web: Web, toy: OpenSet, name: str) -> None:
    home.add_physionet({"good": b"x"}, sums={name: "0" * 64})
    with pytest.raises(SourceError, match=r"SHA256SUMS.txt: path: found"):
        read_manifest(toy, web)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "wrong list of files: .*: files: found 0"),
        (b"<html>not here</html>\n", "damaged list of files: .*: line: found '<html>"),
        (b"\xff\xfe", "damaged list of files: .*: text"),
        (f"{'0' * 64} a\n{'1' * 64} A\n".encode(), "doubled name in the list of files: .*: found 'A'"),
        (f"{'0' * 64} a\n{'1' * 64} a/b\n".encode(), "a file that is also a folder: .*: found 'a'"),
    ],
)
def test_a_damaged_list_is_refused(home, web: Web, toy: OpenSet, content: bytes, message: str) -> None:
    home.files["/files/toy/1.0.0/SHA256SUMS.txt"] = content
    with pytest.raises(SourceError, match=message):
        read_manifest(toy, web)


def test_both_forms_of_checksum_lines_are_read(home, web: Web, toy: OpenSet) -> None:
    digest = "a1" * 32
    home.files["/files/toy/1.0.0/SHA256SUMS.txt"] = f"{digest} one\n{digest}  two\n{digest} *three\n".encode()
    files = read_manifest(toy, web)
    assert [file.path for file in files] == ["one", "two", "three"]
    assert {file.digest for file in files} == {f"sha256:{digest}"}
    assert files[0].url == "https://physionet.org/files/toy/1.0.0/one"


@pytest.mark.parametrize(
    "entry",
    [
        {"key": "../a", "size": 1, "checksum": "md5:" + "0" * 32},
        {"key": "a", "size": -1, "checksum": "md5:" + "0" * 32},
        {"key": "a", "size": True, "checksum": "md5:" + "0" * 32},
        {"key": "a", "size": 10**15, "checksum": "md5:" + "0" * 32},
        {"key": "a", "size": 1, "checksum": "crc32:00"},
        {"key": "a", "size": 1},
        "a",
    ],
)
def test_a_damaged_record_is_refused(home, web: Web, toy_zenodo: OpenSet, entry: object) -> None:
    home.files["/api/records/77"] = json.dumps({"files": [entry]}).encode()
    with pytest.raises(SourceError, match=r"zenodo\.org/api/records/77"):
        read_manifest(toy_zenodo, web)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"null", b"no json", b"[" * 100_000, b'{"files": []}'])
def test_what_is_no_record_is_refused(home, web: Web, toy_zenodo: OpenSet, content: bytes) -> None:
    home.files["/api/records/77"] = content
    with pytest.raises(SourceError):
        read_manifest(toy_zenodo, web)


def test_a_list_without_end_is_refused(home, web: Web, toy: OpenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 1000)
    home.files["/files/toy/1.0.0/SHA256SUMS.txt"] = b"x" * 100_000
    with pytest.raises(SourceError, match="document too large"):
        read_manifest(toy, web)


@pytest.mark.parametrize("target", ["http://example.org/x", "file:///etc/passwd", "ftp://example.org/x"])
def test_a_redirect_to_an_unsafe_place_is_refused(home, web: Web, toy: OpenSet, target: str) -> None:
    home.redirects["/files/toy/1.0.0/SHA256SUMS.txt"] = target
    with pytest.raises(SourceError, match=r"unsafe address: .*: redirect: found"):
        read_manifest(toy, web)


def test_a_redirect_on_this_machine_is_followed(home, web: Web, toy: OpenSet) -> None:
    home.add_physionet({"a": b"x"})
    home.files["/moved"] = home.files["/files/toy/1.0.0/SHA256SUMS.txt"]
    home.redirects["/files/toy/1.0.0/SHA256SUMS.txt"] = "/moved"
    assert [file.path for file in read_manifest(toy, web)] == ["a"]


def test_redirects_in_circles_end(home, web: Web, toy: OpenSet) -> None:
    home.redirects["/files/toy/1.0.0/SHA256SUMS.txt"] = "/files/toy/1.0.0/SHA256SUMS.txt"
    with pytest.raises(SourceError, match="redirected in circles"):
        read_manifest(toy, web)
    assert len(home.asked) == MAX_REDIRECTS + 1


def test_no_network_is_said_with_the_host(toy: OpenSet) -> None:
    web = Web("http://127.0.0.1:9", first_wait_s=0.001)  # nobody listens there
    with pytest.raises(SourceError, match=r"no network: 127\.0\.0\.1: http://127.0.0.1:9/files/toy.*refused"):
        read_manifest(toy, web)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "ftp://example.org",
        "example.org",
        "https://",
        "https://user:word@example.org",
        "http://127.0.0.1.example.org",
        "https://example.org:port",
        "",
    ],
)
def test_a_mirror_must_be_safe(url: str) -> None:
    assert not is_safe_url(url)
    if url:
        with pytest.raises(ConfigError, match="--mirror"):
            Web(url)


def test_a_mirror_keeps_the_paths_of_the_home() -> None:
    web = Web("https://mirror.example.org/open/")
    assert web.url("https://zenodo.org/records/7/files/x?download=1") == (
        "https://mirror.example.org/open/records/7/files/x?download=1"
    )


def test_no_stored_password_is_sent(
    home, web: Web, toy: OpenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    home.add_physionet({"a": b"x"})
    with web.open(toy.url + "SHA256SUMS.txt") as answer:
        assert "Authorization" not in answer.request.headers


@pytest.mark.parametrize("one", OPEN_SETS, ids=lambda one: one.name)
def test_every_entry_is_complete(one: OpenSet) -> None:
    assert find_set(one.name) is one
    assert one.title
    assert one.holds
    assert one.licence
    assert is_safe_url(one.page)
    assert bool(one.by_hand) == (one.home == "manual") == (one.url == "")
    assert one.home == "manual" or is_safe_url(one.url)
    assert one.home != "physionet" or one.url.endswith("/")


def test_names_are_unique() -> None:
    assert len({one.name for one in OPEN_SETS}) == len(OPEN_SETS)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'vitaldb'"):
        find_set("vitldb")
