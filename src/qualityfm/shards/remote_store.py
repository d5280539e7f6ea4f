"""A data set in an object store, through fsspec."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from qualityfm.errors import FormatError, problem
from qualityfm.files import ASIDE_PREFIX, disk_problem
from qualityfm.shards.store_checks import check_name, check_size

#: The file of a folder that is uploaded last: the folder is there once it is.
LAST_FILE = "shard.json"

#: Names the folder for local copies; without it they lie in the user's cache folder.
CACHE_VARIABLE = "QUALITYFM_CACHE"

#: A stream is fetched in pieces of this size.
STREAM_BYTES = 2**23

#: Longest text of a foreign error that enters a message.
MAX_TEXT = 200

#: What the libraries' errors mean, by the names of their classes (the libraries need not be there).
MEANINGS = {
    "NoCredentialsError": ("no credentials", "credentials of the object store in the environment"),
    "PartialCredentialsError": ("no credentials", "complete credentials of the object store in the environment"),
    "PermissionError": ("no access", "permission for this place"),
    "FileNotFoundError": ("missing file", "a file or bucket that exists"),
    "EndpointConnectionError": ("no connection", "an object store that answers"),
    "ConnectTimeoutError": ("no connection", "an object store that answers"),
    "ReadTimeoutError": ("no connection", "an object store that answers"),
    "ConnectionError": ("no connection", "an object store that answers"),
}


@dataclass(frozen=True, kw_only=True)
class RemoteStore:
    """A prefix of an object store; what it may do is said by `Store`.

    An upload is one object at a time, each whole or not there. Nothing that was listed is remembered, so another
    machine's work is seen at once.

    Attributes:
        url: Protocol, bucket and folder, without credentials.
    """

    url: str

    @property
    def is_local(self) -> bool:
        """False: files are copied before they are mapped."""
        return False

    def names(self) -> set[str]:
        """Return the names at the top; empty where nothing was ever written."""
        with self._speaking(None) as (system, root):
            return {path.rstrip("/").rpartition("/")[2] for path in _listed(system.ls, root, detail=False)}

    def sizes(self) -> dict[str, int]:
        """Return the size of every file at the top and below."""
        with self._speaking(None) as (system, root):
            found = _listed(system.find, root, detail=True)
            return {path[len(root) :].lstrip("/"): int(info["size"]) for path, info in dict(found).items()}

    def exists(self, name: str) -> bool:
        """Return whether there is such an object, or any below it."""
        with self._speaking(name) as (system, path):
            try:
                return bool(system.info(path))
            except FileNotFoundError as error:
                if path not in str(error):
                    raise
                return False

    def num_bytes(self, name: str) -> int:
        """Return the size of an object."""
        with self._speaking(name) as (system, path):
            return int(system.info(path)["size"])

    def read_bytes(self, name: str) -> bytes:
        """Return the content of an object."""
        with self._speaking(name) as (system, path):
            return bytes(system.cat_file(path))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Give an object as a stream that is fetched piece by piece."""
        with self._speaking(name) as (system, path), system.open(path, "rb", block_size=STREAM_BYTES) as stream:
            yield stream

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write an object in one request."""
        with self._speaking(name) as (system, path):
            system.pipe_file(path, data)

    def put_folder(self, aside: Path, name: str) -> None:
        """Upload every file of a folder in place of an older one, its `shard.json` last; then remove the local one."""
        self.remove(name)
        paths = sorted(
            (path for path in aside.iterdir() if path.is_file()), key=lambda p: (p.name == LAST_FILE, p.name)
        )
        for path in paths:
            with self._speaking(f"{name}/{path.name}") as (system, target):
                system.put_file(os.fspath(path), target)
        shutil.rmtree(aside, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove an object, or all objects below a name, the one that makes a folder whole first."""
        with self._speaking(name) as (system, path):
            for whole in (f"{path}/{LAST_FILE}", path):
                if system.exists(whole):
                    system.rm(whole, recursive=whole == path)

    def local(self, name: str, num_bytes: int | None = None) -> Path:
        """Return a copy on this machine; one is kept for each version of the object.

        fsspec's own file caches write under the final name, so a killed process would leave half a file there that
        counts as whole; here it is written aside and renamed.
        """
        where = f"{self.url}/{name}"
        with self._speaking(name) as (system, path):
            version = hashlib.sha256(f"{where}\0{system.ukey(path)}".encode()).hexdigest()
            copy = _cache_folder() / version
            if not copy.exists():
                check_size(where, int(system.info(path)["size"]), num_bytes)
                _fetch(system, path, copy)
        check_size(where, copy.stat().st_size, num_bytes)
        return copy

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a temporary folder of this machine."""
        with tempfile.TemporaryDirectory(prefix="qualityfm-") as scratch:
            yield Path(scratch)

    @contextmanager
    def _speaking(self, name: str | None) -> Iterator[tuple[Any, str]]:
        """Give the file system and the path of a name in it; whatever it raises becomes one line.

        The libraries below raise their own classes, which differ between protocols, so all are caught.
        """
        where = self.url if name is None else f"{self.url}/{check_name(name, self.url)}"
        try:
            system, root = _connect(self.url)
            yield system, root if name is None else f"{root}/{name}"
        except FormatError:
            raise
        except Exception as error:
            raise FormatError(_remote_problem(error, where)) from error


def _connect(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, root = url_to_fs(url, use_listings_cache=False)
    return system, str(root).rstrip("/")


def _listed(ask: Any, root: str, *, detail: bool) -> Any:
    """Return a listing; a place where nothing was written yet is empty, but a bucket must exist."""
    try:
        return ask(root, detail=detail)
    except FileNotFoundError as error:
        if root not in str(error):  # then it is not this folder that is missing, but the bucket
            raise
        return {} if detail else []


def _cache_folder() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named) if named else Path.home() / ".cache" / "qualityfm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_problem(error, folder) from error
    return folder


def _fetch(system: Any, path: str, copy: Path) -> None:
    handle, aside = tempfile.mkstemp(prefix=ASIDE_PREFIX, dir=copy.parent)
    os.close(handle)
    try:
        system.get_file(path, aside)
        Path(aside).replace(copy)
    finally:
        Path(aside).unlink(missing_ok=True)


def _remote_problem(error: Exception, where: str) -> str:
    """Return the one line for what an object store or its library raised; it holds no credentials."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, ImportError | ValueError) and "nstall" in str(error):
        advice = "pip install 'qualityfm[remote]'"
        return problem("missing package", where=where, field="protocol", found=None, expected="it", advice=advice)
    what, expected = next((MEANINGS[name] for name in names if name in MEANINGS), ("the store refuses", "an answer"))
    return problem(what, where=where, field="object", found=_without_secrets(error), expected=expected)


def _without_secrets(error: Exception) -> str:
    """Return an error's text on one line, cut, with every secret of the environment taken out."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    for name, value in os.environ.items():
        is_secret = any(word in name.upper() for word in ("KEY", "SECRET", "TOKEN", "PASSWORD", "CREDENTIAL"))
        if is_secret and len(value) >= 4:
            text = text.replace(value, "***")
    return text[:MAX_TEXT]
