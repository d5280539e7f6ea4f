"""A checkpoint: a folder with weights.safetensors and model.json, the recipe inside. No pickle.

The card (model.json) says everything that using the weights needs: format version, segment recipe, network shape,
what it was trained on, and what was measured. docs/FORMAT.md is the specification.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from qualityfm.config import from_mapping, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.segments import SegmentConfig
from qualityfm.version import __version__

FORMAT = "qualityfm-checkpoint"
FORMAT_VERSION = 1
WEIGHTS, CARD = "weights.safetensors", "model.json"


def save_checkpoint(folder: Path, network: Network, about: dict[str, Any], *, half_precision: bool = False) -> None:
    """Write weights and card; a kill at any moment leaves the old checkpoint or the new one.

    Args:
        folder: Made if missing; weights are written before the card that vouches for them by checksum.
        network: What to save.
        about: Plain values added to the card: name, data, metrics, provenance.
        half_precision: Store float16 (half the size; loaded back to float32).
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = torch.float16 if half_precision else torch.float32
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in network.state_dict().items()}
    weights_name = "weights-" + _fingerprint(tensors) + ".safetensors"
    write_atomically(folder / weights_name, lambda path: save_file(tensors, path))
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
    text = json.dumps(card, indent=1, allow_nan=False) + "\n"
    write_atomically(folder / CARD, lambda path: path.write_text(text, encoding="utf-8"))
    for old in folder.glob("weights-*.safetensors"):
        if old.name != weights_name:
            old.unlink()


def load_checkpoint(folder: Path, device: str = "cpu") -> tuple[Network, dict[str, Any]]:
    """Return the network of a checkpoint folder, in evaluation mode, and its card.

    Raises:
        FormatError: Missing or damaged files, a foreign format, another version, or weights that do not fit the card.
    """
    card = read_card(folder)
    try:
        segments = from_mapping(SegmentConfig, card["segments"], where=folder / CARD)
        config = from_mapping(ModelConfig, card["model"], where=folder / CARD)
    except (KeyError, ConfigError) as error:
        raise FormatError(f"damaged checkpoint: {folder / CARD}: {error}") from error
    weights = folder / str(card.get("weights", WEIGHTS))
    if weights.parent != folder or not weights.is_file():
        expected = "a file in the checkpoint's folder"
        raise FormatError(
            problem("damaged checkpoint", where=folder, field="weights", found=weights.name, expected=expected)
        )
    found = sha256_of(weights)
    if found != card.get("weights_sha256"):
        raise FormatError(
            problem(
                "damaged checkpoint",
                where=weights,
                field="sha256",
                found=found[:12],
                expected=str(card.get("weights_sha256"))[:12],
                advice="copy it again",
            )
        )
    network = Network(segments, config)
    try:
        tensors = {name: value.float() for name, value in load_file(weights).items()}
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise FormatError(f"damaged checkpoint: {weights}: weights do not fit {CARD}: {first_line}") from error
    return network.to(device).eval(), card


def read_card(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's model.json, checked for format and version.

    Raises:
        FormatError: Not a checkpoint, or one of another version.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        expected = f"a folder with {CARD}"
        raise FormatError(
            problem("no checkpoint", where=folder, field=CARD, found="nothing", expected=expected)
        ) from error
    except (OSError, ValueError) as error:
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
    return dict(card)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file aside, flush it to the disk and rename it into place.

    Raises:
        FormatError: The disk refuses (full, read-only); nothing is left behind.
    """
    handle, aside_name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    aside = Path(aside_name)
    try:
        write(aside)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, SafetensorError) as error:
        raise FormatError(
            f"cannot write {path}: {error}; free some space or choose another folder, then resume"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()[:12]
