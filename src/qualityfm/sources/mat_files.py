"""MATLAB files -> Recording, as a layout says: version 5, and version 7.3, which is HDF5."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.errors import QualityFMError, SourceError
from qualityfm.records import Recording
from qualityfm.sources import hdf5_tree, mat_five
from qualityfm.sources.array_lines import Array, ArrayLine, array_line, found_of, recording_of
from qualityfm.sources.found import Found
from qualityfm.sources.layout import Layout
from qualityfm.sources.strict import check_regular_file, refusal
from qualityfm.sources.table_channels import HOW_TO_WRITE_A_LAYOUT, found_problem, item_name, number_of_item

#: Where the HDF5 part of a file of version 7.3 begins, and what stands there.
HDF5_AT, HDF5_MAGIC = 512, b"\x89HDF\r\n\x1a\n"

#: Longest name of a patient, characters.
MAX_NAME = 200


class MatSource:
    """`.mat` files; which variables, cells or fields are channels, a layout says."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file itself, or the file with its name and the ending."""
        if not path.name:
            return ()
        return (path,) if path.suffix.lower() == ".mat" else (path.with_name(f"{path.name}.mat"),)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the recordings in files that the layout speaks of; without one, a MAT file is no recording.

        A variable of cells or structs in a file of version 5 has to be unpacked to know its recordings' lengths.
        """
        for name in names:
            if layout is not None and name.lower().endswith(".mat") and layout.speaks_of("mat", name):
                path = folder / name
                try:
                    with _opened(path, layout) as content:
                        found = list(_found(path, content, layout))
                except SourceError as error:
                    found = [found_problem(path, path.stem, "mat", error)]
                yield from found

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it.

        Raises:
            SourceError: No layout describes the file, or it is not what the layout says.
            SignalError: The recording ends before `start_s`.
        """
        if layout is None:
            check_regular_file(path)
            raise refusal(path, "variables", "no layout", "a layout", HOW_TO_WRITE_A_LAYOUT)
        with _opened(path, layout) as content:
            number = _number(path, item, content, layout)
            name = path.stem if item is None else f"{path.stem}/{item}"
            lines = _lines(path, content, layout, number)
            return recording_of(
                path, name, _subject(path, content, layout, number), lines, layout.missing, start_s, duration_s
            )


#: The one reader of MAT files.
MAT = MatSource()


@dataclass(frozen=True, kw_only=True)
class _Content:
    """A file, whatever its version: how many recordings it holds, and the array of each part of one.

    Attributes:
        num_items: Recordings; 0 where the file is one.
        part: Returns the array that a recording has under a column's name; None where it has none.
    """

    num_items: int
    part: Callable[[int, str], Array | None]


def _found(path: Path, content: _Content, layout: Layout) -> Iterator[Found]:
    items: list[str | None] = [item_name(i, content.num_items) for i in range(content.num_items)] or [None]
    for number, item in enumerate(items):
        where, name = (path, path.stem) if item is None else (path / item, f"{path.stem}/{item}")
        try:
            subject_id = _subject(path, content, layout, number)
            yield found_of(where, name, "mat", subject_id, _lines(path, content, layout, number))
        except SourceError as error:
            yield replace(found_problem(where, name, "mat", error), is_item=item is not None)


def _number(path: Path, item: str | None, content: _Content, layout: Layout) -> int:
    if layout.items:
        return number_of_item(path, item, content.num_items)
    if item is not None:
        raise refusal(path, "item", item, f"no item: in layout {layout.name} a file is one recording")
    return 0


def _lines(path: Path, content: _Content, layout: Layout, number: int) -> list[ArrayLine]:
    if not layout.channels:
        raise refusal(path, "channels", "none in the layout", "one or more channels", HOW_TO_WRITE_A_LAYOUT)
    lines = []
    for rule in layout.channels:
        array = content.part(number, rule.column)
        if array is not None:
            lines.append(array_line(path, layout, rule, array))
        elif not rule.is_optional:
            raise refusal(path, f"channel {rule.shown_name}", "nothing", f"a variable or field {rule.column!r}")
    return lines


