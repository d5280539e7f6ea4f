"""MAT files of version 5: walked by ourselves, unpacked within a budget; `scipy` decodes only what was checked.

Source of the format: MathWorks, MAT-File Format, version 5.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.sources.array_lines import MAX_UNPACKED_BYTES
from qualityfm.sources.strict import refusal

HEADER_BYTES = 128

#: Data types by their numbers: bytes of each value.
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
INT32, MATRIX, COMPRESSED = 5, 14, 15

#: Classes of arrays by their numbers: cells, structs and characters, and the real numbers from double to uint64.
CELL, STRUCT, CHARACTERS = 1, 2, 4
NUMBERS = range(6, 16)
CLASS_NAMES = {3: "object", 5: "sparse", 16: "function", 17: "opaque"}

#: Cells in cells and structs: no deeper.
MAX_DEPTH = 6

#: What of a packed variable is unpacked to read its name.
HEAD_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable of a file: where it lies, and whether it is packed."""

    name: str
    at: int
    num_bytes: int
    is_packed: bool


def variables(path: Path, num_bytes: int) -> list[Variable]:
    """Return the variables of a file, in order; only their heads are read.

    Raises:
        SourceError: It is no MAT file of version 5, or is cut short.
    """
    with path.open("rb") as stream:
        head = stream.read(HEADER_BYTES)
        order = _byte_order(path, head)
        found = []
        at = HEADER_BYTES
        while at < num_bytes:
            stream.seek(at)
            tag = stream.read(8)
            kind, length = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, 0)
            if kind not in (MATRIX, COMPRESSED) or at + 8 + length > num_bytes:
                field, found_here = f"element at byte {at}", f"kind {kind} of {length} bytes"
                raise refusal(path, field, found_here, f"a variable inside the {num_bytes} bytes of the file")
            content = stream.read(min(length, HEAD_BYTES))
            name = _name(path, content, order, is_packed=kind == COMPRESSED)
            found.append(Variable(name=name, at=at, num_bytes=8 + length, is_packed=kind == COMPRESSED))
            at += 8 + length
    return found


def load(path: Path, variable: Variable) -> Any:
    """Return a variable's value as `scipy` decodes it: an array of numbers, or of objects for cells and structs.

    Raises:
        SourceError: It holds something else, unpacks to more than the budget, or contradicts itself.
    """
    status = path.stat()
    return _load(path, variable, (status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1)
def _load(path: Path, variable: Variable, _version: tuple[int, int]) -> Any:
    from scipy.io import loadmat

    with path.open("rb") as stream:
        head = stream.read(HEADER_BYTES)
        order = _byte_order(path, head)
        stream.seek(variable.at)
        element = stream.read(variable.num_bytes)
    if variable.is_packed:
        element = _unpacked(path, element[8:], variable.name)
    _check_matrix(path, memoryview(element), order, 0)
    try:
        loaded = loadmat(io.BytesIO(head + element), appendmat=False)  # type: ignore[arg-type]  # a stream will do
    except Exception as error:  # damaged files provoke errors of any kind in the library
        raise refusal(path, f"variable {variable.name}", type(error).__name__, "an array that can be read") from error
    return loaded[variable.name] if variable.name in loaded else loaded["None"]


def _byte_order(path: Path, head: bytes) -> str:
    orders = {b"IM": "<", b"MI": ">"}
    order = orders.get(head[126:128])
    version = struct.unpack(f"{order}H", head[124:126])[0] if order else 0
    if version != 0x0100:
        raise refusal(path, "version", "another one", "a MAT file of version 5 or 7.3")
    return str(order)


def _unpacked(path: Path, packed: bytes, name: str) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, MAX_UNPACKED_BYTES + 1)
    except zlib.error as error:
        raise refusal(path, f"variable {name}", "damaged packing", "a whole zlib stream") from error
    if len(content) > MAX_UNPACKED_BYTES:
        raise refusal(path, f"variable {name}: bytes", f"more than {MAX_UNPACKED_BYTES}", "at most so many")
    if not unpacker.eof:
        raise refusal(path, f"variable {name}", "a packing cut short", "a whole zlib stream")
    return content


