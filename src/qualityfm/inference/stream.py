"""Quality of a stream, second by second: the numbers that the finished recording would get, bit for bit.

Segments lie on the clock of the recording, whatever the packets are. A segment is scored when every channel has had
time to deliver it; from then on the samples it looked at are closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from qualityfm.errors import SignalError, problem
from qualityfm.inference.stream_line import Counts, StreamChannel, StreamLine
from qualityfm.quality.score import score_block
from qualityfm.records import QualityScore, Recording, Signal, check_rate
from qualityfm.segments import SegmentBlock, SegmentConfig, assign_slots, clock_of, count_segments

__all__ = ["BlockModel", "Counts", "Stream", "StreamChannel", "StreamConfig"]

#: Latest start that a stream may name: within a year. Our own bound.
MAX_START_S = 366 * 86_400.0
MAX_CHANNELS = 64

#: Samples that are put into place before the stream looks whether a segment is complete, s.
PIECE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """How patient a stream is.

    Attributes:
        reorder_s: How far a packet may lag behind the newest sample of any channel, s.
        max_jump_s: A packet that begins further ahead of the newest sample is refused, s: it bounds memory and work.
    """

    reorder_s: float = 5.0
    max_jump_s: float = 600.0


class BlockModel(Protocol):
    """What a stream needs of a `Predictor`; naming it here would bring torch along."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def segments(self) -> SegmentConfig:
        """How recordings are cut for it."""
        ...

    def score_block(self, block: SegmentBlock) -> QualityScore:
        """Return the classical quality with its estimate beside it."""
        ...


