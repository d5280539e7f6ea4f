"""The same bad inputs through every door: the same words and the right status, and the next one is served as ever."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from qualityfm.cli.main import main
from qualityfm.errors import QualityFMError
from qualityfm.inference.stream_protocol import segment_row
from qualityfm.quality.score import score_quality
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.service.app import make_app
from qualityfm.service.recordings import Recordings
from qualityfm.sources import open_recording

HOSTILE = "<img src=x>\x1b[31m; rm"
WAVE = (np.sin(np.arange(1250) / 9) * 200).round().astype("<i2")


def changed(begin: int, end: int, value: float, wave: np.ndarray = WAVE) -> np.ndarray:
    found = wave.copy()
    found[begin:end] = value
    return found


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples of one channel, and what all doors must say: causes of some second, or a refusal."""

    name: str = "II"
    kind: str = "ecg"
    rate_hz: float = 125
    wave: np.ndarray
    cause: str = ""
    refusal: str = ""


SAMPLES = {
    "a run of missing samples": Samples(wave=changed(300, 700, np.nan, WAVE / 200), cause="dropout"),
    "nothing but missing samples": Samples(wave=WAVE * np.nan, cause="dropout"),
    "a flat line": Samples(wave=WAVE * 0 + 0.5, cause="flat"),
    "a dead channel": Samples(wave=WAVE * 0.0, cause="flat"),
    "an absurd sample": Samples(wave=changed(500, 501, 1e20, WAVE / 200)),
    "one sample": Samples(wave=WAVE[:1] / 200, cause="flat"),
    "a hostile name": Samples(name=HOSTILE, wave=WAVE / 200),
    "no sample": Samples(wave=WAVE[:0] / 200, refusal="samples: found 0, expected at least one"),
    "a negative rate": Samples(rate_hz=-125, wave=WAVE / 200, refusal="sample_rate_hz: found -125.0, expected 0.1"),
    "no rate": Samples(rate_hz=0, wave=WAVE / 200, refusal="sample_rate_hz: found 0.0, expected 0.1 to 100000"),
    "a rate of light": Samples(rate_hz=1e9, wave=WAVE / 200, refusal="found 1000000000.0, expected 0.1 to 100000"),
    "no channel that is scored": Samples(
        kind="other", wave=WAVE / 200, refusal="found ['II:other'], expected a channel"
    ),
}
GOOD = Samples(wave=WAVE / 200)


def by_python(one: Samples) -> tuple[int, object]:
    lead = Signal(
        name=one.name,
        kind=ChannelKind(one.kind),
        unit="mV",
        sample_rate_hz=float(one.rate_hz),
        samples=one.wave.astype(np.float32),
    )
    try:
        score = score_quality(Recording(recording_id="request", subject_id=None, start=None, signals=(lead,)))
    except QualityFMError as error:
        return 422, str(error)
    return 200, json.loads(json.dumps([segment_row(score, number) for number in range(len(score.overall))]))


def values_of(one: Samples) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in one.wave.astype(np.float32)]


def by_json(one: Samples) -> tuple[int, object]:
    channel = {"name": one.name, "kind": one.kind, "unit": "mV", "sample_rate_hz": one.rate_hz}
    return answered(CLIENT.post("/v1/score", json={"channels": [channel | {"samples": values_of(one)}]}))


def by_raw(one: Samples) -> tuple[int, object]:
    query = {"sample_rate_hz": str(one.rate_hz), "channel": f"{one.name}:{one.kind}:mV"}
    kind = {"content-type": "application/octet-stream"}
    return answered(CLIENT.post("/v1/score/raw", params=query, content=one.wave.astype("<f4").tobytes(), headers=kind))


def answered(answer) -> tuple[int, object]:
    if answer.status_code == 200:
        return 200, answer.json()["segments"]
    assert answer.json()["error"]["status"] == answer.status_code
    return answer.status_code, answer.json()["error"]["message"]


def messages_of(one: Samples) -> list[str]:
    table = {"channels": [{"name": one.name, "kind": one.kind, "unit": "mV", "sample_rate_hz": one.rate_hz}]}
    packet = {"channel": one.name, "first": 0, "samples": values_of(one)}
    return [json.dumps(message) for message in (table, packet, {"end": True})]


def by_stdin(one: Samples) -> tuple[int, object]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(messages_of(one)).encode())))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = main(["stream", "--json"])
    if code:
        return 422, err.getvalue().removeprefix("qualityfm: ").strip()
    return 200, [json.loads(line) for line in out.getvalue().splitlines()][:-1]


