"""Anything on disk -> Recording. A source knows no sibling, no data set and no model."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

from qualityfm.errors import ConfigError, SourceError, problem
from qualityfm.records import Recording
from qualityfm.sources.annotations import Annotations, read_annotations
from qualityfm.sources.csv_files import CSV
from qualityfm.sources.edf_files import EDF
from qualityfm.sources.found import Found, FoundChannel, Source
from qualityfm.sources.hdf5_files import HDF5
from qualityfm.sources.layout import Layout, read_layout
from qualityfm.sources.mat_files import MAT
from qualityfm.sources.numpy_files import NUMPY
from qualityfm.sources.parquet_files import PARQUET
from qualityfm.sources.vital_files import VITAL
from qualityfm.sources.wfdb_annotation_write import write_annotations
from qualityfm.sources.wfdb_files import WFDB

__all__ = [
    "SOURCES",
    "Annotations",
    "Found",
    "FoundChannel",
    "Layout",
    "Source",
    "find_recordings",
    "open_recording",
    "read_annotations",
    "read_layout",
    "write_annotations",
]

#: Every format that can be read: one line each.
SOURCES: dict[str, Source] = {
    "wfdb": WFDB,
    "csv": CSV,
    "parquet": PARQUET,
    "edf": EDF,
    "vital": VITAL,
    "hdf5": HDF5,
    "mat": MAT,
    "numpy": NUMPY,
}

#: Why something with the name of a recording is none.
UNSPOKEN = "no layout speaks of this file"
NO_FILE = "neither a file nor a folder"
LINKED_FOLDER = "a symbolic link to a folder, which is not entered"


def open_recording(
    path: str | Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    layout: Layout | str | None = None,
) -> Recording:
    """Read one recording, or a stretch of it, as found: own rates, nothing resampled, NaN where nothing was recorded.

    Voltages come in mV and pressures in mmHg whatever the file's unit. Comments in headers, where archives keep their
    labels, are not read, nor is anything about the patient but an identity.

    Args:
        path: The recording's file, its path without extension, or an item of a file that holds several recordings
            (`Part_1.mat/0012`).
        start_s: Where to begin, seconds after the start of the recording. The stretch is a recording of its own: its
            time runs from here.
        duration_s: Seconds to read; None reads to the end. Only this stretch is decoded.
        layout: For files that do not describe themselves (CSV, Parquet, HDF5, MAT, NumPy): a layout, its name, or the
            path of its TOML file.

    Returns:
        The recording; its `recording_id` is the file's name without extension, or the item's name.

    Raises:
        SourceError: There is no such recording, it cannot be read, or what its header says cannot be true.
        SignalError: The recording ends before `start_s`.
        ConfigError: `start_s` or `duration_s` is no usable number, or there is no such layout.
    """
    _check_stretch(path, start_s, duration_s)
    path, layout = Path(path), _resolve(layout)
    looked_for: list[Path] = []
    file, item = (path.parent, path.name) if os.path.isfile(path.parent) else (path, None)
    for name, source in SOURCES.items():
        for candidate in source.candidates(file):
            if os.path.lexists(candidate):
                spoken = layout if layout is not None and layout.speaks_of(name, candidate.name) else None
                recording = source.open(candidate, item=item, start_s=start_s, duration_s=duration_s, layout=spoken)
                return _with_subject(recording, path, layout)
            looked_for.append(candidate)
    raise _nothing_found(path, looked_for)


def _resolve(layout: Layout | str | None) -> Layout | None:
    if not isinstance(layout, str):
        return layout
    return read_layout(layout)


def _with_subject(recording: Recording, path: Path, layout: Layout | None) -> Recording:
    if layout is None or recording.subject_id is not None:
        return recording
    return dataclasses.replace(recording, subject_id=layout.subject_of(path.as_posix()))


def _nothing_found(path: Path, looked_for: list[Path]) -> SourceError:
    found, advice = "nothing", ""
    if os.path.isdir(path):  # unlike Path.is_dir, it answers for impossible names too
        found, advice = "a folder", "name one recording in it; find_recordings lists them"
    elif os.path.exists(path):
        return _foreign_file(path)
    expected = " or ".join(map(str, looked_for[:4])) or "the name of a recording"
    return SourceError(
        problem("no such recording", where=path, field="file", found=found, expected=expected, advice=advice)
    )


def _foreign_file(path: Path) -> SourceError:
    header = path.with_suffix(".hea")
    return SourceError(
        problem(
            "foreign file",
            where=path,
            field="format",
            found=f"a file ending in {path.suffix or 'nothing'}",
            expected=f"a recording in one of: {', '.join(SOURCES)}",
            advice=f"name the record by its header, {header.name}" if header.exists() else "",
        )
    )


def find_recordings(
    folder: str | Path, *, layout: Layout | str | None = None, passed_over: bool = False
) -> list[Found]:
    """List the recordings in a folder and the folders below it, from their headers; no samples are read.

    Folders that are symbolic links are not entered, nor are those whose name begins with a dot. What cannot be read
    is listed with its problem. Files of a known format that no layout speaks of are passed over.

    Args:
        folder: The archive.
        layout: What the files do not say themselves: a layout, its name, or the path of its TOML file.
        passed_over: Whether to list, as being aside, what is passed over too: such files, pipes, linked folders.

    Returns:
        What was found, sorted by `recording_id`.

    Raises:
        SourceError: `folder` is not a folder.
        ConfigError: There is no such layout.
    """
    archive, layout = Path(folder), _resolve(layout)
    if not os.path.isdir(archive):
        found = "a file" if os.path.exists(archive) else "nothing"
        raise SourceError(problem("no such archive", where=archive, field="folder", found=found, expected="a folder"))
    return sorted(_walk(archive, layout, passed_over), key=lambda f: (f.recording_id, f.source))


def _walk(archive: Path, layout: Layout | None, passed_over: bool) -> Iterator[Found]:
    waiting = [archive]
    channels: dict[tuple[FoundChannel, ...], tuple[FoundChannel, ...]] = {}  # equal ones once: archives hold millions
    while waiting:
        folder = waiting.pop()
        prefix = folder.relative_to(archive).as_posix()
        try:
            with os.scandir(folder) as entries:
                names: list[str] = []
                linked: list[str] = []
                for entry in entries:
                    if entry.name.startswith(".") and entry.is_dir():
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(folder / entry.name)
                    else:
                        (linked if entry.is_dir() else names).append(entry.name)
        except OSError as error:
            yield _unreadable_folder(folder, prefix, error)
            continue
        for found in _scan_folder(folder, sorted(names), linked if passed_over else None, layout):
            recording_id = found.recording_id if prefix == "." else f"{prefix}/{found.recording_id}"
            subject_id = found.subject_id
            if subject_id is None and layout is not None:
                subject_id = layout.subject_of(recording_id)
            shared = channels.setdefault(found.channels, found.channels)
            yield dataclasses.replace(found, recording_id=recording_id, subject_id=subject_id, channels=shared)


def _scan_folder(folder: Path, names: list[str], linked: list[str] | None, layout: Layout | None) -> Iterator[Found]:
    """Yield what every source finds; a name that two formats share gets its extension, so that ids stay unique.

    With the names of linked folders, what is passed over follows.
    """
    seen: set[str] = set()
    taken: set[str] = set()
    for name, source in SOURCES.items():
        spoken = layout if layout is not None and layout.source == name else None
        for found in source.scan(folder, names, spoken):
            if found.recording_id in seen:
                found = dataclasses.replace(found, recording_id=found.path.relative_to(folder).as_posix())
            seen.add(found.recording_id)
            taken.add(found.file.name)
            yield found
    if linked is not None:
        for name in names:
            if name not in taken and _could_be_read(folder / name):
                yield _aside(folder / name, UNSPOKEN if os.path.isfile(folder / name) else NO_FILE)
        for name in linked:
            yield _aside(folder / name, LINKED_FOLDER)


def _could_be_read(path: Path) -> bool:
    """Return whether the name is one that a source would open."""
    # WFDB lists its headers itself: those that it passes over are segments of a record that it lists.
    return any(path in source.candidates(path) for name, source in SOURCES.items() if name != "wfdb")


def _aside(path: Path, reason: str) -> Found:
    return Found(
        path=path, recording_id=path.name, subject_id=None, source="", duration_s=0.0, channels=(), aside=reason
    )


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
