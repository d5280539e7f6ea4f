"""How much a straight line reads from the features while a run is at work: quality, and the rate of the heart.

Fitted on patients that are learnt from, judged on held-out ones. These figures only watch a run; published ones come
from benchmarks/linear_probe.py, with intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64

from qualityfm.models.network import Network
from qualityfm.pretrain.batches import PairBatch, PairBatches
from qualityfm.records import ChannelKind
from qualityfm.tasks.metrics import auc
from qualityfm.waveform.beats import find_qrs

#: Pairs of each side, at most: a look costs about as much as a few steps.
NUM_PAIRS = 128

#: First step whose pairs are drawn: others than those of the run, its checks and its calibration.
FIRST_STEP = 200_000

#: Ridge penalty on standardised features, against a kernel of mean diagonal 1 (our own choice; nothing is tuned).
PENALTY = 0.1


@dataclass(frozen=True, kw_only=True)
class Side:
    """Pairs to look at, and what is asked of them.

    Attributes:
        batches: The pairs.
        quality: Mean quality of each worse member.
        rate_per_min: Heart rate of each better member; NaN where its ECG shows no two beats.
    """

    batches: list[PairBatch]
    quality: Float[np.ndarray, " pair"]
    rate_per_min: Float[np.ndarray, " pair"]


def open_side(batches: PairBatches) -> Side:
    """Return pairs of one side with their answers; reads the data set once."""
    size = batches.config.batch_size
    drawn = [batches.batch(FIRST_STEP + n) for n in range(max(1, min(NUM_PAIRS, 4 * len(batches.index)) // size))]
    segments = batches.reader.segments
    return Side(
        batches=drawn,
        quality=np.concatenate([_mean_quality(batch) for batch in drawn]),
        rate_per_min=np.concatenate(
            [_heart_rate(batch.clean.numpy(), segments.channels, segments.sample_rate_hz) for batch in drawn]
        ),
    )


@torch.inference_mode()
def probe(network: Network, fit: Side, test: Side, place: torch.device) -> dict[str, float]:
    """Return what the features of a network in evaluation mode tell of held-out patients.

    Returns:
        "quality_auc": AUC of a ridge regression between worse members above and below the median quality;
        "rate_correlation": Pearson's, of the estimated and the detected heart rate of better members. A figure
        that the data do not allow is left out.
    """
    figures = {}
    median = np.median(fit.quality)
    is_good = test.quality > median
    if is_good.any() and not is_good.all():
        answer = _ridge(_features(network, fit, "worse", place), fit.quality, _features(network, test, "worse", place))
        figures["quality_auc"] = float(auc(is_good, answer))
    known, asked = np.isfinite(fit.rate_per_min), np.isfinite(test.rate_per_min)
    if known.sum() > 1 and asked.sum() > 1:
        better = [_features(network, side, "better", place) for side in (fit, test)]
        answer = _ridge(better[0][known], fit.rate_per_min[known], better[1][asked])
        rate = test.rate_per_min[asked]
        if answer.std() > 0 and rate.std() > 0:
            figures["rate_correlation"] = float(np.corrcoef(answer, rate)[0, 1])
    return figures


def _mean_quality(batch: PairBatch) -> Float64[np.ndarray, " pair"]:
    counted = batch.has_quality.double()
    return ((batch.quality * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)).numpy()


def _heart_rate(
    values: Float[np.ndarray, "pair channel time"], kinds: tuple[ChannelKind, ...], sample_rate_hz: float
) -> Float64[np.ndarray, " pair"]:
    """Return 60 / median RR interval of the first ECG channel that has samples."""
    rates = np.full(len(values), np.nan)
    for slot in reversed([slot for slot, kind in enumerate(kinds) if kind == "ecg"]):
        lines = values[:, slot]
        has_samples = np.isfinite(lines).mean(axis=1) > 0.5
        beats = find_qrs(np.nan_to_num(lines[has_samples]).astype(np.float32), sample_rate_hz)
        for i, line in zip(np.flatnonzero(has_samples), beats, strict=True):
            moments = np.flatnonzero(line)
            if len(moments) > 1:
                rates[i] = 60.0 * sample_rate_hz / np.median(np.diff(moments))
    return rates


def _features(network: Network, side: Side, member: str, place: torch.device) -> Float64[np.ndarray, "pair width"]:
    pooled = [network.encoder(getattr(batch, member).to(place)).pooled.double().cpu() for batch in side.batches]
    return torch.cat(pooled).numpy()


def _ridge(
    fit: Float64[np.ndarray, "example width"],
    answers: Float[np.ndarray, " example"],
    asked: Float64[np.ndarray, "other width"],
) -> Float64[np.ndarray, " other"]:
    """Return a ridge regression's answers, in its dual form: as many equations as examples, whatever the width."""
    center, spread = fit.mean(axis=0), fit.std(axis=0) + 1e-9
    x = (fit - center) / spread
    kernel = x @ x.T / x.shape[1]
    weights = np.linalg.solve(kernel + PENALTY * np.eye(len(x)), answers - answers.mean())
    return np.asarray(((asked - center) / spread) @ x.T @ weights / x.shape[1] + answers.mean())
