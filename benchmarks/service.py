"""Requests a second of the service on loopback, beside the same scoring called in Python; and strange calls counted.

OMP_NUM_THREADS=1 python benchmarks/service.py --requests 1000 --strange 2000
"""

from __future__ import annotations

import argparse
import random
import socket
import threading
import time
from collections import Counter

import httpx
import numpy as np
import uvicorn

from qualityfm.quality.score import score_quality
from qualityfm.service.app import make_app, score_bytes
from qualityfm.service.bodies import read_raw
from qualityfm.waveform.simulate import SimulationConfig, simulate

RAW = "/v1/score/raw?sample_rate_hz=125&channel=II:ecg:mV&channel=PLETH:ppg:NU"
PATHS = ("/v1/score", "/v1/score/raw", "/v1/score/file", "/v1/report/file", "/v1/stream", "/health", "/metrics", "/x")
KINDS = ("application/json", "application/octet-stream", "multipart/form-data; boundary=x", "text/plain", "")
PIECES = (
    b"[",
    b"{",
    b'"channels"',
    b":",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"]",
    b"}",
    b",",
    b"\x00",
    b"\xff",
    b"--x",
)
QUERIES = (
    "",
    "?name=a.edf",
    "?name=../x",
    "?name=a.hea",
    "?sample_rate_hz=nan&channel=a:ecg",
    "?channel=::",
    "?layout=..",
)


def serve() -> str:
    """Start the service on a free port of loopback and return its address."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(), log_level="critical", access_log=False))
    threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{door.getsockname()[1]}"


def body() -> bytes:
    """Return 30 s of ECG and PPG at 125 Hz as float32."""
    config = SimulationConfig(duration_s=30.0, ecg_sample_rate_hz=125.0)
    ecg, _, ppg, _ = simulate(1, config).recording.signals
    return np.concatenate([ecg.samples, ppg.samples]).astype("<f4").tobytes()


def exchange(door: socket.socket, request: bytes) -> None:
    door.sendall(request)
    found = b""
    while b"\r\n\r\n" not in found:
        found += door.recv(65536)
    head, _, rest = found.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(rest) < length:
        rest += door.recv(65536)
    assert b" 200 " in head[:16], head


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--strange", type=int, default=2000)
    options = parser.parse_args()
    address, content = serve(), body()
    host, port = address.removeprefix("http://").split(":")
    kind = "Content-Type: application/octet-stream"
    head = f"POST {RAW} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    rates = []
    with socket.create_connection((host, int(port))) as door:
        for _ in range(20):
            exchange(door, head.encode() + content)
        for _ in range(5):
            began, cpu = time.perf_counter(), time.process_time()
            for _ in range(options.requests // 5):
                exchange(door, head.encode() + content)
            rates.append(
                (
                    options.requests // 5 / (time.perf_counter() - began),
                    options.requests // 5 / (time.process_time() - cpu),
                )
            )
    cpu = time.process_time()
    for _ in range(200):
        score_bytes(score_quality(read_raw(content, "125", ["II:ecg:mV", "PLETH:ppg:NU"])))
    alone = 200 / (time.process_time() - cpu)
    print(
        f"raw requests a second: {max(r for r, _ in rates):.0f} by the wall, {max(c for _, c in rates):.0f} by CPU time"
    )
    print(f"the same scoring in Python: {alone:.0f} a second of CPU time")
    print(dict(sorted(strange_calls(address, options.strange).items())))


def strange_calls(address: str, number: int) -> Counter[int]:
    """Send calls put together at random and count the answers' status."""
    draw, statuses = random.Random(0), Counter[int]()
    with httpx.Client(base_url=address) as client:
        for _ in range(number):
            content = b"".join(draw.choices(PIECES, k=draw.randrange(12)))
            answer = client.request(
                draw.choice(("POST", "POST", "GET", "PUT")),
                draw.choice(PATHS) + draw.choice(QUERIES),
                content=content,
                headers={"content-type": draw.choice(KINDS)},
            )
            statuses[answer.status_code] += 1
            if answer.status_code >= 500 or "Traceback" in answer.text:
                print("failed:", answer.status_code, answer.request.url, content, answer.text[:200])
    return statuses


if __name__ == "__main__":
    main()
