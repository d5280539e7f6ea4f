"""Bytes of a file, plain or deflated, and arrays that lie in them one number after the other."""

from __future__ import annotations

import bisect
import math
import os
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped

from qualityfm.sources.array_place import Index
from qualityfm.sources.strict import refusal

#: Bytes taken from disk, or put out by zlib, at once. Our own choice.
PIECE_BYTES = 1 << 18

#: Deflated bytes can be read from anywhere by going on from the last bookmark, about 40 kB each. Our own choice.
BOOKMARK_BYTES = 1 << 23

#: Rows shorter than this are read whole even if only some of their numbers are wanted. Our own choice.
SMALL_ROW_BYTES = 1 << 16


class ByteSource(Protocol):
    """Bytes that can be read from any place on."""

    @property
    def num_bytes(self) -> int:
        """How many there are."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes.

        Raises:
            SourceError: There are not so many, or they cannot be read.
        """
        ...


@dataclass(frozen=True)
class FileBytes:
    """A stretch of a file.

    Attributes:
        path: The file.
        begin: Where the stretch begins.
        num_bytes: Its length.
    """

    path: Path
    begin: int
    num_bytes: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes.

        Raises:
            SourceError: There are not so many, or they cannot be read.
        """
        if offset + size > self.num_bytes:
            raise refusal(self.path, "size", f"{self.num_bytes} bytes", f"at least {offset + size}")
        try:
            with self.path.open("rb", buffering=0) as file:
                return _read_exactly(self.path, file.fileno(), self.begin + offset, size)
        except OSError as error:
            raise refusal(self.path, "file", error.strerror, "a readable file") from error


@dataclass(frozen=True)
class MemoryBytes:
    """The first bytes of something, already read.

    Attributes:
        path: The file named in errors.
        content: The bytes.
    """

    path: Path
    content: bytes

    @property
    def num_bytes(self) -> int:
        """How many there are."""
        return len(self.content)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes.

        Raises:
            SourceError: There are not so many.
        """
        if offset + size > len(self.content):
            raise refusal(self.path, "size", f"{len(self.content)} bytes", f"at least {offset + size}")
        return self.content[offset : offset + size]


def _read_exactly(path: Path, descriptor: int, offset: int, size: int) -> bytes:
    pieces = []
    while size:
        piece = os.pread(descriptor, size, offset)
        if not piece:
            raise refusal(path, "size", f"{offset} bytes", f"at least {offset + size}")
        pieces.append(piece)
        offset, size = offset + len(piece), size - len(piece)
    return b"".join(pieces)


def crc_of(stored: FileBytes) -> int:
    """Return the CRC-32 of a stretch of a file."""
    crc = 0
    for offset in range(0, stored.num_bytes, PIECE_BYTES):
        crc = zlib.crc32(stored.read_at(offset, min(PIECE_BYTES, stored.num_bytes - offset)), crc)
    return crc


