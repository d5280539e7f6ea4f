"""An exported model: a folder with network-<fingerprint>.onnx and model.json. Reading it needs no torch.

The card (model.json) is that of the checkpoint, under a format name of its own, with what was exported and how far its
answers lie from torch's. docs/EXPORT.md describes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qualityfm.config import from_mapping
from qualityfm.errors import ConfigError, FormatError, SignalError, problem
from qualityfm.files import sha256_of
from qualityfm.segments import SegmentConfig
from qualityfm.strict_json import read_json
from qualityfm.version import __version__

FORMAT = "qualityfm-onnx"
FORMAT_VERSION = 1
CARD = "model.json"

#: Folder beside a checkpoint's weights in which its exported form may lie.
BESIDE = "onnx"

#: Version of the ONNX operators that the graph uses; every ONNX Runtime since 1.14 knows them.
OPSET = 18

#: What the network takes (the latter where its heads see the classical findings too), and what it may answer, in order.
INPUT, FINDINGS = "values", "findings"
OUTPUTS = ("features", "quality", "causes")
PRECISIONS = ("float32", "int8")

#: Longest card that is read; the shipped ones have 52 kB.
MAX_CARD_BYTES = 4_000_000

#: A network has at most this many bytes for each weight, and this many for its graph.
BYTES_PER_WEIGHT, GRAPH_BYTES = 4, 16_000_000

#: How an ONNX file says that a tensor lies in another file: the key of a protobuf entry. Such a file is not opened.
ELSEWHERE = b"\x0a\x08location"

#: What a card must hold beside format and version.
FIELDS: dict[str, type] = {
    "package_version": str,
    "network": str,
    "network_sha256": str,
    "opset": int,
    "precision": str,
    "outputs": list,
    "num_parameters": int,
    "made_from_sha256": str,
    "segments": dict,
}


def format_of(folder: Path) -> str | None:
    """Return what the card in a folder calls itself; None where there is no card that can be read."""
    try:
        found = _read(folder / CARD)
    except FormatError:
        return None
    name = found.get("format") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None


def read_export_card(folder: Path) -> dict[str, Any]:
    """Return an exported model's card, checked for format, version and fields.

    Raises:
        FormatError: Not an exported model, one of another version, or a damaged one.
    """
    path = folder / CARD
    card = _read(path)
    wanted = {"format": FORMAT, "format_version": FORMAT_VERSION}
    for field, value in wanted.items():
        found = card.get(field) if isinstance(card, dict) else None
        if found != value or type(found) is not type(value):
            advice = f"this is qualityfm {__version__}; `qualityfm export-model` makes such a folder"
            raise _refused("cannot open exported model", path, field, found, repr(value), advice)
    for field, kind in FIELDS.items():
        if type(card.get(field)) is not kind:
            raise _refused("damaged exported model", path, field, card.get(field), kind.__name__)
    _check_values(path, card)
    return dict(card)


def read_segments(folder: Path, card: dict[str, Any]) -> SegmentConfig:
    """Return how recordings are cut for an exported model.

    Raises:
        FormatError: The card's recipe is wrong.
    """
    try:
        return from_mapping(SegmentConfig, card["segments"], where=folder / CARD, is_complete=True)
    except (ConfigError, TypeError, ValueError) as error:
        raise FormatError(f"damaged exported model: {error}") from error


def inputs_of(card: dict[str, Any]) -> list[str]:
    """Return what an exported network takes; cards without the entry are of networks that take samples alone."""
    return list(card.get("inputs", [INPUT]))


def read_network(folder: Path, card: dict[str, Any]) -> bytes:
    """Return the bytes of the network, found to be those that the card vouches for.

    Raises:
        FormatError: The file is missing, lies elsewhere, is no ONNX file by its name, is too large, or was changed.
    """
    path: Path = folder / card["network"]
    if path.parent != folder or path.suffix != ".onnx" or path.is_symlink() or not path.is_file():
        expected = "an .onnx file in the exported model's folder"
        raise _refused("damaged exported model", folder, "network", card["network"], expected)
    most = BYTES_PER_WEIGHT * card["num_parameters"] + GRAPH_BYTES
    if path.stat().st_size > most:
        found = f"{path.stat().st_size} bytes"
        expected = f"at most {most} for {card['num_parameters']} weights"
        raise _refused("damaged exported model", path, "size", found, expected)
    found = sha256_of(path)
    if found != card["network_sha256"]:
        expected = card["network_sha256"][:12]
        raise _refused("damaged exported model", path, "sha256", found[:12], expected, "copy it again")
    content = path.read_bytes()
    if ELSEWHERE in content:
        raise _refused("damaged exported model", path, "weights", "in another file", "weights in the network's file")
    return content


def check_origin(checkpoint: Path) -> None:
    """Refuse an exported form that was made from other weights than lie beside it.

    Raises:
        FormatError: It was, or either card cannot be read.
    """
    card = _read(checkpoint / CARD)
    weights = card.get("weights_sha256") if isinstance(card, dict) else None
    found = read_export_card(checkpoint / BESIDE)["made_from_sha256"]
    if found != weights:
        expected = f"{str(weights)[:12]}, the checkpoint's weights"
        where = checkpoint / BESIDE
        raise _refused("outdated exported model", where, "made_from_sha256", found[:12], expected, "export it again")


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            found = f"{path.stat().st_size} bytes"
            raise _refused("damaged exported model", path, "size", found, f"at most {MAX_CARD_BYTES}")
        return read_json(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        expected = f"a folder with {CARD}"
        raise _refused("no exported model", path.parent, CARD, "nothing", expected) from error
    except (OSError, SignalError) as error:
        raise FormatError(f"damaged exported model: {path}: {error}") from error


def _check_values(path: Path, card: dict[str, Any]) -> None:
    if card["opset"] != OPSET:
        raise _refused("cannot open exported model", path, "opset", card["opset"], str(OPSET), "export it again")
    if card["precision"] not in PRECISIONS:
        raise _refused("damaged exported model", path, "precision", card["precision"], " or ".join(PRECISIONS))
    if card["outputs"] != [name for name in OUTPUTS if name in card["outputs"]] or OUTPUTS[0] not in card["outputs"]:
        raise _refused("damaged exported model", path, "outputs", card["outputs"], f"some of {', '.join(OUTPUTS)}")
    if card.get("inputs", [INPUT]) not in ([INPUT], [INPUT, FINDINGS]):
        raise _refused("damaged exported model", path, "inputs", card["inputs"], f"{INPUT}, and perhaps {FINDINGS}")
    if not 0 < card["num_parameters"] < 10**11:
        raise _refused("damaged exported model", path, "num_parameters", card["num_parameters"], "a number of weights")


def _refused(what: str, where: Path, field: str, found: object, expected: str, advice: str = "") -> FormatError:
    return FormatError(problem(what, where=where, field=field, found=found, expected=expected, advice=advice))
