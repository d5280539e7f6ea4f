"""Pairs of a better and a worse segment, made on the fly from a shard set's index; nothing is stored twice.

Every segment is the anchor of one pair an epoch. Its natural partner lies in the same recording, close by, with another
grade; the better of the two goes to the teacher. Where there is none (or where the recipe asks for it) the worse
member is the anchor itself with noise added, which shows the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from qualityfm.records import GRADE_CUTS


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Row numbers of both members, and which pairs are made by adding noise (then both rows are the same).

    Attributes:
        better: Row that the teacher sees.
        worse: Row that the student sees, before any noise.
        is_made: True where noise makes the worse member.
    """

    better: Int[np.ndarray, " pair"]
    worse: Int[np.ndarray, " pair"]
    is_made: Bool[np.ndarray, " pair"]

    def at(self, places: Int[np.ndarray, " chosen"]) -> Pairs:
        """Return some of the pairs."""
        return Pairs(better=self.better[places], worse=self.worse[places], is_made=self.is_made[places])


class PairIndex:
    """Finds partners among the rows of a shard set that a run may use.

    Args:
        recording_id: Recording of every row.
        start_s: Start of every row's segment in its recording, s.
        quality: Quality of every row, in [0, 1]; its grade decides who is better.
        rows: The rows this run may use; others are never drawn.
        max_distance_s: Farthest apart that partners begin, s.
        made_fraction: Chance that a pair is made although a natural partner exists.
    """

    def __init__(
        self,
        recording_id: Shaped[np.ndarray, " row"],
        start_s: Float[np.ndarray, " row"],
        quality: Float[np.ndarray, " row"],
        rows: Int[np.ndarray, " anchor"],
        *,
        max_distance_s: float,
        made_fraction: float,
    ) -> None:
        self.made_fraction = made_fraction
        _, recording = np.unique(recording_id[rows], return_inverse=True)
        order = np.lexsort((start_s[rows], recording))
        self.rows = rows[order]
        self._quality = quality[self.rows]
        self._grade = np.digitize(self._quality, sorted(GRADE_CUTS.values()))
        # One axis for all recordings, so far apart that a search never leaves its own.
        starts = start_s[self.rows]
        stride = 4 * (max_distance_s + float(np.ptp(starts)) if len(starts) else 1.0) + 1.0
        place = recording[order] * stride + starts
        self._first = np.searchsorted(place, place - max_distance_s - 1e-6)
        self._last = np.searchsorted(place, place + max_distance_s + 1e-6, side="right")

    def __len__(self) -> int:
        return len(self.rows)

    def has_partner(self) -> Bool[np.ndarray, " anchor"]:
        """Return for every anchor whether a natural partner exists."""
        return np.array([len(self._partners(anchor)) > 0 for anchor in range(len(self))], dtype=bool)

    def _partners(self, anchor: int) -> np.ndarray:
        near = np.arange(self._first[anchor], self._last[anchor])
        return np.asarray(near[self._grade[near] != self._grade[anchor]])

    def draw(self, anchors: Int[np.ndarray, " pair"], rng: np.random.Generator) -> Pairs:
        """Return one pair for each anchor (a position in `rows`)."""
        better, worse, is_made = [], [], []
        for anchor in anchors:
            partners = self._partners(int(anchor))
            wants_made = rng.random() < self.made_fraction
            pick = rng.random()
            if len(partners) == 0 or wants_made:
                pair = (anchor, anchor)
            else:
                partner = partners[int(pick * len(partners))]
                pair = (anchor, partner) if self._grade[anchor] > self._grade[partner] else (partner, anchor)
            better.append(pair[0])
            worse.append(pair[1])
            is_made.append(pair[0] == pair[1])
        return Pairs(better=self.rows[better], worse=self.rows[worse], is_made=np.array(is_made, dtype=bool))


def anchors_of_step(num_anchors: int, batch_size: int, step: int, seed: int) -> Int[np.ndarray, " pair"]:
    """Return the anchors of one step: a pure function, so a resumed run draws what an undisturbed one would have.

    Each epoch visits every anchor once in an order of its own; a batch may span two epochs.
    """
    position = step * batch_size + np.arange(batch_size)
    anchors = np.empty(batch_size, dtype=int)
    for epoch in np.unique(position // num_anchors):
        order = np.random.default_rng([seed, 1, int(epoch)]).permutation(num_anchors)
        here = position // num_anchors == epoch
        anchors[here] = order[position[here] % num_anchors]
    return anchors
