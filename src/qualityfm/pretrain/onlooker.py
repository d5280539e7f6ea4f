"""Looks at a run now and then: a linear probe and a picture of samples. It only looks: no bit of the run changes."""

from __future__ import annotations

from functools import cached_property

import torch

from qualityfm.models.network import Network
from qualityfm.pretrain.batches import PairBatches
from qualityfm.pretrain.linear_probe import Side, open_side, probe
from qualityfm.pretrain.samples import draw_samples
from qualityfm.training.log import RunLog

#: Looks in a run, beside the first; and the fewest steps between two, so that looking stays cheap.
NUM_LOOKS, MIN_STEPS_BETWEEN = 5, 100

#: The held-out step whose pairs are drawn: the first that the losses are watched on, too.
SHOWN_STEP = 0


class Onlooker:
    """Looks at a network with data of its own, read at the first look and kept.

    Args:
        batches: Pairs that are learnt from.
        checks: Pairs of held-out patients.
        place: Device of the network.
    """

    def __init__(self, batches: PairBatches, checks: PairBatches, place: torch.device) -> None:
        self._batches, self._checks, self._place = batches, checks, place

    @cached_property
    def _sides(self) -> tuple[Side, Side]:
        return open_side(self._batches), open_side(self._checks)

    def look(self, network: Network, step: int, log: RunLog) -> dict[str, float]:
        """Write a picture of samples and return the probe's figures by the names of the log."""
        was_training = network.training
        network.eval()
        shown = self._checks.batch(SHOWN_STEP)
        log.picture("samples", draw_samples(network, shown, self._place, f"held-out pairs, step {step}"), step)
        figures = probe(network, *self._sides, self._place)
        network.train(was_training)
        return {f"probe/{name}": value for name, value in figures.items()}


def is_time_to_look(step: int, num_steps: int) -> bool:
    """Return whether a run is looked at after a step (0: before the first); a short one only at its end."""
    every = max(MIN_STEPS_BETWEEN, num_steps // NUM_LOOKS)
    return step == num_steps or (step % every == 0 and num_steps > every)
