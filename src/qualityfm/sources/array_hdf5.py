"""HDF5 behind a strict check: data sets of numbers that lie wholly in the file, and nothing that leads out of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from qualityfm.sources.array_place import (
    MAX_TEXT,
    Index,
    check_expansion,
    check_numeric,
    checked_text,
    decoding,
    number_text,
)
from qualityfm.sources.strict import check_regular_file, refusal

#: Largest chunk, bytes unpacked: HDF5 unpacks a chunk as a whole, and keeps one in memory. Our own bound.
MAX_CHUNK_BYTES = 1 << 28

#: Soft links followed one after the other at most. Source: the HDF5 library's own default.
MAX_LINKS = 16

#: Filters that HDF5 brings along, and LZF of h5py; any other would be loaded as a plug-in from a folder.
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}

_DEFLATE = 1

#: How far deflate unfolds at most. Source: zlib's technical notes (1032:1).
_DEFLATE_RATIO = 1032


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading; returns its root group of h5py.

    Raises:
        SourceError: It is no regular file, or no whole HDF5 file.
    """
    check_regular_file(path)
    try:
        import h5py
    except ImportError as error:
        advice = "pip install 'qualityfm[formats]'"
        raise refusal(path, "file", "an HDF5 file", "h5py to read it with", advice) from error
    with decoding(path, "file", "a whole HDF5 file"):
        # Archives lie on disks that cannot be locked; a chunk must fit the cache, or each block unpacks it again.
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=MAX_CHUNK_BYTES)
    try:
        yield file
    finally:
        with decoding(path, "file", "a whole HDF5 file"):
            file.close()


def object_below(path: Path, group: Any, name: str, num_links: int = 0) -> Any | None:
    """Return an object of a group by its name; None if there is none. Soft links are followed inside the file.

    Raises:
        SourceError: The name leads to another file, or round in a circle, or the file is damaged.
    """
    import h5py

    field = f"link {name[:MAX_TEXT]}"
    with decoding(path, field, "a readable group"):
        link = group.get(name, getlink=True)
    if link is None:
        return None
    if isinstance(link, h5py.HardLink):
        with decoding(path, field, "a readable object"):
            return group[name]
    if not isinstance(link, h5py.SoftLink) or num_links >= MAX_LINKS:
        found = "a circle of links" if isinstance(link, h5py.SoftLink) else "a link to another file"
        raise refusal(path, field, found, "an object in this file")
    return _follow(path, group, link.path, num_links + 1)


def _follow(path: Path, group: Any, target: str, num_links: int) -> Any | None:
    """Return the object that a soft link names, each part of its path checked like any other."""
    place = group.file if target.startswith("/") else group
    for part in target.split("/"):
        if part in ("", "."):
            continue
        if place is None or not hasattr(place, "keys"):
            return None
        place = object_below(path, place, part, num_links)
    return place


def attribute(path: Path, label: str, thing: Any, name: str) -> Any:
    """Return a small attribute of an object; None if there is none.

    Raises:
        SourceError: It is no single text or few numbers, or damaged.
    """
    import h5py

    with decoding(path, f"{label}: attribute {name[:MAX_TEXT]}", "a readable attribute"):
        if name not in thing.attrs:
            return None
        dtype, shape = thing.attrs.get_id(name).dtype, thing.attrs.get_id(name).shape
        num_values = math.prod(shape) if shape else 1
        is_text = dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None
        if num_values * dtype.itemsize > 4 * MAX_TEXT or not (is_text or dtype.kind in "iuf"):
            return None
        value = thing.attrs[name]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


@dataclass(frozen=True)
class Hdf5Array:
    """The numbers of a data set that was checked."""

    path: Path
    label: str
    data: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self.data.shape)

    def read(self, index: Index) -> Shaped[np.ndarray, "..."]:
        """Return a piece; only the chunks it touches are unpacked."""
        with decoding(self.path, self.label, "undamaged samples"):
            return np.asarray(self.data[index])


def checked_array(path: Path, label: str, data: Any) -> Hdf5Array:
    """Return a data set of numbers as an array, once its storage is checked.

    Raises:
        SourceError: It holds no numbers, or not where they can be read.
    """
    with decoding(path, label, "a readable data set"):
        dtype = data.dtype
    check_numeric(path, label, dtype)
    check_storage(path, label, data)
    return Hdf5Array(path, label, data)


