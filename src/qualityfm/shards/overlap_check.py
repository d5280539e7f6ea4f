"""Whether two recordings really show the same stretch at a shift: their samples compared, part by part."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.records import ChannelKind
from qualityfm.shards.overlap_lines import RecordingLines
from qualityfm.waveform.alignment import MIN_PIECES, PIECE_S, SEARCH_S, Alignment, correlate_pieces, judge_pieces
from qualityfm.waveform.fingerprint import smooth_lines

#: Parts of the shared time that are compared, spread evenly over it, and their length. All figures of this file are
#: our own choice, docs/decisions/0014.
NUM_PARTS, PART_S = 8, 30.0
#: Neighbouring signal that the filter needs to be the same whatever lies beyond, s.
SETTLE_S = 2.0
#: A shift is given up where this many pieces agree no better than this in any channel.
HOPELESS_PIECES, HOPELESS = 4, 0.8


@dataclass(frozen=True, kw_only=True)
class Place:
    """One recording of one data set."""

    lines: RecordingLines
    number: int

    @property
    def name(self) -> str:
        """Its recording id."""
        return self.lines.names[self.number]

    @property
    def num_rows(self) -> int:
        """Its segments."""
        return self.lines.num_rows(self.number)

    @property
    def span_s(self) -> tuple[float, float]:
        """When it begins and ends, s."""
        return self.lines.span_s(self.number)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What two recordings have in common at a shift: how well which kind of channel agrees."""

    alignment: Alignment
    kind: ChannelKind


def shared_span_s(first: Place, second: Place, offset_s: float) -> tuple[float, float]:
    """Return when both recordings last, in the first's time; the end lies before the start where they never do."""
    (first_start, first_stop), (second_start, second_stop) = first.span_s, second.span_s
    return max(first_start, second_start + offset_s), min(first_stop, second_stop + offset_s)


def compare(first: Place, second: Place, offset_s: float) -> Verdict | None:
    """Return the channel that shows best that two recordings are the same at a shift; None if no channel does.

    Args:
        first: A recording.
        second: Another.
        offset_s: Start of the second in the first's time, s.
    """
    found: defaultdict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
    verdicts: list[Verdict] = []
    rate_hz = first.lines.sample_rate_hz
    for start_s, stop_s in _parts(*shared_span_s(first, second, offset_s)):
        _compare_part(first, second, offset_s, start_s, stop_s, found)
        verdicts = [
            Verdict(alignment=judge_pieces(np.concatenate(pieces), rate_hz), kind=first.lines.kinds[channel])
            for (channel, _), pieces in found.items()
        ]
        compared = [v.alignment.correlation for v in verdicts if v.alignment.num_pieces >= HOPELESS_PIECES]
        if compared and max(compared) < HOPELESS:
            return None
    same = [verdict for verdict in verdicts if verdict.alignment.is_same]
    return max(same, key=lambda verdict: verdict.alignment.correlation, default=None)


def _parts(start_s: float, stop_s: float) -> list[tuple[float, float]]:
    """Return the parts of a span that are compared; the middle ones first, which two recordings share most surely."""
    if stop_s - start_s < MIN_PIECES * PIECE_S:
        return []
    num_parts = min(NUM_PARTS, max(1, int((stop_s - start_s) // PART_S)))
    length_s = min(PART_S, stop_s - start_s)
    starts = np.linspace(start_s, stop_s - length_s, num_parts) if num_parts > 1 else np.array([start_s])
    middle_first = np.argsort(np.abs(np.arange(num_parts) - (num_parts - 1) / 2), kind="stable")
    return [(float(start), float(start) + length_s) for start in starts[middle_first]]


def _compare_part(
    first: Place,
    second: Place,
    offset_s: float,
    start_s: float,
    stop_s: float,
    found: defaultdict[tuple[int, int], list[np.ndarray]],
) -> None:
    """Add to `found`, for every pair of channels of one kind, the correlations of the pieces of one part."""
    rate_hz = first.lines.sample_rate_hz
    length, search = round((stop_s - start_s) * rate_hz), round(SEARCH_S * rate_hz)
    times = start_s + np.arange(length) / rate_hz
    wide_times = start_s - offset_s + np.arange(-search, length + search) / rate_hz
    one, one_known = _sampled(first, times)
    other, other_known = _sampled(second, wide_times)
    for channel, kind in enumerate(first.lines.kinds):
        for other_channel, other_kind in enumerate(second.lines.kinds):
            if kind == other_kind and one_known[channel].any() and other_known[other_channel].any():
                pieces = correlate_pieces(
                    one[channel], other[other_channel], one_known[channel], other_known[other_channel], rate_hz
                )
                found[channel, other_channel].append(pieces)


def _sampled(
    place: Place, times: np.ndarray
) -> tuple[Float32[np.ndarray, "channel time"], Bool[np.ndarray, "channel time"]]:
    """Return a recording's smoothed channels at evenly spaced times, and where they are known.

    Smoothed lines hold nothing above 8 Hz, so that straight lines between their samples are close enough.
    """
    rate_hz = place.lines.sample_rate_hz
    start_s = round((times[0] - SETTLE_S) * rate_hz) / rate_hz
    num_samples = int(np.ceil((times[-1] + SETTLE_S - start_s) * rate_hz)) + 1
    smooth, is_known = smooth_lines(place.lines.read(place.number, start_s, num_samples), rate_hz)
    position = (times - start_s) * rate_hz
    left = np.floor(position + 1e-6).astype(int)
    share = (position - left).astype(np.float32)
    values = smooth[:, left] * (1 - share) + smooth[:, left + 1] * share
    return values, is_known[:, left] & is_known[:, left + 1]
