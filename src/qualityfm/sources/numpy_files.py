"""NumPy files -> Recording, as a layout says. Nothing in them is ever unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from qualityfm.errors import QualityFMError, SourceError
from qualityfm.records import Recording
from qualityfm.sources.array_lines import (
    MAX_UNPACKED_BYTES,
    MAX_UNPACKING,
    Array,
    ArrayLine,
    array_line,
    found_of,
    recording_of,
)
from qualityfm.sources.found import Found
from qualityfm.sources.layout import ChannelRule, Layout
from qualityfm.sources.strict import check_regular_file, refusal
from qualityfm.sources.table_channels import HOW_TO_WRITE_A_LAYOUT, found_problem, item_name, number_of_item

ENDINGS = (".npy", ".npz")

#: Longest header of an array, characters; a structured type of many fields needs a few thousand.
MAX_HEADER = 10_000

#: Most arrays in one file.
MAX_MEMBERS = 10_000


class NumpySource:
    """`.npy` and `.npz` files; which arrays are channels, a layout says."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file itself, or the file with its name and one of the endings."""
        if not path.name:
            return ()
        return (path,) if path.suffix.lower() in ENDINGS else tuple(path.with_name(path.name + e) for e in ENDINGS)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the recordings in files that the layout speaks of; without one, an array is no recording."""
        for name in names:
            if layout is not None and name.lower().endswith(ENDINGS) and layout.speaks_of("numpy", name):
                path = folder / name
                try:
                    found = list(_found(path, _arrays(path, layout), layout))
                except SourceError as error:
                    found = [found_problem(path, path.stem, "numpy", error)]
                yield from found

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it; of an `.npz` file, each channel's array is unpacked as a whole.

        Raises:
            SourceError: No layout describes the file, or it is not what the layout says.
            SignalError: The recording ends before `start_s`.
        """
        if layout is None:
            check_regular_file(path)
            raise refusal(path, "arrays", "no layout", "a layout", HOW_TO_WRITE_A_LAYOUT)
        arrays = _arrays(path, layout)
        row = _row(path, item, arrays, layout)
        name = path.stem if item is None else f"{path.stem}/{item}"
        lines = _lines(path, arrays, layout, row)
        subject_id = layout.subject_of(path.as_posix())
        return recording_of(path, name, subject_id, lines, layout.missing, start_s, duration_s)


#: The one reader of NumPy files.
NUMPY = NumpySource()

Described = list[tuple[ChannelRule, Array]]


def _found(path: Path, arrays: Described, layout: Layout) -> Iterator[Found]:
    num_items = arrays[0][1].shape[0] if layout.items else 0
    items = [item_name(index, num_items) for index in range(num_items)] if layout.items else [None]
    for item in items:
        row = _row(path, item, arrays, layout)
        where, name = (path, path.stem) if item is None else (path / item, f"{path.stem}/{item}")
        yield found_of(where, name, "numpy", layout.subject_of(path.as_posix()), _lines(path, arrays, layout, row))


def _row(path: Path, item: str | None, arrays: Described, layout: Layout) -> int | None:
    if layout.items not in ("", "rows"):
        raise refusal(path, "items", layout.items, 'items = "rows" or none in a layout of NumPy files')
    if layout.items:
        shape = arrays[0][1].shape
        if len(shape) < 2 or not shape[0]:
            raise refusal(path, "items", str(shape), "arrays whose first axis counts recordings")
        return number_of_item(path, item, shape[0])
    if item is not None:
        raise refusal(path, "item", item, f"no item: in layout {layout.name} a file is one recording")
    return None


def _lines(path: Path, arrays: Described, layout: Layout, row: int | None) -> list[ArrayLine]:
    return [array_line(path, layout, rule, array, row) for rule, array in arrays]


