"""Where the heart stands still, fibrillates or flutters: a pulse that is lost there is no fault of its sensor.

An ECG shows that no beats come, a pulse that none arrive. Only together they say so: an ECG that falls silent while the
pulse goes on has lost its electrode, and a pulse that is lost while the heart beats its probe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32

from qualityfm.quality.by_second import spread_marks
from qualityfm.quality.lines import Judgement, Lines, falling, low_stretch
from qualityfm.records import GRADE_CUTS, Cause, ChannelKind

#: All figures of this file are our own choice, docs/decisions/0035.
SILENT = 0.25  # range of a silent second, in usual ranges
LONE_SILENT, BEATING, LOW_HALF = 0.22, 0.4, 0.18  # a lead, another one in these seconds; takes half the trust
SILENT_REACH = 1  # three seconds in a row: no pause of a slow heart
LOST = 0.3  # range of a second without pulse, in usual ranges
GOOD = GRADE_CUTS["B"]  # of a lead that shows beats
NEAR_S = 2  # seconds around those without beats that do not count as beating
RUN_OFF_S = 3  # seconds around a lost pulse in which the line finds its new level
#: Pulse that a line would have if the heart beat: of a pressure in mmHg, and of anything else as a share of its level.
USUAL_MMHG, USUAL_SHARE = 40.0, 0.2
#: What nobody can hold against a line without beats.
CAUSES_OF_BEATS = (Cause.LOW_AMPLITUDE, Cause.INVERTED, Cause.WRONG_RATE)


def beatless_seconds(
    ranges: Float32[np.ndarray, "line second"],
    usual: Float32[np.ndarray, "line 1"],
    is_usable: Bool[np.ndarray, "line second"],
    unsteady: Float32[np.ndarray, "line second"],
) -> Bool[np.ndarray, "line second"]:
    """Return where an ECG shows no beats: three silent seconds in a row, or one steady oscillation."""
    is_silent = low_stretch(ranges, SILENT_REACH) < SILENT * usual
    return np.asarray((is_silent | (unsteady <= 0)) & is_usable)


def heart_without_beats(ecgs: Sequence[Judgement]) -> Bool[np.ndarray, "line second"] | None:
    """Return where some ECG shows no beats and no good one shows any; None where they beat all the time."""
    shown = [ecg.is_beatless for ecg in ecgs if ecg.is_beatless is not None]
    if not any(beatless.any() for beatless in shown):
        return None
    is_good = [trust_of(ecg) >= GOOD for ecg in ecgs if ecg.is_beatless is not None]
    is_beating = [good & ~near_seconds(beatless, NEAR_S) for good, beatless in zip(is_good, shown, strict=True)]
    return np.asarray(np.any(shown, axis=0) & ~np.any(is_beating, axis=0))


def trust_of(judgement: Judgement) -> Float32[np.ndarray, "line second"]:
    """Return the product of all trusts."""
    return np.asarray(np.prod(list(judgement.trusts.values()), axis=0), np.float32)


def usual_without_beats(lines: Lines, usual: Float32[np.ndarray, "line 1"]) -> Float32[np.ndarray, "line 1"]:
    """Return the range that a line would usually have if there were beats, at least that of what is left."""
    if lines.kind is ChannelKind.ABP and lines.unit.strip().lower() == "mmhg":
        return np.asarray(np.maximum(usual, np.float32(USUAL_MMHG)))
    lowest, highest = lines.extent
    level = np.abs(np.median(lowest + highest, axis=1, keepdims=True)) / 2
    return np.asarray(np.maximum(usual, USUAL_SHARE * level), np.float32)


def lost_seconds(
    lines: Lines, ranges: Float32[np.ndarray, "line second"], usual: Float32[np.ndarray, "line 1"]
) -> Bool[np.ndarray, "line second"]:
    """Return where a pulse is lost because the heart does not beat."""
    if lines.is_beatless is None or not lines.is_beatless.any():
        return np.zeros(ranges.shape, bool)
    return np.asarray(lines.is_beatless & (ranges < LOST * usual))


def near_seconds(is_marked: Bool[np.ndarray, "line second"], seconds: int) -> Bool[np.ndarray, "line second"]:
    """Return marked seconds and those around them."""
    is_near = np.empty(is_marked.shape, bool)
    spread_marks(is_marked, seconds, is_near)
    return is_near


def excuse_pulse(
    trusts: dict[Cause, Float32[np.ndarray, "line second"]], is_lost: Bool[np.ndarray, "line second"]
) -> None:
    """Restore the trust that a pulse lost by itself."""
    if is_lost.any():
        near = near_seconds(is_lost, RUN_OFF_S)
        for cause in (*CAUSES_OF_BEATS, Cause.BASELINE):
            trusts[cause] = np.where(near, np.float32(1), trusts[cause])


def blame_lone_silence(judged: Mapping[int, Judgement]) -> None:
    """Take the trust in ECGs that are next to silent for two seconds in which another lead shows clean beats."""
    ecgs = [found for found in judged.values() if found.sizes is not None and found.is_lost is None]
    if len(ecgs) < 2:
        return
    sizes = [found.sizes for found in ecgs if found.sizes is not None]
    is_small = [size < LONE_SILENT for size in sizes]
    if not any(small.any() for small in is_small):
        return
    beats = [(size > BEATING) & (trust_of(found) >= GOOD) for size, found in zip(sizes, ecgs, strict=True)]
    for i, found in enumerate(ecgs):
        is_alone = is_small[i] & np.any([b for j, b in enumerate(beats) if j != i], axis=0)
        lasts = np.zeros_like(is_alone)
        lasts[:, 1:] = is_alone[:, 1:] & is_alone[:, :-1]
        lasts[:, :-1] |= lasts[:, 1:]
        trust = np.where(lasts, falling(LOW_HALF / np.maximum(sizes[i], 1e-9), 1, steepness=4), np.float32(1))
        found.trusts[Cause.LOW_AMPLITUDE] = np.minimum(found.trusts[Cause.LOW_AMPLITUDE], trust)


def excuse_silence(judged: Mapping[int, Judgement]) -> None:
    """Restore the trust in ECGs that are silent while pulses are lost as well."""
    silent = [found for found in judged.values() if found.is_beatless is not None and found.is_beatless.any()]
    lost = [found.is_lost for found in judged.values() if found.is_lost is not None and found.is_lost.any()]
    if silent and lost:
        near = near_seconds(np.any(lost, axis=0), RUN_OFF_S)
        for found in silent:
            found.trusts[Cause.LOW_AMPLITUDE] = np.where(near, np.float32(1), found.trusts[Cause.LOW_AMPLITUDE])
