"""`qualityfm export`: a data set as Parquet tables, for people who do not use this package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qualityfm.cli.terminal import LateProgress, say, say_json

EXAMPLES = (
    "qualityfm export dataset --out dataset.parquet",
    "python -c \"import pandas; print(pandas.read_parquet('dataset.parquet'))\"",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `export`."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """Data set: a folder, or a URL of an object store."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER.parquet")]
    """Folder of tables: new, or of an interrupted export, which is then written anew."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Write one table for each shard."""
    from qualityfm.shards.parquet_export import export_parquet
    from qualityfm.shards.reader import ShardReader

    reader = ShardReader(options.dataset)
    with LateProgress("exporting rows") as display:
        num_bytes = export_parquet(reader, options.out, progress=lambda done, total: display.show(done, total, ""))
    num_tables = len(reader.index.shards)
    if options.json:
        say_json({"out": str(options.out), "rows": len(reader), "tables": num_tables, "num_bytes": num_bytes})
    else:
        say(f"exported {len(reader):,} rows as {num_tables:,} tables, {num_bytes / 1e6:,.1f} MB: {options.out}")
    return 0
