"""A gzip file read as one stream of bytes in bounded memory: lengths and checksums verified, with places to return to.

The gzip trailer (checksum and length) is compared where a member ends, so a file that was cut short or changed is
refused by whoever reads to the end. Source: RFC 1952.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from qualityfm.errors import SourceError
from qualityfm.sources.strict import refusal

_READ_BYTES = 2**16
_CHUNK_BYTES = 2**20

#: Most bytes that a file may unpack to: a week of 20 channels at 500 Hz is 12 GB. Our own bound.
MAX_UNPACKED_BYTES = 16 * 2**30

#: A small file may unpack to this much, a larger one to this many times its size: waveforms shrink 2 to 10 times, flat
#: ones up to 1000 times. Our own bounds; 256 MB take half a second.
_FREE_BYTES = 2**28
_LARGEST_RATIO = 200

#: A place to return to is kept every so many bytes; one takes about 100 kB of memory.
_MARK_EVERY_BYTES = 64 * 2**20

_MAGIC = b"\x1f\x8b\x08"


@dataclass(frozen=True)
class Mark:
    """A place in the stream from which it can be read on.

    Attributes:
        position: Unpacked bytes before it.
        file_position: Where the packed bytes go on.
        inflater: State of the decompressor there; to be copied, never used itself.
    """

    position: int
    file_position: int
    inflater: Any


@contextmanager
def opened_stream(path: Path, mark: Mark | None = None) -> Iterator[UnpackedStream]:
    """Open a gzip file, at its start or at a mark.

    Raises:
        SourceError: It is no gzip file, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield UnpackedStream(path, file, mark)
    except OSError as error:
        raise refusal(path, "file", error.strerror or type(error).__name__, "a readable file") from error


class UnpackedStream:
    """The unpacked bytes of a gzip file, from front to back."""

    def __init__(self, path: Path, file: BinaryIO, mark: Mark | None = None) -> None:
        self.path = path
        self.marks: list[Mark] = []
        self._file = file
        self._num_packed = file.seek(0, 2)
        self._buffer, self._at, self._is_ended = b"", 0, False
        if mark is None:
            file.seek(0)
            if file.read(3) != _MAGIC:
                raise refusal(path, "content", "no gzip data", "a gzip file, which .vital files are")
            file.seek(0)
            mark = Mark(0, 0, zlib.decompressobj(wbits=31))
        file.seek(mark.file_position)
        self._inflater = mark.inflater.copy()
        self._buffer_position = mark.position

    @property
    def position(self) -> int:
        """Unpacked bytes before the next one."""
        return self._buffer_position + self._at

    def at_end(self) -> bool:
        """Tell whether there are no more bytes; then all checksums have been found right."""
        while self._at == len(self._buffer) and not self._is_ended:
            self._fill()
        return self._at == len(self._buffer)

    def read(self, num_bytes: int) -> bytes:
        """Return the next bytes.

        Raises:
            SourceError: The stream ends before, or is damaged.
        """
        end = self._at + num_bytes
        if end <= len(self._buffer):
            piece = self._buffer[self._at : end]
            self._at = end
            return piece
        pieces = []
        while num_bytes:
            if self.at_end():
                raise self._too_short()
            piece = self._buffer[self._at : self._at + num_bytes]
            self._at += len(piece)
            num_bytes -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def skip(self, num_bytes: int) -> None:
        """Pass over the next bytes.

        Raises:
            SourceError: The stream ends before, or is damaged.
        """
        while num_bytes > len(self._buffer) - self._at:
            num_bytes -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            if self.at_end():
                raise self._too_short()
        self._at += num_bytes

    def _too_short(self) -> SourceError:
        return refusal(self.path, "content", f"an end after {self.position} bytes", "a whole packet")

    def _fill(self) -> None:
        """Unpack the next chunk into the empty buffer."""
        self._buffer_position += len(self._buffer)
        self._buffer, self._at = b"", 0
        if self._inflater.eof and not self._begin_member():
            self._is_ended = True
            return
        self._leave_mark()
        packed = self._inflater.unconsumed_tail or self._file.read(_READ_BYTES)
        try:
            self._buffer = self._inflater.decompress(packed, _CHUNK_BYTES)
        except zlib.error as error:
            advice = "the file is damaged: copy it again"
            found = "another checksum" if "check" in str(error) else "damaged gzip data"
            raise refusal(self.path, "content", found, "gzip data with its checksum", advice) from error
        if not (packed or self._buffer or self._inflater.eof):
            found = f"an end after {self._num_packed} bytes of gzip data"
            raise refusal(self.path, "content", found, "a whole gzip stream", "the file was cut short: copy it again")
        self._check_budget()

    def _begin_member(self) -> bool:
        """Go on with the next gzip member; False at the end of the file. Zeros behind a member are padding."""
        packed = self._inflater.unused_data.lstrip(b"\0")
        while not packed:
            packed = self._file.read(_READ_BYTES)
            if not packed:
                return False
            packed = packed.lstrip(b"\0")
        packed += self._file.read(3) if len(packed) < 3 else b""
        if not packed.startswith(_MAGIC):
            raise refusal(self.path, "content", "other bytes behind the gzip data", "the end of the file")
        self._file.seek(-len(packed), 1)
        self._inflater = zlib.decompressobj(wbits=31)
        return True

    def _leave_mark(self) -> None:
        last = self.marks[-1].position if self.marks else 0
        if self._buffer_position >= last + _MARK_EVERY_BYTES:
            self.marks.append(Mark(self._buffer_position, self._file.tell(), self._inflater.copy()))

    def _check_budget(self) -> None:
        num_bytes = self._buffer_position + len(self._buffer)
        most = min(MAX_UNPACKED_BYTES, max(_FREE_BYTES, _LARGEST_RATIO * self._num_packed))
        if num_bytes > most:
            expected = f"at most {most} bytes from {self._num_packed} packed ones"
            raise refusal(self.path, "content", f"more than {most} bytes", expected)
