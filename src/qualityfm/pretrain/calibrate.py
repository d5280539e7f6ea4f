"""The end of a run: what the trained heads' numbers mean, fitted on the held-out patients."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qualityfm.models.calibration import Calibration, fit_calibration
from qualityfm.models.network import Network
from qualityfm.pretrain.batches import PairBatch, PairBatches

#: Pairs looked at, at most: some 45,000 seconds of the usual three channels.
NUM_PAIRS = 512

#: Quality from which a second counts as untouched, and the distance to one that is not, s (our own, decisions/0029).
UNTOUCHED_FROM, NEAR_S = 0.97, 2

#: First step whose pairs are drawn: others than those that the run was watched on.
FIRST_STEP = 100_000


@torch.inference_mode()
def calibrate(network: Network, checks: PairBatches, place: torch.device) -> Calibration | None:
    """Return the calibration of a network's quality head; None for a network without one.

    Args:
        network: In evaluation mode.
        checks: Pairs of patients that were not learnt from.
        place: Device of the network.
    """
    if network.quality is None:
        return None
    answers: list[tuple[np.ndarray, ...]] = []
    features = []
    batch_size = checks.config.batch_size
    for number in range(max(1, min(NUM_PAIRS, 4 * len(checks.index)) // batch_size)):
        batch = checks.batch(FIRST_STEP + number).to(place)
        encoded = network.encoder(batch.worse)
        num_seconds = batch.quality.shape[-1]
        answered, named = network.judge(encoded, num_seconds, batch.findings)
        known = batch.causes[..., : named.shape[-1]]
        seen = batch.has_quality
        parts = (answered[seen], batch.quality[seen], named[seen], known[seen], undisturbed(batch)[seen])
        answers.append(tuple(part.cpu().numpy() for part in parts))
        alone = network.encoder(one_channel_each(batch.worse, np.random.default_rng([FIRST_STEP, number])))
        features += [found.pooled[found.is_valid.any(1)].cpu().numpy() for found in (encoded, alone)]
    logits, quality, cause_logits, has_cause, is_quiet = (
        np.concatenate(column) for column in zip(*answers, strict=True)
    )
    return fit_calibration(logits, quality, cause_logits, has_cause, np.concatenate(features), is_quiet)


def undisturbed(batch: PairBatch) -> Bool[Tensor, "batch channel second"]:
    """Return the seconds that nothing disturbs: of full quality, and with no lesser one close by in their channel.

    What begins a moment later may be named a moment early, and a mild artefact is one although it costs little.
    """
    is_lesser = (batch.quality < UNTOUCHED_FROM) | batch.causes.any(-1)
    near = torch.nn.functional.max_pool1d(is_lesser.float(), 2 * NEAR_S + 1, stride=1, padding=NEAR_S)
    return near == 0


def one_channel_each(values: Float[Tensor, "batch channel time"], rng: np.random.Generator) -> Tensor:
    """Return segments that lost all channels but a random one: a recording of one channel is nothing foreign."""
    is_live = values.isfinite().any(-1).cpu().numpy()
    kept = torch.full_like(values, float("nan"))
    for i, live in enumerate(is_live):
        if live.any():
            slot = int(rng.choice(np.flatnonzero(live)))
            kept[i, slot] = values[i, slot]
    return kept