def _subject(path: Path, content: _Content, layout: Layout, number: int) -> str | None:
    """Return the patient that a variable or field names: characters, or a whole number."""
    if not layout.subject_column:
        return layout.subject_of(path.as_posix())
    part = content.part(number, layout.subject_column)
    size = 0 if part is None else int(np.prod(part.shape, dtype=object))
    if part is None or not 0 < size <= MAX_NAME:
        raise refusal(path, f"field {layout.subject_column}", f"{size} values", "a patient's name or number")
    values = np.asarray(part[tuple(slice(None) for _ in part.shape)]).ravel()
    if values.dtype.kind == "U":
        return "".join(values.tolist()).strip() or None
    if values.dtype == np.uint16:  # version 7.3 keeps characters as their codes
        return "".join(map(chr, values.tolist())).strip() or None
    if values.dtype.kind in "iuf" and size == 1 and float(values[0]).is_integer():
        return str(int(values[0]))
    raise refusal(path, f"field {layout.subject_column}", str(values.dtype), "a patient's name or number")


@contextmanager
def _opened(path: Path, layout: Layout) -> Iterator[_Content]:
    num_bytes = check_regular_file(path)
    if layout.items == "rows":
        raise refusal(path, "items", "rows", "the name of a cell or struct array in a layout of MAT files")
    with path.open("rb") as stream:
        stream.seek(HDF5_AT)
        is_hdf5 = stream.read(len(HDF5_MAGIC)) == HDF5_MAGIC
    if is_hdf5:
        with hdf5_tree.opened(path) as file:
            yield _content_of_tree(path, file, layout)
        return
    try:
        yield _content_of_five(path, num_bytes, layout)
    except QualityFMError:
        raise
    except Exception as error:  # damaged files provoke errors of any kind in the library
        raise refusal(path, "content", type(error).__name__, "a MAT file that can be read") from error


def _only_name(path: Path, names: Sequence[str], pattern: str) -> str:
    fitting = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if len(fitting) != 1:
        shown = ", ".join(names)[:60] or "nothing"
        raise refusal(path, f"variable {pattern}", shown, "one variable of this name")
    return fitting[0]


def _content_of_tree(path: Path, file: Any, layout: Layout) -> _Content:
    """Return the content of a file of version 7.3, in which cells and fields are references."""
    import h5py

    def part_of(group: Any, number: int, column: str) -> Array | None:
        if column not in group:
            return None
        return hdf5_tree.Turned(
            hdf5_tree.check_dataset(path, hdf5_tree.child(path, group, column), f"variable {column}")
        )

    if not layout.items:
        return _Content(num_items=0, part=partial(part_of, file))
    name = _only_name(path, [str(n) for n in file if not str(n).startswith("#")], layout.items)
    value = hdf5_tree.child(path, file, name)
    if isinstance(value, h5py.Group):
        fields = {rule.column for rule in layout.channels} | ({layout.subject_column} - {""})
        columns = {
            str(column): hdf5_tree.references(path, hdf5_tree.child(path, value, str(column)), f"field {column}")
            for column in value
            if str(column) in fields
        }
        lengths = {len(references) for references in columns.values()}
        if len(lengths) > 1:
            raise refusal(path, f"struct {name}", f"fields of {sorted(lengths)} entries", "one number of entries")
        num_items = lengths.pop() if lengths else 0
    else:
        columns = {"": hdf5_tree.references(path, value, f"cell {name}")}
        num_items = len(columns[""])

    def entry_of(number: int, column: str) -> Array | None:
        references = columns.get(column, columns.get(""))
        if references is None:
            return None
        return hdf5_tree.Turned(hdf5_tree.follow(path, file, references[number], f"{name}, entry {number}"))

    return _checked(path, name, _Content(num_items=num_items, part=entry_of))


def _content_of_five(path: Path, num_bytes: int, layout: Layout) -> _Content:
    known = {variable.name: variable for variable in mat_five.variables(path, num_bytes)}
    if not layout.items:
        return _Content(
            num_items=0,
            part=lambda number, column: mat_five.load(path, known[column]) if column in known else None,
        )
    name = _only_name(path, list(known), layout.items)
    value = mat_five.load(path, known[name]).ravel(order="F")

    def entry_of(number: int, column: str) -> Array | None:
        entry = value[number]
        if value.dtype.names is None:
            return np.asarray(entry)
        return np.asarray(entry[column]) if column in value.dtype.names else None

    if value.dtype.names is None and value.dtype != object:
        raise refusal(path, f"variable {name}", str(value.dtype), "cells or structs, one for each recording")
    return _checked(path, name, _Content(num_items=len(value), part=entry_of))


def _checked(path: Path, name: str, content: _Content) -> _Content:
    if not content.num_items:
        raise refusal(path, f"variable {name}", "no entry", "one entry for each recording")
    return content
