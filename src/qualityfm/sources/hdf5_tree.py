"""The inside of an HDF5 file, with everything refused that leads out of it or unpacks to more than it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.sources.array_lines import MAX_UNPACKED_BYTES, MAX_UNPACKING
from qualityfm.sources.strict import check_regular_file, refusal

#: Filters that are built into the library, by their registered numbers: deflate, shuffle, Fletcher32 and LZF.
#: Others are loaded from plug-ins, that is, foreign code.
FILTERS = {1, 2, 3, 32000}

#: A chunk is unpacked as a whole to read one sample of it. Our own bound.
MAX_CHUNK_BYTES = 2**28

#: Deepest path inside a file.
MAX_DEPTH = 32


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Give an HDF5 file, open for reading.

    Raises:
        SourceError: It is none, or it is damaged in a way that only shows when it is read.
    """
    import h5py

    num_bytes = check_regular_file(path)
    if num_bytes == 0:
        raise refusal(path, "content", "nothing", "an HDF5 file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except QualityFMError:
        raise
    except Exception as error:  # damaged files provoke errors of any kind in the library
        raise refusal(path, "content", type(error).__name__, "an HDF5 file that can be read") from error


def child(path: Path, group: Any, name: str) -> Any:
    """Return a group or data set by its path below a group; links out of the file are not followed.

    Raises:
        SourceError: There is no such thing, or a link leads to it.
    """
    import h5py

    parts = [part for part in name.split("/") if part]
    if not parts or len(parts) > MAX_DEPTH or ".." in parts:
        raise refusal(path, f"data set {name}", "no usable path", "a path inside the file")
    here = group
    for part in parts:
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            raise refusal(path, f"data set {name}", "nothing", "a data set", _others(group))
        if not isinstance(link, h5py.HardLink):
            raise refusal(path, f"data set {name}", type(link).__name__, "a data set in the file itself, not a link")
        here = here[part]
    return here


def check_dataset(path: Path, dataset: Any, field: str) -> Any:
    """Return a data set after checking that its numbers lie in the file, packed no tighter than can be.

    Raises:
        SourceError: It is something else, lies in other files, needs foreign code, or announces too much.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise refusal(path, field, type(dataset).__name__.lower(), "a data set")
    if dataset.is_virtual or dataset.external:
        raise refusal(path, field, "numbers that lie in other files", "numbers in the file itself")
    settings = dataset.id.get_create_plist()
    filters = {settings.get_filter(i)[0] for i in range(settings.get_nfilters())}
    if filters - FILTERS:
        raise refusal(path, field, f"filter {min(filters - FILTERS)}", "built-in filters: gzip, shuffle, lzf")
    chunk_bytes = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize if dataset.chunks else 0
    if chunk_bytes > MAX_CHUNK_BYTES:
        raise refusal(path, f"{field}: chunk", chunk_bytes, f"at most {MAX_CHUNK_BYTES} bytes")
    declared = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize if dataset.shape else 0
    stored = dataset.id.get_storage_size()
    # The last chunk along each axis may stick out beyond the shape, never the other way round.
    if declared > stored * (MAX_UNPACKING if filters else 1):
        raise refusal(path, f"{field}: size", f"{declared} bytes announced, {stored} stored", "what the file can hold")
    return dataset


def follow(path: Path, file: Any, reference: Any, field: str) -> Any:
    """Return the data set that an object reference of a MATLAB file names; it lies in the same file.

    Raises:
        SourceError: The reference is empty or names no data set that may be read.
    """
    import h5py

    if not isinstance(reference, h5py.Reference) or not reference:
        raise refusal(path, field, "an empty reference", "a reference to a data set")
    return check_dataset(path, file[reference], field)


def references(path: Path, dataset: Any, field: str) -> np.ndarray:
    """Return the references that a data set holds, in order.

    Raises:
        SourceError: It holds something else, or too many.
    """
    import h5py

    check_dataset(path, dataset, field)
    if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference or dataset.size * 8 > MAX_UNPACKED_BYTES:
        raise refusal(path, field, str(dataset.dtype), "references to data sets")
    return np.asarray(dataset[()]).ravel(order="F")


def _others(group: Any) -> str:
    names = [str(name) for name, _ in zip(group, range(8), strict=False) if not str(name).startswith("#")]
    return f"there are: {', '.join(names)[:200]}" if names else ""


class Turned:
    """A data set as MATLAB sees it: the library shows its axes in the reverse order.

    Args:
        dataset: With the axes of the file.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        return tuple(self._dataset.shape[::-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""
        found: np.dtype[Any] = self._dataset.dtype
        return found

    def __getitem__(self, index: Any) -> Any:
        """Return a part with one free axis."""
        return self._dataset[tuple(index)[::-1]]
