"""A place in an array file: a group, a list, numbers or text; HDF5, MAT and NumPy files are read through it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Shaped

from qualityfm.errors import QualityFMError
from qualityfm.sources.strict import MAX_SHOWN, refusal, shown
from qualityfm.sources.table_channels import item_name

#: Where to read on an axis of an array, one for each axis: an entry, or a stretch of them with both ends given.
Index = tuple[int | slice, ...]

#: Longest text that names a patient or an item of a file, characters. Our own bound.
MAX_TEXT = 64

#: Names of arrays that a message repeats at most.
MAX_NAMES = 6

#: What may be declared without a question, and how many times a file's own size beyond that: dead channels and zeros
#: compress a thousandfold, whole archives do not. Our own bounds.
MAX_DECLARED_BYTES, MAX_EXPANSION = 1 << 28, 200


class StoredArray(Protocol):
    """Numbers in a file that can be read piece by piece."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    def read(self, index: Index) -> Shaped[np.ndarray, "..."]:
        """Return a piece, numbers as the file stores them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Entries:
    """What a list, a table of structures or a group holds.

    Attributes:
        count: Number of entries.
        place: Returns one of them by its number.
        names: Their names; empty where they are numbered.
    """

    count: int
    place: Callable[[int], Place]
    names: Sequence[str] = ()

    def name(self, index: int) -> str:
        """Return the name under which an entry is addressed: "0012" where entries are numbered."""
        return self.names[index] if self.names else item_name(index, self.count)

    def index_of(self, name: str) -> int | None:
        """Return the number of an entry; None if there is none of that name."""
        if self.names:
            return self.names.index(name) if name in self.names else None
        is_number = name.isascii() and name.isdigit() and len(name) < 12
        return int(name) if is_number and int(name) < self.count and self.name(int(name)) == name else None


class Place(Protocol):
    """A place in a file.

    Attributes:
        path: The file.
        label: The place, as a message names it: "data set records/ppg".
    """

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def label(self) -> str:
        """The place, as a message names it."""
        ...

    def child(self, name: str) -> Place | None:
        """Return a place below this one; None if there is none of that name.

        Raises:
            SourceError: It lies in another file, or the file is damaged.
        """
        ...

    def child_names(self) -> Sequence[str]:
        """Return the names of the places below."""
        ...

    def entries(self) -> Entries:
        """Return what this place holds, as the recordings of a file.

        Raises:
            SourceError: It is no list.
        """
        ...

    def array(self) -> StoredArray:
        """Return the numbers here.

        Raises:
            SourceError: There are none, or they cannot be what the file says.
        """
        ...

    def text(self) -> str:
        """Return the text here, or a single whole number as text.

        Raises:
            SourceError: There is neither.
        """
        ...


def find_place(root: Place, name: str) -> Place | None:
    """Return the place that a layout calls `name`, "/" between its parts; "" is `root` itself, None is nothing there.

    Raises:
        SourceError: A part of it lies in another file, or the file is damaged.
    """
    place: Place | None = root
    for part in filter(None, name.split("/")):
        place = place.child(part) if place is not None else None
    return place


@dataclass(frozen=True)
class RowView:
    """One row of an array, as an array of its own."""

    whole: StoredArray
    row: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis but the first."""
        return self.whole.shape[1:]

    def read(self, index: Index) -> Shaped[np.ndarray, "..."]:
        """Return a piece of the row."""
        return self.whole.read((self.row, *index))


