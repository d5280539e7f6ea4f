"""`qualityfm stream`: quality of a running stream, from stdin or a socket."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, BinaryIO

import tyro

from qualityfm.cli.terminal import remark, say, say_table
from qualityfm.errors import ConfigError, QualityFMError, SourceError, problem

if TYPE_CHECKING:
    from qualityfm.inference.predictor import Predictor
    from qualityfm.inference.stream import Stream
    from qualityfm.records import QualityScore

EXAMPLES = (
    "qualityfm stream --json < packets.jsonl",
    "qualityfm stream --connect 127.0.0.1:5555 --model qualityfm-tiny",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `stream`."""

    connect: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Read messages from this TCP address instead of stdin (docs/STREAM.md)."""
    segment_s: float | None = None
    """Seconds that are judged together, 30 if not said; shorter ones answer earlier and know less."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add a model's estimate: a run, a checkpoint, or a shipped name. It brings the length of its segments."""
    reorder_s: float = 5.0
    """How far a packet may lag behind the newest sample of any channel, s."""
    json: bool = False
    """Print one JSON object a line: a finished segment each."""


def run(options: Options) -> int:
    """Score until the stream ends; a wrong message is named and left out."""
    from qualityfm.inference.stream import StreamConfig
    from qualityfm.inference.stream_protocol import farewell, greeting, open_stream, take_message
    from qualityfm.segments import SegmentConfig

    model = _model(options)
    length_s = 30.0 if options.segment_s is None else options.segment_s
    config = None if model else SegmentConfig(segment_s=length_s, step_s=length_s)
    with ExitStack() as stack:
        lines = _lines(_source(options.connect, stack))
        table = next(lines, b"")
        stream = open_stream(table, config, stream=StreamConfig(reorder_s=options.reorder_s), model=model)
        remark(f"the quality of a second comes at most {greeting(stream)['delay_s']:g} s after it")
        for line in lines:
            try:
                done = take_message(stream, line)
            except QualityFMError as error:
                remark(f"left out: {error}")
                continue
            _show(done, options.json)
            if stream.is_closed:
                break
        _show(stream.close(), options.json)
    last = farewell(stream)
    if options.json:
        say(json.dumps(last))
    else:
        _show_counts(stream)
    return 0


def _model(options: Options) -> Predictor | None:
    if options.model is None:
        return None
    if options.segment_s is not None:
        expected = "no length of segments beside --model, which brings its own"
        raise ConfigError(
            problem("two lengths", where="stream", field="--segment-s", found=options.segment_s, expected=expected)
        )
    from qualityfm.inference.predictor import load_model

    return load_model(options.model)


def _source(connect: str | None, stack: ExitStack) -> BinaryIO:
    if connect is None:
        return sys.stdin.buffer
    host, _, port = connect.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            problem("wrong address", where="stream", field="--connect", found=connect, expected="HOST:PORT")
        )
    try:
        connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10.0))
    except OSError as error:
        raise SourceError(f"cannot connect: {connect}: {error.strerror or error}") from error
    connection.settimeout(None)
    return stack.enter_context(connection.makefile("rb"))


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """Yield messages, one a line; of a line too long only its beginning, which is then refused."""
    from qualityfm.inference.stream_protocol import MAX_MESSAGE_BYTES

    is_rest = False
    while line := source.readline(MAX_MESSAGE_BYTES + 1):
        if not is_rest and line.strip():
            yield line
        is_rest = not line.endswith(b"\n")


def _show(done: list[QualityScore], as_json: bool) -> None:
    from qualityfm.inference.stream_protocol import segment_row

    for score in done:
        row = segment_row(score)
        if as_json:
            say(json.dumps(row))
            sys.stdout.flush()
            continue
        for channel in row["channels"]:
            ribbon = "".join(_BLOCKS[min(7, int(quality * 8))] for quality in channel["quality"])
            causes = sorted({cause for words in channel["causes"] for cause in words.split(", ") if cause})
            say(f"{row['start_s']:>8g} s  {row['grade']}  {_name(channel['name'])}  {ribbon}  {', '.join(causes)}")
        sys.stdout.flush()


#: Quality from 0 to 1, a second each.
_BLOCKS = "▁▂▃▄▅▆▇█"


def _name(name: str) -> str:
    from qualityfm.cli.terminal import clean

    return f"{clean(name)[:12]:<12}"


def _show_counts(stream: Stream) -> None:
    rows = [(name, one.taken, one.late, one.doubled) for name, one in stream.counts.items()]
    say_table(("channel", "taken", "late", "doubled"), rows)