class InflatedBytes:
    """What a deflated stretch of a file unfolds to.

    It is unfolded once from end to end, which verifies its checksum; bookmarks left on the way lead back to any place.

    Attributes:
        num_bytes: Length of what it unfolds to, checked.
    """

    def __init__(
        self, packed: FileBytes, field: str, num_bytes: int, *, is_raw: bool = False, crc: int | None = None
    ) -> None:
        """Unfold everything once.

        Args:
            packed: The deflated bytes.
            field: What they are, for messages.
            num_bytes: What they must unfold to.
            is_raw: Without the head and checksum of zlib.
            crc: CRC-32 of what they unfold to, where it is known.

        Raises:
            SourceError: They are damaged, or unfold to more or fewer bytes.
        """
        self._packed, self._field, self.num_bytes = packed, field, num_bytes
        start = _Inflater(packed, zlib.decompressobj(-zlib.MAX_WBITS if is_raw else zlib.MAX_WBITS))
        self._bookmarks, self._last, self._lock = [start], start.copy(), threading.Lock()
        self._verify(start.copy(), crc)

    def _verify(self, inflater: _Inflater, crc: int | None) -> None:
        found_crc = 0
        while piece := self._next(inflater):
            found_crc = zlib.crc32(piece, found_crc)
            if inflater.end > self.num_bytes:
                break
            if inflater.end - self._bookmarks[-1].begin >= BOOKMARK_BYTES:
                self._bookmarks.append(inflater.copy())
        if inflater.end != self.num_bytes or not inflater.is_at_end:
            found = f"{inflater.end} bytes{'' if inflater.is_at_end else ' or more'}"
            raise refusal(self._packed.path, self._field, found, f"{self.num_bytes} unfolded bytes")
        if crc is not None and found_crc != crc:
            raise refusal(self._packed.path, self._field, "other bytes", "bytes with the checksum of the file")

    def _next(self, inflater: _Inflater) -> bytes:
        try:
            return inflater.next_piece()
        except zlib.error as error:
            raise refusal(self._packed.path, self._field, "damaged compressed bytes", "a deflated stream") from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes, unfolded from where the last read ended, or from the last bookmark before them.

        Raises:
            SourceError: There are not so many, or they cannot be read.
        """
        if offset + size > self.num_bytes:
            raise refusal(self._packed.path, self._field, f"{self.num_bytes} bytes", f"at least {offset + size}")
        with self._lock:
            near = self._bookmarks[bisect.bisect_right(self._bookmarks, offset, key=lambda mark: mark.begin) - 1]
            if not near.begin <= self._last.begin <= offset:
                self._last = near.copy()
            pieces = []
            while size:
                inside = self._last.piece[offset - self._last.begin :][:size]
                pieces.append(inside)
                offset, size = offset + len(inside), size - len(inside)
                if size and not self._next(self._last):
                    raise refusal(self._packed.path, self._field, f"{offset} bytes", f"at least {offset + size}")
            return b"".join(pieces)


class _Inflater:
    """Unfolds a stream piece by piece; a copy goes on from the same place.

    Attributes:
        begin: Where the last piece begins.
        piece: The last piece.
    """

    def __init__(self, packed: FileBytes, stream: Any) -> None:
        self._packed, self._stream = packed, stream
        self._taken, self._waiting = 0, b""
        self.begin, self.piece = 0, b""

    @property
    def end(self) -> int:
        return self.begin + len(self.piece)

    @property
    def is_at_end(self) -> bool:
        return bool(self._stream.eof)

    def copy(self) -> _Inflater:
        """Return another one that goes on behind the last piece, without it."""
        other = _Inflater(self._packed, self._stream.copy())
        other._taken, other._waiting, other.begin = self._taken, self._waiting, self.end
        return other

    def next_piece(self) -> bytes:
        """Return the next bytes; none at the end of the stream or of the file."""
        self.begin, self.piece = self.end, b""
        while not self.piece and not self._stream.eof:
            if not self._waiting:
                size = min(PIECE_BYTES, self._packed.num_bytes - self._taken)
                if not size:
                    break
                self._waiting = self._packed.read_at(self._taken, size)
                self._taken += size
            self.piece = self._stream.decompress(self._waiting, PIECE_BYTES)
            self._waiting = self._stream.unconsumed_tail
        return self.piece


@dataclass(frozen=True, kw_only=True)
class PlainArray:
    """An array whose numbers lie one after the other.

    Attributes:
        source: Where they lie.
        offset: Where the first of them begins.
        dtype: What they are; a structure where `field` names one of its parts.
        shape: Length of each axis.
        is_fortran: True where the first axis runs fastest.
        field: Part of a structure; "" for plain numbers.
    """

    source: ByteSource
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool = False
    field: str = ""

    def read(self, index: Index) -> Shaped[np.ndarray, "..."]:
        """Return a piece of the array.

        Raises:
            SourceError: The bytes cannot be read.
        """
        if self.is_fortran:
            block = _read(self._numbers, self.dtype.itemsize, self.offset, self.shape[::-1], index[::-1]).T
        else:
            block = _read(self._numbers, self.dtype.itemsize, self.offset, self.shape, index)
        return np.asarray(block[self.field] if self.field else block)

    def _numbers(self, offset: int, count: int) -> Shaped[np.ndarray, " number"]:
        return np.frombuffer(self.source.read_at(offset, count * self.dtype.itemsize), self.dtype)


_Numbers = Callable[[int, int], "Shaped[np.ndarray, ' number']"]


def _read(
    numbers: _Numbers, item_bytes: int, offset: int, shape: tuple[int, ...], index: Index
) -> Shaped[np.ndarray, "..."]:
    """Return a piece of an array whose last axis runs fastest, reading whole rows where that is cheap."""
    if not shape:
        return numbers(offset, 1).reshape(())
    row_size = math.prod(shape[1:])
    row_bytes = row_size * item_bytes
    first = index[0]
    if isinstance(first, int):
        return _read(numbers, item_bytes, offset + first * row_bytes, shape[1:], index[1:])
    if row_bytes <= SMALL_ROW_BYTES or len(shape) == 1:
        rows = numbers(offset + first.start * row_bytes, (first.stop - first.start) * row_size)
        return rows.reshape(-1, *shape[1:])[(slice(None), *index[1:])]
    begins = [offset + row * row_bytes for row in range(first.start, first.stop)]
    return np.stack([_read(numbers, item_bytes, begin, shape[1:], index[1:]) for begin in begins])
