"""`qualityfm embed`: a model's feature vectors of recordings, one for each segment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from qualityfm.cli.batches import for_each_recording
from qualityfm.cli.places import check_suffix, write_aside, write_table
from qualityfm.cli.terminal import name_problems, say, say_json

if TYPE_CHECKING:
    from qualityfm.inference.scoring import Embeddings

EXAMPLES = (
    "qualityfm embed recordings/a103l --model qualityfm-tiny --out features.parquet",
    "qualityfm embed recordings/ --model runs/first --out features.npz",
)

SUFFIXES = (".parquet", ".csv", ".npz")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `embed`."""

    recordings: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD_OR_FOLDER")]
    """A recording (its file, or the path without extension), or a folder of them."""
    model: Annotated[str, tyro.conf.arg(metavar="RUN_OR_NAME")]
    """A run, a checkpoint, an exported model, or a shipped name."""
    out: Annotated[Path, tyro.conf.arg(metavar="TABLE")]
    """Table to write: .parquet, .csv, or .npz with recording, start_s and vectors. An older one is replaced."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    json: bool = False
    """Print the summary as JSON."""


def run(options: Options) -> int:
    """Embed recordings; in a folder, what cannot be used is skipped and named."""
    check_suffix(options.out, SUFFIXES)
    from qualityfm.inference.loading import load_model

    predictor = load_model(options.model, runtime="auto")
    batch = for_each_recording(options.recordings, predictor.embed, "embedding", options.layout)
    _write(batch.results, options.out)
    num_segments = sum(len(one.vectors) for one in batch.results)
    width = batch.results[0].vectors.shape[1]
    if options.json:
        summary = {"model": predictor.name, "out": str(options.out), "num_recordings": len(batch.results)}
        say_json(summary | {"num_segments": num_segments, "width": width, "problems": list(batch.problems)})
    else:
        name_problems(batch.problems)
        say(f"{options.out}: {num_segments} segments of {len(batch.results)} recordings, {width} features each")
    return 0


def _write(results: tuple[Embeddings, ...], out: Path) -> None:
    if out.suffix.lower() != ".npz":
        import pandas as pd

        write_table(pd.concat([one.to_pandas() for one in results], ignore_index=True), out)
        return
    import numpy as np

    names = np.concatenate([np.repeat(one.recording_id, len(one.vectors)) for one in results])
    starts = np.concatenate([one.segment_start_s for one in results])
    vectors = np.concatenate([one.vectors for one in results])
    write_aside(out, lambda path: np.savez(path, recording=names, start_s=starts, vectors=vectors))
