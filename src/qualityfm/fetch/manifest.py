"""Which files a data set has, from its home, every name checked before it becomes a path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from qualityfm.errors import ConfigError, SourceError, problem
from qualityfm.fetch.catalogue import OpenSet
from qualityfm.fetch.web import Web
from qualityfm.files import ASIDE_PREFIX

#: Bounds of our own: a list of a million files, each at most a terabyte.
MAX_MANIFEST_BYTES = 200_000_000
MAX_FILES = 1_000_000
MAX_FILE_BYTES = 10**12
MAX_NAME_LENGTH, MAX_PATH_LENGTH = 200, 1000  # bytes, characters

SHA256_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<path>.+)|(?P<digest2>[0-9a-fA-F]{64}) (?P<path2>\S.*)")
SUMS_FILE = "SHA256SUMS.txt"
#: Names that a system in use somewhere cannot store, or understands as something else.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
#: What the home said about a file that is still being fetched lies beside it, under this name and the file's.
NOTE_PREFIX = f".about{ASIDE_PREFIX}"
FORBIDDEN = set('\\:*?"<>|')


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        path: Below the folder it is fetched into, parts joined by "/".
        url: Where it lies at its home.
        digest: "sha256:..." or "md5:..."; None where the home publishes none.
        num_bytes: Its size; None where the home does not tell.
    """

    path: str
    url: str
    digest: str | None
    num_bytes: int | None


def read_manifest(open_set: OpenSet, web: Web, only: str | None = None) -> list[RemoteFile]:
    """Return the files of a data set, in the order of its home.

    Args:
        open_set: The data set.
        web: How to ask.
        only: Pattern such as "training/*.mat"; only files whose path matches it.

    Raises:
        ConfigError: It cannot be fetched by plain HTTP (the message says what to do), or no file matches `only`.
        SourceError: Its home cannot be reached, or what it says is not a list of safe names.
    """
    if open_set.home == "manual":
        raise ConfigError(
            problem(
                "cannot be fetched",
                where=open_set.name,
                field="home",
                found=open_set.page,
                expected="files that plain HTTP can fetch",
                advice=open_set.by_hand,
            )
        )
    files = {"physionet": _physionet, "zenodo": _zenodo, "file": _single}[open_set.home](open_set, web)
    _refuse_doubles(files, open_set.url)
    chosen = [file for file in files if only is None or fnmatchcase(file.path, only)]
    if not chosen:
        expected = f"a pattern that matches some of its {len(files)} files"
        raise ConfigError(
            problem("nothing to fetch", where=open_set.name, field="--only", found=only, expected=expected)
        )
    return chosen


def _single(open_set: OpenSet, web: Web) -> list[RemoteFile]:
    name = unquote(urlsplit(open_set.url).path.rsplit("/", 1)[-1]).replace("+", "-")
    return [RemoteFile(path=checked_path(name, open_set.url), url=open_set.url, digest=None, num_bytes=None)]


def _physionet(open_set: OpenSet, web: Web) -> list[RemoteFile]:
    url = open_set.url + SUMS_FILE
    lines = _text(web.read_small(url, MAX_MANIFEST_BYTES), url).splitlines()
    _refuse_many(len(lines), url)
    return [_of_sums_line(line, open_set.url, url) for line in lines if line.strip()]


def _of_sums_line(line: str, folder_url: str, where: str) -> RemoteFile:
    match = SHA256_LINE.fullmatch(line)
    if match is None:
        expected = "a SHA-256 and a path"
        raise SourceError(
            problem("damaged list of files", where=where, field="line", found=line[:120], expected=expected)
        )
    path = checked_path(match["path"] or match["path2"], where)
    digest = (match["digest"] or match["digest2"]).lower()
    return RemoteFile(path=path, url=folder_url + quote(path), digest=f"sha256:{digest}", num_bytes=None)


def _zenodo(open_set: OpenSet, web: Web) -> list[RemoteFile]:
    """Return a record's files. Their URLs are built here: links in an answer could lead anywhere."""
    where = open_set.url
    try:
        record = json.loads(_text(web.read_small(where, MAX_MANIFEST_BYTES), where))
        entries = [(e["key"], e["checksum"], e["size"]) for e in record["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        expected = "a record with files, each with key, checksum and size"
        raise SourceError(
            problem("damaged record", where=where, field="files", found=str(error), expected=expected)
        ) from error
    _refuse_many(len(entries), where)
    return [_of_zenodo_entry(*entry, open_set) for entry in entries]


def _of_zenodo_entry(key: Any, checksum: Any, size: Any, open_set: OpenSet) -> RemoteFile:
    path = checked_path(key, open_set.url)
    if not isinstance(checksum, str) or not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", checksum):
        expected = "md5: and 32 digits"
        raise SourceError(
            problem(
                "damaged record", where=f"{open_set.url} {path}", field="checksum", found=checksum, expected=expected
            )
        )
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_FILE_BYTES:
        expected = f"0 to {MAX_FILE_BYTES} bytes"
        raise SourceError(
            problem("damaged record", where=f"{open_set.url} {path}", field="size", found=size, expected=expected)
        )
    record = open_set.url.rsplit("/", 1)[-1]
    url = f"https://zenodo.org/records/{record}/files/{quote(path)}?download=1"
    return RemoteFile(path=path, url=url, digest=checksum, num_bytes=size)


def checked_path(name: object, where: str) -> str:
    """Return a name from a list of files, if it is a path that stays below its folder on every system.

    Raises:
        SourceError: It is absolute, climbs, hides, is too long, or holds what a file system could misread.
    """
    if not isinstance(name, str) or not name or len(name) > MAX_PATH_LENGTH or name != name.strip():
        raise _unsafe(name, where)
    path = name.removeprefix("./")
    parts = path.split("/")
    if not all(map(_is_plain, parts)) or PurePosixPath(path).is_absolute():
        raise _unsafe(name, where)
    return path


def _is_plain(part: str) -> bool:
    return (
        0 < len(part.encode(errors="replace")) <= MAX_NAME_LENGTH
        and part not in {".", ".."}
        and part.isprintable()
        and not FORBIDDEN & set(part)
        and part[-1] not in ". "
        and not part.startswith((ASIDE_PREFIX, NOTE_PREFIX))
        and not RESERVED.fullmatch(part)
    )


def _unsafe(name: object, where: str) -> SourceError:
    found = name[:120] if isinstance(name, str) else name
    expected = "a plain path below the data set's folder"
    return SourceError(
        problem("unsafe name in the list of files", where=where, field="path", found=found, expected=expected)
    )


def _refuse_doubles(files: Iterable[RemoteFile], where: str) -> None:
    """Refuse two files of one name (or of one where case does not count), and a file that is also a folder."""
    seen: set[str] = set()
    folders: set[str] = set()
    for file in files:
        path = file.path.casefold()
        folders.update(map(str, PurePosixPath(path).parents))
        if path in seen:
            raise SourceError(
                problem(
                    "doubled name in the list of files",
                    where=where,
                    field="path",
                    found=file.path,
                    expected="each once",
                )
            )
        seen.add(path)
    both = sorted(seen & folders)
    if both:
        raise SourceError(
            problem("a file that is also a folder", where=where, field="path", found=both[0], expected="one of both")
        )


def _refuse_many(number: int, where: str) -> None:
    if not 0 < number <= MAX_FILES:
        raise SourceError(
            problem("wrong list of files", where=where, field="files", found=number, expected=f"1 to {MAX_FILES}")
        )


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            problem("damaged list of files", where=where, field="text", found=str(error), expected="UTF-8")
        ) from error
