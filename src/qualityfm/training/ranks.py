"""The processes of one run, as torchrun starts them, and the little that they say to each other.

Every function is the identity in a run of one process, so that no caller asks how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from qualityfm.errors import ConfigError, problem
from qualityfm.training.runtime import find_device

#: What torchrun tells each process that it starts.
LAUNCH_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def joined(device: str) -> Iterator[torch.device]:
    """Meet the other processes of the launch, and yield the device of this one; part from them at the end.

    "cuda" means the card with the process's number on its node.

    Raises:
        ConfigError: No such device, or the processes cannot meet.
    """
    is_launched = all(name in os.environ for name in LAUNCH_VARIABLES) and not dist.is_initialized()
    if is_launched and device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    place = find_device(device)
    if not is_launched:
        yield place
        return
    _meet(place)
    try:
        yield place
    finally:
        dist.destroy_process_group()


def _meet(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.set_device(place)
    try:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        found, expected = str(error).splitlines()[0], "processes started by torchrun that reach each other"
        raise ConfigError(
            problem("the processes cannot meet", where="torchrun", field="MASTER_ADDR", found=found, expected=expected)
        ) from error


def count() -> int:
    """Return the number of processes in the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def index() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Return whether this process is the one that writes and speaks; known before the processes meet."""
    return index() == 0 if dist.is_initialized() else os.environ.get("RANK", "0") == "0"


@torch.no_grad()
def mean_over_ranks(values: Tensor) -> Tensor:
    """Return the mean over the processes of a tensor that each of them has, without a gradient.

    A loss that is a sum divided by the mean of all processes' counts has, after the usual averaging of gradients, the
    gradient of the loss over the whole batch, however unevenly what counts is spread.
    """
    if count() == 1:
        return values.detach()
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / count()


def gathered(values: Tensor) -> Tensor:
    """Return the rows of all processes, in the order of the processes, without a gradient."""
    if count() == 1:
        return values.detach()
    parts = [torch.empty_like(values) for _ in range(count())]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


def any_rank(*flags: bool, device: torch.device) -> list[bool]:
    """Return for each flag whether it is raised in any process."""
    if count() == 1:
        return list(flags)
    raised = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return [bool(value) for value in raised.tolist()]


def wait() -> None:
    """Wait until every process is here."""
    if count() > 1:
        dist.barrier()
