"""Recordings that show the same stretch of one patient: found by their samples, whatever they are called.

Overlaps and near-duplicates (another scaling, rate, quantisation, clipping, a cut elsewhere) put the same heartbeats
on both sides of a split. Every recording is read once and leaves its fingerprints (waveform/fingerprint.py) in an
index; recordings that share some at one shift in time are then compared sample by sample (waveform/alignment.py).
Work grows with the hours read, not with the number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from qualityfm.errors import SignalError, problem
from qualityfm.records import ChannelKind
from qualityfm.shards.overlap_check import SETTLE_S, Place, compare, shared_span_s
from qualityfm.shards.overlap_lines import RecordingLines
from qualityfm.shards.overlap_votes import MAX_FINGERPRINTS, Candidate, FingerprintIndex
from qualityfm.shards.reader import ShardReader
from qualityfm.waveform.fingerprint import (
    MIN_SAMPLE_RATE_HZ,
    NUM_SIGNS,
    REST_SHARE,
    WINDOW_S,
    Fingerprints,
    describe,
    smooth_lines,
)

#: Called with what is being done ("reading", in segments; then "comparing", in pairs), how much of it, and of how much.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Two recordings that show the same stretch.

    Attributes:
        first: Recording id.
        second: Recording id; of the second data set where there are two.
        offset_s: Start of the second in the first's time, s.
        shared_s: How long both last together, s.
        correlation: Median over pieces of 3 s of the smoothed samples' correlation in the channel that agrees best.
        kind: What that channel measures.
        votes: Equal fingerprints that led here.
    """

    first: str
    second: str
    offset_s: float
    shared_s: float
    correlation: float
    kind: ChannelKind
    votes: int


@dataclass(frozen=True, kw_only=True)
class UncheckedChannel:
    """A channel in which an overlap could stay unseen, and why: "flat or missing", or "periodic"."""

    recording_id: str
    channel: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OverlapSearch:
    """What a search found, and what it could not look at.

    Attributes:
        overlaps: The pairs, in the order of the recordings.
        unchecked: Channels with no fingerprints, or hardly any that are rare.
        unchecked_recordings: Recordings that have no other channels.
        num_recordings: Recordings looked at.
        hours: Hours of them.
        num_fingerprints: Fingerprints found.
        share: Share of them that was kept, 1 unless there were too many; below that, short overlaps may be missed.
        num_candidates: Shifts that were compared sample by sample.
    """

    overlaps: tuple[Overlap, ...]
    unchecked: tuple[UncheckedChannel, ...]
    unchecked_recordings: tuple[str, ...]
    num_recordings: int
    hours: float
    num_fingerprints: int
    share: float
    num_candidates: int


def find_overlaps(
    first: ShardReader, second: ShardReader | None = None, *, progress: OnProgress | None = None
) -> list[Overlap]:
    """Return the pairs of recordings that overlap, in one data set or between two.

    Raises:
        SignalError: A data set's sampling rate is too low for fingerprints.
        FormatError: A file of a data set is damaged.
    """
    return list(search_overlaps(first, second, progress=progress).overlaps)


def search_overlaps(
    first: ShardReader,
    second: ShardReader | None = None,
    *,
    max_fingerprints: int = MAX_FINGERPRINTS,
    progress: OnProgress | None = None,
) -> OverlapSearch:
    """Return the pairs of recordings that overlap, and what could not be checked.

    Args:
        first: A data set.
        second: Another one; then only pairs of one recording from each are looked for.
        max_fingerprints: Bound of the index; a fingerprint takes 16 bytes, and a few more while sorting.
        progress: Called after every recording, then after every pair that is compared.

    Raises:
        SignalError: A data set's sampling rate is too low for fingerprints.
        FormatError: A file of a data set is damaged.
    """
    readers = [first] if second is None else [first, second]
    for reader in readers:
        _check_rate(reader)
    sets = [RecordingLines(reader) for reader in readers]
    places = [Place(lines=lines, number=number) for lines in sets for number in range(len(lines))]
    report = progress or (lambda phase, done, total: None)
    index = FingerprintIndex(max_fingerprints)
    unchecked, blind = _index_all(places, index, report)
    candidates = index.candidates(None if second is None else np.arange(len(places)) >= len(sets[0]))
    return OverlapSearch(
        overlaps=tuple(_confirm_all(places, candidates, report)),
        unchecked=tuple(unchecked),
        unchecked_recordings=tuple(blind),
        num_recordings=len(places),
        hours=sum(float(reader.rows["length_s"].sum()) for reader in readers) / 3600,
        num_fingerprints=index.num_added,
        share=index.share,
        num_candidates=len(candidates),
    )


