"""The bytes of a CSV file: its head line, its lines in blocks, its last line. Bounded, whatever the file claims."""

from __future__ import annotations

import csv
import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from qualityfm.sources.strict import refusal

#: Bytes read at once; a line must be shorter.
BLOCK_BYTES = 1 << 20

#: Longest head line and most columns in it. Our own bounds.
MAX_HEAD_BYTES, MAX_COLUMNS = 1 << 16, 4096

#: Text may be this much larger than its compressed file, beyond the first bytes: ten times what waveforms written as
#: text shrink to. Our own bound.
MAX_RATIO, FREE_BYTES = 100, 16 << 20

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class CsvText:
    """A CSV file as text, compressed or not.

    Attributes:
        path: The file.
        head: Its first line, without byte-order mark.
        is_unfinished: True once its last line was met and had no line end.
    """

    def __init__(self, path: Path, num_bytes: int) -> None:
        """Read the head line of a regular file of `num_bytes`.

        Raises:
            SourceError: The file cannot be read, is no text, or its head line is too long.
        """
        self.path, self._num_bytes = path, num_bytes
        self.is_compressed = path.name.lower().endswith(".gz")
        self.is_unfinished = False
        with closing(self._open()) as file:
            start = self._read(file, MAX_HEAD_BYTES + 2)
        match = _LINE_END.search(start)
        if match is None and len(start) > MAX_HEAD_BYTES:
            raise refusal(path, "head line", f"more than {MAX_HEAD_BYTES} bytes", f"at most {MAX_HEAD_BYTES}")
        line = start[: match.start()] if match else start
        self._head_bytes = match.end() if match else len(start)
        if b"\0" in start:
            raise refusal(path, "head line", "bytes that are no text", "names of columns")
        line = line.removeprefix(_BYTE_ORDER_MARK)
        self.head = line.decode("utf-8", errors="replace")

    def columns(self, separator: str) -> list[str]:
        """Return the names in the head line, as written.

        Raises:
            SourceError: There are too many of them.
        """
        try:
            columns = next(csv.reader([self.head], delimiter=separator), [])
        except csv.Error:
            columns = self.head.split(separator)
        if len(columns) > MAX_COLUMNS:
            raise refusal(self.path, "columns", len(columns), f"at most {MAX_COLUMNS}")
        return columns

    def blocks(self, start: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield all lines behind the head line in blocks of whole lines; what follows the last line end comes last.

        Args:
            start: Byte of the text to begin at, the begin of an earlier block.

        Yields:
            The byte at which a block begins, and the block.

        Raises:
            SourceError: The file cannot be read, a line is too long, or compressed data are damaged or unfold too far.
        """
        with closing(self._open()) as file:
            begin, rest = self._head_bytes if start is None else start, b""
            self._seek(file, begin)
            while piece := rest + self._read(file, BLOCK_BYTES):
                if len(piece) == len(rest):
                    self.is_unfinished = True
                    yield begin, rest
                    return
                self._check_ratio(begin + len(piece))
                cut = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
                if not cut and len(piece) > BLOCK_BYTES:
                    raise refusal(self.path, "line", f"more than {BLOCK_BYTES} bytes", f"at most {BLOCK_BYTES}")
                if cut:
                    yield begin, piece[:cut]
                begin, rest = begin + cut, piece[cut:]

    def last_lines(self) -> tuple[list[bytes], bytes]:
        """Return the last whole lines of a file that is not compressed, and what follows the last line end.

        Raises:
            SourceError: The file cannot be read.
        """
        with closing(self._open()) as file:
            start = max(self._head_bytes, self._num_bytes - MAX_HEAD_BYTES)
            file.seek(start)
            tail = self._read(file, MAX_HEAD_BYTES)
        *lines, unfinished = _LINE_END.split(tail)
        return (lines if start == self._head_bytes else lines[1:]), unfinished

    def _open(self) -> IO[bytes]:
        try:
            if self.is_compressed:
                return gzip.open(self.path)  # type: ignore[return-value]  # a stream of bytes in all but its declaration
            return open(self.path, "rb")
        except OSError as error:
            raise refusal(self.path, "file", error.strerror, "a readable file") from error

    def _read(self, file: IO[bytes], num_bytes: int) -> bytes:
        try:
            return file.read(num_bytes)
        except (OSError, EOFError, zlib.error) as error:
            found = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "damaged or cut short"
            field = "compressed data" if self.is_compressed else "file"
            raise refusal(self.path, field, found, "whole data") from error

    def _seek(self, file: IO[bytes], begin: int) -> None:
        """Go to a byte; of compressed text everything before it is unfolded, in pieces."""
        if not self.is_compressed:
            file.seek(begin)
            return
        while begin > 0:
            begin -= len(self._read(file, min(begin, BLOCK_BYTES))) or begin

    def _check_ratio(self, total: int) -> None:
        if total > FREE_BYTES + MAX_RATIO * self._num_bytes:
            found = f"more than {total} bytes out of {self._num_bytes}"
            raise refusal(self.path, "compressed data", found, f"at most {MAX_RATIO} times its size")
