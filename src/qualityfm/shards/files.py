"""Folders that are whole or not there, and the entry of each file in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from qualityfm.files import aside_of, disk_problem, sha256_of, sync_folder
from qualityfm.shards.format import FileEntry


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> FileEntry:
    """Write one file, flush it to the disk and return its size and checksum."""
    with path.open("xb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())
    return FileEntry(name=path.name, num_bytes=path.stat().st_size, sha256=sha256_of(path))


@contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Give a hidden folder to write into; it takes the name `target` only when everything in it is on the disk.

    Raises:
        FormatError: The disk is full or refuses; what was written is removed.
    """
    aside = aside_of(target)
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        sync_folder(aside)
        aside.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise disk_problem(error, target) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
