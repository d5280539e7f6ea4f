"""One file from its home: written aside, resumed, checked, and only then given its name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from qualityfm.errors import SourceError, problem
from qualityfm.fetch.manifest import MAX_FILE_BYTES, NOTE_PREFIX, RemoteFile
from qualityfm.fetch.web import PassingError, Web
from qualityfm.files import aside_of, disk_problem, sync_folder

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

#: Called with the number of bytes that have just arrived.
OnBytes = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What became of a file.

    Attributes:
        path: Below the folder.
        num_bytes: Its size.
        num_resumed_bytes: Those of them that an earlier run had left.
        is_verified: A checksum of its home was compared; False where the home publishes none.
        was_there: It had its name already, so nothing was asked for.
    """

    path: str
    num_bytes: int
    num_resumed_bytes: int = 0
    is_verified: bool = True
    was_there: bool = False


def fetch_file(web: Web, file: RemoteFile, folder: Path, on_bytes: OnBytes = lambda count: None) -> Fetched:
    """Fetch one file into a folder; what is there under its name already is left.

    Raises:
        SourceError: The home refuses, is not reached, or sends something else than its checksum says.
        FormatError: The disk is full or refuses; what has arrived stays for the next run.
        Stopped: Somebody asked to stop; what has arrived stays for the next run.
    """
    target = _safe_target(folder, file.path)
    if target.exists():
        return _kept(target, file)
    partial = Partial(target, file)
    try:
        for is_last in (False, True):
            web.with_patience(lambda: _receive(web, file, partial, on_bytes), file.url)
            if partial.is_right():
                break
            # Parts of two versions may have met: once more, from the beginning.
            found = partial.digest()
            partial.remove()
            if is_last:
                raise _wrong_content(web, file, found)
        num_bytes = partial.num_bytes
        partial.take_name()
    except OSError as error:
        raise disk_problem(error, target) from error
    return Fetched(
        path=file.path,
        num_bytes=num_bytes,
        num_resumed_bytes=partial.num_resumed_bytes,
        is_verified=file.digest is not None,
    )


def _kept(target: Path, file: RemoteFile) -> Fetched:
    """Return a file that is there already; nothing of anybody's is written over.

    Raises:
        SourceError: It is not the file of that name that the home has.
    """
    if target.is_file():
        num_bytes = target.stat().st_size
        if file.num_bytes in (None, num_bytes) and (file.digest is None or _digest(target, file.digest) == file.digest):
            return Fetched(path=file.path, num_bytes=num_bytes, was_there=True, is_verified=file.digest is not None)
    raise SourceError(
        problem(
            "something else is there already",
            where=target,
            field="content",
            found="another checksum or size" if target.is_file() else "no file",
            expected=f"{file.digest or 'a file'}",
            advice="move it away, or fetch into another folder",
        )
    )


def _digest(path: Path, like: str) -> str:
    """Return the checksum of a file, of the same kind as another one."""
    kind = like.split(":")[0]
    with path.open("rb") as stream:
        return f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}"


