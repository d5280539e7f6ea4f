"""NumPy files (.npy, .npz) -> Recording, as a layout says. Never a pickle."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.sources.array_bytes import ByteSource, FileBytes, InflatedBytes, PlainArray, crc_of
from qualityfm.sources.array_place import (
    Entries,
    Place,
    StoredArray,
    check_expansion,
    check_numeric,
    checked_text,
    decoding,
    number_text,
)
from qualityfm.sources.array_source import ArraySource
from qualityfm.sources.strict import check_regular_file, refusal

#: Longest header of an array, bytes. Source: `numpy.lib.format` accepts no longer one either unless told to.
MAX_HEADER_BYTES = 10_000

#: Most arrays in an .npz file. Our own bound.
MAX_MEMBERS = 100_000

_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, kw_only=True)
class NumpyPlace:
    """An array, or a part of an array of structures.

    Attributes:
        path: The file.
        label: The array, as a message names it.
        source: The bytes from the array's head on.
        field: Part of a structure; "" for the whole array.
    """

    path: Path
    label: str
    source: ByteSource
    field: str = ""

    def child(self, name: str) -> Place | None:
        """Return a part of an array of structures."""
        if self.field or name not in self.child_names():
            return None
        return NumpyPlace(path=self.path, label=f"{self.label}, field {name}", source=self.source, field=name)

    def child_names(self) -> Sequence[str]:
        """Return the parts of an array of structures."""
        return self._head().dtype.names or ()

    def entries(self) -> Entries:
        """Refuse: an array is no list of recordings but by its rows."""
        raise refusal(self.path, self.label, "an array", 'a list of recordings; items = "rows" for rows of an array')

    def array(self) -> StoredArray:
        """Return the numbers."""
        head = self._head()
        dtype = head.dtype[self.field] if self.field else head.dtype
        check_numeric(self.path, self.label, dtype)
        return PlainArray(
            source=self.source,
            offset=head.num_bytes,
            dtype=head.dtype,
            shape=head.shape,
            is_fortran=head.is_fortran,
            field=self.field,
        )

    def text(self) -> str:
        """Return the text of an array of one text or whole number."""
        head = self._head()
        if math.prod(head.shape) != 1 or self.field:
            raise refusal(self.path, self.label, f"{math.prod(head.shape)} values", "one text")
        raw = self.source.read_at(head.num_bytes, head.dtype.itemsize)
        value = np.frombuffer(raw, head.dtype)
        if head.dtype.kind not in "US":
            return number_text(self.path, self.label, value)
        with decoding(self.path, self.label, "a text"):
            text = value[0].decode() if head.dtype.kind == "S" else str(value[0])
        return checked_text(self.path, self.label, text)

    def _head(self) -> _Head:
        return _read_head(self.path, self.label, self.source)


@dataclass(frozen=True, kw_only=True)
class _Head:
    """What the head of an array says."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    num_bytes: int


def _read_head(path: Path, label: str, source: ByteSource) -> _Head:
    """Return the head of an array whose bytes are all there.

    Raises:
        SourceError: It is none, or says to hold objects, or other bytes than follow it.
    """
    field = f"{label}: header"
    start = source.read_at(0, min(source.num_bytes, MAX_HEADER_BYTES + 12))
    file = io.BytesIO(start)
    with decoding(path, field, "a header of NumPy"), warnings.catch_warnings():
        warnings.simplefilter("error")  # one that only Python 2 wrote
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, is_fortran, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    if dtype.hasobject:
        raise refusal(path, field, "Python objects", "numbers", "objects would run code: save plain arrays")
    if any(size < 0 for size in shape) or dtype.itemsize == 0:
        raise refusal(path, field, "a shape or type without size", "a shape of whole numbers from 0 on")
    expected = math.prod(shape) * dtype.itemsize
    if file.tell() + expected != source.num_bytes:
        found = f"{source.num_bytes - file.tell()} bytes of numbers"
        raise refusal(path, f"{label}: size", found, f"{expected}, as its header says")
    return _Head(dtype=dtype, shape=shape, is_fortran=is_fortran, num_bytes=file.tell())


