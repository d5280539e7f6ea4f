"""Anything on disk -> Recording. A source knows no sibling, no data set and no model."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

from qualityfm.errors import ConfigError, SourceError, problem
from qualityfm.records import Recording
from qualityfm.sources.found import Found, FoundChannel, Source
from qualityfm.sources.wfdb_files import WFDB

__all__ = ["SOURCES", "Found", "FoundChannel", "Source", "find_recordings", "open_recording"]

#: Every format that can be read: one line each.
SOURCES: dict[str, Source] = {
    "wfdb": WFDB,
}


def open_recording(path: str | Path, *, start_s: float = 0.0, duration_s: float | None = None) -> Recording:
    """Read one recording, or a stretch of it, as found: own rates, nothing resampled, NaN where nothing was recorded.

    Voltages come in mV and pressures in mmHg whatever the file's unit. Comments in headers, where archives keep their
    labels, are not read.

    Args:
        path: The recording's file, or its path without extension.
        start_s: Where to begin, seconds after the start of the recording. The stretch is a recording of its own: its
            time runs from here.
        duration_s: Seconds to read; None reads to the end. Only this stretch is decoded.

    Returns:
        The recording; its `recording_id` is the file's name without extension.

    Raises:
        SourceError: There is no such recording, it cannot be read, or what its header says cannot be true.
        SignalError: The recording ends before `start_s`.
        ConfigError: `start_s` or `duration_s` is no usable number.
    """
    _check_stretch(path, start_s, duration_s)
    path = Path(path)
    looked_for: list[Path] = []
    for source in SOURCES.values():
        for candidate in source.candidates(path):
            if os.path.lexists(candidate):
                return source.open(candidate, start_s=start_s, duration_s=duration_s)
            looked_for.append(candidate)
    raise _nothing_found(path, looked_for)


def _nothing_found(path: Path, looked_for: list[Path]) -> SourceError:
    found, advice = "nothing", ""
    if os.path.isdir(path):  # unlike Path.is_dir, it answers for impossible names too
        found, advice = "a folder", "name one recording in it; find_recordings lists them"
    elif os.path.exists(path):
        found = "a file of no known format"
    expected = " or ".join(map(str, looked_for)) or "the name of a recording"
    return SourceError(
        problem("no such recording", where=path, field="file", found=found, expected=expected, advice=advice)
    )


def find_recordings(folder: str | Path) -> list[Found]:
    """List the recordings in a folder and the folders below it, from their headers; no samples are read.

    Folders that are symbolic links are not entered, nor are those whose name begins with a dot. What cannot be read
    is listed with its problem.

    Returns:
        What was found, sorted by `recording_id`.

    Raises:
        SourceError: `folder` is not a folder.
    """
    archive = Path(folder)
    if not os.path.isdir(archive):
        found = "a file" if os.path.exists(archive) else "nothing"
        raise SourceError(problem("no such archive", where=archive, field="folder", found=found, expected="a folder"))
    return sorted(_walk(archive), key=lambda f: (f.recording_id, f.source))


def _walk(archive: Path) -> Iterator[Found]:
    waiting = [archive]
    while waiting:
        folder = waiting.pop()
        prefix = folder.relative_to(archive).as_posix()
        try:
            with os.scandir(folder) as entries:
                names = []
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith("."):
                            waiting.append(folder / entry.name)
                    else:
                        names.append(entry.name)
        except OSError as error:
            yield _unreadable_folder(folder, prefix, error)
            continue
        for source in SOURCES.values():
            for found in source.scan(folder, sorted(names)):
                inside = prefix == "."
                yield found if inside else dataclasses.replace(found, recording_id=f"{prefix}/{found.recording_id}")


def _unreadable_folder(folder: Path, recording_id: str, error: OSError) -> Found:
    return Found(
        path=folder,
        recording_id=recording_id,
        subject_id=None,
        source="",
        duration_s=0.0,
        channels=(),
        problem=problem(
            "cannot open folder", where=folder, field="folder", found=error.strerror, expected="a readable folder"
        ),
    )


def _check_stretch(path: str | Path, start_s: float, duration_s: float | None) -> None:
    if not (math.isfinite(start_s) and start_s >= 0):
        raise ConfigError(
            problem("wrong stretch", where=path, field="start_s", found=start_s, expected="a number from 0 on")
        )
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
        raise ConfigError(
            problem("wrong stretch", where=path, field="duration_s", found=duration_s, expected="a number above 0")
        )
