import json

import numpy as np
import pytest
from fastapi.testclient import TestClient

from qualityfm.errors import FormatError, SignalError
from qualityfm.quality.score import score_quality
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.service.app import make_app
from qualityfm.service.config import ServiceConfig
from qualityfm.service.notebook import Notebook
from qualityfm.service.recordings import Recordings
from qualityfm.service.reduction import Reducer
from qualityfm.service.ribbon import Ribbon
from qualityfm.service.viewer_routes import PAGE_FILES
from qualityfm.waveform.simulate import SimulationConfig, simulate

RATE_HZ = 125


def write_record(folder, name: str, samples: np.ndarray) -> None:
    (folder / f"{name}.hea").write_text(f"{name} 1 {RATE_HZ} {len(samples)}\n{name}.dat 16 200/mV 16 0 0 0 0 II\n")
    (folder / f"{name}.dat").write_bytes(samples.astype("<i2").tobytes())


@pytest.fixture
def client(tmp_path):
    write_record(tmp_path, "r1", np.r_[200 * np.sin(np.arange(5000) / 9), np.zeros(2500)].round())
    app = make_app(recordings=Recordings(tmp_path), notebook=Notebook(tmp_path / "marks.csv"))
    return TestClient(app, raise_server_exceptions=False)


def line(samples: np.ndarray) -> Reducer:
    samples = samples.astype(np.float32)
    return Reducer(Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=RATE_HZ, samples=samples))


@pytest.mark.parametrize("num_columns", [7, 100, 900])
def test_a_reduced_view_keeps_the_extremes_of_what_it_shows(num_columns):
    samples = np.random.default_rng(1).normal(size=200_000)
    view = line(samples).view(0, 1600, num_columns)
    assert len(view.values) == 2 * num_columns
    assert (view.values.min(), view.values.max()) == (np.float32(samples.min()), np.float32(samples.max()))
    assert (np.diff(view.times_s) > 0).all()


@pytest.mark.parametrize("end_s", [4.0, 100.0, 1600.0])
def test_a_gap_is_named_at_every_zoom(end_s):
    samples = np.zeros(200_000)
    samples[250] = np.nan
    gaps = line(samples).view(0, end_s, 300).gaps_s
    assert len(gaps) == 1
    assert gaps[0][0] <= 2.0 < gaps[0][1]


def test_few_samples_are_shown_as_they_are():
    view = line(np.arange(1000)).view(1.0, 2.0, 800)
    np.testing.assert_array_equal(view.values, np.arange(125, 251))


def test_scoring_in_pieces_gives_the_numbers_of_the_whole():
    recording = simulate(3, SimulationConfig(duration_s=1290.0)).clean
    ribbon, whole = Ribbon(recording), score_quality(recording)
    ribbon.begin()
    ribbon.wait(60)
    assert ribbon.scored_s == ribbon.duration_s
    slots = [c for c, name in enumerate(whole.names) if name is not None]
    names = [recording.signals[c].name for c in ribbon.channels]
    for slot in slots:
        seconds = whole.quality[:, slot].ravel()[: ribbon.quality.shape[1]]
        np.testing.assert_allclose(ribbon.quality[names.index(whole.names[slot])], seconds, atol=1e-6)


def test_a_recording_without_a_known_channel_is_shown_and_said_not_to_be_scored():
    signal = Signal(name="RESP", kind=ChannelKind.OTHER, unit="NU", sample_rate_hz=25.0, samples=np.ones(250, "f4"))
    ribbon = Ribbon(Recording(recording_id="r", subject_id=None, start=None, signals=(signal,)))
    ribbon.begin()
    assert "expected a channel of abp, ecg, ppg" in ribbon.problem
    assert ribbon.cells(0, 10, 10) == []


