"""Request bodies -> recordings: JSON samples, raw float32, files of any source format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from qualityfm.inference.stream_protocol import read_channel
from qualityfm.records import ChannelKind, Recording, Signal, check_rate
from qualityfm.service.gate import RefusedError
from qualityfm.sources import open_recording
from qualityfm.strict_json import field_of, only_fields, read_json, refusal, samples_of

MAX_CHANNELS = 64
MAX_FILES = 64
#: Longest recording that comes as samples, s: a jump of the start must not become hours of missing samples.
MAX_DURATION_S = 7 * 86_400.0
#: What a file may be called; it becomes a path.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


def read_samples(body: bytes) -> Recording:
    """Return the recording in a JSON body.

    Raises:
        UnreadableJsonError: The body is no JSON.
        SignalError: It is, but not a recording.
    """
    value = read_json(body, "body")
    channels = field_of(value, "channels", list, "body")
    name = field_of(value, "recording", str, "body", default="request")
    only_fields(value, ("recording", "channels"), "body")
    signals = []
    _check_number(channels)
    for one in channels:
        samples = samples_of(one.get("samples") if isinstance(one, dict) else None, "body")
        said = read_channel({k: v for k, v in one.items() if k != "samples"}, "body")
        signals.append(
            Signal(
                name=said.name,
                kind=said.kind,
                unit=said.unit,
                sample_rate_hz=said.sample_rate_hz,
                samples=samples,
                start_s=said.start_s,
            )
        )
    return _recording(name[:100], signals)


def read_raw(body: bytes, sample_rate_hz: str | None, channels: Sequence[str]) -> Recording:
    """Return the recording in a body of little-endian float32, one channel after the other, all of one length.

    Args:
        body: The samples.
        sample_rate_hz: Their rate, as the query says it.
        channels: Each `name:kind:unit`.

    Raises:
        SignalError: The query or the length is wrong.
    """
    try:
        rate_hz = float(sample_rate_hz or "")
    except ValueError:
        raise refusal("query", "sample_rate_hz", sample_rate_hz, "a number") from None
    _check_number(channels)
    if len(body) % (4 * len(channels)):
        raise refusal("body", "length", len(body), f"float32 of {len(channels)} channels of one length")
    samples = np.frombuffer(body, "<f4").reshape(len(channels), -1)
    signals = []
    for one, line in zip(channels, samples, strict=True):
        name, kind, unit = [*one.split(":"), "", ""][:3]
        if kind not in set(ChannelKind):
            raise refusal("query", "channel", one, f"name:kind:unit with a kind of {', '.join(ChannelKind)}")
        signals.append(
            Signal(name=name, kind=ChannelKind(kind), unit=unit or "NU", sample_rate_hz=rate_hz, samples=line)
        )
    return _recording("request", signals)


def read_files(files: Iterable[tuple[str, bytes]], folder: Path, layout: str | None) -> Recording:
    """Return the recording in uploaded files, written into a folder of their own; the first that opens is it.

    Raises:
        SourceError: It cannot be read.
        SignalError: A name that must not become a path, or too many files.
    """
    written: list[Path] = []
    for name, content in files:
        if not FILE_NAME.fullmatch(name) or len(written) >= MAX_FILES:
            raise refusal("upload", "name", name, f"letters, digits and . _ + -, at most {MAX_FILES} files")
        (folder / name).write_bytes(content)
        written.append(folder / name)
    if not written:
        raise refusal("upload", "files", 0, "at least one")
    if layout is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", layout):
        raise refusal("query", "layout", layout, "the name of a layout that ships")
    headers = [path for path in written if path.suffix == ".hea"]
    return open_recording((headers or written)[0], layout=layout)


def check_type(found: str | None, expected: str) -> None:
    """Refuse a body of another media type.

    Raises:
        RefusedError: With status 415.
    """
    if (found or "").split(";")[0].strip().lower() != expected:
        raise RefusedError(
            415, f"wrong media type: header: Content-Type: found {(found or '')[:60]!r}, expected {expected}"
        )


def _check_number(channels: Sequence[object]) -> None:
    if not 0 < len(channels) <= MAX_CHANNELS:
        raise refusal("body", "channels", len(channels), f"1 to {MAX_CHANNELS}")


def _recording(name: str, signals: list[Signal]) -> Recording:
    for signal in signals:
        check_rate(signal.name, signal.sample_rate_hz)
        if not 0 <= signal.start_s + signal.duration_s <= MAX_DURATION_S or signal.start_s < 0:
            raise refusal(signal.name, "start_s", signal.start_s, f"a recording of at most {MAX_DURATION_S:g} s")
    return Recording(recording_id=name, subject_id=None, start=None, signals=tuple(signals))
