"""Before a pre-training run: its data, its held-out patients, its folder, and whether that holds the same plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.config import first_difference, to_plain
from qualityfm.errors import ConfigError, problem
from qualityfm.files import disk_problem
from qualityfm.pretrain.preset import Preset
from qualityfm.shards.format import INDEX_FILE
from qualityfm.shards.joined import JoinedReader
from qualityfm.shards.splits import refuse_leakage, split_by_subject

#: Share of the patients held out where no other set is given.
HELDOUT_FRACTION = 0.1


def open_data(data: str | Path | Sequence[str | Path], preset: Preset) -> JoinedReader:
    """Return the reader of one or several data sets that were prepared for the preset.

    Raises:
        ConfigError: They were prepared for another one.
    """
    reader = JoinedReader([data] if isinstance(data, str | Path) else data)
    found, wanted = reader.segments, preset.segments
    if found != wanted:
        field, was, now = first_difference(to_plain(found), to_plain(wanted), "segments")
        raise ConfigError(
            problem(
                f"{reader.url} was not prepared for preset {preset.name!r}",
                where=reader.url,
                field=field,
                found=was,
                expected=repr(now),
                advice=f"run: qualityfm prepare ARCHIVE --out DATASET --preset {preset.name}",
            )
        )
    return reader


def hold_out(
    reader: JoinedReader, heldout: str | Path | Sequence[str | Path] | None, preset: Preset
) -> tuple[np.ndarray, JoinedReader, np.ndarray]:
    """Return the training rows, and the reader and rows that are only ever looked at."""
    if not heldout:
        train, held = split_by_subject(reader, HELDOUT_FRACTION, seed=0)
        return train, reader, held
    other = open_data(heldout, preset)
    refuse_leakage(reader, other)
    return np.arange(len(reader)), other, np.arange(len(other))


def require_same_plan(found: dict[str, Any], wanted: dict[str, Any], out: Path) -> None:
    """Refuse to go on with a run under other settings than it began with.

    Raises:
        ConfigError: A setting differs; the message names it.
    """
    for field in wanted:
        if found.get(field) != wanted[field]:
            name, was, now = first_difference(found.get(field), wanted[field], field)
            raise ConfigError(
                problem(
                    "the run in this folder follows another plan",
                    where=out,
                    field=name,
                    found=was,
                    expected=repr(now),
                    advice="choose another folder with --out, or repeat the earlier settings to resume",
                )
            )


def claim(out: Path) -> None:
    """Make the run's folder, unless something else lives there."""
    if (out / INDEX_FILE).is_file() or (out.exists() and not out.is_dir()):
        found = "a data set" if out.is_dir() else "a file"
        expected = "a new folder, or one of an earlier run"
        raise ConfigError(problem("cannot train here", where=out, field="out", found=found, expected=expected))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_problem(error, out) from error