def _name(path: Path, content: bytes, order: str, *, is_packed: bool) -> str:
    try:
        if is_packed:
            content = zlib.decompressobj().decompress(content, HEAD_BYTES)[8:]
        parts = _parts(path, memoryview(content), order)
        next(parts), next(parts)
        return bytes(next(parts)[1]).decode("ascii")
    except (zlib.error, StopIteration, ValueError, QualityFMError) as error:
        raise refusal(path, "variable", "no readable name", "a variable with a name") from error


def _parts(path: Path, content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and data of the elements in a matrix; a small element keeps both in one tag of eight bytes."""
    at = 0
    while at + 8 <= len(content):
        first, second = struct.unpack_from(f"{order}II", content, at)
        if first >> 16:  # small: length in the upper half, data in the second word
            kind, length, data_at, step = first & 0xFFFF, first >> 16, at + 4, 8
        else:
            kind, length, data_at, step = first, second, at + 8, 8 + second + -second % 8
        if data_at + length > len(content) or (first >> 16 and length > 4):
            raise refusal(path, "element", f"{length} bytes", "what its variable holds")
        yield kind, content[data_at : data_at + length]
        at += step


def _check_matrix(path: Path, element: memoryview, order: str, depth: int) -> None:
    """Refuse a matrix that announces more than its bytes hold, or holds what is no plain data."""
    ((kind, content), *_) = [*_parts(path, element, order)] or [(0, element)]
    if kind != MATRIX:
        raise refusal(path, "element", f"kind {kind}", f"a matrix, kind {MATRIX}")
    if depth > MAX_DEPTH:
        raise refusal(path, "cells", f"deeper than {MAX_DEPTH}", "plain cells")
    if not len(content):  # an empty cell
        return
    parts = _parts(path, content, order)
    try:
        flags, dimensions, _name_part = next(parts)[1], next(parts), next(parts)
        array_class = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
        is_complex = bool(struct.unpack_from(f"{order}I", flags)[0] & 0x0800)
        sizes = np.frombuffer(dimensions[1], f"{order}i4")
    except (StopIteration, struct.error, ValueError) as error:
        raise refusal(path, "matrix", "no head", "class, dimensions and name") from error
    if dimensions[0] != INT32 or (sizes < 0).any() or not 2 <= len(sizes) <= 8:
        raise refusal(path, "matrix: dimensions", sizes.tolist()[:8], "two or more sizes from 0 on")
    count = int(np.prod(sizes, dtype=object))
    if array_class in (CELL, STRUCT):
        _check_children(path, content, parts, order, depth, count, is_struct=array_class == STRUCT)
    elif array_class in NUMBERS or array_class == CHARACTERS:
        _check_numbers(path, parts, count, is_complex=is_complex)
    else:
        raise refusal(path, "class", CLASS_NAMES.get(array_class, array_class), "numbers, cells or structs")


def _check_numbers(path: Path, parts: Iterator[tuple[int, memoryview]], count: int, *, is_complex: bool) -> None:
    kind, data = next(parts, (0, memoryview(b"")))
    held = len(data) // VALUE_BYTES.get(kind, 2**62)
    if is_complex or held < count:
        found = "complex numbers" if is_complex else f"{held} numbers"
        raise refusal(path, "matrix: size", found, f"{count} real numbers, as announced")


def _check_children(
    path: Path,
    content: memoryview,
    parts: Iterator[tuple[int, memoryview]],
    order: str,
    depth: int,
    count: int,
    *,
    is_struct: bool,
) -> None:
    per_entry = 1
    if is_struct:
        lengths, names = next(parts, (0, memoryview(b""))), next(parts, (0, memoryview(b"")))
        length = struct.unpack(f"{order}i", lengths[1])[0] if len(lengths[1]) == 4 else 0
        if length < 1 or len(names[1]) % length:
            raise refusal(path, "struct: field names", f"{len(names[1])} bytes", "names of one length")
        per_entry = len(names[1]) // length
    if count * per_entry * 8 > len(content):
        raise refusal(path, "matrix: size", f"{len(content)} bytes", f"{count * per_entry} entries, as announced")
    num_children = 0
    for kind, child in parts:
        if kind != MATRIX:
            raise refusal(path, "element", f"kind {kind}", f"a matrix, kind {MATRIX}")
        tag = struct.pack(f"{order}II", MATRIX, len(child))
        _check_matrix(path, memoryview(tag + bytes(child)), order, depth + 1)
        num_children += 1
    if num_children != count * per_entry:
        raise refusal(path, "matrix: entries", num_children, f"{count * per_entry}, as announced")
