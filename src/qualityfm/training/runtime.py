"""Seeds, threads and devices, set once at the start of a run."""

from __future__ import annotations

import random

import numpy as np
import torch

from qualityfm.errors import ConfigError, problem


def start(*, seed: int, threads: int | None, device: str) -> torch.device:
    """Seed every random stream, pin the threads and return the device.

    Results on a CPU are the same bit for bit at the same number of threads, not between different numbers.

    Raises:
        ConfigError: The device does not exist here.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries may draw from it; our own code passes generators
    torch.manual_seed(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            problem("no such device", where="runtime", field="device", found=device, expected="cpu, cuda, cuda:0, mps")
        ) from error
    return torch.device(device)
