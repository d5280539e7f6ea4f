import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from qualityfm.quality.score import score_quality
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.service.app import make_app, score_bytes
from qualityfm.service.config import ServiceConfig

RATE_HZ = 125.0
WAVE = np.sin(np.arange(1250) / 9).astype(np.float32)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(make_app(), raise_server_exceptions=False)


def channel(**changes) -> dict:
    return {"name": "II", "kind": "ecg", "unit": "mV", "sample_rate_hz": 125, "samples": WAVE.tolist()} | changes


def offline() -> dict:
    lead = Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=RATE_HZ, samples=WAVE)
    recording = Recording(recording_id="request", subject_id=None, start=None, signals=(lead,))
    return json.loads(score_bytes(score_quality(recording)))


def test_json_samples_get_the_numbers_that_python_gives(client):
    assert client.post("/v1/score", json={"channels": [channel()]}).json() == offline()


def test_raw_samples_get_the_same(client):
    answer = client.post(
        "/v1/score/raw?sample_rate_hz=125&channel=II:ecg:mV",
        content=WAVE.tobytes(),
        headers={"content-type": "application/octet-stream"},
    )
    assert answer.json() == offline()


def wfdb_files() -> dict[str, bytes]:
    samples = np.round(WAVE * 200).astype("<i2")
    header = f"r1 1 125 {len(samples)}\nr1.dat 16 200/mV 16 0 {samples[0]} 0 0 II\n"
    return {"r1.hea": header.encode(), "r1.dat": samples.tobytes()}


def test_a_record_of_several_files_comes_as_a_form(client):
    files = [("files", (name, io.BytesIO(content))) for name, content in wfdb_files().items()]
    answer = client.post("/v1/score/file", files=files)
    assert (answer.status_code, answer.json()["recording"]) == (200, "r1")
    page = client.post("/v1/report/file", files=files)
    assert page.text.startswith("<!doctype html>")


def test_a_file_that_cannot_be_read_is_refused_without_naming_a_folder(client):
    answer = client.post(
        "/v1/score/file?name=a.edf", content=b"nonsense", headers={"content-type": "application/octet-stream"}
    )
    assert answer.status_code == 422
    assert "a.edf" in answer.json()["error"]["message"]
    assert "/tmp" not in answer.text


@pytest.mark.parametrize("name", ["../a.edf", "/etc/passwd", "a\x00.edf", "", ".hidden", "a" * 300])
def test_a_name_never_becomes_a_path_of_its_own(client, name):
    answer = client.post(
        "/v1/score/file", params={"name": name}, content=b"x", headers={"content-type": "application/octet-stream"}
    )
    assert answer.status_code == 422


BAD = [
    (b"", 400),
    (b"{", 400),
    (b"\xff", 400),
    (b'{"channels": [NaN]}', 400),
    (b'{"channels": [], "channels": []}', 400),
    (b"[" * 100_000, 400),
    (b'{"channels": []}', 422),
    (b"[]", 422),
    (b'"text"', 422),
    (json.dumps({"channels": [channel(samples=[True] * 9)]}).encode(), 422),
    (json.dumps({"channels": [channel(samples=["1"] * 9)]}).encode(), 422),
    (json.dumps({"channels": [channel(samples=[])]}).encode(), 422),
    (json.dumps({"channels": [channel(sample_rate_hz=-125)]}).encode(), 422),
    (json.dumps({"channels": [channel(sample_rate_hz=True)]}).encode(), 422),
    (json.dumps({"channels": [channel(start_s=1e300)]}).encode(), 422),
    (json.dumps({"channels": [channel(kind="eeg")]}).encode(), 422),
    (json.dumps({"channels": [channel(extra=1)]}).encode(), 422),
    (json.dumps({"channels": [channel(samples=[10**400])]}).encode(), 422),
    (b'{"channels": [{"name": "II", "kind": "ecg", "sample_rate_hz": 125, "samples": [1e999]}]}', 422),
    (b'{"channels": [{"name": "II", "kind": "ecg", "sample_rate_hz": 1e999, "samples": [1]}]}', 422),
]