@dataclass(frozen=True)
class RowPlace:
    """A file whose arrays count recordings along their first axis, seen as one of these recordings."""

    whole: Place
    row: int
    count: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.whole.path

    @property
    def label(self) -> str:
        """The place, as a message names it."""
        return f"{self.whole.label}, row {self.row}"

    def child(self, name: str) -> Place | None:
        """Return the same row of a place below."""
        below = self.whole.child(name)
        return None if below is None else RowPlace(below, self.row, self.count)

    def child_names(self) -> Sequence[str]:
        """Return the names of the places below."""
        return self.whole.child_names()

    def entries(self) -> Entries:
        """Refuse: a row holds no recordings."""
        raise refusal(self.path, self.label, "a row", "a list of recordings")

    def array(self) -> StoredArray:
        """Return the row's numbers."""
        whole = self.whole.array()
        self._check_count(whole.shape[0] if whole.shape else 0)
        return RowView(whole, self.row)

    def text(self) -> str:
        """Return the row's text: of a list of texts, or a number of a column of numbers."""
        try:
            entries = self.whole.entries()
        except QualityFMError:
            row = self.array()
            return number_text(self.path, self.label, row.read(tuple(slice(0, size) for size in row.shape)))
        self._check_count(entries.count)
        return entries.place(self.row).text()

    def _check_count(self, count: int) -> None:
        if count != self.count:
            raise refusal(self.path, self.whole.label, f"{count} rows", f"{self.count}, as in the first channel")


def checked_text(path: Path, field: str, text: str) -> str:
    """Return text that may name a patient or an item, without blanks and zeros around it.

    Raises:
        SourceError: It is empty, long, or not printable.
    """
    text = text.strip("\0 \t\r\n")
    if not text or len(text) > MAX_TEXT or not text.isprintable():
        raise refusal(path, field, shown(text), f"1 to {MAX_TEXT} printable characters")
    return text


def number_text(path: Path, field: str, numbers: Shaped[np.ndarray, "..."]) -> str:
    """Return one whole number as text.

    Raises:
        SourceError: There is none, more than one, or a fraction.
    """
    value = float(numbers.reshape(-1)[0]) if numbers.size == 1 and numbers.dtype.kind in "iuf" else float("nan")
    if not value.is_integer():
        raise refusal(path, field, f"{numbers.size} other values", "a text or a whole number")
    return str(int(value))


def check_numeric(path: Path, field: str, dtype: np.dtype[np.generic]) -> None:
    """Refuse values that are no real numbers of at most 8 bytes.

    Raises:
        SourceError: They are objects, text, complex, structures, truth values or long floats.
    """
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kinds = {
            "O": "objects",
            "c": "complex numbers",
            "b": "truth values",
            "S": "text",
            "U": "text",
            "V": "structures",
        }
        raise refusal(path, field, kinds.get(dtype.kind, str(dtype)), "real numbers of 1 to 8 bytes")


def check_expansion(path: Path, field: str, declared: int, stored: int) -> None:
    """Refuse what says to be far larger than the bytes it is stored in.

    Raises:
        SourceError: It is beyond `MAX_DECLARED_BYTES` and `MAX_EXPANSION`.
    """
    if declared > max(MAX_DECLARED_BYTES, MAX_EXPANSION * stored):
        expected = f"at most {MAX_EXPANSION} times the {stored} bytes it is stored in"
        raise refusal(path, field, f"{declared} bytes", expected)


def shown_names(names: Sequence[str]) -> str:
    """Return names of arrays as a message may list them."""
    usable = [name for name in names if name.isprintable() and len(name) <= MAX_TEXT]
    text = ", ".join(usable[:MAX_NAMES])
    if len(usable) == len(names) <= MAX_NAMES and len(text) <= MAX_SHOWN:
        return text or "nothing"
    return f"{text[: MAX_SHOWN - 18]}... ({len(names)} in all)"


@contextmanager
def decoding(path: Path, field: str, expected: str) -> Iterator[None]:
    """Turn whatever a decoding library raises on damaged bytes into a refusal; only its calls stand inside.

    Raises:
        SourceError: The library failed.
    """
    try:
        yield
    except QualityFMError:
        raise
    except Exception as error:  # on damaged files the libraries raise nearly every kind there is
        found = "a file that is cut short" if "truncated" in str(error) else f"damaged bytes ({type(error).__name__})"
        raise refusal(path, field, found, expected) from error
