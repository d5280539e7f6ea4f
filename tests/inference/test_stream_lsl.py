"""Streams from the Lab Streaming Layer, on this machine alone."""

import json
import os
import threading
import time
from importlib.util import find_spec

import numpy as np
import pytest

from qualityfm.cli.main import main

pytestmark = pytest.mark.skipif(
    find_spec("pylsl") is None, reason="pylsl is not installed: no Lab Streaming Layer here"
)

SETTINGS = """[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
MachineAddresses = {127.0.0.1}
ListenAddress = 127.0.0.1
[lab]
SessionID = %s
[log]
level = -2
"""


@pytest.fixture(scope="module")
def pylsl(tmp_path_factory):
    settings = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    settings.write_text(SETTINGS % settings.parent.name)
    with pytest.MonkeyPatch.context() as patch:  # liblsl reads its settings once, when it is first asked
        patch.setenv("LSLAPICFG", os.fspath(settings))
        yield pytest.importorskip("pylsl")


def outlet_of(pylsl, name: str, channels: list[tuple[str, str, str]], rate_hz: float):
    info = pylsl.StreamInfo(name, "vitals", len(channels), rate_hz, "float32", name)
    described = info.desc().append_child("channels")
    for label, unit, kind in channels:
        one = described.append_child("channel")
        for key, value in (("label", label), ("unit", unit), ("type", kind)):
            one.append_child_value(key, value)
    return pylsl.StreamOutlet(info)


def send(pylsl, leads, finger) -> None:
    begin_s = pylsl.local_clock()
    while not (leads.have_consumers() and finger.have_consumers()):
        time.sleep(0.02)
    for second in range(20):
        if second in (12, 13):
            continue  # nothing is sent, time goes on
        wave = 1000 * np.sin(np.arange(second * 250, second * 250 + 250) / 9)
        leads.push_chunk(np.stack([wave, wave], 1).astype(np.float32).tolist(), begin_s + second + 249 / 250)
        finger.push_chunk(wave[::2, None].astype(np.float32).tolist(), begin_s + second + 124 / 125)


def test_two_sources_become_one_stream_with_the_gap_in_its_place(pylsl, capsys):
    leads = outlet_of(pylsl, "monitor", [("II", "uV", "ECG"), ("RESP", "Ohm", "RESP")], 250)
    finger = outlet_of(pylsl, "oximeter", [("red", "NU", "PPG")], 125)
    sender = threading.Thread(target=send, args=(pylsl, leads, finger), daemon=True)
    sender.start()
    words = ["stream", "--json", "--lsl", "monitor", "oximeter", "--segment-s", "10", "--idle-s", "1"]
    assert main(words) == 0
    sender.join(10)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lead, red = rows[1]["channels"]
    assert (lead["name"], lead["kind"], red["name"], red["kind"]) == ("II", "ecg", "red", "ppg")
    assert ["dropout" in causes for causes in lead["causes"]] == [second in (2, 3) for second in range(10)]
    assert rows[-1]["samples"]["II"]["taken"] == 18 * 250


def test_a_source_that_is_not_there_is_one_line(pylsl, capsys):
    assert main(["stream", "--lsl", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_a_source_of_an_irregular_rate_is_refused(pylsl, capsys):
    events = outlet_of(pylsl, "events", [("mark", "NU", "ECG")], 0)
    assert main(["stream", "--lsl", "events"]) == 1
    assert "nominal_srate" in capsys.readouterr().err
    del events
