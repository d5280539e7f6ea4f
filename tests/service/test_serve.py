"""The verb itself, in a process of its own: ready when it answers, busy when it is full, and it ends its work first."""

import signal
import threading
from collections import Counter

import httpx
import numpy as np
from service import served

RAW = "/v1/score/raw?sample_rate_hz=125&channel=II:ecg:mV"


def ask(address: str, answers: list[httpx.Response]) -> None:
    hours = np.tile(np.sin(np.arange(12_500) / 9), 100).astype("<f4").tobytes()
    kind = {"content-type": "application/octet-stream"}
    answers.append(httpx.post(address + RAW, content=hours, headers=kind, timeout=120))


def begin(address: str, answers: list[httpx.Response]) -> threading.Thread:
    thread = threading.Thread(target=ask, args=(address, answers))
    thread.start()
    return thread


def is_working(address: str) -> bool:
    return "qualityfm_working 2.0" in httpx.get(f"{address}/metrics", timeout=60).text


def test_a_full_service_sends_away_and_a_stopped_one_ends_its_work():
    with served("--max-concurrent", "2") as (address, process):
        answers: list[httpx.Response] = []
        threads = [begin(address, answers) for _ in range(8)]
        assert httpx.get(f"{address}/health", timeout=60).status_code == 200
        for thread in threads:
            thread.join()
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {200, 503}
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
        last: list[httpx.Response] = []
        thread = begin(address, last)
        while not is_working(address):  # the request, and this question
            assert thread.is_alive(), "answered before it was seen"
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert last[0].status_code == 200
        assert process.wait(60) == 143
