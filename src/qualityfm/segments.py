"""Recording -> segments: align, resample, fill short gaps, cut, scale. THE shared step.

Training, command line, Python and every later door cut with this code; its settings (`SegmentConfig`) travel inside
shard sets and checkpoints. Bulk code works on `SegmentBlock`, all segments of one recording in one array.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32
from numpy.lib.stride_tricks import sliding_window_view

from qualityfm.errors import ConfigError, SignalError, problem
from qualityfm.records import ChannelKind, Recording, Segment, Signal, check_rate
from qualityfm.waveform.clock import MAX_ABS_SAMPLE as MAX_ABS_SAMPLE
from qualityfm.waveform.clock import Clock, Stretch

#: Smallest `scale` of a channel in its own unit, so that a flat line stays flat instead of becoming amplified noise:
#: 10 uV, 1 mmHg, and for an arbitrary unit a millionth of its level. Our own choice, docs/decisions/0003.
SCALE_FLOORS = {ChannelKind.ECG: 0.01, ChannelKind.ABP: 1.0}
RELATIVE_SCALE_FLOOR = 1e-6

#: Interquartile range of a standard normal distribution; makes the robust scale comparable to a standard deviation.
NORMAL_IQR = 1.349

#: Samples of a channel in one of `cut_blocks`: small enough for the processor's cache and for memory at any length.
BLOCK_SAMPLES = 2**18

#: Such blocks hold a multiple of this many segments, so that a network meets the same batches as with the whole.
WHOLE_BATCHES = 32

#: Leads of choice for the first ECG slot (`lead_name`): the paper uses lead II, the others are its next of kin.
PREFERRED_ECG = ("II", "MLII", "MCL1", "I", "III", "V")


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """How recordings become segments.

    Attributes:
        channels: Kind of each slot; a recording fills the slots it has channels for, the others stay empty.
        sample_rate_hz: Rate of every slot, Hz.
        segment_s: Length of a segment, s.
        step_s: Distance between the starts of two segments, s.
        max_filled_gap_s: Longest gap that is interpolated, s; longer ones stay missing.
        scaling: "robust" takes each channel's median to 0 and its interquartile range / 1.349 to 1; "minmax" takes the
            range of all channels together to [-1, 1], as the paper does; "none" keeps physical units.
        clip: Scaled values are held within +-clip; without effect where scaling is "none".
        required: Kinds without which a segment is not worth keeping for training.
        max_missing_fraction: For training, a channel with a larger missing share counts as absent from its segment.
        drop_constant: For training, a segment with a constant required channel is dropped, as in the paper.
        min_recording_s: For training, shorter recordings are skipped.
    """

    channels: tuple[ChannelKind, ...] = (ChannelKind.ECG, ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP)
    sample_rate_hz: float = 125.0
    segment_s: float = 30.0
    step_s: float = 30.0
    max_filled_gap_s: float = 0.2
    scaling: Literal["robust", "minmax", "none"] = "robust"
    clip: float = 20.0
    required: tuple[ChannelKind, ...] = ()
    max_missing_fraction: float = 0.5
    drop_constant: bool = False
    min_recording_s: float = 0.0

    def __post_init__(self) -> None:
        for field in ("channels", "required"):
            object.__setattr__(self, field, tuple(_kind(kind, field) for kind in getattr(self, field)))
        for field in ("sample_rate_hz", "segment_s", "step_s", "clip"):
            self._require(field, 0 < getattr(self, field) < 1e6, "0 < x < 1e6")
        for field in ("max_filled_gap_s", "min_recording_s"):
            self._require(field, 0 <= getattr(self, field) < 1e9, "0 <= x < 1e9")
        self._require("max_missing_fraction", 0 <= self.max_missing_fraction <= 1, "0 <= x <= 1")
        self._require("step_s", self.step_s * self.sample_rate_hz >= 1, "at least one sample")
        is_whole = abs(self.num_samples - self.segment_s * self.sample_rate_hz) < 1e-6
        self._require("segment_s", is_whole, f"a whole number of samples at {self.sample_rate_hz:g} Hz")
        self._require("channels", len(self.channels) > 0, "at least one kind")

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            found = getattr(self, field)
            raise ConfigError(problem("wrong setting", where="segments", field=field, found=found, expected=expected))

    @property
    def num_samples(self) -> int:
        """Samples in a segment."""
        return round(self.segment_s * self.sample_rate_hz)

    @property
    def num_seconds(self) -> int:
        """Seconds in a segment, a begun one included."""
        return int(np.ceil(self.segment_s - 1e-9))


def _kind(kind: str, field: str) -> ChannelKind:
    """Return a kind given by name, so that `channels=("ecg", "ppg")` works as well."""
    if kind not in set(ChannelKind):
        expected = f"one of {', '.join(ChannelKind)}"
        raise ConfigError(problem("wrong setting", where="segments", field=field, found=kind, expected=expected))
    return ChannelKind(kind)


@dataclass(frozen=True, kw_only=True)
class SegmentBlock:
    """All segments of one recording in one array: the bulk form of `Segment`, with the same meaning of every field.

    Attributes:
        start_s: Start of each segment, s.
        length_s: Seconds of recording inside each segment; the last may be short, its rest is missing.
        values: Physical samples, not scaled; NaN where missing.
        is_real: True where a sample was recorded.
    """

    recording_id: str
    subject_id: str | None
    config: SegmentConfig
    names: tuple[str | None, ...]
    units: tuple[str, ...]
    start_s: np.ndarray
    length_s: np.ndarray
    values: Float32[np.ndarray, "segment channel time"]
    is_real: Bool[np.ndarray, "segment channel time"]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """Scaled samples and what scaling removed; `values * scale + center` are the physical samples again."""

    values: Float32[np.ndarray, "segment channel time"]
    center: Float32[np.ndarray, "segment channel"]
    scale: Float32[np.ndarray, "segment channel"]


def cut_segments(recording: Recording, config: SegmentConfig | None = None) -> list[Segment]:
    """Cut a recording into scaled segments on one clock; the last one is filled up with missing samples.

    Args:
        recording: Channels of any rates, NaN where missing.
        config: Rate, length, slots and scaling; the defaults are those of `qualityfm-tiny`.

    Returns:
        The segments in time order.

    Raises:
        SignalError: The recording has no channel that fits a slot, or no samples.

    Example:
        >>> import numpy as np
        >>> wave = np.sin(np.arange(5000) / 20).astype(np.float32)
        >>> ecg = Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=250.0, samples=wave)
        >>> recording = Recording(recording_id="r1", subject_id=None, start=None, signals=(ecg,))
        >>> cut_segments(recording, SegmentConfig(segment_s=10.0, step_s=10.0))[0].values.shape
        (4, 1250)
    """
    config = config or SegmentConfig()
    block = cut_block(recording, config)
    scaled = scale_values(block.values, config)
    return [
        Segment(
            recording_id=block.recording_id,
            subject_id=block.subject_id,
            start_s=float(block.start_s[i]),
            sample_rate_hz=config.sample_rate_hz,
            kinds=config.channels,
            names=block.names,
            units=block.units,
            values=scaled.values[i],
            is_real=block.is_real[i],
            center=scaled.center[i],
            scale=scaled.scale[i],
        )
        for i in range(len(block))
    ]


def cut_block(recording: Recording, config: SegmentConfig) -> SegmentBlock:
    """Return all segments of a recording, aligned and resampled, in physical units.

    Raises:
        SignalError: The recording has no channel that fits a slot, no samples, or a rate that cannot be.
    """
    slots, duration_s = _slots_and_duration(recording, config)
    return _cut(recording, config, slots, duration_s, range(count_segments(duration_s, config)))


def cut_blocks(recording: Recording, config: SegmentConfig) -> Iterator[SegmentBlock]:
    """Yield the segments of `cut_block`, bit for bit, in blocks that need little memory however long it is.

    Raises:
        SignalError: The recording has no channel that fits a slot, no samples, or a rate that cannot be.
    """
    slots, duration_s = _slots_and_duration(recording, config)
    total = count_segments(duration_s, config)
    each = max(1, BLOCK_SAMPLES // config.num_samples // WHOLE_BATCHES) * WHOLE_BATCHES
    for first in range(0, total, each):
        yield _cut(recording, config, slots, duration_s, range(first, min(first + each, total)))


def _slots_and_duration(recording: Recording, config: SegmentConfig) -> tuple[list[Signal | None], float]:
    """Return the signal of each slot, and where the last of them ends, s."""
    for signal in recording.signals:
        if signal.kind in config.channels:
            check_rate(signal.name, signal.sample_rate_hz)
    slots = assign_slots(recording, config.channels)
    if not any(slots):
        raise SignalError(why_nothing_fits(recording, config))
    duration_s = max(s.start_s + s.duration_s for s in slots if s)
    if duration_s <= 0:
        raise SignalError(
            problem("nothing to cut", where=recording.recording_id, field="samples", found=0, expected="at least one")
        )
    return slots, duration_s


def why_nothing_fits(recording: Recording, config: SegmentConfig) -> str:
    """Return the refusal of a recording that has no channel for any slot."""
    found = [f"{s.name}:{s.kind}" for s in recording.signals]
    expected = f"a channel of {', '.join(sorted(set(config.channels)))}"
    return problem("nothing to cut", where=recording.recording_id, field="channels", found=found, expected=expected)


def _cut(
    recording: Recording, config: SegmentConfig, slots: list[Signal | None], duration_s: float, numbers: range
) -> SegmentBlock:
    """Return some segments of a recording; only the samples that they depend on are looked at."""
    clock, rate_hz = clock_of(config), config.sample_rate_hz
    start_s = np.arange(numbers.start, numbers.stop) * config.step_s
    starts = np.round(start_s * rate_hz).astype(int)
    last_start = round((count_segments(duration_s, config) - 1) * config.step_s * rate_hz)
    begin = max(0, int(starts[0]) - clock.gap_ticks)
    end = min(last_start, int(starts[-1]) + clock.gap_ticks) + config.num_samples
    values = np.full((len(numbers), len(slots), config.num_samples), np.nan, np.float32)
    is_real = np.zeros(values.shape, bool)
    for c, signal in enumerate(slots):
        if signal is not None:
            line, real = clock.read(_stretch_of(signal, clock, begin, end), begin, end - begin)
            values[:, c] = sliding_window_view(line, config.num_samples)[starts - begin]
            is_real[:, c] = sliding_window_view(real, config.num_samples)[starts - begin]
    return SegmentBlock(
        recording_id=recording.recording_id,
        subject_id=recording.subject_id,
        config=config,
        names=_unique_names(slots),
        units=tuple(s.unit if s else "" for s in slots),
        start_s=start_s,
        length_s=np.clip(duration_s - start_s, 0.0, config.segment_s),
        values=values,
        is_real=is_real,
    )


def _stretch_of(signal: Signal, clock: Clock, begin: int, end: int) -> Stretch:
    """Return the samples of a signal on which ticks from `begin` up to `end` depend."""
    first, last = clock.span(signal.sample_rate_hz, signal.start_s, begin, end)
    return Stretch(
        samples=signal.samples[first:last], sample_rate_hz=signal.sample_rate_hz, start_s=signal.start_s, first=first
    )


def clock_of(config: SegmentConfig) -> Clock:
    """Return the clock on which every channel of a recording is cut."""
    return Clock(sample_rate_hz=config.sample_rate_hz, max_filled_gap_s=config.max_filled_gap_s)


def _unique_names(slots: list[Signal | None]) -> tuple[str | None, ...]:
    """Return the channels' names; a second "ECG" becomes "ECG#2", so that no table mixes them up."""
    names: list[str | None] = []
    for signal in slots:
        same = sum(
            other is not None and signal is not None and other.name == signal.name for other in slots[: len(names)]
        )
        names.append(None if signal is None else f"{signal.name}#{same + 1}" if same else signal.name)
    return tuple(names)