@pytest.mark.parametrize(("body", "status"), BAD)
def test_a_wrong_body_gets_its_status_and_the_one_shape(client, body, status):
    answer = client.post("/v1/score", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["status"] == status
    assert "found" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("GET", "/nowhere", "", 404),
        ("GET", "/v1/score", "", 405),
        ("POST", "/v1/score", "text/plain", 415),
        ("POST", "/v1/score/raw", "", 415),
        ("POST", "/v1/score/file", "multipart/form-data", 400),
        ("POST", "/v1/score/raw", "application/octet-stream", 422),
    ],
)
def test_other_refusals_have_the_same_shape(client, method, path, kind, status):
    answer = client.request(method, path, content=b"x", headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, status)


def test_a_long_body_is_refused():
    client = TestClient(make_app(ServiceConfig(max_body_bytes=100)))
    assert client.post("/v1/score", content=b"x" * 101).status_code == 413
    assert client.post("/v1/score", content=iter([b"x" * 60] * 2)).status_code == 413


def test_without_the_token_only_health_answers():
    client = TestClient(make_app(ServiceConfig(token="secret")))
    assert client.get("/health").status_code == 200
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer secret"}).status_code == 200


def test_a_busy_service_says_when_to_come_back():
    answer = TestClient(make_app(ServiceConfig(max_concurrent=0))).post("/v1/score", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_bodies_that_are_too_many_together_are_sent_away_and_forgotten():
    client = TestClient(make_app(ServiceConfig(max_held_bytes=100)))
    for _ in range(3):
        answer = client.post("/v1/score", content=b"x" * 101)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert client.post("/v1/score", content=b"x" * 100).status_code == 415


def test_requests_are_counted(client):
    client.get("/health")
    assert 'qualityfm_requests_total{status="200"}' in client.get("/metrics").text


def test_a_stream_gives_the_segments_of_the_file(client):
    table = {"channels": [{k: v for k, v in channel().items() if k != "samples"}]}
    with client.websocket_connect("/v1/stream") as socket:
        socket.send_json(table)
        assert socket.receive_json()["delay_s"] > 30
        socket.send_text('{"channel": "II", "first": -1, "samples": []}')
        assert "first" in socket.receive_json()["error"]["message"]
        for first in range(0, len(WAVE), 100):
            samples = WAVE[first : first + 100].tolist()
            socket.send_json({"channel": "II", "first": first, "samples": samples})
        socket.send_json({"end": True})
        assert socket.receive_json() == offline()["segments"][0]
        assert socket.receive_json()["samples"]["II"]["taken"] == len(WAVE)


def test_a_stream_without_a_table_is_ended(client):
    with client.websocket_connect("/v1/stream") as socket:
        socket.send_text("[[[")
        assert "text" in socket.receive_json()["error"]["message"]


LOCAL = {"host": "localhost:8765"}


@pytest.fixture(scope="module")
def local_client() -> TestClient:
    return TestClient(make_app(ServiceConfig(hosts=("localhost", "::1"))), raise_server_exceptions=False)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8765", "", "127.0.0.1"])
def test_a_page_whose_name_was_turned_to_this_machine_is_refused(local_client, host):
    answer = local_client.get("/health", headers={"host": host})
    assert (answer.status_code, "wrong host" in answer.json()["error"]["message"]) == (421, True)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "[::1]:8765", "[::1]"])
def test_the_names_of_this_machine_are_served(local_client, host):
    assert local_client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_stream_that_a_foreign_page_opens_is_refused(local_client, origin):
    connection = local_client.websocket_connect("/v1/stream", headers={**LOCAL, "origin": origin})
    with pytest.raises(WebSocketDisconnect) as refused:
        connection.__enter__()
    assert "wrong host" in refused.value.reason
