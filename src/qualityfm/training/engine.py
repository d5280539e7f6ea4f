"""How a step runs: alone or on many devices, in which precision, in how many parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from qualityfm.errors import ConfigError, problem
from qualityfm.training import ranks


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What the machine decides rather than the recipe. None of it changes which pairs a step sees.

    Attributes:
        precision: "bf16" runs forward and backward under autocast, weights and optimiser stay float32; "auto" is bf16
            where a CUDA device has units for it, and fp32 elsewhere.
        sharding: "replicate" keeps all weights in every process (DDP); "shard" keeps a part of weights and optimiser
            in each (FSDP2), for a model that does not fit otherwise.
        accumulate: Parts that the batch is worked through in, one after the other, to fit the memory. Each part
            counts alike, so another number of parts is another run; another number of processes is not.
        workers: Processes that make batches ahead beside each that trains; 0 makes them in between. Changes no number.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    sharding: Literal["replicate", "shard"] = "replicate"
    accumulate: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        for field, least in (("accumulate", 1), ("workers", 0)):
            found, expected = getattr(self, field), f"at least {least}"
            if found < least:
                raise ConfigError(problem("cannot start", where="engine", field=field, found=found, expected=expected))


def find_precision(config: EngineConfig, place: torch.device) -> Literal["fp32", "bf16"]:
    """Return the precision that a run on this device has.

    Raises:
        ConfigError: bf16 is asked for and the device cannot compute in it.
    """
    has_bf16 = place.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if config.precision == "auto":
        return "bf16" if place.type == "cuda" and has_bf16 else "fp32"
    if config.precision == "bf16" and not has_bf16:
        expected = "fp32: this device has no bf16 units"
        raise ConfigError(problem("cannot start", where="engine", field="precision", found="bf16", expected=expected))
    return config.precision


class Engine:
    """Runs a module in one or many processes.

    Args:
        module: What a step calls; its losses divide by `ranks.mean_over_ranks` of what they count.
        config: The settings.
        place: Device of the module.
    """

    def __init__(self, module: nn.Module, config: EngineConfig, place: torch.device) -> None:
        self.module, self.config, self.place = module, config, place
        self.precision = find_precision(config, place)
        self._replica: DistributedDataParallel | None = None
        if config.sharding == "shard":
            _shard(module)
        elif ranks.count() > 1:
            # What a loss does not touch in one recipe (a mask token, say) gets no gradient there.
            self._replica = DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)

    def __call__(self, *values: Any) -> Any:
        """Call the module as a training step does."""
        with torch.autocast(self.place.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return (self._replica or self.module)(*values)

    @contextmanager
    def collecting(self, *, is_last: bool) -> Iterator[None]:
        """While entered, gradients add up in this process; only those of the last part go round."""
        if self.config.sharding == "shard":
            self.module.set_requires_gradient_sync(is_last)  # type: ignore[operator]  # FSDP2 adds it to the module
            yield
        elif self._replica is not None and not is_last:
            with self._replica.no_sync():
                yield
        else:
            yield

    def parts(self, batch_size: int) -> list[slice]:
        """Return the positions in the whole batch that this process works on, one slice for each part.

        Raises:
            ConfigError: The batch cannot be shared evenly.
        """
        return share_of_batch(batch_size, self.config.accumulate)

    def clip(self, parameters: list[nn.Parameter], limit: float) -> torch.Tensor:
        """Shorten the gradient to at most `limit` and return its norm before that."""
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def share_of_batch(batch_size: int, num_parts: int = 1) -> list[slice]:
    """Return which positions of each part of the whole batch belong to this process.

    Raises:
        ConfigError: The batch cannot be shared evenly.
    """
    num_shares = num_parts * ranks.count()
    if batch_size % num_shares:
        expected = f"a multiple of {num_shares}: {ranks.count()} processes x {num_parts} parts"
        raise ConfigError(
            problem("cannot share a batch", where="engine", field="batch_size", found=batch_size, expected=expected)
        )
    size = batch_size // num_shares
    firsts = [(part * ranks.count() + ranks.index()) * size for part in range(num_parts)]
    return [slice(first, first + size) for first in firsts]


def _shard(module: nn.Module) -> None:
    """Spread every block of layers, and what is left around them, over the processes."""
    from torch.distributed.fsdp import fully_shard

    if not torch.distributed.is_initialized():
        expected = "processes started by torchrun"
        raise ConfigError(problem("cannot start", where="engine", field="sharding", found="shard", expected=expected))
    for block in _blocks(module):
        fully_shard(block)
    # Put away after the forward pass too: the teacher follows the student on the parts.
    fully_shard(module, reshard_after_forward=True)


def _blocks(module: nn.Module) -> list[nn.Module]:
    """Return the elements of the outermost lists of modules: the layers of each stack."""
    found: list[nn.Module] = []
    for child in module.children():
        found.extend(child if isinstance(child, nn.ModuleList) else _blocks(child))
    return found