def count_segments(duration_s: float, config: SegmentConfig) -> int:
    """Return how many segments a recording of this length gives; at least one, the last may be short.

    A rest of less than one sample is rounding of an odd rate, not a segment; none begins beyond the end.
    """
    length_s = duration_s - 1 / config.sample_rate_hz
    num_to_cover = int(np.ceil((length_s - config.segment_s) / config.step_s)) + 1
    num_begun = int(np.ceil(length_s / config.step_s))
    return max(1, min(num_to_cover, num_begun))


def assign_slots(recording: Recording, kinds: tuple[ChannelKind, ...]) -> list[Signal | None]:
    """Return the signal for each slot: preferred ECG leads first, then file order; None where there is none left.

    A channel without a single finite sample gives way to a live one of its kind.
    """

    def rank(signal: Signal) -> tuple[bool, int]:
        is_dead = not np.isfinite(signal.samples).any()
        lead = lead_name(signal.name)
        is_preferred = signal.kind == ChannelKind.ECG and lead in PREFERRED_ECG
        return is_dead, PREFERRED_ECG.index(lead) if is_preferred else len(PREFERRED_ECG)

    waiting = {kind: sorted(recording.of_kind(kind), key=rank) for kind in set(kinds)}
    return [waiting[kind].pop(0) if waiting[kind] else None for kind in kinds]