def check_storage(path: Path, label: str, data: Any) -> None:
    """Make sure that all values of a data set lie in the file and can be unpacked.

    Raises:
        SourceError: It lies in other files, lacks parts, or says to be larger than it can be.
    """
    import h5py

    with decoding(path, label, "a readable data set"):
        plist = data.id.get_create_plist()
        layout, is_external = plist.get_layout(), plist.get_external_count() > 0
    # Before anything else is asked: even the shape of a virtual data set opens the files it is made of.
    if layout == h5py.h5d.VIRTUAL or is_external:
        raise refusal(path, label, "numbers that lie in other files", "numbers in this file")
    with decoding(path, label, "a readable data set"):
        dtype, shape, stored = data.dtype, data.shape, data.id.get_storage_size()
    if shape is None:
        raise refusal(path, label, "no shape", "numbers")
    declared = math.prod(shape) * dtype.itemsize
    if layout == h5py.h5d.CHUNKED:
        _check_chunks(path, label, data, plist, stored)
    elif stored < declared:
        raise refusal(path, f"{label}: size", f"{stored} bytes in the file", f"{declared}, as its shape says")
    check_expansion(path, f"{label}: size", declared, max(stored, path.stat().st_size))


def _check_chunks(path: Path, label: str, data: Any, plist: Any, stored: int) -> None:
    with decoding(path, label, "readable chunks"):
        chunks, shape, itemsize = data.chunks, data.shape, data.dtype.itemsize
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    chunk_bytes = math.prod(chunks) * itemsize
    if chunk_bytes > MAX_CHUNK_BYTES:
        raise refusal(path, f"{label}: chunk size", f"{chunk_bytes} bytes", f"at most {MAX_CHUNK_BYTES}")
    _check_filters(path, label, filters)
    num_expected = math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
    with decoding(path, label, "readable chunks"):
        num_found, fill = data.id.get_num_chunks(), np.asarray(data.fillvalue)
    # A chunk that was never written reads as the fill value: as missing samples, or as samples nobody recorded.
    if num_found != num_expected and not (fill.dtype.kind == "f" and np.isnan(fill)):
        raise refusal(path, f"{label}: chunks", num_found, f"{num_expected}, as its shape says")
    if _DEFLATE in filters and stored * _DEFLATE_RATIO > MAX_CHUNK_BYTES:
        _check_deflated(path, label, data, chunk_bytes)


def _check_filters(path: Path, label: str, filters: Sequence[int]) -> None:
    import h5py

    for code in filters:
        if code not in _FILTERS or not h5py.h5z.filter_avail(code):
            raise refusal(path, f"{label}: filter", f"number {code}", f"one of {', '.join(_FILTERS.values())}")
    if len(set(filters)) < len(filters):
        raise refusal(path, f"{label}: filter", "one twice", "each once")


def _check_deflated(path: Path, label: str, data: Any, chunk_bytes: int) -> None:
    """Refuse chunks that would unfold to more than a chunk: HDF5 finds out only when it has unfolded them."""
    found: list[Any] = []
    with decoding(path, label, "readable chunks"):
        data.id.chunk_iter(lambda info: found.append(info) if info.size * _DEFLATE_RATIO > MAX_CHUNK_BYTES else None)
    for info in found:
        with decoding(path, label, "readable chunks"):
            raw = data.id.read_direct_chunk(info.chunk_offset)[1]
            is_whole = info.filter_mask or len(_at_most(raw, chunk_bytes + 1)) <= chunk_bytes
        if not is_whole:
            raise refusal(path, f"{label}: chunk size", f"more than {chunk_bytes} bytes unpacked", f"{chunk_bytes}")


def _at_most(packed: bytes, num_bytes: int) -> bytes:
    return zlib.decompressobj().decompress(packed, num_bytes)


def hdf5_text(path: Path, label: str, data: Any) -> str:
    """Return the text, or the whole number, of a data set with one value.

    Raises:
        SourceError: There is neither.
    """
    import h5py

    with decoding(path, label, "a readable data set"):
        is_text = data.dtype.kind == "S" or h5py.check_string_dtype(data.dtype) is not None
    if not is_text:
        array = checked_array(path, label, data)
        if math.prod(array.shape) != 1:
            raise refusal(path, label, f"{math.prod(array.shape)} numbers", "a text or a whole number")
        return number_text(path, label, array.read(tuple(slice(0, 1) for _ in array.shape)))
    with decoding(path, label, "a readable text"):
        num_bytes, num_values = data.id.get_storage_size(), math.prod(data.shape)
        if num_values != 1 or num_bytes > 4 * MAX_TEXT:
            raise refusal(path, label, f"{num_values} texts in {num_bytes} bytes", "one short text")
        value = np.asarray(data[()]).reshape(-1)[0]
        text = value.decode() if isinstance(value, bytes) else str(value)
    return checked_text(path, label, text)


def leaf_names(group: Any, most: int = 50) -> list[str]:
    """Return the paths of the first data sets below a group, as far as they lie in the file and can be read."""
    import h5py

    names: list[str] = []
    waiting = [(group, "", 0)]
    while waiting and len(names) < most:
        place, prefix, depth = waiting.pop(0)
        for name in list(place)[:most]:
            if name.startswith("#") or not isinstance(place.get(name, getlink=True), h5py.HardLink):
                continue
            below = place[name]
            if isinstance(below, h5py.Dataset):
                names.append(prefix + name)
            elif isinstance(below, h5py.Group) and depth < 3:
                waiting.append((below, f"{prefix}{name}/", depth + 1))
    return names
