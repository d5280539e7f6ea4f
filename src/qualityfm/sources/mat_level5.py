"""Variables of a MAT file up to version 7, as places."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from qualityfm.sources.array_bytes import ByteSource, FileBytes, InflatedBytes, MemoryBytes, PlainArray
from qualityfm.sources.array_place import (
    MAX_TEXT,
    Entries,
    Place,
    StoredArray,
    check_expansion,
    checked_text,
    decoding,
    number_text,
)
from qualityfm.sources.mat_elements import (
    CELL,
    CHAR,
    CLASS_NAMES,
    COMPRESSED,
    MATRIX,
    NUMBER_TYPES,
    NUMBERS,
    STRUCT,
    TEXT_TYPES,
    Element,
    MatBytes,
)
from qualityfm.sources.strict import refusal

HEADER_BYTES = 128

#: Enough of a compressed variable to see its name.
_PEEK_BYTES = 4096

#: Most variables in a file. Our own bound.
MAX_VARIABLES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class MatPlace:
    """An array of a MAT file, or one entry of a table of structures.

    Attributes:
        path: The file.
        label: The array, as a message names it.
        bytes: Where it lies.
        element: What it is.
        row: The entry of a table of structures; None for all of it.
    """

    path: Path
    label: str
    bytes: MatBytes
    element: Element
    row: int | None = None

    @cached_property
    def _fields(self) -> tuple[list[str], int]:
        return self.bytes.struct_fields(self.element)

    @cached_property
    def _values(self) -> list[int]:
        names, first = self._fields
        return self.bytes.struct_values(self.element, first, len(names))

    @cached_property
    def _cells(self) -> list[int]:
        return self.bytes.cell_entries(self.element)

    def child(self, name: str) -> Place | None:
        """Return a field of a structure."""
        if self.element.kind != STRUCT or name not in self._fields[0]:
            return None
        if self.row is None and self.element.count != 1:
            found = f"{self.element.count} structures"
            raise refusal(self.path, self.label, found, "one structure", f"write items = {self.element.name!r}")
        offset = self._values[(self.row or 0) * len(self._fields[0]) + self._fields[0].index(name)]
        return self._below(offset, f"{self.label}, field {name}")

    def _below(self, offset: int, label: str) -> Place:
        element, _ = self.bytes.element(offset, self.element.end)
        return MatPlace(path=self.path, label=label, bytes=self.bytes, element=element)

    def child_names(self) -> Sequence[str]:
        """Return the names of a structure's fields."""
        return self._fields[0] if self.element.kind == STRUCT else ()

    def entries(self) -> Entries:
        """Return the entries of a cell, or the structures of a table."""
        if self.element.kind == CELL:
            offsets = self._cells
            return Entries(
                count=len(offsets), place=lambda index: self._below(offsets[index], f"{self.label}, cell {index}")
            )
        if self.element.kind == STRUCT and self.row is None:
            return Entries(count=self.element.count, place=self._entry)
        found = CLASS_NAMES.get(self.element.kind, "numbers")
        raise refusal(self.path, self.label, found, "a cell or a table of structures")

    def _entry(self, index: int) -> Place:
        entry = MatPlace(
            path=self.path, label=f"{self.label}, entry {index}", bytes=self.bytes, element=self.element, row=index
        )
        entry.__dict__.update(_fields=self._fields, _values=self._values)  # walked once for all entries
        return entry

    def array(self) -> StoredArray:
        """Return the numbers."""
        element = self.element
        if element.kind not in NUMBERS or element.is_logical or element.is_complex:
            found = "complex numbers" if element.is_complex else "truth values" if element.is_logical else ""
            found = found or CLASS_NAMES.get(element.kind, "no numbers")
            raise refusal(self.path, self.label, found, "real numbers")
        if not element.count:
            return PlainArray(source=self.bytes.source, offset=0, dtype=np.dtype("f8"), shape=(0,))
        tag = self.bytes.tag(element.content, element.end)
        if tag.type not in NUMBER_TYPES:
            raise refusal(self.path, f"{self.label}: type", tag.type, "a type of numbers")
        dtype = np.dtype(self.bytes.order + NUMBER_TYPES[tag.type])
        if tag.num_bytes != element.count * dtype.itemsize:
            expected = f"{element.count * dtype.itemsize}, as its dimensions say"
            raise refusal(self.path, f"{self.label}: size", f"{tag.num_bytes} bytes", expected)
        return PlainArray(source=self.bytes.source, offset=tag.begin, dtype=dtype, shape=element.shape, is_fortran=True)

    def text(self) -> str:
        """Return the text, or the whole number."""
        if self.element.kind != CHAR:
            array = self.array()
            if math.prod(array.shape) != 1:
                raise refusal(self.path, self.label, f"{math.prod(array.shape)} numbers", "a text or a whole number")
            return number_text(self.path, self.label, array.read(tuple(slice(0, 1) for _ in array.shape)))
        if not self.element.count:
            raise refusal(self.path, self.label, "an empty text", f"1 to {MAX_TEXT} printable characters")
        tag = self.bytes.tag(self.element.content, self.element.end)
        if tag.type not in TEXT_TYPES or tag.num_bytes > 4 * MAX_TEXT or max(self.element.shape) != self.element.count:
            raise refusal(self.path, self.label, f"{tag.num_bytes} bytes", f"one line of at most {MAX_TEXT} characters")
        encoding = TEXT_TYPES[tag.type]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.bytes.order == "<" else "-be"
        with decoding(self.path, self.label, "a text"):
            text = self.bytes.source.read_at(tag.begin, tag.num_bytes).decode(encoding)
        return checked_text(self.path, self.label, text)


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """Where a variable lies in the file."""

    begin: int
    num_bytes: int
    is_compressed: bool


