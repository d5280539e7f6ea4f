"""Every byte of a data set against the checksums in its index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from qualityfm.errors import FormatError, problem
from qualityfm.shards.format import (
    ARRAYS,
    CHECK_TYPE,
    CHECKS_FILE,
    INDEX_FILE,
    ROWS_FILE,
    DatasetIndex,
    FileEntry,
    ShardEntry,
    array_shape,
    read_index,
    to_json,
)
from qualityfm.shards.shard import array_header, compare_sizes, read_rows
from qualityfm.shards.store import Store, as_store

#: Called with the bytes compared and the bytes there are.
OnBytes = Callable[[int, int], None]

#: A file is read in pieces of this size.
PIECE_BYTES = 2**22


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a comparison of a whole data set with its index found.

    Attributes:
        url: The data set.
        problems: What is wrong, one line each; none means that every byte is as it was written.
        num_shards: Shards that the index lists.
        num_bytes: Bytes of the files that were compared.
    """

    url: str
    problems: tuple[str, ...]
    num_shards: int
    num_bytes: int


def verify(place: str | Path | Store) -> list[str]:
    """Return what is wrong with a data set, one line each; an empty list means that every byte is as it was written."""
    return list(verify_dataset(place).problems)


def verify_dataset(place: str | Path | Store, *, progress: OnBytes | None = None) -> Verification:
    """Return what a comparison of every byte of a data set with its index finds.

    Files are read once, from beginning to end, several at a time; nothing is copied to this machine.

    Args:
        place: Folder, URL or store.
        progress: Called after every piece of a file.
    """
    store = as_store(place)
    try:
        index = read_index(store)
        sizes = store.sizes()
        names = store.names()
    except FormatError as error:
        return Verification(url=store.url, problems=(str(error),), num_shards=0, num_bytes=0)
    problems = [*_compare(store, index, sizes, progress), *_index_problems(store, index)]
    problems += [f"unknown file: {store.url}/{name}" for name in _unknown(index, names, sizes)]
    num_bytes = sum(file.num_bytes for shard in index.shards for file in shard.files)
    return Verification(url=store.url, problems=tuple(problems), num_shards=len(index.shards), num_bytes=num_bytes)


def _compare(store: Store, index: DatasetIndex, sizes: dict[str, int], progress: OnBytes | None) -> list[str]:
    """Return what is wrong with the files; a shard with a file of the wrong size is not read."""
    problems: list[str] = []
    waiting: list[tuple[ShardEntry, FileEntry]] = []
    for shard in index.shards:
        try:
            compare_sizes(store.url, shard, sizes)
            waiting += [(shard, file) for file in shard.files]
        except FormatError as error:
            problems.append(str(error))
    counter = _Counter(total=sum(file.num_bytes for _, file in waiting), progress=progress)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda one: _file_problem(store, index, counter, *one), waiting)
        return problems + [line for line in found if line is not None]


class _Counter:
    """Bytes done, counted by several threads."""

    def __init__(self, total: int, progress: OnBytes | None) -> None:
        self._total, self._progress = total, progress
        self._done = 0
        self._lock = Lock()

    def add(self, num_bytes: int) -> None:
        """Count bytes and tell whoever watches."""
        with self._lock:
            self._done += num_bytes
            if self._progress is not None:
                self._progress(self._done, self._total)


def _file_problem(
    store: Store, index: DatasetIndex, counter: _Counter, shard: ShardEntry, file: FileEntry
) -> str | None:
    """Return what is wrong with one file."""
    name = f"{shard.name}/{file.name}"
    where = f"{store.url}/{name}"
    digest, head = hashlib.sha256(), b""
    try:
        for piece in _pieces(store, name):
            head = head or piece
            digest.update(piece)
            counter.add(len(piece))
        if digest.hexdigest() != file.sha256:
            expected = f"{file.sha256}, as in the index"
            return problem("changed file", where=where, field="sha256", found=digest.hexdigest(), expected=expected)
        if file.name == ROWS_FILE:
            read_rows(store, shard)
    except FormatError as error:
        return str(error)
    header = _header(file.name, shard, index)
    if head.startswith(header):
        return None
    return problem("damaged file", where=where, field="array header", found=head[: len(header)], expected=str(header))


def _pieces(store: Store, name: str) -> Iterator[bytes]:
    with store.open(name) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def _header(file_name: str, shard: ShardEntry, index: DatasetIndex) -> bytes:
    """Return how a file must begin; nothing where it is no array."""
    if file_name == CHECKS_FILE:
        return array_header(CHECK_TYPE, (shard.num_rows,))
    name = file_name.removesuffix(".npy")
    return array_header(ARRAYS[name], array_shape(name, shard.num_rows, index.segments)) if name in ARRAYS else b""


def _index_problems(store: Store, index: DatasetIndex) -> list[str]:
    """Return what is wrong with an index that can be read."""
    where = f"{store.url}/{INDEX_FILE}"
    problems = []
    num_rows = sum(shard.num_rows for shard in index.shards)
    if num_rows != index.num_segments:
        found, expected = index.num_segments, f"{num_rows}, as many as the shards hold"
        problems.append(problem("wrong count", where=where, field="num_segments", found=found, expected=expected))
    if store.read_bytes(INDEX_FILE) != to_json(index).encode():
        expected = "the same values as they are written"
        problems.append(problem("changed file", where=where, field="text", found="another form", expected=expected))
    return problems


def _unknown(index: DatasetIndex, names: set[str], sizes: dict[str, int]) -> list[str]:
    """Return the names of files and folders that do not belong to the data set."""
    shards = {shard.name for shard in index.shards}
    at_top = names - shards - {INDEX_FILE}
    files = {f"{shard.name}/{file.name}" for shard in index.shards for file in shard.files}
    below = {name for name in sizes if name.partition("/")[0] in shards and not name.endswith("/")} - files
    return sorted(at_top | below)
