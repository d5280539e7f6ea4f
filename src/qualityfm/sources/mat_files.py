"""MAT files (.mat), version 5 to 7.3 -> Recording, as a layout says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qualityfm.sources.array_bytes import FileBytes
from qualityfm.sources.array_hdf5 import opened_hdf5
from qualityfm.sources.array_place import Place
from qualityfm.sources.array_source import ArraySource
from qualityfm.sources.mat_level5 import HEADER_BYTES, MatVariables
from qualityfm.sources.mat_level73 import Mat73Place
from qualityfm.sources.strict import check_regular_file, refusal

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Where MATLAB puts HDF5 after a text of its own, and where other writers put it.
_SIGNATURE_PLACES = (512, 0)

#: What the last two bytes of a header say of the order of bytes, and the version before them. Source: MAT-File Format.
_ORDERS = {b"IM": "<", b"MI": ">"}


@contextmanager
def opened_mat(path: Path) -> Iterator[Place]:
    """Open a MAT file.

    Raises:
        SourceError: It is no regular file, or no MAT file of version 5 to 7.3.
    """
    whole = FileBytes(path, 0, check_regular_file(path))
    head = whole.read_at(0, min(whole.num_bytes, 512 + len(_HDF5_SIGNATURE)))
    if any(head[place : place + 8] == _HDF5_SIGNATURE for place in _SIGNATURE_PLACES):
        with opened_hdf5(path) as file:
            yield Mat73Place(path=path, label="variables", thing=file, is_root=True)
    else:
        yield MatVariables(path, whole.num_bytes, _order(path, head))


def _order(path: Path, head: bytes) -> str:
    """Return the order of bytes of a file of version 5 to 7."""
    order = _ORDERS.get(head[126:128])
    version = head[124:126] if order == ">" else head[124:126][::-1]
    if len(head) < HEADER_BYTES or order is None:
        advice = "MAT files of version 4 belong to WFDB records as a rule: name the record by its header"
        raise refusal(path, "header", "another file format", "a MAT file of version 5 to 7.3", advice)
    if version != b"\x01\x00":
        raise refusal(path, "header: version", version.hex(), "0100")
    return order


#: The one reader of MAT files.
MAT = ArraySource(name="mat", endings=(".mat",), opened=opened_mat)
