"""A home of data sets on this machine, which can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from qualityfm.fetch.catalogue import OpenSet
from qualityfm.fetch.web import Web


@dataclass
class Home:
    """What a server holds, how it misbehaves, and what it was asked.

    Attributes:
        files: Content by path, such as "/files/toy/1.0.0/a.dat".
        faults: For a path, what to do instead of answering well, one entry for each request: a status, or "cut".
        redirects: For a path, where else to look.
        asked: Path and Range header of every request.
        has_ranges: Answers to Range headers.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    has_ranges: bool = True
    url: str = ""

    def add_physionet(self, contents: dict[str, bytes], sums: dict[str, str] | None = None) -> None:
        """Hold files as PhysioNet does; `sums` replaces checksums, or adds lines for files that are not there."""
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()} | (sums or {})
        self.files |= {f"/files/toy/1.0.0/{path}": content for path, content in contents.items()}
        self.files["/files/toy/1.0.0/SHA256SUMS.txt"] = "".join(f"{d} {p}\n" for p, d in digests.items()).encode()

    def add_zenodo(self, contents: dict[str, bytes]) -> None:
        """Hold files as zenodo does."""
        entries = [
            {"key": key, "size": len(content), "checksum": f"md5:{hashlib.md5(content).hexdigest()}"}
            for key, content in contents.items()
        ]
        self.files["/api/records/77"] = json.dumps({"id": 77, "files": entries}).encode()
        self.files |= {f"/records/77/files/{key}": content for key, content in contents.items()}

    def num_asked(self, ending: str) -> int:
        return sum(path.endswith(ending) for path, _ in self.asked)


def make_handler(home: Home) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            asked_range = self.headers.get("Range")
            home.asked.append((path, asked_range))
            fault = home.faults[path].pop(0) if home.faults.get(path) else None
            if isinstance(fault, int):
                self.answer(fault, b"")
            elif path in home.redirects:
                self.answer(302, b"", {"Location": home.redirects[path]})
            elif path not in home.files:
                self.answer(404, b"")
            else:
                self.send(home.files[path], asked_range, cut=fault == "cut")

        def send(self, content: bytes, asked_range: str | None, cut: bool) -> None:
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            headers = {"ETag": tag}
            status, start = 200, 0
            is_same = self.headers.get("If-Range", tag) == tag
            if asked_range and home.has_ranges and is_same:
                start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                    return
                status = 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(status, content[start:], headers, cut=cut)

        def answer(
            self, status: int, content: bytes, headers: dict[str, str] | None = None, *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.wfile.flush()
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    return Handler


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(home))
    home.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield home
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def web(home: Home) -> Web:
    return Web(home.url, first_wait_s=0.001)


@pytest.fixture
def toy() -> OpenSet:
    return OpenSet(
        name="toy",
        title="Toy",
        holds="nothing",
        licence="none",
        page="https://physionet.org/content/toy/1.0.0/",
        home="physionet",
        url="https://physionet.org/files/toy/1.0.0/",
    )


@pytest.fixture
def toy_zenodo() -> OpenSet:
    return OpenSet(
        name="toy-zenodo",
        title="Toy",
        holds="nothing",
        licence="none",
        page="https://zenodo.org/records/77",
        home="zenodo",
        url="https://zenodo.org/api/records/77",
    )
