"""Everything a run needs to go on after a stop, saved and loaded whole.

Tensors go into one safetensors file, the rest into one JSON file that names and vouches for it; the JSON is renamed
into place last, so a kill at any moment leaves the old state or the new one. No pickle, unless the weights are spread
over processes (`training.sharded`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qualityfm.errors import FormatError, problem
from qualityfm.files import aside_of, remove_leftovers, sha256_of
from qualityfm.models.checkpoint import require_finite, write_json, write_tensors
from qualityfm.training import ranks

FORMAT = "qualityfm-state"
FORMAT_VERSION = 1
STATE = "state.json"

#: What state.json holds beside format and version.
FIELDS: dict[str, type] = {"step": int, "tensors": str, "tensors_sha256": str, "history": dict}

#: Name of the tensor that holds torch's random stream.
RANDOM = "random/torch"


@dataclass
class TrainingState:
    """A run in progress.

    Attributes:
        step: Steps done.
        modules: Every module with weights or buffers that change, by name.
        optimizer: The optimiser of the student's weights.
        history: Plain values worth keeping: counts, first losses, the plan that the run must stick to.
        is_sharded: Whether each process has only a part of the tensors.
    """

    step: int
    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    history: dict[str, Any]
    is_sharded: bool = False

    def save(self, folder: Path) -> None:
        """Write the state into `folder` in place of the one before; all processes must call it.

        Raises:
            FormatError: The disk refuses, or `history` holds a number that is not finite; the old state stays.
        """
        require_finite(folder / STATE, {"history": self.history})
        if ranks.is_first():
            remove_leftovers(folder)
        ranks.wait()
        name = self._save_parts(folder) if self.is_sharded else self._save_whole(folder)
        if ranks.is_first():
            about = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "step": self.step,
                "tensors": name,
                "tensors_sha256": _sha256(folder / name),
                "history": self.history,
            }
            write_json(folder / STATE, about)
            _remove_others(folder, name)
        ranks.wait()

    def _save_whole(self, folder: Path) -> str:
        """Write all tensors, which every process has, and return the name of the file."""
        name = f"state-{self.step:08d}.safetensors"
        if not ranks.is_first():
            return name
        tensors: dict[str, Tensor] = {}
        for module_name, module in self.modules.items():
            tensors |= {f"module/{module_name}/{key}": value.clone() for key, value in module.state_dict().items()}
        optimizer = self.optimizer.state_dict()
        for index, slots in optimizer["state"].items():
            tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value).clone() for key, value in slots.items()}
        tensors[RANDOM] = torch.get_rng_state()
        write_tensors(folder / name, lambda path: save_file(tensors, path))
        return name

    def _save_parts(self, folder: Path) -> str:
        """Write each process's part of the tensors and return the name of their folder."""
        from qualityfm.training.sharded import save_parts

        name = f"state-{self.step:08d}"
        aside = aside_of(folder / name)
        save_parts(aside, self.modules, self.optimizer)
        ranks.wait()
        if ranks.is_first():
            shutil.rmtree(folder / name, ignore_errors=True)
            aside.replace(folder / name)
        return name

    def load(self, folder: Path) -> None:
        """Take over the state saved in `folder`: weights, optimiser, random stream, step and history.

        Raises:
            FormatError: The state is damaged, of another version, of another model, or kept in the other form.
        """
        about = read_state(folder)
        path = folder / about["tensors"]
        if path.parent != folder or not path.exists() or _sha256(path) != about["tensors_sha256"]:
            raise FormatError(
                problem("damaged state", where=path, field="sha256", found="a mismatch", expected="as in state.json")
            )
        if path.is_dir() != self.is_sharded:
            found, expected = ("shard", "replicate") if path.is_dir() else ("replicate", "shard")
            raise FormatError(
                problem("cannot resume", where=path, field="sharding", found=found, expected=f"{expected!r}, as asked")
            )
        try:
            if self.is_sharded:
                self._load_parts(path, has_stepped=about["step"] > 0)
            else:
                self._load_whole(path)
        except KeyError as error:
            raise FormatError(f"damaged state: {path}: {error.args[0]} is missing") from error
        except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
            raise FormatError(f"damaged state: {path}: {str(error).splitlines()[0]}") from error
        self.step = about["step"]
        self.history = about["history"]

    def _load_whole(self, path: Path) -> None:
        tensors = load_file(path)
        for name, module in self.modules.items():
            prefix = f"module/{name}/"
            own = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
            module.load_state_dict(own)
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = _unflatten(tensors, "optimizer/")
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(tensors[RANDOM])

    def _load_parts(self, path: Path, *, has_stepped: bool) -> None:
        from qualityfm.training.sharded import load_parts

        load_parts(path, self.modules, self.optimizer, has_stepped=has_stepped)


def _sha256(path: Path) -> str:
    if path.is_file():
        return sha256_of(path)
    from qualityfm.training.sharded import folder_sha256

    return folder_sha256(path)


def _remove_others(folder: Path, name: str) -> None:
    """Delete the tensors of earlier steps."""
    for old in folder.glob("state-*"):
        if old.name == name:
            continue
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink()


def _unflatten(tensors: dict[str, Tensor], prefix: str) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, slot = key[len(prefix) :].split("/")
            state.setdefault(int(index), {})[slot] = value
    return state


def read_state(folder: Path) -> dict[str, Any]:
    """Return state.json, checked for format, version and fields.

    Raises:
        FormatError: It is damaged or of another version.
    """
    path = folder / STATE
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        found = (about["format"], about["format_version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"damaged state: {path}: {error}") from error
    if found != (FORMAT, FORMAT_VERSION):
        raise FormatError(
            problem(
                "cannot resume",
                where=path,
                field="format",
                found=found,
                expected=f"({FORMAT!r}, {FORMAT_VERSION})",
                advice="start anew in another folder",
            )
        )
    for field, kind in FIELDS.items():
        value = about.get(field)
        if type(value) is not kind:  # not isinstance: True is no step
            raise FormatError(problem("damaged state", where=path, field=field, found=value, expected=kind.__name__))
    return dict(about)
