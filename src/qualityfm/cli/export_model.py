"""`qualityfm export-model`: a model as an ONNX graph, which scores without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qualityfm.cli.terminal import say, say_json

EXAMPLES = (
    "qualityfm export-model qualityfm-tiny --out exported",
    "qualityfm score recordings/ --model exported --out quality.parquet",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `export-model`."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN_OR_NAME")]
    """A run, a checkpoint, or a shipped name."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder to write: new, or of an earlier export, which is replaced."""
    int8: bool = False
    """Keep weights as whole numbers of 8 bits: a quarter of the size, and not quite the same numbers."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Export, and say how far the exported answers lie from torch's."""
    from qualityfm.inference.export import export_model
    from qualityfm.inference.loading import load_model

    card = export_model(load_model(options.model), options.out, int8=options.int8)
    num_bytes = (options.out / card["network"]).stat().st_size
    difference = card["difference_from_torch"]
    if options.json:
        told = {"model": card["name"], "out": str(options.out), "precision": card["precision"], "num_bytes": num_bytes}
        say_json(told | {"difference_from_torch": difference})
    else:
        far = ", ".join(f"{name} {value:.1e}" for name, value in difference.items())
        say(f"{options.out}: {card['precision']}, {num_bytes / 1e6:.1f} MB; farthest from torch on noise: {far}")
    return 0