def test_what_nobody_recorded_is_not_the_worst_artefact():
    samples = simulate(3, SimulationConfig(duration_s=60.0)).clean.signals[0].samples.copy()
    rate = len(samples) // 60
    samples[: 30 * rate], samples[45 * rate : 50 * rate] = np.nan, 0.5
    lead = Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=float(rate), samples=samples)
    ribbon = Ribbon(Recording(recording_id="r", subject_id=None, start=None, signals=(lead,)))
    ribbon.begin()
    ribbon.wait(60)
    worst = ribbon.worst_spot()
    assert worst is not None
    assert 44 <= worst.start_s <= 46
    assert "flat" in worst.causes


def test_the_routes_answer_with_channels_views_and_quality(client):
    assert client.get("/v1/recordings").json()["recordings"][0]["name"] == "r1"
    assert client.get("/v1/recordings/0").json()["channels"][0]["unit"] == "mV"
    view = client.get("/v1/recordings/0/view?start_s=0&end_s=60&columns=100").json()
    assert len(view["channels"][0]["values"]) == 200
    assert client.get("/v1/recordings/0/quality?start_s=0&end_s=60").json()["duration_s"] == 60.0
    assert "spot" in client.get("/v1/recordings/0/worst").json()


@pytest.mark.parametrize("number", ["1", "-1", "..", "%2e%2e%2fr1", "٣", "9999999999999", "r1", "0x0"])
def test_only_a_number_of_the_list_names_a_recording(client, number):
    assert client.get(f"/v1/recordings/{number}/view").status_code == 404


@pytest.mark.parametrize("query", ["start_s=nan", "start_s=5&end_s=1", "columns=0", "columns=1e9", "end_s=x"])
def test_a_view_that_makes_no_sense_is_refused(client, query):
    assert client.get(f"/v1/recordings/0/view?{query}").status_code == 422


def test_marks_survive_in_a_file_and_can_be_removed(client, tmp_path):
    mark = {"start_s": 1, "end_s": 2.5, "channel": "II", "label": "=artefact", "note": 'a "note", with comma'}
    assert client.post("/v1/recordings/0/marks", json=mark).status_code == 200
    (kept,) = Notebook(tmp_path / "marks.csv").of("r1")
    assert (kept.label, kept.note, kept.end_s) == (mark["label"], mark["note"], 2.5)
    assert ",'=artefact," in (tmp_path / "marks.csv").read_text()
    assert client.delete("/v1/recordings/0/marks/0").status_code == 200
    assert client.get("/v1/recordings/0/marks").json() == {"marks": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"start_s": -1},
        {"end_s": 1e9},
        {"start_s": True},
        {"label": ""},
        {"label": "a\nb"},
        {"note": "x" * 501},
        {"x": 1},
    ],
)
def test_a_mark_that_is_none_is_refused(client, changes):
    body = json.dumps({"start_s": 1, "end_s": 2, "label": "good"} | changes)
    answer = client.post("/v1/recordings/0/marks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


def test_a_foreign_file_of_marks_is_refused_and_left_alone(tmp_path):
    (tmp_path / "marks.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="not a file of marks"):
        Notebook(tmp_path / "marks.csv")


def test_a_mark_beyond_the_end_is_refused_by_the_notebook(tmp_path):
    with pytest.raises(SignalError, match="end_s"):
        Notebook(tmp_path / "m.csv").add("r", 10.0, {"start_s": 1, "end_s": 11, "label": "good"})


def test_every_file_of_the_page_forbids_foreign_scripts(client):
    for path in PAGE_FILES:
        answer = client.get(path)
        assert (answer.status_code, "script-src 'self'" in answer.headers["content-security-policy"]) == (200, True)


def test_the_page_is_open_but_its_data_want_the_token(tmp_path):
    write_record(tmp_path, "r1", np.zeros(1250))
    client = TestClient(make_app(ServiceConfig(token="secret"), recordings=Recordings(tmp_path)))
    assert [client.get(path).status_code for path in PAGE_FILES] == [200] * len(PAGE_FILES)
    assert client.get("/v1/recordings").status_code == 401
    assert client.get("/v1/recordings", headers={"Authorization": "Bearer secret"}).status_code == 200
