"""What the channels of one heart say about each other: whether they follow the same beats, and whose time runs wrong.

A file that names a wrong sampling rate for one of its channels stretches its beats and the times between them. The
others tell: the channel does not follow the beats that they follow, and has another number of them. Where nobody can
tell, because the others are bad or there is only one, the steepness of its beats must say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from qualityfm.quality.agreement import MIN_LENGTH_S, MIN_QUALITY, agreement_trusts
from qualityfm.quality.disturbance import LEAST_DEPARTURE
from qualityfm.quality.lines import Judgement, Trusts
from qualityfm.records import Cause, ChannelKind

#: All figures of this file are our own choice, docs/decisions/0035.
AGREES, DISAGREES = 0.9, 0.75  # mean trust left by the agreement of ECG and pulse
OTHER_LOG2 = 0.12  # number of beats over that of the others, as a logarithm: 1.09 times as many is another number
#: So far that no agreement excuses it, too few and too many: a regular heart agrees with its double. Noise adds beats.
FEWER_LOG2, MORE_LOG2, VERY_FAR_LOG2 = 0.5, 0.66, 1.3
ALIKE_LOG2, ALIKE_DEPARTURE = 0.3, 0.04  # but the others have one number, and the beats are alike: they are beats
#: By how much the beats must be steeper or flatter than usual, as a logarithm: there, and where channels only disagree.
SHAPE_LOG2, VERY_FAR_SHAPE_LOG2, DOUBTFUL_SHAPE_LOG2, NO_SHAPE_LOG2 = 0.5, 0.3, 0.2, 3.0
LEAST_TRUST = 0.5


def judge_together(
    kinds: Sequence[ChannelKind],
    judged: Mapping[int, Judgement],
    quality: Float32[np.ndarray, "segment channel second"],
) -> dict[int, Trusts]:
    """Return, for each slot, the trusts left by its comparison with the others, by cause.

    Args:
        kinds: What each slot holds.
        judged: What the indices found in the filled slots.
        quality: What the slots are worth by themselves.
    """
    found: dict[int, Trusts] = {c: {} for c in judged}
    agreement = agreement_trusts(kinds, judged, quality)
    for c, trust in agreement.items():
        found[c][Cause.DISAGREEMENT] = trust
    beating = [c for c, judgement in judged.items() if judgement.number is not None]
    if len(beating) > 1 and quality.shape[2] >= MIN_LENGTH_S:
        is_wrong = _run_wrong(beating, judged, quality, agreement)
        for c, wrong in zip(beating, is_wrong, strict=True):
            if wrong.any():
                trust = np.where(wrong, np.float32(LEAST_TRUST), np.float32(1))
                found[c][Cause.WRONG_RATE] = np.repeat(trust[:, None], quality.shape[2], axis=1)
    return found


def _run_wrong(
    slots: list[int],
    judged: Mapping[int, Judgement],
    quality: Float32[np.ndarray, "segment channel second"],
    agreement: Mapping[int, Float32[np.ndarray, "segment second"]],
) -> Bool[np.ndarray, "slot segment"]:
    """Return which slots run too fast or too slow."""
    is_asked = _asked_seconds([judged[c] for c in slots])
    is_long = is_asked.sum(axis=1) >= MIN_LENGTH_S
    beats = _beats([judged[c] for c in slots], is_asked)
    is_good = np.array([np.ascontiguousarray(quality[:, c]).mean(axis=1) >= MIN_QUALITY for c in slots])
    mean_trust = np.array([agreement[c].mean(axis=1) if c in agreement else np.ones(len(quality)) for c in slots])
    agrees, disagrees = is_good & (mean_trust >= AGREES), mean_trust < DISAGREES
    is_wrong = np.zeros(is_good.shape, bool)
    for i, c in enumerate(slots):
        others = np.delete(np.arange(len(slots)), i)
        is_outvoted = agrees[others].any(axis=0) & disagrees[i]
        witnesses = np.where(is_outvoted, agrees[others], is_good[others])
        apart, spread = _apart(beats[i], beats[others], witnesses)
        is_wrong[i] = is_long & is_outvoted & (np.abs(apart) >= OTHER_LOG2)
        is_sure = (witnesses.sum(axis=0) > 1) & (spread <= ALIKE_LOG2)
        is_far = is_sure & ((apart <= -FEWER_LOG2) | (apart >= MORE_LOG2))
        is_doubtful = disagrees[i] & (np.abs(apart) >= OTHER_LOG2)
        asked = np.flatnonzero(is_long & ~is_wrong[i] & (is_far | is_doubtful))
        if len(asked):
            is_wrong[i, asked] = _has_wrong_shape(judged[c], asked, apart[asked], is_far[asked], is_doubtful[asked])
    return is_wrong


def _has_wrong_shape(
    judgement: Judgement,
    asked: Int64[np.ndarray, " segment"],
    apart: Float[np.ndarray, " segment"],
    is_far: Bool[np.ndarray, " segment"],
    is_doubtful: Bool[np.ndarray, " segment"],
) -> Bool[np.ndarray, " segment"]:
    """Return which segments' beats are as much too steep or too flat as they are too many or too few."""
    assert judgement.rise is not None
    assert judgement.signs is not None
    shape = -np.sign(apart) * np.log2(np.maximum(np.median(judgement.rise[asked], axis=1), 1e-6))
    departure = np.exp(np.median(judgement.signs[asked, :, 0], axis=1)) - LEAST_DEPARTURE
    far = np.abs(apart)
    needed = np.where(far >= VERY_FAR_LOG2, VERY_FAR_SHAPE_LOG2, SHAPE_LOG2)
    is_sure = is_far & (shape >= needed) & (departure <= ALIKE_DEPARTURE)
    is_likely = is_doubtful & (shape >= np.maximum(DOUBTFUL_SHAPE_LOG2, far / 2))
    return np.asarray((is_sure | is_likely) & (shape < NO_SHAPE_LOG2))


def _asked_seconds(judgements: Sequence[Judgement]) -> Bool[np.ndarray, "segment second"]:
    """Return the seconds in which every channel was recorded and the heart beats."""
    is_asked = np.all([found.trusts[Cause.DROPOUT] > 0.5 for found in judgements], axis=0)
    for found in judgements:
        if found.is_beatless is not None:
            is_asked &= ~found.is_beatless
    return np.asarray(is_asked)


def _beats(
    judgements: Sequence[Judgement], is_asked: Bool[np.ndarray, "segment second"]
) -> Float[np.ndarray, "slot segment"]:
    """Return logarithms of the beats a second."""
    seconds = np.maximum(is_asked.sum(axis=1), 1)
    beats = np.array([(found.number * is_asked).sum(axis=1) / seconds for found in judgements])
    return np.asarray(np.log2(np.maximum(beats, 1 / is_asked.shape[1])))


def _apart(
    beats: Float[np.ndarray, " segment"],
    others: Float[np.ndarray, "slot segment"],
    is_witness: Bool[np.ndarray, "slot segment"],
) -> tuple[Float[np.ndarray, " segment"], Float[np.ndarray, " segment"]]:
    """Return how far a logarithm is from the middle of those of the witnesses, and how far these are spread; or 0."""
    known = np.sort(np.where(is_witness, others, np.inf), axis=0)
    number = is_witness.sum(axis=0)
    last, every = np.maximum(number - 1, 0), np.arange(known.shape[1])
    middle = np.where(number > 0, (known[last // 2, every] + known[(last + 1) // 2, every]) / 2, beats)
    spread = np.where(number > 0, known[last, every], 0) - np.where(number > 0, known[0], 0)
    return np.asarray(beats - middle), np.asarray(spread)
