"""Which recordings may show the same stretch: an inverted index of fingerprints, and votes for a shift in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

#: Fingerprints held at a time, 16 bytes each, and matches looked at, some 60 bytes each at the peak. Bounds of our own:
#: 2.2 GB for the one, 3 GB at worst for the other.
MAX_FINGERPRINTS = 100_000_000
MAX_MATCHES = 50_000_000
#: Fingerprints of many recordings are joined into arrays of at least this length.
BLOCK_LENGTH = 1_000_000
#: The index is sorted in so many parts, one after another, so that sorting needs little memory beside it.
NUM_PARTITIONS = 16
#: A fingerprint that this many places share is a commonplace, such as a paced rhythm; it dates nothing.
MAX_PLACES = 32
#: Votes that a shift needs to be looked at, how exactly they must agree, and shifts looked at for a pair of recordings
#: (a recording may hold the same stretch twice). Our own choice, docs/decisions/0014.
MIN_VOTES = 3
AGREE_S = 0.05
NUM_TRIALS = 3
APART_S = 0.5
#: Times are kept in whole ticks; 32 bits hold 248 days.
TICK_S = 0.01


#: Keys, numbers of their recordings, times in ticks.
Columns = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Two recordings that may overlap.

    Attributes:
        first: Number of a recording.
        second: Number of another, larger.
        offset_s: Start of the second in the first's time.
        votes: Pairs of equal fingerprints that say so.
    """

    first: int
    second: int
    offset_s: float
    votes: int


class FingerprintIndex:
    """Fingerprints of many recordings, never more than a bound.

    Whenever there are too many, every second one is dropped, chosen by its key, so that a fingerprint is kept or
    dropped wherever it occurs: memory stays bounded, and the shortest overlap that can be found grows.

    Attributes:
        share: Share of the fingerprints that is kept: 1, 1/2, 1/4 ...
        num_added: All that were ever added.

    Args:
        max_fingerprints: The bound.
    """

    def __init__(self, max_fingerprints: int = MAX_FINGERPRINTS) -> None:
        self._max = max_fingerprints
        self._parts: list[Columns] = []
        self._pending: list[Columns] = []
        self._num_pending = 0
        self._num_kept = 0
        self._halvings = 0
        self.num_added = 0

    @property
    def share(self) -> float:
        """Share of the fingerprints that is kept."""
        return float(0.5**self._halvings)

    def __len__(self) -> int:
        return self._num_kept

    def add(
        self, recording: int, keys: UInt64[np.ndarray, " landmark"], time_s: Float[np.ndarray, " landmark"]
    ) -> None:
        """Add fingerprints of one recording; times count from its start."""
        self.num_added += len(keys)
        ticks = np.round(time_s / TICK_S).astype(np.int32)
        self._take(keys, np.full(len(keys), recording, np.int32), ticks)
        while self._num_kept > self._max:
            self._join_pending()
            self._halvings += 1
            parts, self._parts, self._num_kept = self._parts, [], 0
            for part in parts:
                self._take(*part)

    def _take(self, keys: np.ndarray, recordings: np.ndarray, ticks: np.ndarray) -> None:
        chosen = _mixed(keys) & np.uint64(2**self._halvings - 1) == 0
        self._pending.append((keys[chosen], recordings[chosen], ticks[chosen]))
        num_chosen = int(chosen.sum())
        self._num_kept += num_chosen
        self._num_pending += num_chosen
        if self._num_pending >= BLOCK_LENGTH:
            self._join_pending()

    def _join_pending(self) -> None:
        if self._pending:
            keys, recordings, ticks = (np.concatenate(column) for column in zip(*self._pending, strict=True))
            self._parts.append((keys, recordings, ticks))
        self._pending, self._num_pending = [], 0

    def candidates(self, is_second_set: Bool[np.ndarray, " recording"] | None = None) -> list[Candidate]:
        """Return pairs of recordings with enough votes for one shift, the shift with most votes first.

        Args:
            is_second_set: For each recording whether it belongs to the second of two data sets; then only pairs across
                both are looked at. None for all pairs.
        """
        self._join_pending()
        matches = [_matches(*self._partition(number), is_second_set) for number in range(NUM_PARTITIONS)]
        pairs, offsets = (np.concatenate(column) for column in zip(*matches, strict=True))
        return list(_count_votes(pairs, offsets))

    def _partition(self, number: int) -> Columns:
        """Return one part of the index, sorted by key: all places of a key are in the same part."""
        empty: Columns = (np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.int32))
        chosen = [empty]
        for keys, recordings, ticks in self._parts:
            is_here = (_mixed(keys) >> np.uint64(32)) % np.uint64(NUM_PARTITIONS) == number
            chosen.append((keys[is_here], recordings[is_here], ticks[is_here]))
        keys, recordings, ticks = (np.concatenate(column) for column in zip(*chosen, strict=True))
        order = np.argsort(keys, kind="stable")
        return keys[order], recordings[order], ticks[order]


