"""What the words on a command line stand for: recordings, models, output files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qualityfm.errors import ConfigError, SourceError, problem

if TYPE_CHECKING:
    import pandas

    from qualityfm.records import QualityScore, Recording

#: Set by the user: a folder of real recordings and noise.
DATA_VARIABLE = "QUALITYFM_DATA"

#: Folders below it, and the word that a user says in place of a folder.
NOISE_FOLDER, BEATS_FOLDER, MODELLED = "nstdb", "vitaldb_arrhythmia_annotations", "modelled"


def scorer(model: str | None) -> tuple[Callable[[Recording], QualityScore], str | None]:
    """Return the function that scores a recording, and the model's name; None is the classical score."""
    if model is None:
        from qualityfm.quality.score import score_quality

        return score_quality, None
    from qualityfm.inference.loading import load_model

    predictor = load_model(model, runtime="auto")
    return predictor.score, predictor.name


def check_suffix(out: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse an output file of a format that is not written, before any work is done.

    Raises:
        ConfigError: The name ends in something else, or is a folder.
    """
    if out.suffix.lower() not in suffixes or out.is_dir():
        found = "a folder" if out.is_dir() else out.suffix
        expected = f"a file name ending in {' or '.join(suffixes)}"
        raise ConfigError(problem("cannot write this", where=out, field="--out", found=found, expected=expected))


def write_table(frame: pandas.DataFrame, out: Path) -> None:
    """Write a frame as CSV, Parquet or JSON by the file's ending; a reader never sees half a table."""
    writers: dict[str, Callable[[Path], object]] = {
        ".csv": lambda path: frame.to_csv(path, index=False),
        ".parquet": lambda path: frame.to_parquet(path, index=False),
        ".json": lambda path: frame.to_json(path, orient="records", indent=1, force_ascii=False),
    }
    write_aside(out, writers[out.suffix.lower()])


def write_aside(out: Path, write: Callable[[Path], object]) -> None:
    """Make the folder, write under another name, then rename.

    Raises:
        SourceError: The file cannot be written.
    """
    aside = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        aside.replace(out)
    except OSError as error:
        raise SourceError(f"cannot write: {out}: {error.strerror or error}") from error
    finally:
        if out.parent.is_dir():
            aside.unlink(missing_ok=True)


def real_data_folder() -> Path | None:
    """Return the folder that QUALITYFM_DATA names; None where it is not set.

    Raises:
        ConfigError: It is set and is no folder.
    """
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        advice = "unset it, or point it at a folder of recordings"
        raise ConfigError(
            problem(
                "no such folder", where=DATA_VARIABLE, field="folder", found=named, expected="a folder", advice=advice
            )
        )
    return folder


def open_data_folder(named: str | None, default: str) -> Path | None:
    """Return a folder of open data that helps, such as recorded noise; None means modelled data instead.

    Args:
        named: What the user said: a folder, or "modelled"; None if nothing.
        default: Name below QUALITYFM_DATA that is taken where nothing was said.
    """
    if named is not None:
        return None if named == MODELLED else Path(named)
    data = real_data_folder()
    return data / default if data is not None and (data / default).is_dir() else None
