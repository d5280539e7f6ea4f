"""Calls made from the service's own OpenAPI document."""

from collections import Counter

import pytest
from fastapi.testclient import TestClient
from schema_calls import calls_of, faults_of, mismatches

from qualityfm.service.alarm_routes import Review
from qualityfm.service.alarms import Alarm, Decisions
from qualityfm.service.app import make_app
from qualityfm.service.notebook import Notebook
from qualityfm.service.recordings import Recordings
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    from qualityfm.inference.loading import load_model

    folder = tmp_path_factory.mktemp("schema")
    write_wfdb(simulate(1, SimulationConfig(duration_s=60.0)).recording, folder / "archive")
    recordings = Recordings(folder / "archive")
    alarms = (Alarm(recording=recordings.listed[0].name, alarm="Asystole", alarm_s=40.0),)
    app = make_app(
        predictor=load_model("qualityfm-tiny-vt-alarm", runtime="auto"),
        recordings=recordings,
        notebook=Notebook(folder / "marks.csv"),
        review=Review(recordings, Decisions(folder / "decisions.csv"), alarms),
    )
    return TestClient(app, raise_server_exceptions=False)


def test_calls_by_the_document_are_answered_as_it_says(client):
    document = client.get("/openapi.json").json()
    faults, statuses = [], Counter()
    for call in calls_of(document, 200, seed=1):
        answer = client.request(**call.request)
        statuses[answer.status_code] += 1
        faults += [(call.request["method"], call.request["url"], fault) for fault in faults_of(call, answer)]
    assert faults == []
    assert {200, 422} <= set(statuses)


def test_every_operation_says_what_it_takes(client):
    document = client.get("/openapi.json").json()
    silent = [
        (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method == "post"
        and "example" not in str(operation["requestBody"]["content"])
        and "binary" not in str(operation["requestBody"]["content"])
    ]
    assert silent == []


def test_every_good_answer_of_the_document_has_an_example_of_its_own_shape(client):
    document = client.get("/openapi.json").json()
    examples = [
        (content["schema"], content["example"])
        for methods in document["paths"].values()
        for operation in methods.values()
        for kind, content in operation["responses"]["200"].get("content", {}).items()
        if kind == "application/json" and "example" in content
    ]
    assert len(examples) >= 8
    assert [mismatches(schema, example) for schema, example in examples] == [[]] * len(examples)
    assert mismatches(examples[0][0], {"recording": 1}) == [
        "answer lacks segments",
        "answer.recording is int, not string",
    ]
