"""The tensors of a run whose processes hold a part each, in the form of torch.distributed.checkpoint.

Any number of processes can load what another number saved. Its list of parts is a pickle, so this form only ever
serves a run's own folder, checked by a checksum first; nothing that is published uses it (docs/decisions/0023).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from qualityfm.files import disk_problem, sha256_of


def save_parts(folder: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Write weights and optimiser, each process its part; all processes must call it.

    Raises:
        FormatError: The disk refuses.
    """
    try:
        parts = _parts(nn.ModuleDict(modules), optimizer, has_stepped=bool(optimizer.state))
        state_dict_saver.save(parts, checkpoint_id=folder)
    except OSError as error:
        raise disk_problem(error, folder) from error


def load_parts(
    folder: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, *, has_stepped: bool
) -> None:
    """Take over weights and optimiser that `save_parts` wrote; all processes must call it."""
    whole = nn.ModuleDict(modules)
    parts = _parts(whole, optimizer, has_stepped=has_stepped)
    state_dict_loader.load(parts, checkpoint_id=folder)
    set_model_state_dict(whole, parts["modules"])
    if has_stepped:
        set_optimizer_state_dict(whole, optimizer, parts["optimizer"])


def _parts(whole: nn.Module, optimizer: torch.optim.Optimizer, *, has_stepped: bool) -> dict[str, Any]:
    parts: dict[str, Any] = {"modules": get_model_state_dict(whole)}
    if has_stepped:  # torch would take an empty step to ask a fresh optimiser, and Adam would count it
        parts["optimizer"] = get_optimizer_state_dict(whole, optimizer)
    return parts


def whole_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return all tensors of a module that is spread over the processes, in the first one; all must call it."""
    found = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def folder_sha256(folder: Path) -> str:
    """Return one SHA-256 over names and bytes of the files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