def _arrays(path: Path, layout: Layout) -> Described:
    """Return the array of each channel of a layout, none of it read yet.

    Raises:
        SourceError: The file is damaged, holds objects, or lacks a channel.
    """
    num_bytes = check_regular_file(path)
    if layout.subject_column:
        raise refusal(path, "subject_column", layout.subject_column, "none in a layout of NumPy files")
    if not layout.channels:
        raise refusal(path, "channels", "none in the layout", "one or more channels", HOW_TO_WRITE_A_LAYOUT)
    try:
        if path.suffix.lower() == ".npz":
            return _members(path, layout)
        return _columns(path, layout, _mapped(path, num_bytes))
    except QualityFMError:
        raise
    except Exception as error:  # damaged files provoke errors of any kind in the library
        raise refusal(path, "content", type(error).__name__, "a NumPy file that can be read") from error


def _header(path: Path, stream: IO[bytes], num_bytes: int, field: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type that an array's header announces, after holding them against its size."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise refusal(path, f"{field}: version", str(version), "version 1.0 or 2.0")
    shape, is_fortran, dtype = readers[version](stream, max_header_size=MAX_HEADER)
    if dtype.hasobject:
        raise refusal(path, f"{field}: type", "Python objects", "numbers: objects can run code")
    announced = int(np.prod(shape, dtype=object)) * dtype.itemsize
    found = num_bytes - stream.tell()
    if announced != found or min(shape, default=1) < 0:
        raise refusal(path, f"{field}: size", f"{found} bytes", f"{announced} bytes, as its header announces")
    return shape, is_fortran, dtype


def _mapped(path: Path, num_bytes: int) -> np.ndarray:
    with path.open("rb") as stream:
        shape, is_fortran, dtype = _header(path, stream, num_bytes, "array")
        offset = stream.tell()
    if not all(size > 0 for size in shape):
        raise refusal(path, "array: shape", str(shape), "at least one number")
    return np.memmap(path, dtype, "r", offset, shape, "F" if is_fortran else "C")


def _columns(path: Path, layout: Layout, array: np.ndarray) -> Described:
    """Return the channels of one array: fields of a structured one by name, otherwise rows or columns by index."""
    if array.dtype.names is None:
        return [(rule, array) for rule in layout.channels]
    found: Described = []
    for rule in layout.channels:
        if rule.column in array.dtype.names:
            found.append((rule, array[rule.column]))
        elif not rule.is_optional:
            raise refusal(path, f"field {rule.column}", ", ".join(array.dtype.names)[:60], f"a field {rule.column!r}")
    return found


@dataclass(frozen=True, kw_only=True)
class _Member:
    """An array of an `.npz` file; unpacked when a part is asked for."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, index: Any) -> Any:
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.name) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False, max_header_size=MAX_HEADER)[index]
        except Exception as error:  # damaged files provoke errors of any kind in the library
            raise refusal(self.path, f"array {self.name}", type(error).__name__, "an array that can be read") from error


def _members(path: Path, layout: Layout) -> Described:
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()[: MAX_MEMBERS + 1]}
        if len(entries) > MAX_MEMBERS:
            raise refusal(path, "arrays", f"more than {MAX_MEMBERS}", f"at most {MAX_MEMBERS}")
        found: Described = []
        for rule in layout.channels:
            info = entries.get(rule.column)
            if info is None and rule.is_optional:
                continue
            if info is None:
                raise refusal(path, f"array {rule.column}", ", ".join(entries)[:60], f"an array {rule.column!r}")
            if info.file_size > min(MAX_UNPACKED_BYTES, MAX_UNPACKING * max(info.compress_size, 1)):
                expected = f"at most {MAX_UNPACKED_BYTES}, and what its packed size can hold"
                raise refusal(path, f"array {rule.column}: bytes", info.file_size, expected)
            with archive.open(info) as stream:
                shape, _, dtype = _header(path, stream, info.file_size, f"array {rule.column}")
            found.append((rule, _Member(path=path, name=info.filename, shape=shape, dtype=dtype)))
    return found
