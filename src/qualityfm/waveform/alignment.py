"""Whether two lines show the same stretch of signal at a given shift, and at no other near it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, next_fast_len, rfft

#: All figures of this file are our own choice, docs/decisions/0014.
PIECE_S = 3.0  # a few beats; every piece is compared for itself, so that a spoiled one costs only itself
SEARCH_S = 4.0  # shifts looked at on either side: some beats, and a breath
PEAK_S = 0.15  # the shift asked for may be this wrong
BESIDE_S = 0.2  # nearer shifts than this belong to the same peak
MIN_PIECES = 2
#: The same signal under white noise at 20 dB on both sides keeps 0.998. Other stretches of the same patient reach 0.993
#: where they are alike only here, and 0.9998 in a steady rhythm; those agree nearly as well one beat beside. So what is
#: left unexplained (1 - r) must also be much smaller than at any other shift: same signals under noise reach 0.02 of
#: it, steady rhythms 0.17.
MIN_CORRELATION = 0.995
MAX_UNEXPLAINED_RATIO = 0.1
MIN_UNEXPLAINED_BESIDE = 1e-4  # less is rounding: the signal repeats itself exactly


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """How well two lines agree.

    Attributes:
        shift_s: To be added to the shift that was asked for.
        correlation: Median over the pieces of the correlation at that shift.
        beside: The highest such median at any other shift; NaN where none could be computed.
        num_pieces: Pieces of `PIECE_S` that could be compared.
    """

    shift_s: float
    correlation: float
    beside: float
    num_pieces: int

    @property
    def is_same(self) -> bool:
        """True where both lines show the same stretch: they agree here, and clearly better than anywhere beside."""
        beside = 1 - self.beside  # NaN compares as False
        is_alone = beside > MIN_UNEXPLAINED_BESIDE and 1 - self.correlation <= MAX_UNEXPLAINED_RATIO * beside
        return self.num_pieces >= MIN_PIECES and self.correlation >= MIN_CORRELATION and is_alone


def correlate_pieces(
    first: Float32[np.ndarray, " time"],
    second: Float32[np.ndarray, " long"],
    first_known: Bool[np.ndarray, " time"],
    second_known: Bool[np.ndarray, " long"],
    sample_rate_hz: float,
) -> Float[np.ndarray, "piece shift"]:
    """Return the correlation of every piece of a line with another line, at every shift within `SEARCH_S`.

    Args:
        first: Smoothed samples.
        second: Smoothed samples that begin `SEARCH_S` earlier and end as much later; its middle belongs to `first`.
        first_known: Where the first was recorded.
        second_known: Where the second was recorded.
        sample_rate_hz: Samples per second of both.

    Returns:
        NaN where a sample is missing or a piece does not move. Shifts run from -SEARCH_S to SEARCH_S.
    """
    length, search = round(PIECE_S * sample_rate_hz), round(SEARCH_S * sample_rate_hz)
    num_pieces, width = len(first) // length, length + 2 * search
    if num_pieces == 0 or len(second) < num_pieces * length + 2 * search:
        return np.zeros((0, 2 * search + 1))
    pieces = first[: num_pieces * length].reshape(num_pieces, length).astype(np.float64)
    pieces = pieces - pieces.mean(axis=1, keepdims=True)
    places = sliding_window_view(second, width)[::length][:num_pieces].astype(np.float64)
    places = places - places.mean(axis=1, keepdims=True)
    num_fft = next_fast_len(width, real=True)
    products = irfft(rfft(places, num_fft) * rfft(pieces, num_fft).conj(), num_fft)[:, : 2 * search + 1]
    size = _moving_sum(places**2, length) - _moving_sum(places, length) ** 2 / length
    energy = (pieces**2).sum(axis=1, keepdims=True) * np.maximum(size, 0)
    known = _moving_sum(sliding_window_view(second_known, width)[::length][:num_pieces].astype(np.float64), length)
    all_known = first_known[: num_pieces * length].reshape(num_pieces, length).all(axis=1, keepdims=True)
    usable = all_known & (known > length - 0.5) & (energy > 1e-12 * energy.max(initial=0.0))
    return np.asarray(np.divide(products, np.sqrt(energy), out=np.full(products.shape, np.nan), where=usable))


def judge_pieces(correlations: Float[np.ndarray, "piece shift"], sample_rate_hz: float) -> Alignment:
    """Return what the pieces of one pair of channels say together.

    A shift at which fewer than half of the pieces can be compared is no rival.
    """
    num_known = np.isfinite(correlations).sum(axis=0)
    middle = round(SEARCH_S * sample_rate_hz)
    near = slice(middle - round(PEAK_S * sample_rate_hz), middle + round(PEAK_S * sample_rate_hz) + 1)
    num_pieces = int(num_known[near].max(initial=0))
    if num_pieces < MIN_PIECES:
        return Alignment(shift_s=0.0, correlation=0.0, beside=np.nan, num_pieces=num_pieces)
    medians = np.full(correlations.shape[1], -np.inf)
    rivals = num_known >= max(1, num_pieces / 2)
    medians[rivals] = np.nanmedian(correlations[:, rivals], axis=0)
    peak = near.start + int(np.argmax(medians[near]))
    beside = np.abs(np.arange(len(medians)) - peak) > BESIDE_S * sample_rate_hz
    highest = float(np.max(medians[beside & rivals], initial=-np.inf))
    return Alignment(
        shift_s=(peak - middle) / sample_rate_hz,
        correlation=float(medians[peak]),
        beside=highest if np.isfinite(highest) else np.nan,
        num_pieces=num_pieces,
    )


def _moving_sum(lines: np.ndarray, length: int) -> np.ndarray:
    total = np.concatenate((np.zeros((len(lines), 1)), np.cumsum(lines, axis=1)), axis=1)
    return np.asarray(total[:, length:] - total[:, :-length])
