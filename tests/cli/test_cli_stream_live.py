import io
import re
import sys

import numpy as np
import pytest
from rich.console import Console

from qualityfm.cli.main import main
from qualityfm.cli.stream_live import LiveView
from qualityfm.inference.stream import Stream, StreamChannel
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig

NAME = "II\x1b[31m"


def shown_of(seconds: int, name: str = NAME, **lead) -> str:
    """Return what stands on the screen at the end of a stream, without colours."""
    channel = StreamChannel(name=name, kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0, **lead)
    stream = Stream([channel], SegmentConfig(segment_s=10.0, step_s=10.0))
    console = Console(file=io.StringIO(), force_terminal=True, width=140, height=40)
    with LiveView(stream, console) as view:
        for second in range(seconds):
            samples = np.sin(np.arange(second * 125, second * 125 + 125) / 9).astype(np.float32)
            view.take(stream.feed(name, second * 125, np.zeros_like(samples) if second == 3 else samples))
        view.left_out(ValueError("not\x07a packet"))
    console.print(view._render())
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def test_seconds_are_shown_before_they_are_final():
    screen = shown_of(8)
    bars = re.search(r"II\S* +([▁▂▃▄▅▆▇█]+)", screen.splitlines()[-2])
    assert bars is not None
    assert len(bars.group(1)) == 8


def test_what_spoils_a_channel_is_named():
    assert "flat" in shown_of(20)


def test_the_last_finished_segment_has_its_grade_and_uses():
    assert re.search(r"final at most \d+ s later.* [A-E] 0\.\d\d usable for", shown_of(40))


def test_a_message_left_out_is_named_and_nothing_moves_the_cursor():
    screen = shown_of(5)
    assert "left out 1; last: not?a packet" in screen
    assert "\x07" not in screen


@pytest.mark.parametrize("words", [["--lsl", "ECG", "--connect", "127.0.0.1:1"]])
def test_two_origins_of_a_stream_are_a_usage_error(words):
    assert main(["stream", *words]) == 2


def test_a_narrow_terminal_still_names_channels_and_numbers():
    channel = StreamChannel(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0)
    stream = Stream([channel], SegmentConfig(segment_s=10.0, step_s=10.0))
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    noise = np.random.default_rng(0).normal(0, 9, 125 * 60).astype(np.float32)
    with LiveView(stream, console) as view:
        view.take(stream.feed("II", 0, np.repeat(noise, 2)[: 125 * 60]))
    assert re.search(r"II .*0\.\d\d", console.file.getvalue())


def test_without_a_terminal_there_are_lines(monkeypatch, capsys):
    lines = b'{"channels": [{"name": "II", "kind": "ecg", "sample_rate_hz": 125}]}\n'
    packet = b'{"channel": "II", "first": 0, "samples": [' + b"0.5, " * 1300 + b"0.5]}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines + packet)))
    assert main(["stream", "--live"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:4] == ["0", "s", "E", "II"]
