"""Lab Streaming Layer -> packets of a stream: one inlet for each source, all on one clock (extra `lsl`)."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import SourceError, problem
from qualityfm.inference.stream_line import StreamChannel
from qualityfm.records import ChannelKind
from qualityfm.sources.channel_names import kind_of
from qualityfm.sources.units import canonical_unit

#: Time stamps of neighbours further apart leave a gap; below, samples are counted, since clocks drift. Our choice, s.
GAP_S = 0.5
#: How long a source may take to be found by name, and then by type; and to send its first sample. Our choice, s.
FIND_S = 2.0
OPEN_S = 10.0
#: Samples taken at once, and how long to wait for any.
CHUNK_SAMPLES = 4096
WAIT_S = 0.05

#: What a channel's or a source's `type` may say, in lower case. Source: the names of XDF's wiki on meta-data, and ours.
_KINDS = {
    "ecg": ChannelKind.ECG,
    "ekg": ChannelKind.ECG,
    "ppg": ChannelKind.PPG,
    "pleth": ChannelKind.PPG,
    "abp": ChannelKind.ABP,
}


@dataclass(frozen=True, kw_only=True)
class Packet:
    """Samples of one channel, and the number of the first."""

    channel: str
    first: int
    samples: Float32[np.ndarray, " time"]


@dataclass(frozen=True, kw_only=True)
class _Lane:
    """One channel of an inlet."""

    channel: StreamChannel
    scale: float


class LslSources:
    """Sources of the network's Lab Streaming Layer, by their names or else their types.

    Args:
        wanted: A name or a type ("ECG") of each.

    Raises:
        SourceError: None or several answer to a name, or one sends no regular numbers.
    """

    def __init__(self, wanted: Sequence[str]) -> None:
        self._inlets = [_Inlet(_find(name)) for name in wanted]
        base_s = min(inlet.begin() for inlet in self._inlets)  # all are open before one is waited for
        names = Counter(label for inlet in self._inlets for label in inlet.labels)
        self._lanes = [inlet.lanes(base_s, names) for inlet in self._inlets]

    @property
    def channels(self) -> list[StreamChannel]:
        """All channels of all sources."""
        return [lane.channel for lanes in self._lanes for lane in lanes]

    def packets(self, idle_s: float) -> Iterator[Packet]:
        """Yield what comes, until nothing came for `idle_s`."""
        heard = time.monotonic()
        while time.monotonic() - heard < idle_s:
            for inlet, lanes in zip(self._inlets, self._lanes, strict=True):
                for first, samples in inlet.pull():
                    heard = time.monotonic()
                    for column, lane in enumerate(lanes):
                        values = samples[:, column] * np.float32(lane.scale)
                        yield Packet(channel=lane.channel.name, first=first, samples=values)


class _Inlet:
    """One source: its samples in stretches without a gap, numbered from its first."""

    def __init__(self, info: Any) -> None:
        import pylsl

        self._inlet = pylsl.StreamInlet(info, recover=True, processing_flags=pylsl.proc_clocksync)
        self.info = self._inlet.info(timeout=OPEN_S)
        self.rate_hz = float(self.info.nominal_srate())
        self.labels = [one[0] for one in _described(self.info)]
        self._inlet.open_stream(timeout=OPEN_S)
        self._waiting: Any = None
        self._begin_s = self._last_s = math.nan
        self._next = 0

    def begin(self) -> float:
        """Wait for the first sample and return its time, s."""
        sample, stamp_s = self._inlet.pull_sample(timeout=OPEN_S)
        if stamp_s is None:
            raise _refusal(self.info.name(), "samples", "none", f"a sample within {OPEN_S:g} s")
        self._waiting = [sample], [stamp_s]
        self._begin_s = float(stamp_s)
        self._last_s = self._begin_s - 1 / self.rate_hz
        return self._begin_s

    def lanes(self, base_s: float, names: Counter[str]) -> list[_Lane]:
        """Return its channels; a name that two sources have gets the source's before it."""
        found = []
        for label, kind, unit in _described(self.info):
            name = label if names[label] == 1 else f"{self.info.name()} {label}"
            canonical, scale = canonical_unit(unit)
            channel = StreamChannel(
                name=name,
                kind=kind,
                unit=canonical,
                sample_rate_hz=self.rate_hz,
                start_s=round(self._begin_s - base_s, 6),
            )
            found.append(_Lane(channel=channel, scale=scale))
        return found

    def pull(self) -> Iterator[tuple[int, Float32[np.ndarray, "time channel"]]]:
        """Yield what came since, each stretch with the number of its first sample."""
        samples, stamps = self._waiting or self._inlet.pull_chunk(timeout=WAIT_S, max_samples=CHUNK_SAMPLES)
        self._waiting = None
        if not stamps:
            return
        values = np.asarray(samples, np.float32)
        times = np.asarray(stamps)
        steps = np.diff(times, prepend=self._last_s)
        self._last_s = float(times[-1])
        opens = [0, *(np.flatnonzero(steps[1:] > GAP_S) + 1).tolist(), len(times)]
        for begin, end in pairwise(opens):
            if steps[begin] > GAP_S:
                self._next += round(float(steps[begin]) * self.rate_hz) - 1
            yield self._next, values[begin:end]
            self._next += end - begin


def _find(wanted: str) -> Any:
    """Return the only source of a name, or else of a type."""
    try:
        import pylsl
    except (RuntimeError, OSError) as error:  # the package is there, its library is not
        expected = "the library liblsl, which pylsl looks for"
        raise SourceError(
            problem("no Lab Streaming Layer", where="lsl", field="liblsl", found=str(error)[:200], expected=expected)
        ) from error

    found = pylsl.resolve_byprop("name", wanted, timeout=FIND_S) or pylsl.resolve_byprop("type", wanted, timeout=FIND_S)
    if len({one.uid() for one in found}) != 1:
        raise _refusal(wanted, "sources", len(found), "one source of this name, or else of this type")
    (info,) = found[:1]
    if not info.nominal_srate() > 0:
        raise _refusal(wanted, "nominal_srate", info.nominal_srate(), "a regular rate")
    if info.channel_format() == pylsl.cf_string:
        raise _refusal(wanted, "channel_format", "string", "numbers")
    return info


def _described(info: Any) -> list[tuple[str, ChannelKind, str]]:
    """Return label, kind and unit of each channel, as far as the source says them."""
    found = []
    entry = info.desc().child("channels").child("channel")
    for number in range(info.channel_count()):
        label = entry.child_value("label") or f"{info.name()} {number + 1}"
        unit = entry.child_value("unit") or "NU"
        said = _KINDS.get(entry.child_value("type").lower())
        kind = kind_of(label, canonical_unit(unit)[0])
        if kind is ChannelKind.OTHER:
            kind = said or (_KINDS.get(info.type().lower(), kind) if not entry.child_value("type") else kind)
        found.append((label, kind, unit))
        entry = entry.next_sibling("channel")
    return found


def _refusal(where: str, field: str, found: object, expected: str) -> SourceError:
    return SourceError(problem("cannot stream", where=f"lsl {where}", field=field, found=found, expected=expected))
