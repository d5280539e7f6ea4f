"""Batches made ahead by other processes, in the order in which the steps will ask for them.

A batch is a pure function of its step and part, so who makes it changes no number (decisions/0040).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Protocol

from torch.utils.data import DataLoader, Dataset

from qualityfm.pretrain.batches import PairBatch, PairBatches

#: Batches that each process makes ahead, at most.
AHEAD = 2


class BatchSource(Protocol):
    """Whatever gives the pairs of a step, or of a part of it."""

    def batch(self, step: int, part: slice | None = None) -> PairBatch:
        """Return them."""
        ...


class _Orders(Dataset[PairBatch]):
    """The batches of a list of steps and parts."""

    def __init__(self, batches: PairBatches, orders: Sequence[tuple[int, slice]]) -> None:
        self.batches, self.orders = batches, orders

    def __len__(self) -> int:
        return len(self.orders)

    def __getitem__(self, number: int) -> PairBatch:
        return self.batches.batch(*self.orders[number])


class _Fed:
    """Hands out what arrives, and makes itself what was not ordered."""

    def __init__(
        self, batches: PairBatches, orders: Sequence[tuple[int, slice]], arriving: Iterator[PairBatch]
    ) -> None:
        self._batches, self._orders, self._arriving = batches, iter(orders), arriving
        self._next = next(self._orders, None)

    def batch(self, step: int, part: slice | None = None) -> PairBatch:
        """Return the pairs of a step, or of a part of it."""
        if self._next != (step, part):
            return self._batches.batch(step, part)
        self._next = next(self._orders, None)
        return next(self._arriving)


def _obey(number: int) -> None:
    """Leave Ctrl-C to the process that trains, and end when told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def fed(batches: PairBatches, steps: range, parts: Sequence[slice], num_workers: int) -> Iterator[BatchSource]:
    """While entered, batches of these steps and parts come from other processes; from this one if there are none.

    The processes are forked and end with the context. They only read; data sets in an object store are read by each.

    Args:
        batches: Makes them.
        steps: The steps that will be taken, in order.
        parts: The parts of each step, in order.
        num_workers: How many processes; 0 for none.
    """
    if num_workers == 0:
        yield batches
        return
    orders = list(product(steps, parts))
    loader = DataLoader(
        _Orders(batches, orders),
        batch_size=None,
        num_workers=num_workers,
        prefetch_factor=AHEAD,
        multiprocessing_context="fork",
        worker_init_fn=_obey,
    )
    arriving = iter(loader)
    try:
        yield _Fed(batches, orders, arriving)
    finally:
        del arriving  # ends the processes
