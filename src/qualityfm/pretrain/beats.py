"""What the undisturbed signal's beats say about every token: measured once, taught to a student that sees it spoiled.

The measuring is classical, and trusted only where the classical score trusts the signal; what the student learns is to
say the same of a noisy, blanked or masked copy, and of a channel that was taken from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from qualityfm.records import GRADE_CUTS, ChannelKind
from qualityfm.tasks.pulses import find_upstrokes
from qualityfm.waveform.beats import find_qrs

#: What is measured: whether a beat falls into the token; and of the interval between two beats that the token's middle
#: lies in, log2 of its length over 0.8 s, how much that differs from the interval before, and log2 of the size of the
#: beat it begins with over the usual size. Our own choice, docs/decisions/0040.
MEASURES = ("beat", "interval", "change", "size")
USUAL_INTERVAL_S = 0.8
#: Intervals of a living heart, s: 300 to 20 beats a minute.
INTERVAL_S = (0.2, 3.0)
#: A change of an interval, and a size, count up to so many octaves.
MAX_CHANGE, MAX_SIZE = 1.0, 2.0
#: A beat's size is its range within so much to either side, s.
SIZE_REACH_S = 0.15
#: Seconds of this quality teach: the beats of grade B "can be read" (docs/QUALITY.md).
TRUSTED = GRADE_CUTS["B"]


@dataclass(frozen=True, kw_only=True)
class BeatTargets:
    """What is known of each token.

    Attributes:
        measures: In the order of `MEASURES`; 0 where not known.
        is_known: Which of them are.
    """

    measures: Float32[np.ndarray, "row channel patch measure"]
    is_known: Bool[np.ndarray, "row channel patch measure"]


def beat_targets(
    values: Float32[np.ndarray, "row channel time"],
    quality: Float32[np.ndarray, "row channel second"],
    kinds: Sequence[ChannelKind],
    sample_rate_hz: float,
    patch_samples: int,
) -> BeatTargets:
    """Measure the beats of every channel.

    Args:
        values: Scaled samples before anything is done to them; NaN where missing.
        quality: Classical quality of each second.
        kinds: Kind of each slot.
        sample_rate_hz: Samples per second.
        patch_samples: Samples of a token.
    """
    shape = (*values.shape[:2], -(-values.shape[2] // patch_samples), len(MEASURES))
    found = BeatTargets(measures=np.zeros(shape, np.float32), is_known=np.zeros(shape, bool))
    trusted = quality >= TRUSTED
    lines = np.nan_to_num(values).astype(np.float32)
    for slot, kind in enumerate(kinds):
        rows = np.flatnonzero(trusted[:, slot].any(axis=1))
        for row, beats in zip(rows, _find_beats(lines[rows, slot], kind, sample_rate_hz), strict=True):
            _measure(
                beats,
                lines[row, slot],
                trusted[row, slot],
                sample_rate_hz,
                patch_samples,
                found.measures[row, slot],
                found.is_known[row, slot],
            )
    return found


def _find_beats(
    lines: Float32[np.ndarray, "line time"], kind: ChannelKind, sample_rate_hz: float
) -> list[Int64[np.ndarray, " beat"]]:
    if kind == ChannelKind.ECG:
        return [np.flatnonzero(line) for line in find_qrs(lines, sample_rate_hz)]
    return [find_upstrokes(line, sample_rate_hz) for line in lines]


def _measure(
    beats: Int64[np.ndarray, " beat"],
    line: Float32[np.ndarray, " time"],
    trusted: Bool[np.ndarray, " second"],
    sample_rate_hz: float,
    patch_samples: int,
    measures: Float32[np.ndarray, "patch measure"],
    is_known: Bool[np.ndarray, "patch measure"],
) -> None:
    """Fill in one line's part."""
    num_patches = len(measures)
    middle = np.minimum((np.arange(num_patches) + 0.5) * patch_samples, len(line) - 1)
    is_trusted = trusted[_second_of(middle, sample_rate_hz, len(trusted))]
    measures[beats // patch_samples, 0] = 1.0
    measures[~is_trusted, 0] = 0.0
    is_known[:, 0] = is_trusted
    if len(beats) < 3:
        return
    good_beat = trusted[_second_of(beats, sample_rate_hz, len(trusted))]
    length_s = np.diff(beats) / sample_rate_hz
    plausible = good_beat[:-1] & good_beat[1:] & (length_s >= INTERVAL_S[0]) & (length_s <= INTERVAL_S[1])
    octaves = np.log2(np.clip(length_s, *INTERVAL_S) / USUAL_INTERVAL_S)
    change = np.minimum(np.abs(np.diff(octaves, prepend=octaves[:1])), MAX_CHANGE)
    sizes = _sizes(beats, line, sample_rate_hz)
    usual = np.median(sizes[good_beat]) if good_beat.any() else 0.0
    size = np.log2(np.clip(sizes / max(usual, 1e-6), 2.0**-MAX_SIZE, 2.0**MAX_SIZE))
    within = np.searchsorted(beats, middle, side="right") - 1
    inside = (within >= 0) & (within < len(length_s)) & is_trusted
    at = np.clip(within, 0, len(length_s) - 1)
    measures[:, 1:] = np.stack([octaves[at], change[at], size[at]], axis=1)
    is_known[:, 1] = is_known[:, 3] = inside & plausible[at]
    is_known[:, 2] = is_known[:, 1] & (at > 0) & plausible[np.maximum(at - 1, 0)]
    measures[:, 1:][~is_known[:, 1:]] = 0.0


def _second_of(sample: np.ndarray, sample_rate_hz: float, num_seconds: int) -> np.ndarray:
    return np.minimum((sample / sample_rate_hz).astype(np.int64), num_seconds - 1)


def _sizes(beats: Int64[np.ndarray, " beat"], line: Float32[np.ndarray, " time"], sample_rate_hz: float) -> np.ndarray:
    """Return the range of the samples around each beat."""
    reach = max(1, round(SIZE_REACH_S * sample_rate_hz))
    around = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, len(line) - 1)
    return np.asarray(np.ptp(line[around], axis=1))
