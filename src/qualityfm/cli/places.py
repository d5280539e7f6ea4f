"""What the words on a command line stand for: recordings, models, output files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qualityfm.errors import ConfigError, QualityFMError, SourceError, problem

if TYPE_CHECKING:
    import pandas

    from qualityfm.records import QualityScore, Recording

T = TypeVar("T")

#: Set by the user: a folder of real recordings and noise.
DATA_VARIABLE = "QUALITYFM_DATA"

#: Folders below it, and the word that a user says in place of a folder.
NOISE_FOLDER, BEATS_FOLDER, MODELLED = "nstdb", "vitaldb_arrhythmia_annotations", "modelled"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What became of the recordings a command named."""

    results: tuple[Any, ...]
    problems: tuple[dict[str, str], ...]


def scorer(model: str | None) -> tuple[Callable[[Recording], QualityScore], str | None]:
    """Return the function that scores a recording, and the model's name; None is the classical score."""
    if model is None:
        from qualityfm.quality.score import score_quality

        return score_quality, None
    from qualityfm.inference.loading import load_model

    predictor = load_model(model, runtime="auto")
    return predictor.score, predictor.name


def for_each_recording(path: Path, what: Callable[[Recording], T], label: str, layout: str | None = None) -> Batch:
    """Apply a function to one recording, or to every recording in a folder, with progress.

    In a folder, what cannot be read or used is skipped and noted; a recording that was named must work.

    Raises:
        SourceError: There is nothing to read, or no recording of the folder could be used.
        SignalError: The recording that was named cannot be used.
    """
    from qualityfm.cli.terminal import progress
    from qualityfm.sources import find_recordings, open_recording

    if not path.is_dir():
        return Batch(results=(what(open_recording(path, layout=layout)),), problems=())
    found = [one for one in find_recordings(path, layout=layout) if one.aside is None]
    results: list[Any] = []
    problems: list[dict[str, str]] = []
    with progress(label, len(found)) as advance:
        for number, one in enumerate(found, 1):
            try:
                if one.problem is not None:
                    raise SourceError(one.problem)
                recording = replace(open_recording(one.path, layout=layout), recording_id=one.recording_id)
                results.append(what(recording))
            except QualityFMError as error:
                problems.append({"recording": one.recording_id, "reason": str(error)})
            advance(number, one.recording_id)
    if not results:
        first = f"; first reason: {problems[0]['reason']}" if problems else ""
        expected = "at least one recording that can be used"
        raise SourceError(
            problem("nothing to work on", where=path, field="recordings", found=len(found), expected=expected) + first
        )
    return Batch(results=tuple(results), problems=tuple(problems))


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