def by_socket(one: Samples) -> tuple[int, object]:
    table, packet, end = messages_of(one)
    with CLIENT.websocket_connect("/v1/stream") as socket:
        socket.send_text(table)
        first = socket.receive_json()
        if "error" in first:
            return 422, first["error"]["message"]
        socket.send_text(packet)
        socket.send_text(end)
        rows = []
        while "ended" not in (row := socket.receive_json()):
            rows.append(row)
    return 200, rows


CLIENT = TestClient(make_app(), raise_server_exceptions=False)
DOORS: dict[str, Callable[[Samples], tuple[int, object]]] = {
    "python": by_python,
    "json": by_json,
    "raw": by_raw,
    "stdin": by_stdin,
    "socket": by_socket,
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("door", DOORS)
def test_samples_get_the_same_answer_through_every_door(door, name):
    one = SAMPLES[name]
    status, answer = DOORS[door](one)
    if one.refusal and not (name == "no sample" and door in ("stdin", "socket")):
        assert (status, one.refusal in str(answer)) == (422, True), answer
    else:  # a stream without samples is no error: it has no segments
        assert (status, answer) == ((200, []) if one.refusal else by_python(one))
        assert not answer or any(one.cause in causes for causes in answer[0]["channels"][0]["causes"])
    assert DOORS[door](GOOD) == by_python(GOOD)


def record(wave: np.ndarray = WAVE, *, name: str = "II", rate: str = "125", file: str = "r1.dat") -> dict[str, bytes]:
    header = f"r1 1 {rate} {len(wave)}\n{file} 16 200/mV 16 0 0 0 0 {name}\n"
    return {"r1.hea": header.encode(), "r1.dat": wave.astype("<i2").tobytes()}


#: Files, and a part of the refusal; "" where they are read.
FILES = {
    "a run of missing samples": (record(changed(300, 700, -32768)), ""),
    "a dead channel": (record(WAVE * 0), ""),
    "a hostile name": (record(name=HOSTILE), "<img src=x>"),
    "a negative rate": (record(rate="-125"), "r1.hea"),
    "a rate that is none": (record(rate="nan"), "r1.hea"),
    "a cut file": (record() | {"r1.dat": WAVE[:100].tobytes()}, "r1.dat"),
    "an empty file": (record() | {"r1.dat": b""}, "r1.dat"),
    "an empty header": (record() | {"r1.hea": b""}, "r1.hea"),
    "a file elsewhere": (record(file="../../etc/passwd"), "r1.hea"),
    "no channel that is scored": (record(name="RESP"), "found ['RESP:other'], expected a channel of abp, ecg, ppg"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_get_the_same_answer_through_every_door(name, tmp_path, capsys):
    files, refusal = FILES[name]
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    said = {door: plain(open_door(tmp_path, files, capsys), tmp_path) for door, open_door in FILE_DOORS.items()}
    assert set(said.values()) == {said["python"]}
    assert said["python"] == "scored" if not refusal else refusal in said["python"]


def python_door(folder: Path, files: dict[str, bytes], capsys) -> str:
    try:
        score_quality(open_recording(folder / "r1.hea"))
    except QualityFMError as error:
        return str(error)
    return "scored"


def cli_door(folder: Path, files: dict[str, bytes], capsys) -> str:
    capsys.readouterr()
    code, said = main(["score", str(folder / "r1.hea")]), capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert code == (1 if said.err.startswith("qualityfm: ") else 0)
    return said.err.removeprefix("qualityfm: ").strip() if code else "scored"


def upload_door(folder: Path, files: dict[str, bytes], capsys) -> str:
    form = [("files", (name, io.BytesIO(content))) for name, content in files.items()]
    status, said = answered(CLIENT.post("/v1/score/file", files=form))
    return "scored" if status == 200 else str(said)


def viewer_door(folder: Path, files: dict[str, bytes], capsys) -> str:
    recordings = Recordings(folder)
    client = TestClient(make_app(recordings=recordings), raise_server_exceptions=False)
    opened = client.get("/v1/recordings/0")
    if opened.status_code != 200:
        assert opened.status_code == 422
        return str(opened.json()["error"]["message"])
    ribbon = recordings.open("0").ribbon
    while not ribbon.problem and ribbon.scored_s < ribbon.duration_s:
        pass
    problem = client.get("/v1/recordings/0/quality").json()["problem"]
    recordings.close()
    return problem or "scored"


FILE_DOORS = {"python": python_door, "cli": cli_door, "upload": upload_door, "viewer": viewer_door}


def plain(said: str, folder: Path) -> str:
    return said.replace(f"{folder}/", "").replace(str(folder), "upload")
