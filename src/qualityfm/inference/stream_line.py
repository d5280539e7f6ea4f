"""One channel of a stream: the samples that a later segment can still need, in their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from qualityfm.records import ChannelKind
from qualityfm.waveform.clock import Clock, Stretch


@dataclass(frozen=True, kw_only=True)
class StreamChannel:
    """What a stream says of a channel before its first packet.

    Attributes:
        name: Its name, by which packets call it.
        kind: What it measures.
        unit: Physical unit of its samples ("mV", "mmHg", "NU").
        sample_rate_hz: Samples per second.
        start_s: Time of its sample 0 in seconds after the start of the stream.
    """

    name: str
    kind: ChannelKind
    unit: str
    sample_rate_hz: float
    start_s: float = 0.0


@dataclass
class Counts:
    """What became of a channel's samples.

    Attributes:
        taken: Samples that arrived in time.
        late: Samples that arrived after a finished segment had looked at their place; they are left out.
        doubled: Samples whose place was filled already; the first copy counts.
    """

    taken: int = 0
    late: int = 0
    doubled: int = 0


class StreamLine:
    """The samples of one channel from where they are still needed, at their places; NaN where none arrived.

    Args:
        channel: What the stream says of it.
        clock: The clock that segments are cut on.
    """

    def __init__(self, channel: StreamChannel, clock: Clock) -> None:
        self.channel = channel
        self.counts = Counts()
        #: Number of the sample after the newest one.
        self.end = 0
        #: Samples before this number were looked at by a finished segment: they stay as they are.
        self.closed = 0
        self._clock = clock
        self._first = 0
        self._samples = np.full(1024, np.nan, np.float32)

    @property
    def end_s(self) -> float:
        """Time at which its newest sample ends, s."""
        return self.channel.start_s + self.end / self.channel.sample_rate_hz

    @property
    def num_held(self) -> int:
        """Samples it has room for: what bounds its memory."""
        return len(self._samples)

    def put(self, first: int, samples: Float32[np.ndarray, " time"]) -> None:
        """Put samples where they belong, late and doubled ones counted and left out."""
        if not len(samples):
            return
        late = min(len(samples), max(0, self.closed - first))
        self.counts.late += late
        first, samples = first + late, samples[late:]
        self.end = max(self.end, first + len(samples))
        self._make_room(self.end - self._first)
        place = self._samples[first - self._first : first - self._first + len(samples)]
        is_free = np.isnan(place)
        self.counts.doubled += int(np.count_nonzero(~is_free & ~np.isnan(samples)))
        self.counts.taken += int(np.count_nonzero(is_free & ~np.isnan(samples)))
        np.copyto(place, samples, where=is_free)

    def stretch(self, first_tick: int, end_tick: int, *, is_ended: bool) -> Stretch:
        """Return the samples that some ticks depend on; a channel that only lags goes on with missing samples."""
        rate_hz, start_s = self.channel.sample_rate_hz, self.channel.start_s
        first, end = self._clock.span(rate_hz, start_s, first_tick, end_tick)
        if is_ended:
            end = max(first, min(end, max(self.end, self.closed)))
        self._make_room(end - self._first)
        samples = self._samples[first - self._first : end - self._first]
        return Stretch(samples=samples, sample_rate_hz=rate_hz, start_s=start_s, first=first)

    def close_before(self, end_tick: int, keep_tick: int) -> None:
        """Close what a finished segment looked at, and forget what no later one needs.

        Args:
            end_tick: End of the ticks that the finished segment read.
            keep_tick: First tick that the next segment reads.
        """
        rate_hz, start_s = self.channel.sample_rate_hz, self.channel.start_s
        self.closed = max(self.closed, self._clock.span(rate_hz, start_s, 0, end_tick)[1])
        first = self._clock.span(rate_hz, start_s, keep_tick, keep_tick)[0]
        if first - self._first < len(self._samples) // 2:
            return  # moving is worth it only now and then
        self._resize(self._samples[first - self._first : max(0, self.end - self._first)], 0)
        self._first = first

    def _make_room(self, length: int) -> None:
        if length > len(self._samples):
            self._resize(self._samples, length)

    def _resize(self, kept: Float32[np.ndarray, " time"], length: int) -> None:
        """Hold these samples, with room for at least `length`, a power of two so that the room settles."""
        samples = np.full(1 << max(10, (max(length, len(kept)) - 1).bit_length()), np.nan, np.float32)
        samples[: len(kept)] = kept
        self._samples = samples