class Stream:
    """Packets in, scored segments out.

    Memory is constant: each channel holds one segment, the step to the next, the reordering time and the largest jump.
    A channel that stopped sending goes on with missing samples, as if the file had NaN there.

    Args:
        channels: All channels that will be sent; slots are given out by kind, lead and order, as in a file.
        config: How to cut; the defaults are those of the model, without one those of `score_quality`.
        stream: How patient to be.
        model: Gives its estimate beside the classical quality, as `Predictor.score` does, within 1e-5 of it
            (decisions/0026); it cuts by its own recipe, so `config` must be left out or be that recipe.
        recording_id: Name in the results.

    Raises:
        SignalError: A channel cannot be, two share a name, or none fits a slot, or `config` is not the model's.

    Example:
        >>> from qualityfm.records import ChannelKind
        >>> lead = StreamChannel(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0)
        >>> stream = Stream([lead], SegmentConfig(segment_s=10.0, step_s=10.0))
        >>> stream.feed("II", 0, np.ones(1000, np.float32))
        []
        >>> stream.feed("II", 1000, np.ones(1250, np.float32))[0].grades
        ['E']
    """

    def __init__(
        self,
        channels: Sequence[StreamChannel],
        config: SegmentConfig | None = None,
        *,
        stream: StreamConfig | None = None,
        model: BlockModel | None = None,
        recording_id: str = "stream",
    ) -> None:
        self.config = config or (model.segments if model else SegmentConfig())
        self.stream = stream or StreamConfig()
        self.recording_id = recording_id
        self._score: Callable[[SegmentBlock], QualityScore] = model.score_block if model else score_block
        if model is not None and self.config != model.segments:
            raise self._refusal("config", self.config, f"the recipe of the model {model.name}: {model.segments}")
        self._clock = clock_of(self.config)
        _check_channels(recording_id, channels)
        self._lines = {channel.name: StreamLine(channel, self._clock) for channel in channels}
        self._slots = self._assign(channels)
        self._next = 0
        #: Whether the stream was ended.
        self.is_closed = False

    @property
    def delay_s(self) -> float:
        """Longest time from a sample to the quality of its second, as the clock of the samples runs, s."""
        return self.config.segment_s + self._margin_s + self.stream.reorder_s

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of each channel's samples."""
        return {name: line.counts for name, line in self._lines.items()}

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the stream to the end of its newest sample."""
        return max((line.end_s for line in self._slots if line and line.end), default=0.0)

    @property
    def num_held(self) -> int:
        """Samples there is room for in all channels."""
        return sum(line.num_held for line in self._lines.values())

    def feed(self, name: str, first: int, samples: Float[np.ndarray, " time"]) -> list[QualityScore]:
        """Take a packet and return the segments that it completes, one score each, in time order.

        Args:
            name: The channel.
            first: Number of the packet's first sample; the channel's first sample is number 0.
            samples: Physical values, any number of them; NaN for missing ones.

        Raises:
            SignalError: No such channel, an impossible place, or the stream was closed.
        """
        line = self._check_packet(name, first)
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise self._refusal("samples", samples.shape, "one row of numbers")
        if line not in self._slots:
            return []
        step = max(1, int(PIECE_S * line.channel.sample_rate_hz))
        done: list[QualityScore] = []
        for begin in range(0, len(samples), step):
            line.put(first + begin, samples[begin : begin + step])
            done += self._finished()
        return done

    def preview(self) -> list[QualityScore]:
        """Return the segments not yet finished, scored as if the stream ended now; later packets may change them."""
        num_segments = count_segments(self.duration_s, self.config) if self.duration_s > 0 else 0
        return [self._segment(number, self.duration_s) for number in range(self._next, num_segments)]

    def close(self) -> list[QualityScore]:
        """End the stream and return the segments that were not finished; the last may be short."""
        rest = [] if self.is_closed else self.preview()
        self.is_closed = True
        return rest

    def _assign(self, channels: Sequence[StreamChannel]) -> tuple[StreamLine | None, ...]:
        """Give out the slots as a file's channels get them, all of them taken for live."""
        signals = tuple(
            Signal(
                name=one.name,
                kind=one.kind,
                unit=one.unit,
                sample_rate_hz=one.sample_rate_hz,
                samples=np.zeros(1, np.float32),
            )
            for one in channels
        )
        recording = Recording(recording_id=self.recording_id, subject_id=None, start=None, signals=signals)
        slots = assign_slots(recording, self.config.channels)
        if not any(slots):
            expected = f"a channel of {', '.join(sorted(set(self.config.channels)))}"
            raise self._refusal("channels", [f"{one.name}:{one.kind}" for one in channels], expected)
        return tuple(self._lines[slot.name] if slot else None for slot in slots)

    @property
    def _margin_s(self) -> float:
        """How far beyond a segment's end its numbers depend on samples, s."""
        rates = [line.channel.sample_rate_hz for line in self._slots if line]
        ticks_s = self._clock.gap_ticks / self.config.sample_rate_hz
        return ticks_s + max((self._clock.margin(rate) + 2) / rate for rate in rates)

    def _finished(self) -> list[QualityScore]:
        """Score the segments that all channels have had time to deliver."""
        done = []
        complete_s = self.duration_s - self.stream.reorder_s - self._margin_s
        while self._next * self.config.step_s + self.config.segment_s <= complete_s:
            done.append(self._segment(self._next, None))
            end_tick = self._first_tick(self._next) + self.config.num_samples + self._clock.gap_ticks
            self._next += 1
            keep_tick = self._first_tick(self._next) - self._clock.gap_ticks
            for line in self._slots:
                if line is not None:
                    line.close_before(end_tick, keep_tick)
        return done

    def _first_tick(self, number: int) -> int:
        return int(np.round(number * self.config.step_s * self.config.sample_rate_hz))

    def _segment(self, number: int, duration_s: float | None) -> QualityScore:
        """Score one segment; `duration_s` is None while the stream goes on."""
        config, first_tick = self.config, self._first_tick(number)
        begin, end = max(0, first_tick - self._clock.gap_ticks), first_tick + config.num_samples + self._clock.gap_ticks
        if duration_s is not None:
            last = count_segments(duration_s, config) - 1
            end = min(end, self._first_tick(last) + config.num_samples)
        values = np.full((1, len(self._slots), config.num_samples), np.nan, np.float32)
        is_real = np.zeros(values.shape, bool)
        inside = slice(first_tick - begin, first_tick - begin + config.num_samples)
        for slot, line in enumerate(self._slots):
            if line is not None:
                stretch = line.stretch(begin, end, is_ended=duration_s is not None)
                found, real = self._clock.read(stretch, begin, end - begin)
                values[0, slot], is_real[0, slot] = found[inside], real[inside]
        start_s = np.array([number * config.step_s])
        length_s = config.segment_s if duration_s is None else np.clip(duration_s - start_s[0], 0.0, config.segment_s)
        return self._score(
            SegmentBlock(
                recording_id=self.recording_id,
                subject_id=None,
                config=config,
                names=tuple(line.channel.name if line else None for line in self._slots),
                units=tuple(line.channel.unit if line else "" for line in self._slots),
                start_s=start_s,
                length_s=np.array([length_s]),
                values=values,
                is_real=is_real,
            )
        )

    def _check_packet(self, name: str, first: int) -> StreamLine:
        if self.is_closed:
            raise self._refusal("packet", "a packet", "nothing after the end of the stream")
        if name not in self._lines:
            raise self._refusal("channel", name, f"one of {', '.join(self._lines)}")
        line = self._lines[name]
        if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
            raise self._refusal("first", first, "the number of a sample, from 0 on")
        begin_s = line.channel.start_s + first / line.channel.sample_rate_hz
        newest_s = max([self.duration_s, *(one.channel.start_s for one in self._lines.values())])
        if begin_s > newest_s + self.stream.max_jump_s:
            expected = f"at most {self.stream.max_jump_s:g} s ahead of the newest sample, at {newest_s:g} s"
            raise self._refusal("first", f"{first} ({begin_s:g} s)", expected)
        return line

    def _refusal(self, field: str, found: object, expected: str) -> SignalError:
        return SignalError(
            problem("cannot stream", where=self.recording_id, field=field, found=found, expected=expected)
        )


def _check_channels(where: str, channels: Sequence[StreamChannel]) -> None:
    """Refuse a channel table that cannot be.

    Raises:
        SignalError: No or too many channels, a doubled or empty name, an impossible rate or start.
    """

    def require(holds: bool, field: str, found: object, expected: str) -> None:
        if not holds:
            raise SignalError(problem("cannot stream", where=where, field=field, found=found, expected=expected))

    require(0 < len(channels) <= MAX_CHANNELS, "channels", len(channels), f"1 to {MAX_CHANNELS}")
    names = [channel.name for channel in channels]
    for channel in channels:
        require(bool(channel.name) and names.count(channel.name) == 1, "name", channel.name, "a name of its own")
        check_rate(channel.name, channel.sample_rate_hz)
        start_s = channel.start_s
        is_near = math.isfinite(start_s) and 0 <= start_s <= MAX_START_S
        require(is_near, "start_s", start_s, f"0 to {MAX_START_S:g}")
