"""MAT files up to version 7 as a tree of elements, walked without unpacking what is not asked for.

SciPy's reader takes every variable into memory as a whole, which a compressed file of a few MB can make gigabytes. Tags
are checked here before a byte behind them is believed; SciPy is what tests compare with.

Source: MathWorks, MAT-File Format (R2024), chapter 1, "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qualityfm.sources.array_bytes import ByteSource
from qualityfm.sources.strict import refusal

MATRIX, COMPRESSED = 14, 15

#: Types of numbers in a file.
NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}

#: Types of text in a file, and how they are encoded.
TEXT_TYPES = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}

#: Classes of arrays.
CELL, STRUCT, CHAR, OPAQUE = 1, 2, 4, 17
NUMBERS = range(6, 16)
CLASS_NAMES = {1: "a cell", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse matrix", 16: "a function"}
CLASS_NAMES[OPAQUE] = "an object"

#: Most dimensions of an array, and longest names of variables and fields. Source: MATLAB allows 63 characters.
MAX_DIMENSIONS, MAX_NAME_BYTES = 32, 64

_FLAG_LOGICAL, _FLAG_COMPLEX = 2, 8


@dataclass(frozen=True, kw_only=True)
class Tag:
    """Type, place and length of an element, and where the next one begins."""

    type: int
    begin: int
    num_bytes: int
    next: int


@dataclass(frozen=True, kw_only=True)
class Element:
    """An array of a file.

    Attributes:
        kind: Its class.
        is_logical: True for truth values.
        is_complex: True for complex numbers.
        shape: Length of each axis.
        name: Its name, for a variable.
        content: Where the values or entries begin.
        end: Where it ends.
    """

    kind: int
    is_logical: bool
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    content: int
    end: int

    @property
    def count(self) -> int:
        """Number of values or entries."""
        return math.prod(self.shape)


#: An empty matrix may be written as an element without content.
_EMPTY = Element(kind=6, is_logical=False, is_complex=False, shape=(0, 0), name="", content=0, end=0)


@dataclass(frozen=True, kw_only=True)
class MatBytes:
    """Bytes of a file, or of one of its compressed variables, that hold elements.

    Attributes:
        path: The file.
        label: What the bytes are, for messages.
        source: The bytes.
        order: Byte order, "<" or ">".
    """

    path: Path
    label: str
    source: ByteSource
    order: str

    def tag(self, offset: int, end: int) -> Tag:
        """Return the tag at a place, if what it announces ends before `end`.

        Raises:
            SourceError: It cannot.
        """
        if offset + 8 > end:
            raise refusal(self.path, f"{self.label}: tag", f"{end - offset} bytes", "8 bytes or more")
        first, second = np.frombuffer(self.source.read_at(offset, 8), f"{self.order}u4").tolist()
        if first >> 16:  # a small element: type and length in the first half, the data in the second
            tag = Tag(type=first & 0xFFFF, begin=offset + 4, num_bytes=first >> 16, next=offset + 8)
            is_inside = tag.num_bytes <= 4
        else:
            padded = second + (-second % 8 if first != COMPRESSED else 0)
            # The last element of a file may go without its padding.
            tag = Tag(type=first, begin=offset + 8, num_bytes=second, next=min(end, offset + 8 + padded))
            is_inside = offset + 8 + second <= end
        if not is_inside:
            raise refusal(self.path, f"{self.label}: size", f"{tag.num_bytes} bytes", f"at most {end - tag.begin}")
        return tag

    def element(self, offset: int, end: int) -> tuple[Element, int]:
        """Return the array at a place, and where the next one begins.

        Raises:
            SourceError: There is none, or it cannot be what it says.
        """
        tag = self.tag(offset, end)
        if tag.type != MATRIX:
            raise refusal(self.path, f"{self.label}: type", tag.type, f"{MATRIX}, an array")
        if not tag.num_bytes:
            return _EMPTY, tag.next
        element = self.head(tag.begin, tag.begin + tag.num_bytes)
        if element.kind not in (CELL, STRUCT, CHAR) and element.kind not in NUMBERS:
            found = CLASS_NAMES.get(element.kind, f"class {element.kind}")
            raise refusal(self.path, f"{self.label}: class", found, "numbers, text, a cell or a structure")
        return element, tag.next

    def head(self, begin: int, end: int) -> Element:
        """Return what an array says of itself, whatever its class; an object says no more than that it is one.

        Raises:
            SourceError: It cannot be what it says.
        """
        flags = self.tag(begin, end)
        if flags.num_bytes != 8:
            raise refusal(self.path, f"{self.label}: flags", f"{flags.num_bytes} bytes", "8 bytes")
        word = int(np.frombuffer(self.source.read_at(flags.begin, 4), f"{self.order}u4")[0])
        kind, bits = word & 0xFF, word >> 8 & 0xFF
        if kind == OPAQUE:
            return replace(_EMPTY, kind=OPAQUE)
        shape_tag = self.tag(flags.next, end)
        name_tag = self.tag(shape_tag.next, end)
        return Element(
            kind=kind,
            is_logical=bool(bits & _FLAG_LOGICAL),
            is_complex=bool(bits & _FLAG_COMPLEX),
            shape=self._shape(shape_tag),
            name=self._name(name_tag),
            content=name_tag.next,
            end=end,
        )

    def _shape(self, tag: Tag) -> tuple[int, ...]:
        if tag.num_bytes % 4 or not 8 <= tag.num_bytes <= 4 * MAX_DIMENSIONS:
            found = f"{tag.num_bytes} bytes"
            raise refusal(self.path, f"{self.label}: dimensions", found, f"2 to {MAX_DIMENSIONS} whole numbers")
        shape = np.frombuffer(self.source.read_at(tag.begin, tag.num_bytes), f"{self.order}i4").tolist()
        if min(shape) < 0:
            raise refusal(self.path, f"{self.label}: dimensions", min(shape), "whole numbers from 0 on")
        return tuple(shape)

    def _name(self, tag: Tag) -> str:
        if tag.num_bytes > MAX_NAME_BYTES:
            raise refusal(self.path, f"{self.label}: name", f"{tag.num_bytes} bytes", f"at most {MAX_NAME_BYTES}")
        return self.source.read_at(tag.begin, tag.num_bytes).rstrip(b"\0").decode("latin-1")

    def cell_entries(self, cell: Element) -> list[int]:
        """Return where the entries of a cell begin."""
        return list(self._skip(cell.content, cell.count, cell.end))

    def struct_fields(self, struct: Element) -> tuple[list[str], int]:
        """Return the names of a structure's fields, and where the first value begins.

        Raises:
            SourceError: They cannot be what the file says.
        """
        length_tag = self.tag(struct.content, struct.end)
        if length_tag.num_bytes != 4:
            raise refusal(self.path, f"{self.label}: fields", f"{length_tag.num_bytes} bytes", "their length")
        length = int(np.frombuffer(self.source.read_at(length_tag.begin, 4), f"{self.order}i4")[0])
        names = self.tag(length_tag.next, struct.end)
        if not 1 <= length <= MAX_NAME_BYTES or names.num_bytes % length or names.num_bytes > 4096 * length:
            raise refusal(self.path, f"{self.label}: fields", f"{names.num_bytes} bytes of {length}", "names of fields")
        raw = self.source.read_at(names.begin, names.num_bytes)
        parts = [raw[at : at + length] for at in range(0, len(raw), length)]
        return [part.split(b"\0")[0].decode("latin-1") for part in parts], names.next

    def struct_values(self, struct: Element, first: int, num_fields: int) -> list[int]:
        """Return where the values of a table of structures begin: field after field, entry after entry."""
        return list(self._skip(first, struct.count * num_fields, struct.end))

    def _skip(self, offset: int, count: int, end: int) -> Iterator[int]:
        """Yield the places of some elements; each takes 8 bytes at least, so that no count is believed unseen."""
        if count * 8 > end - offset:
            raise refusal(self.path, f"{self.label}: entries", count, f"at most {max(0, end - offset) // 8}")
        for _ in range(count):
            yield offset
            offset = self.tag(offset, end).next
