"""Alarms of recordings that are short, broken or without a channel get an answer, never an error."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from qualityfm.cli.main import main
from qualityfm.records import Recording
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.tasks.task import TASKS
from qualityfm.waveform.simulate import SimulationConfig, simulate

Capture = pytest.CaptureFixture[str]
LENGTHS_S = {"two": 2.0, "ten": 10.0, "sixteen": 16.0, "sixty": 60.0, "five_minutes": 302.0}


def recording(seconds: float, rhythm: str = "vt") -> Recording:
    config = SimulationConfig(duration_s=seconds, rhythm=rhythm)  # type: ignore[arg-type]
    return simulate(5, config).recording


def spoilt(value: float) -> Recording:
    whole = recording(12.0)
    signals = tuple(dataclasses.replace(s, samples=np.full_like(s.samples, value)) for s in whole.signals)
    return dataclasses.replace(whole, signals=signals)


@pytest.fixture(scope="module")
def alarms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alarms of every length and defect, without `alarm_s` in the table."""
    folder = tmp_path_factory.mktemp("alarms")
    ppg = recording(12.0)
    ones = {name: recording(seconds) for name, seconds in LENGTHS_S.items()}
    ones |= {"flat": spoilt(0.0), "missing": spoilt(np.nan)}
    ones["ppg_alone"] = dataclasses.replace(ppg, signals=ppg.signals[2:3])
    lines = ["record,alarm,true_alarm"]
    for number, (name, one) in enumerate(ones.items()):
        write_wfdb(dataclasses.replace(one, recording_id=name), folder)
        kind = ("Ventricular_Tachycardia", "Asystole")[number % 2 if name != "ten" else 0]
        lines.append(f"{name},{kind},{number % 2}")
    (folder / "records.csv").write_text("\n".join([*lines, "gone,Bradycardia,1"]) + "\n")
    return folder


def test_an_alarm_of_a_short_recording_is_that_of_its_end(alarms: Path) -> None:
    ends_s = {e.name: e.end_s for e in TASKS["alarm"].examples(alarms, None)}
    assert {name: ends_s[name] for name in LENGTHS_S} == LENGTHS_S | {"five_minutes": 300.0}


@pytest.mark.parametrize("task", ["vt-alarm", "alarm"])
def test_every_alarm_gets_an_answer(task: str, alarms: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "answers.json"
    words = ["evaluate", task, "--data", str(alarms), "--model", "qualityfm-tiny", "--out", str(out), "--json"]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {"score", "auc", "tpr", "tnr", "f1", "intervals"} <= figures.keys()
    answers = [row["answer"] for row in json.loads(out.read_text())]
    assert len(answers) == figures["num_examples"] == (5 if task == "vt-alarm" else 9)
    assert set(answers) <= {"yes", "no", "abstain"}