def _index_all(
    places: list[Place], index: FingerprintIndex, report: OnProgress
) -> tuple[list[UncheckedChannel], list[str]]:
    """Add every recording to the index; return the channels and the recordings in which overlaps could stay unseen."""
    unchecked: list[UncheckedChannel] = []
    blind: list[str] = []
    num_rows, num_done = sum(place.num_rows for place in places), 0
    for number, place in enumerate(places):
        reasons = _index_recording(place, number, index)
        names = place.lines.channel_names(place.number)
        unchecked += [
            UncheckedChannel(recording_id=place.name, channel=str(names[slot]), reason=reason)
            for slot, reason in reasons.items()
        ]
        if len(reasons) == sum(name is not None for name in names):
            blind.append(place.name)
        num_done += place.num_rows
        report("reading", num_done, num_rows)
    return unchecked, blind


def _confirm_all(places: list[Place], candidates: list[Candidate], report: OnProgress) -> Iterator[Overlap]:
    """Yield the candidates that the samples confirm, one for each pair of recordings at most."""
    pairs = [list(trials) for _, trials in groupby(candidates, key=lambda trial: (trial.first, trial.second))]
    for number, trials in enumerate(pairs):
        confirmed = (_confirm(places, trial) for trial in trials)
        overlap = next((one for one in confirmed if one is not None), None)
        if overlap is not None:
            yield overlap
        report("comparing", number + 1, len(pairs))


def _index_recording(place: Place, number: int, index: FingerprintIndex) -> dict[int, str]:
    """Add a recording's fingerprints to the index; return by slot why a channel has none or hardly any.

    A key holds the kind of its channel, not the slot: two ECG leads meet whichever comes first.
    """
    reasons = {}
    prints = recording_fingerprints(place)
    kinds = list(ChannelKind)
    for slot, name in enumerate(place.lines.channel_names(place.number)):
        if name is None:
            continue
        found = prints[slot]
        if len(found) == 0:
            reasons[slot] = "flat or missing"
            continue
        if found.is_periodic:
            reasons[slot] = "periodic"
        rare = found.rare()
        kind = np.uint64(kinds.index(place.lines.kinds[slot]))
        index.add(number, rare.keys | kind << np.uint64(NUM_SIGNS), rare.time_s)
    return reasons


def recording_fingerprints(place: Place) -> list[Fingerprints]:
    """Return the fingerprints of every slot of a recording, each landmark once."""
    rate_hz = place.lines.sample_rate_hz
    keys: list[list[np.ndarray]] = [[] for _ in place.lines.kinds]
    times: list[list[np.ndarray]] = [[] for _ in place.lines.kinds]
    for stretch in place.lines.stretches(place.number, WINDOW_S + SETTLE_S):
        smooth, is_known = smooth_lines(stretch.values, rate_hz)
        for slot in np.flatnonzero(is_known.any(axis=1)).tolist():
            rest = REST_SHARE * float(np.nanmax(np.abs(stretch.values[slot])))
            found = describe(smooth[slot], is_known[slot], rate_hz, rest)
            time_s = found.time_s + stretch.start_s
            is_own = (time_s >= stretch.own_start_s) & (time_s < stretch.own_stop_s)
            keys[slot].append(found.keys[is_own])
            times[slot].append(time_s[is_own])
    return [
        Fingerprints(keys=np.concatenate([np.zeros(0, np.uint64), *k]), time_s=np.concatenate([np.zeros(0), *t]))
        for k, t in zip(keys, times, strict=True)
    ]


def _confirm(places: list[Place], candidate: Candidate) -> Overlap | None:
    """Return a candidate as an overlap, its shift corrected, if the samples say so."""
    first, second = places[candidate.first], places[candidate.second]
    verdict = compare(first, second, candidate.offset_s)
    if verdict is None:
        return None
    # A piece that is found later in the second means that the second began earlier.
    offset_s = candidate.offset_s - verdict.alignment.shift_s
    start_s, stop_s = shared_span_s(first, second, offset_s)
    return Overlap(
        first=first.name,
        second=second.name,
        offset_s=round(offset_s, 4),
        shared_s=round(stop_s - start_s, 4),
        correlation=round(min(1.0, verdict.alignment.correlation), 6),
        kind=verdict.kind,
        votes=candidate.votes,
    )


def _check_rate(reader: ShardReader) -> None:
    sample_rate_hz = reader.index.segments.sample_rate_hz
    if sample_rate_hz < MIN_SAMPLE_RATE_HZ:
        raise SignalError(
            problem(
                "cannot look for overlaps",
                where=reader.url,
                field="sample_rate_hz",
                found=sample_rate_hz,
                expected=f"{MIN_SAMPLE_RATE_HZ:g} or more",
            )
        )