def lead_name(name: str) -> str:
    """Return the lead in a channel's name: in capitals, without device, separators and a leading ECG, EKG or LEAD.

    Example:
        >>> lead_name("SNUADC/ECG_II"), lead_name("Lead ii"), lead_name("MLII"), lead_name("ECG")
        ('II', 'II', 'MLII', '')
    """
    short = re.sub(r"[\s_+.,\-]", "", name.rsplit("/", 1)[-1]).upper()
    return re.sub(r"^(ECG|EKG)?(LEAD)?", "", short)


def scale_values(values: Float32[np.ndarray, "segment channel time"], config: SegmentConfig) -> Scaled:
    """Return segments scaled as `config.scaling` says, with center and scale kept; missing samples stay NaN.

    Statistics come from the segment itself, so that a single segment, a day and a stream scale alike.
    """
    num_segments, num_channels, _ = values.shape
    center = np.zeros((num_segments, num_channels), np.float32)
    scale = np.ones((num_segments, num_channels), np.float32)
    if config.scaling == "robust":
        q1, median, q3 = _quartiles(values)
        floors = [SCALE_FLOORS.get(kind, 0.0) for kind in config.channels]
        floor = np.maximum.reduce([np.broadcast_to(floors, median.shape), RELATIVE_SCALE_FLOOR * np.abs(median)])
        center, scale = median, np.maximum((q3 - q1) / NORMAL_IQR, np.maximum(floor, 1e-12))
    elif config.scaling == "minmax":
        for s in np.flatnonzero(np.isfinite(values).any(axis=(1, 2))):
            low, high = np.nanmin(values[s]), np.nanmax(values[s])
            center[s], scale[s] = (low + high) / 2, max((high - low) / 2, 1e-12)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.asarray(values - center.astype(np.float32)[..., None])
        scaled /= scale.astype(np.float32)[..., None]
        if config.scaling != "none":
            np.clip(scaled, -config.clip, config.clip, out=scaled)
    return Scaled(values=scaled, center=center.astype(np.float32), scale=scale.astype(np.float32))


def _quartiles(values: Float32[np.ndarray, "segment channel time"]) -> list[np.ndarray]:
    """Return lower quartile, median and upper quartile of the samples there are, [segment channel]; 0, 0, 0 for none.

    One sort serves all lines, because missing samples sort to the end. Interpolates as numpy.percentile does.
    """
    ordered = np.sort(values, axis=-1)
    last = np.isfinite(values).sum(axis=-1) - 1
    found = []
    for share in (0.25, 0.5, 0.75):
        rank = share * np.maximum(last, 0)
        below = np.floor(rank).astype(int)
        above = np.minimum(below + 1, np.maximum(last, 0))
        low, high = (np.take_along_axis(ordered, r[..., None], -1)[..., 0] for r in (below, above))
        found.append(np.where(last >= 0, low + (high - low) * (rank - below), 0.0))
    return found
