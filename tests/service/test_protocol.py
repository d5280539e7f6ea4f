"""What uvicorn would let pass before a request is there."""

import socket
import threading
import time

import pytest
import uvicorn

from qualityfm.service.app import make_app
from qualityfm.service.config import ServiceConfig
from qualityfm.service.protocol import protocol_of

LIMITS = ServiceConfig(max_header_bytes=2000, header_timeout_s=0.3, body_timeout_s=0.3)


@pytest.fixture(scope="module")
def port():
    config = uvicorn.Config(make_app(LIMITS), port=0, http=protocol_of(LIMITS), timeout_keep_alive=1, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


def everything(door: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    door.settimeout(20)
    parts = []
    try:
        while part := door.recv(65536):
            parts.append(part)
    except ConnectionError:  # closed while more was on its way
        pass
    return b"".join(parts)


@pytest.mark.parametrize("beginning", [b"", b"\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_connection_whose_header_does_not_end_is_closed(port, beginning):
    with socket.create_connection(("127.0.0.1", port)) as door:
        door.sendall(beginning)
        assert everything(door) == b""


def test_a_second_header_on_a_connection_must_end_too(port):
    with socket.create_connection(("127.0.0.1", port)) as door:
        door.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
        answers = everything(door)
    assert answers.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ",
        b"GET /",
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: ",
    ],
)
def test_more_than_a_header_may_be_long_is_refused(port, request_line):
    with socket.create_connection(("127.0.0.1", port)) as door:
        door.sendall(request_line + b"a" * 100_000)
        assert everything(door).startswith(b"HTTP/1.1 400")


def test_a_body_that_does_not_end_is_answered(port):
    with socket.create_connection(("127.0.0.1", port)) as door:
        door.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert everything(door).startswith(b"HTTP/1.1 408")


def test_a_long_body_in_small_chunks_is_taken(port):
    with socket.create_connection(("127.0.0.1", port)) as door:
        head = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        door.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"10\r\n0123456789abcdef\r\n" * 5000 + b"0\r\n\r\n")
        assert everything(door).startswith(b"HTTP/1.1 415")
