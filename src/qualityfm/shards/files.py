"""Files that are whole or not there: written aside, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from qualityfm.errors import QualityFMError, problem
from qualityfm.shards.format import FileEntry

#: Prefix of a folder or file that is still being written; whatever carries it may be deleted.
ASIDE_PREFIX = ".writing-"


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> FileEntry:
    """Write one file, flush it to the disk and return its size and checksum."""
    with path.open("xb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())
    return FileEntry(name=path.name, num_bytes=path.stat().st_size, sha256=sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Give a hidden folder to write into; it takes the name `target` only when everything in it is on the disk.

    Raises:
        QualityFMError: The disk is full or refuses; what was written is removed.
    """
    aside = target.with_name(f"{ASIDE_PREFIX}{target.name}")
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


def replace_file(target: Path, content: bytes) -> None:
    """Write a small file so that a reader sees the old one or the new one, never a part.

    Raises:
        QualityFMError: The disk is full or refuses; the old file stays.
    """
    aside = target.with_name(f"{ASIDE_PREFIX}{target.name}")
    try:
        aside.unlink(missing_ok=True)
        write_file(aside, lambda stream: stream.write(content))
        aside.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise disk_problem(error, target) from error
    finally:
        aside.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed run was still writing."""
    for path in sorted(folder.glob(f"{ASIDE_PREFIX}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_problem(error: OSError, target: Path) -> QualityFMError:
    """Return the one-line error for a write that the system refused."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return QualityFMError(
        problem(
            "the disk is full" if is_full else "cannot write",
            where=target.parent,
            field=target.name,
            found=error.strerror or str(error),
            expected="room to write" if is_full else "a folder that can be written to",
            advice="make room and run the same command again, it goes on where it stopped" if is_full else "",
        )
    )
