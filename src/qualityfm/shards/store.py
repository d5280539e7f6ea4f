"""Where data sets live: folders of this machine and object stores, behind one small face."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from qualityfm.errors import FormatError, problem
from qualityfm.shards.local_store import LocalStore


class Store(Protocol):
    """A place with named files and folders of files; names are relative, with `/` between folders.

    Every method raises FormatError, which names the place and the file, where the place refuses.
    """

    @property
    def url(self) -> str:
        """Path or URL, as it stands in messages."""

    @property
    def is_local(self) -> bool:
        """True where files are reached by path."""

    def names(self) -> set[str]:
        """Return the names of files and folders at the top; empty where nothing was ever written."""

    def sizes(self) -> dict[str, int]:
        """Return the size of every file, in all folders, in bytes, by name."""

    def exists(self, name: str) -> bool:
        """Return whether there is a file or folder of this name."""

    def num_bytes(self, name: str) -> int:
        """Return the size of a file."""

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Give a file as a stream, for reading once from beginning to end."""

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file; a reader sees the old one or the new one, never a part."""

    def put_folder(self, aside: Path, name: str) -> None:
        """Make a finished local folder appear under a name; the local folder is used up."""

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens where there is none."""

    def local(self, name: str, num_bytes: int | None = None) -> Path:
        """Return a path under which the file can be mapped; `num_bytes` is the size it must have."""

    def staging(self) -> AbstractContextManager[Path]:
        """Give a local folder to write into before `put_folder`; what is left in it is removed."""


def open_store(place: str | Path) -> Store:
    """Return the store at a folder's path or at a URL such as `s3://bucket/dataset`; nothing is read or made.

    Credentials come from the environment or the files that the object store's own tools use, never from the URL.

    Raises:
        FormatError: The URL is not one of ours, or the package that speaks its protocol is missing.
    """
    text = os.fspath(place)
    if isinstance(place, Path) or "://" not in text:
        return LocalStore(folder=Path(text))
    parts = urlsplit(text)
    if parts.scheme in ("file", "local"):
        return LocalStore(folder=Path(text.partition("://")[2]))
    if "::" in text or "@" in parts.netloc or parts.query or not parts.scheme:
        expected = "protocol://place/folder; credentials belong in the environment"
        shown = f"{parts.scheme}://.../{PurePosixPath(parts.path).name}"
        raise FormatError(problem("unusable address", where=shown, field="URL", found="extras", expected=expected))
    from qualityfm.shards.remote_store import RemoteStore

    return RemoteStore(url=text.rstrip("/"))


def as_store(place: str | Path | Store) -> Store:
    """Return the store at a path or URL; a store is returned as it is.

    Raises:
        FormatError: See `open_store`.
    """
    return open_store(place) if isinstance(place, str | Path) else place
