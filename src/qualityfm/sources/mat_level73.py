"""Variables of a MAT file of version 7.3, which is HDF5, as places in MATLAB's order of axes.

Source: how MATLAB lays out structures, cells and texts is not published; as its files show it, and as the packages
mat73 and hdf5storage read it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from qualityfm.sources.array_hdf5 import attribute, check_storage, checked_array, object_below
from qualityfm.sources.array_place import (
    MAX_TEXT,
    Entries,
    Index,
    Place,
    StoredArray,
    checked_text,
    decoding,
    number_text,
)
from qualityfm.sources.strict import refusal

_NUMBER_CLASSES = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


@dataclass(frozen=True)
class MatlabOrder:
    """An array with its axes in MATLAB's order, which HDF5 stores the other way round."""

    stored: StoredArray

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.stored.shape[::-1]

    def read(self, index: Index) -> Shaped[np.ndarray, "..."]:
        """Return a piece."""
        return self.stored.read(index[::-1]).T


@dataclass(frozen=True)
class EmptyArray:
    """An array without numbers, of which the file keeps the shape in place of numbers."""

    shape: tuple[int, ...] = (0,)

    def read(self, index: Index) -> Shaped[np.ndarray, "..."]:
        """Return nothing."""
        return np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Mat73Place:
    """A variable, field or entry of a MAT file of version 7.3; references are followed, they lead nowhere else.

    Attributes:
        path: The file.
        label: The place, as a message names it.
        thing: The object of h5py.
        is_root: True for the file itself.
    """

    path: Path
    label: str
    thing: Any
    is_root: bool = False

    @property
    def _is_group(self) -> bool:
        return hasattr(self.thing, "keys")

    @cached_property
    def _file(self) -> Any:
        """The file of h5py, which takes long to be asked for."""
        return self.thing.file

    @cached_property
    def _class(self) -> str:
        """MATLAB's name of the class; "" where the file does not say."""
        value = attribute(self.path, self.label, self.thing, "MATLAB_class")
        return value if isinstance(value, str) else ""

    @cached_property
    def _references(self) -> list[Any] | None:
        """The references of a cell, or of a field of a table of structures, in MATLAB's order; None for numbers."""
        import h5py

        with decoding(self.path, self.label, "a readable data set"):
            if self._is_group or h5py.check_ref_dtype(self.thing.dtype) is not h5py.Reference:
                return None
        check_storage(self.path, self.label, self.thing)
        with decoding(self.path, self.label, "readable references"):
            return list(np.asarray(self.thing[()]).reshape(-1))

    @cached_property
    def _field_names(self) -> list[str]:
        with decoding(self.path, self.label, "a readable group"):
            return [name for name in self.thing if not name.startswith("#")] if self._is_group else []

    @cached_property
    def _table_size(self) -> int | None:
        """Number of structures in a table of them; None for a single one."""
        first = self._named(self._field_names[0]) if self._field_names and not self.is_root else None
        if first is None or first._class == "cell" or first._references is None:
            return None
        return len(first._references)

    def _named(self, name: str) -> Mat73Place | None:
        below = object_below(self.path, self.thing, name)
        label = f"variable {name}" if self.is_root else f"{self.label}, field {name}"
        return None if below is None else Mat73Place(path=self.path, label=label, thing=below)

    def child(self, name: str) -> Place | None:
        """Return a variable of the file, or a field of a structure."""
        if not self._is_group or name.startswith("#"):
            return None
        if self._table_size is not None:
            raise refusal(self.path, self.label, f"{self._table_size} structures", "one structure", "name it in items")
        return self._named(name)

    def child_names(self) -> Sequence[str]:
        """Return the names of the variables or fields."""
        return self._field_names

    def entries(self) -> Entries:
        """Return the variables of the file, the entries of a cell or the structures of a table."""
        if self.is_root:
            names = self._field_names
            return Entries(count=len(names), place=lambda index: self._variable(names[index]), names=names)
        if self._table_size is not None:
            fields: dict[str, Mat73Place] = {}
            return Entries(count=self._table_size, place=lambda index: TableEntry(self, index, fields))
        if self._is_group:
            return Entries(count=1, place=lambda index: self)
        references = self._references
        if references is None:
            raise refusal(self.path, self.label, "no references", "a cell or a table of structures")
        return Entries(count=len(references), place=lambda index: self.referred(index, f"{self.label}, cell {index}"))

    def _variable(self, name: str) -> Place:
        place = self._named(name)
        if place is None:
            raise refusal(self.path, self.label, "nothing", f"a variable {name[:MAX_TEXT]!r}")
        return place

    def referred(self, index: int, label: str) -> Place:
        """Return what one of the references here refers to.

        Raises:
            SourceError: It refers to nothing.
        """
        references = self._references or []
        if index >= len(references):
            raise refusal(self.path, self.label, f"{len(references)} entries", f"at least {index + 1}")
        with decoding(self.path, label, "a reference to an object of this file"):
            thing = self._file[references[index]]
        return Mat73Place(path=self.path, label=label, thing=thing)

    def array(self) -> StoredArray:
        """Return the numbers."""
        if self._is_group or not hasattr(self.thing, "chunks"):
            raise refusal(self.path, self.label, "a structure", "numbers")
        if self._is_empty:
            return EmptyArray()
        if self._class and self._class not in _NUMBER_CLASSES:
            raise refusal(self.path, self.label, f"class {self._class}", "numbers")
        return MatlabOrder(checked_array(self.path, self.label, self.thing))

    @property
    def _is_empty(self) -> bool:
        value = attribute(self.path, self.label, self.thing, "MATLAB_empty")
        return value is not None and bool(np.any(np.asarray(value) != 0))

    def text(self) -> str:
        """Return the text, or the whole number."""
        if self._is_group or not hasattr(self.thing, "chunks") or self._is_empty:
            raise refusal(self.path, self.label, "no text", f"1 to {MAX_TEXT} printable characters")
        array = checked_array(self.path, self.label, self.thing)
        count = math.prod(array.shape)
        with decoding(self.path, self.label, "a text"):
            is_text = self._class == "char" or (not self._class and self.thing.dtype == np.uint16)
        if count > MAX_TEXT or not (is_text or count == 1):
            raise refusal(self.path, self.label, f"{count} values", f"a text of 1 to {MAX_TEXT} characters")
        values = array.read(tuple(slice(0, size) for size in array.shape))
        if not is_text:
            return number_text(self.path, self.label, values)
        with decoding(self.path, self.label, "a text"):
            text = values.astype("<u2").tobytes().decode("utf-16-le")
        return checked_text(self.path, self.label, text)


