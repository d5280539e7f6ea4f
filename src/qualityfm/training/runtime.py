"""Seeds, threads and devices, set once at the start of a run."""

from __future__ import annotations

import random

import numpy as np
import torch

from qualityfm.errors import ConfigError, problem

MAX_SEED = 2**32 - 1


def start(*, seed: int, threads: int | None, device: str) -> torch.device:
    """Seed every random stream, pin the threads and return the device.

    Results on a CPU are the same bit for bit at the same number of threads, not between different numbers.

    Raises:
        ConfigError: The device does not exist here, or seed or threads are out of range.
    """
    for field, value, holds, expected in (
        ("seed", seed, 0 <= seed <= MAX_SEED, f"0 to {MAX_SEED}"),
        ("threads", threads, threads is None or threads >= 1, "at least 1"),
    ):
        if not holds:
            raise ConfigError(problem("cannot start", where="runtime", field=field, found=value, expected=expected))
    found = find_device(device)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries may draw from it; our own code passes generators
    torch.manual_seed(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    return found


def seed_step(seed: int, step: int, index: int) -> None:
    """Seed torch's random stream for one step of one process, so that what it draws depends on nothing before.

    Args:
        seed: Of the run.
        step: Number of the step.
        index: Number of the process.
    """
    state = np.random.SeedSequence([seed, 3, step, index]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def find_device(name: str) -> torch.device:
    """Return a torch device that works here.

    Raises:
        ConfigError: It does not.
    """
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        expected = "cpu, or a device that torch finds here (cuda, cuda:0, mps)"
        raise ConfigError(
            problem("no such device", where="runtime", field="device", found=name, expected=expected)
        ) from error
