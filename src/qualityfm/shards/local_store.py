"""A data set in a folder of this machine."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from qualityfm.errors import FormatError
from qualityfm.files import ASIDE_PREFIX, disk_problem, sync_folder, write_atomically
from qualityfm.shards.store_checks import check_name, check_size, read_problem

T = TypeVar("T")

#: Folders inside a data set's folder: shards, and those that are still being written in a staging folder.
MAX_DEPTH = 2


@dataclass(frozen=True, kw_only=True)
class LocalStore:
    """A folder of this machine; what it may do is said by `Store`."""

    folder: Path

    @property
    def url(self) -> str:
        """The folder's path."""
        return str(self.folder)

    @property
    def is_local(self) -> bool:
        """True."""
        return True

    def names(self) -> set[str]:
        """Return the names at the top of the folder; empty where there is no folder."""
        if not self.folder.exists():
            return set()
        return set(self._read("", lambda: os.listdir(self.folder)))

    def sizes(self) -> dict[str, int]:
        """Return the size of every file in the folder and below."""
        return self._read("", lambda: dict(_walk(self.folder, "")))

    def exists(self, name: str) -> bool:
        """Return whether there is such a file or folder."""
        return self._path(name).exists()

    def num_bytes(self, name: str) -> int:
        """Return the size of a file."""
        return self._read(name, lambda: self._path(name).stat().st_size)

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file."""
        path = self._regular(name)
        return self._read(name, path.read_bytes)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Give a file as a stream; errors while reading it are refusals too."""
        try:
            with self._regular(name).open("rb") as stream:
                yield stream
        except OSError as error:
            raise FormatError(read_problem(error, str(self.folder / name))) from error

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file aside, flush it and rename it."""
        path = self._path(name)
        self._write(name, lambda: path.parent.mkdir(parents=True, exist_ok=True))
        write_atomically(path, lambda aside: aside.write_bytes(data))

    def put_folder(self, aside: Path, name: str) -> None:
        """Rename a folder of the same file system; one that is already there is replaced."""
        target = self._path(name)

        def move() -> None:
            sync_folder(aside)
            if target.exists():
                shutil.rmtree(target)
            aside.rename(target)
            sync_folder(target.parent)

        self._write(name, move)

    def remove(self, name: str) -> None:
        """Remove a file or folder."""
        path = self._path(name)
        if path.is_dir() and not path.is_symlink():
            self._write(name, lambda: shutil.rmtree(path))
        else:
            self._write(name, lambda: path.unlink(missing_ok=True))

    def local(self, name: str, num_bytes: int | None = None) -> Path:
        """Return the file's own path."""
        path = self._regular(name)
        check_size(str(path), self.num_bytes(name), num_bytes)
        return path

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a hidden folder beside the data; whoever clears leftovers may remove it."""
        self._write("", lambda: self.folder.mkdir(parents=True, exist_ok=True))
        scratch = Path(self._write("", lambda: tempfile.mkdtemp(prefix=ASIDE_PREFIX, dir=self.folder)))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _regular(self, name: str) -> Path:
        """Return the path of a file; reading a pipe or a device might never end."""
        path = self._path(name)
        if not path.is_file():
            raise FormatError(read_problem(FileNotFoundError(errno.ENOENT, "no file"), str(path)))
        return path

    def _path(self, name: str) -> Path:
        return self.folder / check_name(name, self.url)

    def _read(self, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except OSError as error:
            raise FormatError(read_problem(error, str(self.folder / name))) from error

    def _write(self, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except OSError as error:
            raise disk_problem(error, self.folder / name) from error


def _walk(folder: Path, prefix: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield names and sizes of files, no deeper than a data set reaches: links may go in circles."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and depth < MAX_DEPTH:
                yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", depth + 1)
                continue
            with suppress(FileNotFoundError):  # a broken link, or gone since it was listed
                yield f"{prefix}{entry.name}", entry.stat().st_size
