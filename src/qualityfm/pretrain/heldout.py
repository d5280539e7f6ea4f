"""What a run says about patients that it does not learn from."""

from __future__ import annotations

import torch

from qualityfm.pretrain import watch
from qualityfm.pretrain.batches import PairBatches
from qualityfm.pretrain.objective import Objective
from qualityfm.training import ranks
from qualityfm.training.engine import share_of_batch

#: Held-out pairs that are scored each time, at most.
NUM_PAIRS = 256

#: The held-out pairs are drawn with a seed of their own, so that they are the same in every run on the same data.
SEED = 7_919


@torch.no_grad()
def check(objective: Objective, checks: PairBatches, place: torch.device) -> dict[str, float]:
    """Return held-out losses, and the teacher's collapse indicators on the same pairs; alike in all processes."""
    was_training = objective.training
    objective.eval()
    batch_size = checks.config.batch_size
    (part,) = share_of_batch(batch_size)
    num_batches = max(1, min(NUM_PAIRS, 4 * len(checks.index)) // batch_size)
    sums: dict[str, torch.Tensor] = {}
    pooled, logits = [], []
    for number in range(num_batches):
        outcome = objective(checks.batch(number, part).to(place))
        for name, value in outcome.terms.items():
            sums[name] = sums.get(name, 0.0) + value.double() / num_batches
        pooled.append(ranks.gathered(outcome.teacher_pooled))
        logits.append(ranks.gathered(outcome.teacher_logits))
    objective.train(was_training)
    features = torch.cat(pooled)
    return {name: float(ranks.mean_over_ranks(value)) for name, value in sums.items()} | {
        "feature_spread": watch.feature_spread(features),
        "effective_rank": watch.effective_rank(features),
        "teacher_entropy": watch.softmax_entropy(torch.cat(logits), checks.config.teacher_temperature),
    }