class Partial:
    """What has arrived of a file, beside the place where it will be, and what its home said about its version.

    Attributes:
        path: The file that is being written.
        num_resumed_bytes: What an earlier run had left of it, if it could be used.

    Args:
        target: The file that it will be.
        file: What is fetched.
    """

    def __init__(self, target: Path, file: RemoteFile) -> None:
        self.path = aside_of(target)
        self._target = target
        self._file = file
        self._note = self.path.with_name(f"{NOTE_PREFIX}{target.name}")
        self.num_resumed_bytes = self.num_bytes
        if self.path.is_symlink() or self._read_note().get("digest", file.digest) != file.digest:
            self.remove()  # an earlier version of the data set, or not ours

    @property
    def num_bytes(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def validator(self) -> str | None:
        """What the home called this version: a strong ETag or a date; None where it said nothing usable."""
        validator = self._read_note().get("validator")
        return validator if isinstance(validator, str) else None

    def start(self, validator: str | None) -> None:
        """Begin anew: nothing has arrived yet of the version of that name."""
        self.remove()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._note.write_text(json.dumps({"validator": validator, "digest": self._file.digest}), encoding="utf-8")

    def append(self) -> BinaryIO:
        """Return the file, opened for what arrives next."""
        return self.path.open("ab")

    def digest(self) -> str:
        """Return the checksum of what has arrived, of the kind that the home publishes."""
        return _digest(self.path, self._file.digest or "sha256:") if self.path.is_file() else "nothing"

    def is_right(self) -> bool:
        """Return whether size and checksum are those that the home publishes, as far as it does."""
        if not self.path.is_file() or self._file.num_bytes not in (None, self.num_bytes):
            return False
        return self._file.digest is None or self.digest() == self._file.digest

    def take_name(self) -> None:
        """Give the file its name, on the disk for good."""
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        self.path.replace(self._target)
        self._note.unlink(missing_ok=True)
        sync_folder(self._target.parent)

    def remove(self) -> None:
        """Forget what has arrived."""
        self.num_resumed_bytes = 0
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


def _receive(web: Web, file: RemoteFile, partial: Partial, on_bytes: OnBytes) -> None:
    """Receive what is missing of a file, or all of it where the home cannot go on or has another version now."""
    if file.num_bytes is not None and partial.num_bytes == file.num_bytes and partial.num_bytes:
        return
    headers = {}
    if partial.num_bytes and (partial.validator or file.digest):
        headers["Range"] = f"bytes={partial.num_bytes}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    with web.open(file.url, headers) as answer:
        if (
            answer.status_code == 416 and headers
        ):  # nothing lies behind what has arrived: it is whole, or of another size
            if _total_bytes(answer) != partial.num_bytes:
                partial.remove()
                raise PassingError("another version is there now")
            return
        web.refuse_unless(answer, file.url, {200, 206} if headers else {200})
        if answer.status_code == 206 and _first_byte(answer) != partial.num_bytes:
            partial.remove()
            raise PassingError("another part was sent than asked for")
        if answer.status_code == 200:
            partial.start(_validator(answer))
        _refuse_large(web, file, partial.num_bytes + _announced_bytes(answer))
        with partial.append() as stream:
            for chunk in web.chunks(answer):
                _refuse_large(web, file, stream.tell() + len(chunk))
                stream.write(chunk)
                on_bytes(len(chunk))


def _refuse_large(web: Web, file: RemoteFile, num_bytes: int) -> None:
    most = MAX_FILE_BYTES if file.num_bytes is None else file.num_bytes
    if num_bytes > most:
        raise SourceError(
            problem(
                "too much data",
                where=web.url(file.url),
                field="size",
                found=num_bytes,
                expected=f"{most} bytes at most",
            )
        )


def _wrong_content(web: Web, file: RemoteFile, found: str) -> SourceError:
    return SourceError(
        problem(
            "wrong checksum",
            where=web.url(file.url),
            field=file.path,
            found=found,
            expected=f"{file.digest}{f' in {file.num_bytes} bytes' if file.num_bytes is not None else ''}",
            advice="fetched twice; the home or mirror is damaged or was changed, the file is not kept",
        )
    )


def _validator(answer: Any) -> str | None:
    """Return the strong validator of an answer. Source: RFC 9110, 13.1.5: a weak ETag must not be used in If-Range."""
    tag = answer.headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]{0,200}"', tag):
        return str(tag)
    date = answer.headers.get("Last-Modified", "")
    return str(date) if re.fullmatch(r"[A-Za-z0-9,: +-]{10,40}", date) else None


def _first_byte(answer: Any) -> int | None:
    match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _total_bytes(answer: Any) -> int | None:
    match = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _announced_bytes(answer: Any) -> int:
    length = answer.headers.get("Content-Length", "0")
    return int(length) if length.isdecimal() else 0


def _safe_target(folder: Path, path: str) -> Path:
    """Return where a file goes, if no link on the way leads out of the folder.

    Raises:
        SourceError: One does.
    """
    target = folder / path
    parent = Path(os.path.realpath(target.parent))
    if target.is_symlink() or not parent.is_relative_to(os.path.realpath(folder)):
        expected = "a place inside the folder"
        raise SourceError(problem("a link leads out", where=folder, field=path, found=str(parent), expected=expected))
    return target