@dataclass(frozen=True)
class TableEntry:
    """One structure of a table of them.

    Attributes:
        table: The table.
        index: Its number.
        fields: The table's fields that were looked at so far, shared by all entries.
    """

    table: Mat73Place
    index: int
    fields: dict[str, Mat73Place]

    @property
    def path(self) -> Path:
        """The file."""
        return self.table.path

    @property
    def label(self) -> str:
        """The structure, as a message names it."""
        return f"{self.table.label}, entry {self.index}"

    def child(self, name: str) -> Place | None:
        """Return a field."""
        if name not in self.fields:
            found = self.table._named(name) if not name.startswith("#") else None
            if found is None:
                return None
            self.fields[name] = found
        return self.fields[name].referred(self.index, f"{self.label}, field {name}")

    def child_names(self) -> Sequence[str]:
        """Return the names of the fields."""
        return self.table.child_names()

    def entries(self) -> Entries:
        """Refuse: a structure holds no recordings."""
        raise refusal(self.path, self.label, "a structure", "a list of recordings")

    def array(self) -> StoredArray:
        """Refuse: a structure holds no numbers of its own."""
        raise refusal(self.path, self.label, "a structure", "numbers")

    def text(self) -> str:
        """Refuse: a structure is no text."""
        raise refusal(self.path, self.label, "a structure", "a text")
