"""`qualityfm fetch`: what it prints, and with which exit code it ends."""

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qualityfm.cli.main import main


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Serve a folder in which cudb has two files."""
    folder = tmp_path / "mirror" / "files" / "cudb" / "1.0.0"
    folder.mkdir(parents=True)
    contents = {"cu01.hea": b"cu01 1 250 100\n", "cu01.dat": bytes(300)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in contents.items())
    (folder / "SHA256SUMS.txt").write_text(sums)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SilentHandler, directory=tmp_path / "mirror"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_data_set_is_fetched(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cudb"
    assert main(["fetch", "cudb", "--out", str(out), "--mirror", mirror]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["cu01.dat", "cu01.hea"]
    said = capsys.readouterr().out
    assert "fetched     2" in said
    assert "checksums   2 compared" in said
    assert f"next: qualityfm scan {out}" in said


def test_json_tells_every_file(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "cudb", "--out", str(tmp_path / "cudb"), "--mirror", mirror, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_files"], found["num_failed"], found["num_bytes"]) == (2, 0, 315)
    assert {one["path"] for one in found["files"]} == {"cu01.hea", "cu01.dat"}


def test_a_failed_file_ends_with_code_1(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mirror" / "files" / "cudb" / "1.0.0" / "cu01.dat").unlink()
    assert main(["fetch", "cudb", "--out", str(tmp_path / "cudb"), "--mirror", mirror]) == 1
    heard = capsys.readouterr()
    assert "failed cu01.dat: cannot fetch" in heard.err
    assert "failed      1" in heard.out


def test_a_dry_run_lists_files(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cudb"
    assert main(["fetch", "cudb", "--out", str(out), "--mirror", mirror, "--dry-run"]) == 0
    assert "cu01.hea" in capsys.readouterr().out
    assert not out.exists()


def test_the_list_names_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list"]) == 0
    said = capsys.readouterr().out
    for name in ("vitaldb", "bidmc", "mimic-perform", "pulsedb", "vtac", "kachuee", "challenge2015", "mitdb"):
        assert f"\n{name} " in said
    assert main(["fetch", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["data_sets"]) >= 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pulsedb"], "File_Preparation_Guide.md"),
        (["nosuch"], "no such open data set"),
        ([], "expected the name of a data set, or --list"),
        (["cudb", "--mirror", "http://example.org"], "--mirror"),
        (["cudb", "--only", "*.edf"], "--only"),
    ],
)
def test_a_wrong_request_ends_with_code_2(
    mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    tail = [] if "--mirror" in words else ["--mirror", mirror]
    assert main(["fetch", *words, "--out", str(tmp_path / "out"), *tail]) == 2
    assert message in capsys.readouterr().err


def test_an_unreachable_home_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qualityfm.fetch.web.FIRST_WAIT_S", 0.001)
    words = ["fetch", "cudb", "--out", str(tmp_path / "out"), "--mirror", "http://127.0.0.1:9"]
    assert main(words) == 1
    err = capsys.readouterr().err
    assert err.startswith("qualityfm: no network: 127.0.0.1: ")
    assert err.count("\n") == 1
