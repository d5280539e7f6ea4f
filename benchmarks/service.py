"""Requests a second of `qualityfm serve` on loopback, beside the same scoring in Python; and calls by its schema.

OMP_NUM_THREADS=1 python benchmarks/service.py --requests 1000 --calls 2000
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from schema_calls import calls_of, faults_of

from qualityfm.quality.score import score_quality
from qualityfm.service.app import score_bytes
from qualityfm.service.bodies import read_raw
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate

RAW = "/v1/score/raw?sample_rate_hz=125&channel=II:ecg:mV&channel=PLETH:ppg:NU"
ROUNDS = 5


@contextmanager
def served(*words: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the verb in a process of its own and yield its address and the process."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    start = "import sys; from qualityfm.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "serve", "--port", str(port), *words]
    process = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            try:
                httpx.get(f"{address}/health")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield address, process
    finally:
        process.terminate()
        process.wait(30)


def used_s(address: str) -> float:
    """Return the CPU seconds that the service's process has used."""
    counts = httpx.get(f"{address}/metrics").text
    found = re.search(r"^process_cpu_seconds_total (\S+)", counts, re.MULTILINE)
    assert found is not None, "no CPU time of the process in /metrics"
    return float(found.group(1))


def body() -> bytes:
    """Return 30 s of ECG and PPG at 125 Hz as float32."""
    config = SimulationConfig(duration_s=30.0, ecg_sample_rate_hz=125.0)
    ecg, _, ppg, _ = simulate(1, config).recording.signals
    return np.concatenate([ecg.samples, ppg.samples]).astype("<f4").tobytes()


def send(address: str, content: bytes, number: int) -> None:
    """Send the same request again and again over one connection."""
    host, port = address.removeprefix("http://").split(":")
    kind = "Content-Type: application/octet-stream"
    head = f"POST {RAW} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as door:
        for _ in range(number):
            exchange(door, head.encode() + content)


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


def rates(address: str, number: int, clients: int) -> tuple[float, float]:
    """Return raw requests a second by the wall and by the service's CPU time, the best of some rounds of each."""
    content, found = body(), []
    send(address, content, 20)
    for _ in range(ROUNDS):
        share = number // ROUNDS // clients
        threads = [threading.Thread(target=send, args=(address, content, share)) for _ in range(clients)]
        began, cpu_s = time.perf_counter(), used_s(address)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = share * clients
        found.append((done / (time.perf_counter() - began), done / (used_s(address) - cpu_s)))
    return max(wall for wall, _ in found), max(cpu for _, cpu in found)


def rate_in_python(number: int = 200) -> float:
    """Return how often a second of CPU time the same is read, scored and written without a service."""
    content, found = body(), []
    for _ in range(ROUNDS):
        cpu_s = time.process_time()
        for _ in range(number // ROUNDS):
            score_bytes(score_quality(read_raw(content, "125", ["II:ecg:mV", "PLETH:ppg:NU"])))
        found.append(number / ROUNDS / (time.process_time() - cpu_s))
    return max(found)


def called(number: int, seed: int) -> Counter[int]:
    """Send calls that follow the service's own document, and ones that just do not; count the answers' status."""
    statuses = Counter[int]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_wfdb(simulate(1, SimulationConfig(duration_s=60.0)).recording, folder / "archive")
        (folder / "alarms.csv").write_text("record,alarm,alarm_s\nsimulated-1,Asystole,40\n")
        words = ("--recordings", folder / "archive", "--annotations", folder / "marks.csv")
        words += ("--alarms", folder / "alarms.csv", "--decisions", folder / "decisions.csv")
        with served(*map(str, words)) as (address, _), httpx.Client(base_url=address, timeout=60) as client:
            document = client.get("/openapi.json").json()
            for call in calls_of(document, number, seed):
                answer = client.request(**call.request)
                statuses[answer.status_code] += 1
                for fault in faults_of(call, answer):
                    print("fault:", fault, call.request, answer.text[:200])
    return statuses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f}")
    with served() as (address, _):
        wall, cpu = rates(address, options.requests, options.clients)
    print(f"raw requests a second: {wall:.0f} by the wall, {cpu:.0f} by the service's CPU time")
    print(f"the same scoring in Python: {rate_in_python():.0f} a second of CPU time")
    print(f"calls by the schema: {dict(sorted(called(options.calls, options.seed).items()))}")


if __name__ == "__main__":
    main()
