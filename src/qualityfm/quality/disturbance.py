"""What moves a trace and is not the heart: baseline wander, noise, motion. The same questions for ECG and pulse.

None of them looks at the times between beats or at a rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from qualityfm.quality.by_second import blend_powers
from qualityfm.quality.lines import Lines, against_usual, falling, highest_near, low_stretch, near_sum
from qualityfm.quality.measures import extent, middle_of, quiet_level

#: Which of the ordered sizes of a second's fast samples is its noise: complexes and upstrokes may fill two thirds of
#: the time. Our own choice, docs/decisions/0004.
QUIET_QUANTILE = 0.3
#: The same quantile of the sizes of a sine of amplitude 1, so that mains hum is not noise as well.
QUIET_OF_SINE = float(np.sin(np.pi / 2 * QUIET_QUANTILE))
#: The largest it can be where a period holds few samples: 50 Hz at 125 Hz has five different ones in two periods.
MAINS_COVERS = 0.75

#: Share of the power of each second beside it in that of a second's noise. Our own choice, docs/decisions/0036.
NOISE_BESIDE = 0.2

#: Which of a line's ordered seconds shows how much its beats depart from each other, and how quiet it is, where
#: nothing moves it. Our own choice, docs/decisions/0020.
STILL_QUANTILE = 0.4


def baseline_movement(
    lines: Lines,
    baseline: Float32[np.ndarray, "line time"],
    baseline_rate_hz: float,
    usual: Float32[np.ndarray, "line 1"],
) -> Float32[np.ndarray, "line second"]:
    """Return how far the baseline moves within three seconds, in usual ranges.

    Args:
        lines: Prepared lines.
        baseline: Their part that is slower than any heart.
        baseline_rate_hz: Samples per second of `baseline`.
        usual: Usual range of every line.
    """
    lowest, highest = extent(baseline, baseline_rate_hz, lines.num_seconds)
    return against_usual(highest_near(highest) + highest_near(-lowest), usual)


def quiet_size(
    lines: Lines, fast: Float32[np.ndarray, "line time"], usual: Float32[np.ndarray, "line 1"], above_hz: float
) -> Float32[np.ndarray, "line second"]:
    """Return the size of fast activity *between* the steep parts of the beats, in usual ranges.

    A low quantile of its size over a second does not see QRS complexes or upstrokes as long as they leave a third of
    the time, which narrow ones do at any rate; broad ones have little that fast. No beat is sought.

    Args:
        lines: Prepared lines.
        fast: Their part above `above_hz`.
        usual: Usual range of every line.
        above_hz: Where noise begins; a line sampled too slowly to hold any has none.
    """
    if lines.sample_rate_hz < 2.2 * above_hz:
        return np.zeros((len(fast), lines.num_seconds), np.float32)
    return against_usual(quiet_level(fast, lines.sample_rate_hz, lines.num_seconds, QUIET_QUANTILE), usual)


def without_mains(
    quiet: Float32[np.ndarray, "line second"], mains: Float32[np.ndarray, "line second"]
) -> Float32[np.ndarray, "line second"]:
    """Return the size of noise that is not mains hum of the amplitude given."""
    return np.asarray(np.sqrt(np.maximum(quiet**2 - (MAINS_COVERS * mains) ** 2, 0)))


def spread_noise(noise: Float32[np.ndarray, "line second"]) -> Float32[np.ndarray, "line second"]:
    """Return the size of noise in every second with some of the power beside it: it swells over more than a second.

    One second's level is measured on what its beats leave; with its neighbours' it follows the noise better.
    """
    blended = np.empty_like(noise)
    blend_powers(noise, NOISE_BESIDE, blended)
    return blended


@dataclass(frozen=True, kw_only=True)
class MotionModel:
    """Two logistic regressions on logarithms: something disturbs a second, and it is as slow as the heart itself.

    Attributes:
        disturbed: Weights of departure, noise, sudden departure and sudden noise (see `motion_signs`), and the offset.
        is_motion: Weights of departure, noise and movement of the baseline, and the offset: what tells motion from
            muscle noise, which is faster, and from baseline wander, which is slower.
        free: Odds of motion that cost nothing.

    Source:
        Fitted to recorded and simulated traces with and without added noise, docs/decisions/0020.
    """

    disturbed: tuple[float, float, float, float, float]
    is_motion: tuple[float, float, float, float]
    free: float = 0.11


#: Odds of motion, over those that cost nothing, that take half the trust.
MOTION_HALF = 0.55

#: Share of mirrored beats that makes a second inverted, and the trust that is left: its timing.
MIRRORED_SHARE, MIRRORED_TRUST = 0.5, 0.5

#: Added before logarithms, in usual ranges, and as the least level that seconds are compared with.
LEAST_DEPARTURE, LEAST_NOISE = 0.01, 0.001


def motion_signs(
    departure: Float32[np.ndarray, "line second"],
    noise: Float32[np.ndarray, "line second"],
    movement: Float32[np.ndarray, "line second"],
    is_usable: Bool[np.ndarray, "line second"],
) -> Float32[np.ndarray, "line second sign"]:
    """Return the five logarithms that `MotionModel` weighs.

    Departure, noise, both of them over what they are in the line's still seconds, and movement of the baseline.
    """
    large, loud = np.log(departure + LEAST_DEPARTURE), np.log(noise + LEAST_NOISE)
    still = np.log(middle_of(departure, is_usable, STILL_QUANTILE) + LEAST_DEPARTURE)
    silent = np.log(middle_of(noise, is_usable, STILL_QUANTILE) + LEAST_NOISE)
    return np.stack((large, loud, large - still, loud - silent, np.log(movement + LEAST_DEPARTURE)), axis=-1)


def likeness_trust(
    signs: Float32[np.ndarray, "line second sign"], model: MotionModel
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left by beats that look like no other."""
    probability = motion_probability(signs, model)
    odds = probability / np.maximum(1 - probability, 1e-6)
    return falling(odds, MOTION_HALF, steepness=1, free=model.free)


