"""Everything a run needs to go on after a stop, saved and loaded whole.

Tensors go into one safetensors file, the rest into one JSON file that names and vouches for it; the JSON is renamed
into place last, so a kill at any moment leaves the old state or the new one. No pickle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qualityfm.errors import FormatError, problem
from qualityfm.files import remove_leftovers, sha256_of
from qualityfm.models.checkpoint import require_finite, write_json, write_tensors

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
    """

    step: int
    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    history: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the state into `folder` in place of the one before.

        Raises:
            FormatError: The disk refuses, or `history` holds a number that is not finite; the old state stays.
        """
        require_finite(folder / STATE, {"history": self.history})
        remove_leftovers(folder)
        tensors: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            tensors |= {f"module/{name}/{key}": value.clone() for key, value in module.state_dict().items()}
        optimizer = self.optimizer.state_dict()
        for index, slots in optimizer["state"].items():
            tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value).clone() for key, value in slots.items()}
        tensors[RANDOM] = torch.get_rng_state()
        file_name = f"state-{self.step:08d}.safetensors"
        write_tensors(folder / file_name, lambda path: save_file(tensors, path))
        about = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "step": self.step,
            "tensors": file_name,
            "tensors_sha256": sha256_of(folder / file_name),
            "history": self.history,
        }
        write_json(folder / STATE, about)
        for old in folder.glob("state-*.safetensors"):
            if old.name != file_name:
                old.unlink()

    def load(self, folder: Path) -> None:
        """Take over the state saved in `folder`: weights, optimiser, random stream, step and history.

        Raises:
            FormatError: The state is damaged, of another version, or of another model.
        """
        about = read_state(folder)
        path = folder / about["tensors"]
        if path.parent != folder or not path.is_file() or sha256_of(path) != about["tensors_sha256"]:
            raise FormatError(
                problem("damaged state", where=path, field="sha256", found="a mismatch", expected="as in state.json")
            )
        try:
            tensors = load_file(path)
            for name, module in self.modules.items():
                prefix = f"module/{name}/"
                module.load_state_dict(
                    {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
                )
            optimizer = self.optimizer.state_dict()
            optimizer["state"] = _unflatten(tensors, "optimizer/")
            self.optimizer.load_state_dict(optimizer)
            torch.set_rng_state(tensors[RANDOM])
        except KeyError as error:
            raise FormatError(f"damaged state: {path}: {error.args[0]} is missing") from error
        except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
            raise FormatError(f"damaged state: {path}: {str(error).splitlines()[0]}") from error
        self.step = about["step"]
        self.history = about["history"]


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