def _mixed(keys: UInt64[np.ndarray, " landmark"]) -> UInt64[np.ndarray, " landmark"]:
    """Return well mixed bits of each key. Source: the finaliser of SplitMix64, Steele et al., OOPSLA 2014."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(keys ^ (keys >> np.uint64(31)))


def _matches(
    keys: np.ndarray, recordings: np.ndarray, ticks: np.ndarray, is_second_set: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of equal keys of two recordings: the pair's number, and the shift in ticks.

    Keys that fewest places share come first, until this part's share of `MAX_MATCHES`: so popular ones cannot exhaust
    the memory.
    """
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(keys)), bool), keys[1:] != keys[:-1])))
    counts = np.diff(np.append(starts, len(keys)))
    pairs, offsets, num_found = [], [], 0
    for num_places in range(2, MAX_PLACES + 1):
        of_size = starts[counts == num_places]
        if num_found + len(of_size) * num_places * (num_places - 1) // 2 > MAX_MATCHES // NUM_PARTITIONS:
            break
        for i in range(num_places):
            for j in range(i + 1, num_places):
                left, right = of_size + i, of_size + j
                differ = recordings[left] != recordings[right]
                if is_second_set is not None:
                    differ &= is_second_set[recordings[left]] != is_second_set[recordings[right]]
                left, right = left[differ], right[differ]
                swap = recordings[left] > recordings[right]
                left, right = np.where(swap, right, left), np.where(swap, left, right)
                pairs.append(recordings[left].astype(np.int64) << 32 | recordings[right])
                offsets.append(ticks[left] - ticks[right])
                num_found += len(left)
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    return np.concatenate(pairs), np.concatenate(offsets)


def _count_votes(pairs: Int[np.ndarray, " match"], offsets: Int[np.ndarray, " match"]) -> Iterator[Candidate]:
    """Yield for every pair of recordings the shifts on which most matches agree."""
    order = np.lexsort((offsets, pairs))
    pairs, offsets = pairs[order], offsets[order].astype(np.int64)
    if len(pairs) == 0:
        return
    # One sorted line of numbers: the rank of the pair, then the shift. A window along it counts the votes.
    rank = np.cumsum(np.concatenate(([0], pairs[1:] != pairs[:-1])))
    line = (rank << 33) + offsets
    width = round(AGREE_S / TICK_S)
    end = np.searchsorted(line, line + width, side="right")
    votes = end - np.arange(len(line))
    enough = np.flatnonzero(votes >= MIN_VOTES)
    enough = enough[np.lexsort((-votes[enough], rank[enough]))]
    for one in np.split(enough, np.flatnonzero(np.diff(rank[enough])) + 1):
        for _ in range(NUM_TRIALS):
            if len(one) == 0:
                break
            at = one[0]
            shift = float(np.mean(offsets[at : end[at]]))
            first, second = int(pairs[at] >> 32), int(pairs[at] & 0xFFFFFFFF)
            yield Candidate(first=first, second=second, offset_s=shift * TICK_S, votes=int(votes[at]))
            one = one[np.abs(offsets[one] - shift) * TICK_S > APART_S]