def motion_probability(
    signs: Float32[np.ndarray, "line second sign"], model: MotionModel
) -> Float32[np.ndarray, "line second"]:
    """Return how likely each second is disturbed, and that by motion."""
    return np.asarray(
        _probability(signs[..., :4], model.disturbed) * _probability(signs[..., [0, 1, 4]], model.is_motion)
    )


def _probability(signs: Float32[np.ndarray, "line second sign"], weights: tuple[float, ...]) -> np.ndarray:
    odds = signs @ np.array(weights[:-1], np.float32) + np.float32(weights[-1])
    return np.asarray(1 / (1 + np.exp(np.clip(-odds, -30, 30))))


def weak_ranges(
    ranges: Float32[np.ndarray, "line second"], signs: Float32[np.ndarray, "line second sign"], reach: int, rise: float
) -> Float32[np.ndarray, "line second"]:
    """Return how small a line is around every second: a pause is no weakness.

    A second counts by itself if its noise rises `rise` times over that of the still seconds as it shrinks, as with a
    loose electrode or an amplifier that gains; otherwise 2 * reach + 1 small seconds in a row count.
    """
    return np.where(signs[..., 3] > np.log(rise), ranges, low_stretch(ranges, reach))


def burst_trust(
    ranges: Float32[np.ndarray, "line second"], usual: Float32[np.ndarray, "line 1"], half: float
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left in seconds much larger than their segment; an ectopic beat of twice the size keeps it."""
    return falling(against_usual(ranges, usual), half, steepness=4)


def mirror_trust(
    num_mirrored: Int64[np.ndarray, "line second"], number: Int64[np.ndarray, "line second"]
) -> Float32[np.ndarray, "line second"]:
    """Return the trust left where most beats of three seconds are those of the other seconds upside down.

    A channel that is upside down as a whole is not seen: which way is up, an ECG alone does not say.
    """
    share = near_sum(num_mirrored) / np.maximum(near_sum(number), 1)
    return np.where(share >= MIRRORED_SHARE, MIRRORED_TRUST, 1).astype(np.float32)
