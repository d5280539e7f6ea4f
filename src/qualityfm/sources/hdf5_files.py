"""HDF5 files (.h5, .hdf5, .hdf) -> Recording, as a layout says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.sources.array_hdf5 import (
    attribute,
    checked_array,
    hdf5_text,
    leaf_names,
    object_below,
    opened_hdf5,
)
from qualityfm.sources.array_place import Entries, Place, StoredArray, checked_text, decoding, number_text
from qualityfm.sources.array_source import ArraySource
from qualityfm.sources.strict import refusal


@dataclass(frozen=True, kw_only=True)
class Hdf5Place:
    """A group or a data set of an HDF5 file; references are not followed.

    Attributes:
        path: The file.
        name: The object's name from the root on; "" for the root.
        thing: The object of h5py.
    """

    path: Path
    name: str
    thing: Any

    @property
    def label(self) -> str:
        """The object, as a message names it."""
        return f"{'group' if self._is_group else 'data set'} {self.name or '/'}"

    @property
    def _is_group(self) -> bool:
        return hasattr(self.thing, "keys")

    def child(self, name: str) -> Place | None:
        """Return an object of a group, or else an attribute of this object."""
        below = object_below(self.path, self.thing, name) if self._is_group else None
        if below is not None:
            return Hdf5Place(path=self.path, name=f"{self.name}/{name}", thing=below)
        value = attribute(self.path, self.label, self.thing, name)
        return None if value is None else AttributePlace(path=self.path, name=f"{self.name}/{name}", value=value)

    def child_names(self) -> Sequence[str]:
        """Return the paths of the data sets below."""
        with decoding(self.path, self.label, "a readable group"):
            return leaf_names(self.thing) if self._is_group else ()

    def entries(self) -> Entries:
        """Return the objects of a group, by name."""
        if not self._is_group:
            raise refusal(self.path, self.label, "a data set", "a group of recordings")
        with decoding(self.path, self.label, "a readable group"):
            names = list(self.thing)
        for name in names:
            if checked_text(self.path, self.label, name) != name or name in (".", ".."):
                raise refusal(self.path, self.label, f"a name of {len(name)} characters", "names without blanks around")
        return Entries(count=len(names), place=lambda index: self._entry(names[index]), names=names)

    def _entry(self, name: str) -> Place:
        place = self.child(name)
        if place is None:
            raise refusal(self.path, self.label, "a link to nothing", "a recording")
        return place

    def array(self) -> StoredArray:
        """Return the numbers of a data set."""
        if self._is_group:
            raise refusal(self.path, self.label, "a group", "a data set of numbers")
        if not hasattr(self.thing, "chunks"):
            raise refusal(self.path, self.label, "a named type", "a data set of numbers")
        return checked_array(self.path, self.label, self.thing)

    def text(self) -> str:
        """Return the text of a data set."""
        if not hasattr(self.thing, "chunks"):
            raise refusal(self.path, self.label, "no data set", "a text")
        return hdf5_text(self.path, self.label, self.thing)


@dataclass(frozen=True, kw_only=True)
class AttributePlace:
    """An attribute, which may name the patient."""

    path: Path
    name: str
    value: Any

    @property
    def label(self) -> str:
        """The attribute, as a message names it."""
        return f"attribute {self.name}"

    def child(self, name: str) -> Place | None:
        """Return None: nothing lies below an attribute."""
        return None

    def child_names(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def entries(self) -> Entries:
        """Refuse: it holds no recordings."""
        raise refusal(self.path, self.label, "an attribute", "a group of recordings")

    def array(self) -> StoredArray:
        """Refuse: it holds no samples."""
        raise refusal(self.path, self.label, "an attribute", "a data set of numbers")

    def text(self) -> str:
        """Return its text, or its whole number."""
        if isinstance(self.value, str):
            return checked_text(self.path, self.label, self.value)
        return number_text(self.path, self.label, np.asarray(self.value))


@contextmanager
def opened_file(path: Path) -> Iterator[Place]:
    """Open an HDF5 file.

    Raises:
        SourceError: It is no regular file, or no whole HDF5 file.
    """
    with opened_hdf5(path) as file:
        yield Hdf5Place(path=path, name="", thing=file)


#: The one reader of HDF5 files.
HDF5 = ArraySource(name="hdf5", endings=(".h5", ".hdf5", ".hdf"), opened=opened_file)
