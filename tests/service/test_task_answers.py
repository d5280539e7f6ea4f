import json

import numpy as np
import pytest
from fastapi.testclient import TestClient

from qualityfm.inference.loading import load_model
from qualityfm.inference.scoring import Embeddings
from qualityfm.quality.score import score_quality
from qualityfm.records import Recording
from qualityfm.service.app import make_app
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture(scope="module")
def model():
    return load_model("qualityfm-tiny-vt-alarm", runtime="auto")


@pytest.fixture(scope="module")
def client(model) -> TestClient:
    return TestClient(make_app(predictor=model), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate(3, SimulationConfig(duration_s=40.0)).recording


def body_of(recording: Recording) -> dict:
    channels = [
        {
            "name": one.name,
            "kind": one.kind,
            "unit": one.unit,
            "sample_rate_hz": one.sample_rate_hz,
            "samples": [None if np.isnan(value) else float(value) for value in one.samples],
        }
        for one in recording.signals
    ]
    return {"recording": recording.recording_id, "channels": channels}


def test_a_task_model_answers_as_it_does_in_python(client, model, recording):
    answer = client.post("/v1/task?end_s=35&kind=Ventricular_Tachycardia", json=body_of(recording)).json()
    start_s = max(0.0, 35.0 - model.question.window_s)
    expected = model.predict_task(recording, starts_s=[start_s], kind="Ventricular_Tachycardia")
    (window,) = answer["windows"]
    assert window["answer"] == expected.answers[0]
    assert list(window["values"].values()) == pytest.approx(expected.values[0].tolist())
    assert (answer["task"], window["start_s"]) == ("vt-alarm", start_s)


def test_without_a_moment_windows_follow_each_other(client, model, recording):
    answer = client.post("/v1/task", json=body_of(recording)).json()
    assert len(answer["windows"]) == len(model.predict_task(recording).start_s)


@pytest.mark.parametrize("query", ["end_s=0", "end_s=nan", "end_s=soon", "kind=" + "x" * 101, "end_s=1e300"])
def test_a_question_that_is_none_is_refused(client, recording, query):
    answer = client.post(
        f"/v1/task?{query}", content=json.dumps(body_of(recording)), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, "query" in answer.json()["error"]["message"]) == (422, True)


def test_without_a_task_model_there_is_nothing_to_ask():
    assert TestClient(make_app()).post("/v1/task", json={}).status_code == 404


def test_samples_of_any_form_are_embedded_alike(recording):
    class Means:
        """An encoder of one feature."""

        name = "means"

        def score(self, found):
            return score_quality(found)

        def embed(self, found):
            vectors = np.array([[np.nanmean(found.signals[0].samples)]], np.float32)
            return Embeddings(recording_id=found.recording_id, segment_start_s=np.zeros(1), vectors=vectors)

    client = TestClient(make_app(predictor=Means()))
    lead = recording.signals[0]
    by_json = client.post("/v1/embed", json=body_of(recording)).json()["vectors"]
    by_raw = client.post(
        f"/v1/embed/raw?sample_rate_hz={lead.sample_rate_hz}&channel=II:ecg:mV",
        content=lead.samples.astype("<f4").tobytes(),
        headers={"content-type": "application/octet-stream"},
    ).json()["vectors"]
    assert by_raw == by_json