@dataclass(frozen=True, kw_only=True)
class ZippedPlace:
    """The arrays of an .npz file."""

    path: Path
    members: dict[str, zipfile.ZipInfo]

    @property
    def label(self) -> str:
        """The file, as a message names it."""
        return "arrays"

    def child(self, name: str) -> Place | None:
        """Return one array.

        Raises:
            SourceError: It is packed in a way that is not NumPy's, or larger than it can be.
        """
        if name not in self.members:
            return None
        source = _member_bytes(self.path, self.members[name])
        return NumpyPlace(path=self.path, label=f"array {name}", source=source)

    def child_names(self) -> Sequence[str]:
        """Return the names of the arrays."""
        return tuple(self.members)

    def entries(self) -> Entries:
        """Return the arrays, as recordings."""
        names = self.child_names()
        return Entries(count=len(names), place=lambda index: self._named(names[index]), names=names)

    def _named(self, name: str) -> Place:
        place = self.child(name)
        if place is None:
            raise refusal(self.path, "arrays", "nothing", f"an array {name!r}")
        return place

    def array(self) -> StoredArray:
        """Refuse: a file of arrays is none."""
        raise refusal(self.path, "arrays", f"{len(self.members)} arrays", "the name of one in the layout")

    def text(self) -> str:
        """Refuse: a file of arrays is no text."""
        raise refusal(self.path, "arrays", f"{len(self.members)} arrays", "a text")


def _opened_zip(path: Path) -> ZippedPlace:
    with decoding(path, "zip directory", "an .npz file"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise refusal(path, "zip directory", f"{len(members)} files", f"at most {MAX_MEMBERS}")
    by_name = {member.filename.removesuffix(".npy"): member for member in members if member.filename.endswith(".npy")}
    if len(by_name) != len(members):
        raise refusal(path, "zip directory", f"{len(members)} files", f"{len(by_name)} arrays, each name once")
    return ZippedPlace(path=path, members=by_name)


def _member_bytes(path: Path, member: zipfile.ZipInfo) -> ByteSource:
    packing = {zipfile.ZIP_STORED: False, zipfile.ZIP_DEFLATED: True}.get(member.compress_type)
    field = f"array {member.filename.removesuffix('.npy')}"
    if packing is None or member.flag_bits & 1:
        raise refusal(path, field, "another packing, or encryption", "stored or deflated, as NumPy writes it")
    check_expansion(path, field, member.file_size, member.compress_size)
    with decoding(path, field, "an .npz file"):
        status = path.stat()
    return _unpacked(
        path,
        status.st_size,
        status.st_mtime_ns,
        field,
        member.header_offset,
        member.compress_size,
        member.file_size,
        member.CRC,
        packing,
    )


@lru_cache(maxsize=8)
def _unpacked(
    path: Path,
    size: int,
    changed_ns: int,
    field: str,
    header: int,
    packed: int,
    num_bytes: int,
    crc: int,
    is_deflated: bool,
) -> ByteSource:
    """Return the bytes of a member, its checksum verified once for as long as the file does not change."""
    start = FileBytes(path, 0, size).read_at(header, _LOCAL_HEADER_BYTES)
    name_bytes, extra_bytes = (int.from_bytes(start[at : at + 2], "little") for at in (26, 28))
    if start[:4] != b"PK\x03\x04":
        raise refusal(path, field, "other bytes", "the head of a zipped file")
    begin = header + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes
    if begin + packed > size:
        raise refusal(path, "size", f"{size} bytes", f"at least {begin + packed}")
    stored = FileBytes(path, begin, packed)
    if is_deflated:
        return InflatedBytes(stored, field, num_bytes, is_raw=True, crc=crc)
    if packed != num_bytes or crc_of(stored) != crc:
        raise refusal(path, field, "other bytes", "bytes with the checksum of the file")
    return stored


@contextmanager
def opened_numpy(path: Path) -> Iterator[Place]:
    """Open a NumPy file.

    Raises:
        SourceError: It is no regular file, or no .npz file though it is called so.
    """
    num_bytes = check_regular_file(path)
    if path.suffix.lower() == ".npz":
        yield _opened_zip(path)
    else:
        yield NumpyPlace(path=path, label="array", source=FileBytes(path, 0, num_bytes))


#: The one reader of NumPy files.
NUMPY = ArraySource(name="numpy", endings=(".npy", ".npz"), opened=opened_numpy)