class MatVariables:
    """The variables of a file.

    Attributes:
        path: The file.
        label: The file, as a message names it.
    """

    label = "variables"

    def __init__(self, path: Path, num_bytes: int, order: str) -> None:
        """List the variables; of compressed ones, the first bytes are unpacked.

        Raises:
            SourceError: The file is cut short, or a tag cannot be true.
        """
        self.path, self._order = path, order
        self._whole = FileBytes(path, 0, num_bytes)
        self._found: dict[str, _Stored] = {}
        self._twice: set[str] = set()
        file = MatBytes(path=path, label="variables", source=self._whole, order=order)
        offset = HEADER_BYTES
        while offset < num_bytes:
            tag = file.tag(offset, num_bytes)
            if tag.type not in (MATRIX, COMPRESSED) or len(self._found) >= MAX_VARIABLES:
                raise refusal(path, "variables: type", tag.type, f"{MATRIX} or {COMPRESSED}, a variable")
            stored = _Stored(begin=offset, num_bytes=tag.next - offset, is_compressed=tag.type == COMPRESSED)
            name = self._name_of(stored)
            self._twice |= {name} & self._found.keys()
            self._found[name] = stored
            offset = tag.next

    def _name_of(self, stored: _Stored) -> str:
        """Return a variable's name; "" for what MATLAB keeps for itself."""
        size = min(_PEEK_BYTES, stored.num_bytes)
        raw = self._whole.read_at(stored.begin, size)
        if stored.is_compressed:
            with decoding(self.path, "variables", "a compressed variable"):
                raw = zlib.decompressobj().decompress(raw[8:], _PEEK_BYTES)
        peek = MatBytes(path=self.path, label="variables", source=MemoryBytes(self.path, raw), order=self._order)
        kind, num_bytes = np.frombuffer(peek.source.read_at(0, 8), f"{self._order}u4").tolist()
        if kind != MATRIX:
            raise refusal(self.path, "variables: type", kind, f"{MATRIX}, an array")
        return peek.head(8, 8 + num_bytes).name if num_bytes else ""

    def child(self, name: str) -> Place | None:
        """Return a variable.

        Raises:
            SourceError: Two have this name, or it is damaged.
        """
        if not name or name not in self._found:
            return None
        if name in self._twice:
            raise refusal(self.path, f"variable {name}", "two of that name", "one")
        with decoding(self.path, f"variable {name}", "a readable file"):
            status = self.path.stat()
        stored = self._found[name]
        return _variable(self.path, status.st_size, status.st_mtime_ns, f"variable {name}", stored, self._order)

    def child_names(self) -> Sequence[str]:
        """Return the names of the variables."""
        return [name for name in self._found if name]

    def entries(self) -> Entries:
        """Return the variables, as recordings."""
        names = self.child_names()
        return Entries(count=len(names), place=lambda index: self._variable(names[index]), names=names)

    def _variable(self, name: str) -> Place:
        place = self.child(name)
        if place is None:
            raise refusal(self.path, self.label, "nothing", f"a variable {name!r}")
        return place

    def array(self) -> StoredArray:
        """Refuse: a file of variables is no array."""
        raise refusal(self.path, self.label, f"{len(self._found)} variables", "the name of one in the layout")

    def text(self) -> str:
        """Refuse: a file of variables is no text."""
        raise refusal(self.path, self.label, f"{len(self._found)} variables", "a text")


@lru_cache(maxsize=4)
def _variable(path: Path, size: int, changed_ns: int, label: str, stored: _Stored, order: str) -> MatPlace:
    """Return a variable; unpacked, verified and walked once for as long as the file does not change.

    Raises:
        SourceError: It is damaged, or unpacks to what cannot be.
    """
    source: ByteSource = FileBytes(path, stored.begin, stored.num_bytes)
    if stored.is_compressed:
        source = _unpacked(label, FileBytes(path, stored.begin + 8, stored.num_bytes - 8), order)
    content = MatBytes(path=path, label=label, source=source, order=order)
    element, _ = content.element(0, source.num_bytes)
    return MatPlace(path=path, label=label, bytes=content, element=element)


def _unpacked(label: str, packed: FileBytes, order: str) -> InflatedBytes:
    with decoding(packed.path, label, "a compressed variable"):
        head = zlib.decompressobj().decompress(packed.read_at(0, min(_PEEK_BYTES, packed.num_bytes)), 8)
        declared = int(np.frombuffer(head, f"{order}u4")[1]) + 8
    check_expansion(packed.path, f"{label}: size", declared, packed.num_bytes)
    return InflatedBytes(packed, label, declared)
