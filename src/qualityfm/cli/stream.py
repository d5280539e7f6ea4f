"""`qualityfm stream`: quality of a running stream, from stdin or a socket."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, BinaryIO, Protocol

import tyro
from rich.console import Console

from qualityfm.cli.stream_live import LiveView, bar_of
from qualityfm.cli.terminal import remark, say, say_table
from qualityfm.errors import ConfigError, QualityFMError, SourceError, problem

if TYPE_CHECKING:
    from qualityfm.inference.predictor import Predictor
    from qualityfm.inference.stream import Stream
    from qualityfm.records import QualityScore

EXAMPLES = (
    "qualityfm stream --json < packets.jsonl",
    "qualityfm stream --connect 127.0.0.1:5555 --model qualityfm-tiny",
    "qualityfm stream --lsl ECG Oximeter --live --segment-s 10",
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
    live: bool = False
    """Show the last seconds of each channel while they come, on a terminal; elsewhere lines as without it."""
    lsl: tuple[str, ...] = ()
    """Read these sources of the Lab Streaming Layer instead, each by its name or type (extra `lsl`)."""
    idle_s: float = 30.0
    """With --lsl: end when nothing came for this long, s."""
    json: bool = False
    """Print one JSON object a line: a finished segment each."""


def run(options: Options) -> int:
    """Score until the stream ends; a wrong message is named and left out."""
    from qualityfm.inference.stream_protocol import farewell, greeting

    with ExitStack() as stack:
        stream, arrivals = _open(options, stack)
        view = _view(options, stream, stack)
        if not isinstance(view, LiveView):
            remark(f"the quality of a second comes at most {greeting(stream)['delay_s']:g} s after it")
        for arrive in arrivals:
            try:
                done = arrive()
            except QualityFMError as error:
                view.left_out(error)
                continue
            view.take(done)
            if stream.is_closed:
                break
        view.take(stream.close())
    if options.json:
        say(json.dumps(farewell(stream)))
    else:
        _show_counts(stream)
    return 0


#: Puts what arrived into the stream and returns the segments that this finished.
Arrival = Callable[[], "list[QualityScore]"]


def _open(options: Options, stack: ExitStack) -> tuple[Stream, Iterator[Arrival]]:
    """Return the stream, and what arrives for it."""
    from qualityfm.inference.stream import Stream, StreamConfig
    from qualityfm.inference.stream_protocol import open_stream, take_message
    from qualityfm.segments import SegmentConfig

    if options.lsl and options.connect is not None:
        raise _refusal("--connect", options.connect, "no address beside --lsl")
    model = _model(options)
    length_s = 30.0 if options.segment_s is None else options.segment_s
    config = None if model else SegmentConfig(segment_s=length_s, step_s=length_s)
    patience = StreamConfig(reorder_s=options.reorder_s, max_jump_s=max(600.0, 2 * options.idle_s))
    if options.lsl:
        from qualityfm.inference.stream_lsl import LslSources

        sources = LslSources(options.lsl)
        stream = Stream(sources.channels, config, stream=patience, model=model)
        packets = sources.packets(options.idle_s)
        return stream, (partial(stream.feed, one.channel, one.first, one.samples) for one in packets)
    lines = _lines(_source(options.connect, stack))
    stream = open_stream(next(lines, b""), config, stream=patience, model=model)
    return stream, (partial(take_message, stream, line) for line in lines)


class View(Protocol):
    """Where finished segments go."""

    def take(self, done: list[QualityScore]) -> None:
        """Show them."""

    def left_out(self, error: Exception) -> None:
        """Name a message that was not taken."""


def _view(options: Options, stream: Stream, stack: ExitStack) -> View:
    if options.live and not options.json:
        console = Console()
        if console.is_terminal:
            return stack.enter_context(LiveView(stream, console))
    return _Lines(as_json=options.json)


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """Prints finished segments, a line for each channel, or as JSON."""

    as_json: bool

    def take(self, done: list[QualityScore]) -> None:
        _show(done, self.as_json)

    def left_out(self, error: Exception) -> None:
        remark(f"left out: {error}")


def _model(options: Options) -> Predictor | None:
    if options.model is None:
        return None
    if options.segment_s is not None:
        expected = "no length of segments beside --model, which brings its own"
        raise _refusal("--segment-s", options.segment_s, expected)
    from qualityfm.inference.loading import load_model

    return load_model(options.model)


def _source(connect: str | None, stack: ExitStack) -> BinaryIO:
    if connect is None:
        return sys.stdin.buffer
    host, _, port = connect.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise _refusal("--connect", connect, "HOST:PORT")
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
            ribbon = "".join(map(bar_of, channel["quality"]))
            causes = sorted({cause for words in channel["causes"] for cause in words.split(", ") if cause})
            say(f"{row['start_s']:>8g} s  {row['grade']}  {_name(channel['name'])}  {ribbon}  {', '.join(causes)}")
        sys.stdout.flush()


def _refusal(field: str, found: object, expected: str) -> ConfigError:
    return ConfigError(problem("cannot stream", where="stream", field=field, found=found, expected=expected))


def _name(name: str) -> str:
    from qualityfm.cli.terminal import clean

    return f"{clean(name)[:12]:<12}"


def _show_counts(stream: Stream) -> None:
    rows = [(name, one.taken, one.late, one.doubled) for name, one in stream.counts.items()]
    say_table(("channel", "taken", "late", "doubled"), rows)
