"""Files that are whole or not there: written aside, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from qualityfm.errors import FormatError, problem

#: Prefix of a folder or file that is still being written; whatever carries it may be deleted.
ASIDE_PREFIX = ".writing-"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part, whenever the process is killed.

    Args:
        path: What to make or to replace.
        write: Writes a file of the name it is given.

    Raises:
        FormatError: The disk is full or refuses; the old file stays and nothing else is left.
    """
    aside = aside_of(path)
    try:
        aside.unlink(missing_ok=True)
        aside.touch()
        mode = (
            aside.stat().st_mode
        )  # what this account's files are; some libraries make theirs readable by the owner alone
        write(aside)
        aside.chmod(mode)
        with aside.open("rb+") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_problem(error, path) from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as `write_atomically` does, in UTF-8.

    Raises:
        FormatError: The disk is full or refuses; the old file stays.
    """
    write_atomically(path, lambda aside: aside.write_bytes(text.encode()))


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process was still writing in a folder that nobody else writes to."""
    for path in sorted(folder.glob(f"{ASIDE_PREFIX}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def aside_of(path: Path) -> Path:
    """Return the name under which a file or folder is written until it is whole."""
    return path.with_name(f"{ASIDE_PREFIX}{path.name}")


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_problem(error: OSError, target: Path) -> FormatError:
    """Return the one-line error for a write that the system refused."""
    # numpy reports a write cut short ("... requested and ... written") without a number of the system's.
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and "written" in str(error))
    return FormatError(
        problem(
            "the disk is full" if is_full else "cannot write",
            where=target.parent,
            field=target.name,
            found=error.strerror or str(error),
            expected="room to write" if is_full else "a folder that can be written to",
            advice="make room and run the same command again, it goes on where it stopped" if is_full else "",
        )
    )
