"""`qualityfm import`: exported Parquet tables -> the data set they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qualityfm.cli.terminal import LateProgress, say, say_json

EXAMPLES = ("qualityfm import dataset.parquet --out dataset",)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `import`."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER.parquet")]
    """Folder that `qualityfm export` wrote."""
    out: Annotated[str, tyro.conf.arg(metavar="DATASET")]
    """Data set: a folder or a URL; new, or of an interrupted import, which is then written anew."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Write the data set, every array compared with the one that was exported."""
    from qualityfm.shards.parquet_import import import_parquet

    with LateProgress("importing rows") as display:
        index = import_parquet(options.folder, options.out, progress=lambda done, total: display.show(done, total, ""))
    if options.json:
        say_json({"out": options.out, "rows": index.num_segments, "content_hash": index.content_hash})
    else:
        say(f"imported {index.num_segments:,} rows: {options.out}")
    return 0
