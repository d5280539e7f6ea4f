"""A checkpoint: a folder with weights-<fingerprint>.safetensors and model.json, the recipe inside. No pickle.

The card (model.json) says everything that using the weights needs: format version, segment recipe, network shape,
what it was trained on, and what was measured. docs/FORMAT.md is the specification.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from qualityfm.config import from_mapping, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.files import remove_leftovers, sha256_of, write_atomically, write_text
from qualityfm.models.config import ADDED_LATER, ModelConfig
from qualityfm.models.network import Network, count_parameters
from qualityfm.segments import SegmentConfig
from qualityfm.version import __version__

FORMAT = "qualityfm-checkpoint"
FORMAT_VERSION = 1
CARD = "model.json"

#: Entry of a card that says which task the weights were fine-tuned for, and how its head is made.
TASK = "task"

#: What a card must hold beside format and version.
FIELDS: dict[str, type] = {
    "package_version": str,
    "weights": str,
    "weights_sha256": str,
    "num_parameters": int,
    "segments": dict,
    "model": dict,
}


@runtime_checkable
class Savable(Protocol):
    """A network that says what it eats and how it is made."""

    @property
    def segments(self) -> SegmentConfig:
        """How its input is cut."""

    @property
    def config(self) -> ModelConfig:
        """Its shape."""

    @property
    def num_parameters(self) -> int:
        """Number of weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return all weights by name."""


def save_checkpoint(folder: Path, network: Savable, about: dict[str, Any], *, half_precision: bool = False) -> None:
    """Write weights and card; a kill at any moment leaves the old checkpoint or the new one.

    Args:
        folder: Made if missing; weights are written before the card that vouches for them by checksum.
        network: What to save.
        about: Plain values added to the card: name, data, metrics, provenance.
        half_precision: Store float16 (half the size; loaded back to float32).

    Raises:
        FormatError: The disk refuses, or `about` holds a number that is not finite; the old checkpoint stays.
    """
    require_finite(folder / CARD, about)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    dtype = torch.float16 if half_precision else torch.float32
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in network.state_dict().items()}
    weights_name = "weights-" + _fingerprint(tensors) + ".safetensors"
    write_tensors(folder / weights_name, lambda path: save_file(tensors, path))
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "num_parameters": network.num_parameters,
        "weights": weights_name,
        "weights_sha256": sha256_of(folder / weights_name),
        "segments": to_plain(network.segments),
        "model": to_plain(network.config),
        **about,
    }
    write_json(folder / CARD, card)
    for old in folder.glob("weights-*.safetensors"):
        if old.name != weights_name:
            old.unlink()


def load_checkpoint(folder: Path, device: str = "cpu") -> tuple[Network, dict[str, Any]]:
    """Return the network of a checkpoint folder, in evaluation mode, and its card.

    Raises:
        FormatError: Missing or damaged files, a foreign format, another version, weights that do not fit the card, or
            a model that was fine-tuned for a task (`qualityfm.models.task_network.load_task_network` opens those).
    """
    card = read_card(folder)
    if TASK in card:
        raise _is_for_task(folder, card)
    segments, config = _shape(card, folder / CARD)
    weights = weights_file(card, folder)
    try:
        tensors = {name: value.float() for name, value in load_file(weights).items()}
        num_stored = sum(value.numel() for value in tensors.values())
        if num_stored != card["num_parameters"]:  # before the network is built: it takes as much memory as it claims
            raise RuntimeError(f"found {num_stored} weights, expected {card['num_parameters']}")
        network = Network(segments, config)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise FormatError(f"damaged checkpoint: {weights}: weights do not fit {CARD}: {first_line}") from error
    return network.to(device).eval(), card


def _is_for_task(folder: Path, card: dict[str, Any]) -> FormatError:
    found = card[TASK].get("name") if isinstance(card[TASK], dict) else card[TASK]
    return FormatError(
        problem("fine-tuned for a task", where=folder, field=TASK, found=found, expected="a pre-trained model")
    )


def _shape(card: dict[str, Any], path: Path) -> tuple[SegmentConfig, ModelConfig]:
    """Return the two configs of a card, once they are known to describe a network of the size that it states.

    Raises:
        FormatError: A field is missing or wrong, or the sizes differ.
    """
    stated = card["num_parameters"]
    try:
        segments = from_mapping(SegmentConfig, card["segments"], where=path, is_complete=True)
        config = from_mapping(ModelConfig, {**ADDED_LATER, **card["model"]}, where=path, is_complete=True)
        # Each layer has more than `width` weights: an absurd number of layers is refused without building them.
        is_countable = config.num_layers * config.width <= stated
        found = count_parameters(segments, config) if is_countable else None
    except (ConfigError, TypeError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"damaged checkpoint: {path}: {str(error).partition(chr(10))[0]}") from error
    if found != stated:
        expected = f"{found or 'more'}, as segments and model give"
        raise FormatError(
            problem("damaged checkpoint", where=path, field="num_parameters", found=stated, expected=expected)
        )
    return segments, config


def weights_file(card: dict[str, Any], folder: Path) -> Path:
    """Return the file with the weights, found to be the one that the card vouches for.

    Raises:
        FormatError: It is missing, lies elsewhere, or was changed.
    """
    name: str = card["weights"]
    expected_sha256: str = card["weights_sha256"]
    weights = folder / name
    if weights.parent != folder or not weights.is_file():
        expected = "a file in the checkpoint's folder"
        raise FormatError(problem("damaged checkpoint", where=folder, field="weights", found=name, expected=expected))
    found = sha256_of(weights)
    if found != expected_sha256:
        raise FormatError(
            problem(
                "damaged checkpoint",
                where=weights,
                field="sha256",
                found=found[:12],
                expected=expected_sha256[:12],
                advice="copy it again",
            )
        )
    return weights


def read_card(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's model.json, checked for format, version and fields.

    Raises:
        FormatError: Not a checkpoint, one of another version, or a damaged one.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        expected = f"a folder with {CARD}"
        raise FormatError(
            problem("no checkpoint", where=folder, field=CARD, found="nothing", expected=expected)
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"damaged checkpoint: {path}: {error}") from error
    wanted: dict[str, object] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    for field, value in wanted.items():
        found = card.get(field) if isinstance(card, dict) else None
        if found != value:
            raise FormatError(
                problem(
                    "cannot open checkpoint",
                    where=path,
                    field=field,
                    found=found,
                    expected=repr(value),
                    advice=f"this is qualityfm {__version__}; use the version that wrote it",
                )
            )
    for field, kind in FIELDS.items():
        if type(card.get(field)) is not kind:  # not isinstance: True is no number of weights
            found, expected = card.get(field), kind.__name__
            raise FormatError(problem("damaged checkpoint", where=path, field=field, found=found, expected=expected))
    return dict(card)


def write_tensors(path: Path, save: Callable[[Path], object]) -> None:
    """Write a safetensors file as `write_atomically` does.

    Raises:
        FormatError: The disk refuses; the old file stays.
    """
    try:
        write_atomically(path, save)
    except SafetensorError as error:  # the library's word for the system's refusal
        expected, advice = "room to write", "make room and run the same command again, it goes on where it stopped"
        raise FormatError(
            problem(
                "cannot write", where=path.parent, field=path.name, found=str(error), expected=expected, advice=advice
            )
        ) from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values as JSON text, as `write_atomically` does.

    Raises:
        FormatError: A number is not finite, for which JSON has no word, or the disk refuses; the old file stays.
    """
    require_finite(path, values)
    write_text(path, json.dumps(values, indent=1) + "\n")


def require_finite(path: Path, values: dict[str, Any]) -> None:
    """Refuse values that the JSON file `path` cannot hold.

    Raises:
        FormatError: A number, at whatever depth, is not finite; the message names the entry.
    """
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            expected = "finite numbers"
            raise FormatError(
                problem("cannot save", where=path, field=name, found=str(error), expected=expected)
            ) from error


def _fingerprint(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()[:12]
