import time
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient

from qualityfm.errors import FormatError, SignalError, TaskError
from qualityfm.models.question import Question
from qualityfm.service.alarm_routes import Review
from qualityfm.service.alarms import Alarm, Decisions, read_alarms
from qualityfm.service.app import make_app
from qualityfm.service.reasons import reasons_of
from qualityfm.service.recordings import Recordings
from qualityfm.sources import open_recording
from qualityfm.waveform.simulate import SimulationConfig, simulate

ASYSTOLE = Alarm(recording="r1", alarm="Asystole", alarm_s=40.0)


class YesFrom20:
    """A task model that says yes from the third window on, and nothing of the last."""

    question = Question(task="asystole", answer="binary", outputs=("true",), window_s=10.0)

    def predict_task(self, recording, *, starts_s=None, kind=""):
        starts_s = np.asarray(starts_s)
        answers = tuple("abstain" if s >= 50 else "yes" if s >= 20 else "no" for s in starts_s)
        values = np.where(starts_s >= 50, np.nan, 0.9)[:, None]
        return SimpleNamespace(start_s=starts_s, values=values, answers=answers)


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    lead = simulate(2, SimulationConfig(duration_s=60.0)).clean.signals[0]
    beats, rate = (np.nan_to_num(lead.samples) * 200).round().astype("<i2"), round(lead.sample_rate_hz)
    (folder / "r1.hea").write_text(f"r1 1 {rate} {len(beats)}\nr1.dat 16 200/mV 16 0 0 0 0 II\n")
    (folder / "r1.dat").write_bytes(beats.tobytes())
    return folder


def make_client(archive, alarms=(ASYSTOLE,), decisions=None, model=None) -> TestClient:
    recordings = Recordings(archive, model=model)
    return TestClient(make_app(recordings=recordings, review=Review(recordings, decisions or Decisions(), alarms)))


def test_a_living_heart_speaks_against_asystole(archive):
    lines = reasons_of(open_recording(archive / "r1"), ASYSTOLE)
    assert lines[0].startswith("II: grade ")
    assert "the rule of Asystole is not met" in lines


def test_nothing_after_the_alarm_is_looked_at(archive):
    before = reasons_of(open_recording(archive / "r1"), ASYSTOLE)
    samples = np.fromfile(archive / "r1.dat", "<i2")
    samples[round(len(samples) * 40 / 60) :] = 0
    samples.tofile(archive / "r1.dat")
    assert reasons_of(open_recording(archive / "r1"), ASYSTOLE) == before


def test_an_alarm_without_a_rule_or_beyond_the_end_still_gets_an_answer(archive):
    recording = open_recording(archive / "r1")
    assert "no rule" in reasons_of(recording, Alarm(recording="r1", alarm="SpO2 low", alarm_s=40.0))[-1]
    assert reasons_of(recording, Alarm(recording="r1", alarm="Asystole", alarm_s=9000.0))


def test_a_decision_survives_in_a_file_and_can_be_taken_back(archive, tmp_path):
    path = tmp_path / "decisions.csv"
    client = make_client(archive, decisions=Decisions(path))
    body = {"decision": "mute", "reason": "=electrode, off"}
    assert client.post("/v1/recordings/0/alarms/0", json=body).status_code == 200
    assert Decisions(path).on("r1", ASYSTOLE).reason == body["reason"]
    assert "'=electrode" in path.read_text()
    assert client.get("/v1/alarms").json()["recordings"] == [{"number": 0, "alarms": 1, "decided": 1}]
    assert client.get("/v1/recordings/0/alarms/0").json()["decision"] == "mute"
    client.post("/v1/recordings/0/alarms/0", json={"decision": ""})
    assert Decisions(path).on("r1", ASYSTOLE) is None


@pytest.mark.parametrize("body", [[], {"decision": "maybe"}, {"decision": 1}, {"decision": "keep", "reason": "a\nb"}])
def test_a_decision_that_is_none_is_refused(archive, tmp_path, body):
    client = make_client(archive, decisions=Decisions(tmp_path / "decisions.csv"))
    assert client.post("/v1/recordings/0/alarms/0", json=body).status_code == 422
    assert not (tmp_path / "decisions.csv").exists()


def test_without_a_file_nothing_is_decided():
    with pytest.raises(SignalError, match="--decisions"):
        Decisions().decide("r1", ASYSTOLE, {"decision": "keep"})


def test_a_foreign_file_of_decisions_is_refused(tmp_path):
    (tmp_path / "decisions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="not a file of decisions"):
        Decisions(tmp_path / "decisions.csv")


@pytest.mark.parametrize("place", ["1", "-1", "x", "99999999999"])
def test_only_a_place_of_the_list_names_an_alarm(archive, place):
    assert make_client(archive).get(f"/v1/recordings/0/alarms/{place}").status_code == 404


@pytest.mark.parametrize("rows", ["r1", "r1,Asystole,-1", "r1,Asystole,nan", "r1,Asystole,1,2"])
def test_a_table_of_alarms_that_cannot_be_is_refused(tmp_path, rows):
    (tmp_path / "alarms.csv").write_text(f"record,alarm,alarm_s\n{rows}\n")
    with pytest.raises(TaskError, match=r"alarms\.csv"):
        read_alarms(tmp_path / "alarms.csv")


def test_alarms_come_in_the_order_of_time(tmp_path):
    (tmp_path / "alarms.csv").write_text("record,alarm,alarm_s\nr1,Asystole,50\nr1,Bradycardia,7.5\nr1,Tachycardia,\n")
    assert [one.alarm_s for one in read_alarms(tmp_path / "alarms.csv")] == [7.5, 50.0, 300.0]


def test_without_a_table_a_task_model_gives_answers_and_alarms(archive):
    client = make_client(archive, alarms=None, model=YesFrom20())
    for _ in range(100):
        found = client.get("/v1/recordings/0/task").json()
        if len(found["windows"]) == 6:
            break
        time.sleep(0.02)
    assert [one["answer"] for one in found["windows"]] == ["no", "no", "yes", "yes", "yes", "abstain"]
    assert found["windows"][-1]["value"] is None
    (alarm,) = client.get("/v1/recordings/0/alarms").json()["alarms"]
    assert (alarm["alarm"], alarm["alarm_s"]) == ("asystole", 30.0)
    told = client.get("/v1/recordings/0/alarms/0").json()
    assert told["suggestion"] == "keep"
    assert told["reasons"][-1] == "the model for asystole says yes, true 0.900"
