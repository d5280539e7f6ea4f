"""What the channels of one heart say about each other: whether they follow the same beats, and whose time runs wrong.

A file that names a wrong sampling rate for one of its channels stretches its beats and the times between them. The
others tell: the channel does not follow the beats that they follow, and has another number of them. Where nobody can
tell, because the others are bad or there is only one, the steepness of its beats must say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32
from numba import njit

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
    judgements = [judged[c] for c in slots]
    is_asked = np.minimum.reduce([found.trusts[Cause.DROPOUT] for found in judgements]) > 0.5
    for found in judgements:
        if found.is_beatless is not None:
            is_asked &= ~found.is_beatless
    whole = np.ones(is_asked.shape, np.float32)
    is_wrong = np.zeros((len(slots), len(quality)), bool)
    _find_wrong(
        is_asked,
        np.array([found.number for found in judgements]),
        np.array([found.rise for found in judgements]),
        np.array([found.signs[..., 0] for found in judgements if found.signs is not None]),
        np.array([quality[:, c] for c in slots]),
        np.array([agreement.get(c, whole) for c in slots]),
        is_wrong,
    )
    return is_wrong


@njit(cache=True)
def _find_wrong(
    is_asked: np.ndarray,
    number: np.ndarray,
    rise: np.ndarray,
    departure: np.ndarray,
    quality: np.ndarray,
    agreement: np.ndarray,
    is_wrong: np.ndarray,
) -> None:
    """Mark the slots that run wrong, segment by segment; only where all were recorded and the heart beats is asked."""
    num_slots, num_segments, num_seconds = number.shape
    beats, known = np.zeros(num_slots), np.zeros(num_slots)
    is_good, agrees, disagrees = np.zeros((3, num_slots), np.bool_)
    for i in range(num_segments):
        asked_s = np.sum(is_asked[i])
        if asked_s < MIN_LENGTH_S:
            continue
        for c in range(num_slots):
            beats[c] = np.log2(max(np.sum(number[c, i] * is_asked[i]) / asked_s, 1 / num_seconds))
            is_good[c] = quality[c, i].mean() >= MIN_QUALITY
            trust = agreement[c, i].mean()
            agrees[c], disagrees[c] = is_good[c] and trust >= AGREES, trust < DISAGREES
        for c in range(num_slots):
            is_outvoted = disagrees[c] and np.any(agrees)  # itself it is none that agrees
            num_witnesses = _witnesses(beats, agrees if is_outvoted else is_good, c, known)
            if num_witnesses == 0:
                continue
            last = num_witnesses - 1
            apart = beats[c] - (known[last // 2] + known[(last + 1) // 2]) / 2
            is_doubtful = disagrees[c] and abs(apart) >= OTHER_LOG2
            is_sure = num_witnesses > 1 and known[last] - known[0] <= ALIKE_LOG2
            is_far = is_sure and (apart <= -FEWER_LOG2 or apart >= MORE_LOG2)
            if is_outvoted and is_doubtful:
                is_wrong[c, i] = True
            elif is_far or is_doubtful:
                is_wrong[c, i] = _has_wrong_shape(rise[c, i], departure[c, i], apart, is_far, is_doubtful)


@njit(cache=True)
def _witnesses(beats: np.ndarray, is_witness: np.ndarray, slot: int, known: np.ndarray) -> int:
    """Write the beats of the other slots that are witnesses, in order; return how many there are."""
    count = 0
    for c in range(len(beats)):
        if c != slot and is_witness[c]:
            known[count] = beats[c]
            count += 1
    known[:count].sort()
    return count


@njit(cache=True)
def _has_wrong_shape(rise: np.ndarray, departure: np.ndarray, apart: float, is_far: bool, is_doubtful: bool) -> bool:
    """Return whether beats are as much too steep or too flat as they are too many or too few."""
    shape, far = -np.sign(apart) * np.log2(max(np.median(rise), 1e-6)), abs(apart)
    needed = VERY_FAR_SHAPE_LOG2 if far >= VERY_FAR_LOG2 else SHAPE_LOG2
    is_alike = np.exp(np.median(departure)) - LEAST_DEPARTURE <= ALIKE_DEPARTURE
    is_sure = is_far and shape >= needed and is_alike
    is_likely = is_doubtful and shape >= max(DOUBTFUL_SHAPE_LOG2, far / 2)
    return bool((is_sure or is_likely) and shape < NO_SHAPE_LOG2)
