"""One shard of a data set, opened: its files mapped, its rows handed out once their checksums agree."""

from __future__ import annotations

import errno
import hashlib
import io
import mmap
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int, UInt64

from qualityfm.errors import FormatError, problem
from qualityfm.files import sha256_of
from qualityfm.segments import SegmentConfig
from qualityfm.shards.checks import RowHasher
from qualityfm.shards.format import ARRAYS, CHECK_TYPE, CHECKS_FILE, ROWS_FILE, FileEntry, ShardEntry, array_shape
from qualityfm.shards.store import Store
from qualityfm.shards.store_checks import check_size, read_problem
from qualityfm.shards.writer import ROWS_SCHEMA

#: What to do about damage.
ADVICE = "copy the shard again or prepare it anew; `qualityfm verify` lists all damage"


class OpenShard:
    """The arrays of one shard, memory-mapped; `check` comes before use.

    Sizes and array headers are compared on opening. A file that is cut short after that, while it is mapped, ends the
    process: no system lets a reader know in time.

    Attributes:
        entry: The shard as the index lists it.
        arrays: Read-only maps in the order of `ARRAYS`; quality as the bits of its float16.

    Raises:
        FormatError: A file is missing, has another size or another header, or the checksums themselves are damaged.
    """

    def __init__(self, store: Store, entry: ShardEntry, config: SegmentConfig) -> None:
        self.entry = entry
        self._store = store
        arrays = {name: self._map(name, dtype, config) for name, dtype in ARRAYS.items()}
        self._hasher = RowHasher(list(arrays.values()))
        arrays["quality"] = arrays["quality"].view(np.uint16)
        self.arrays = tuple(arrays.values())
        self._checks = read_checks(store, entry)

    def check(self, rows: Int[np.ndarray, " row"]) -> None:
        """Refuse rows of the shard whose bytes are not those that were written.

        Raises:
            FormatError: One is damaged; the message names the file, the row and what to do.
        """
        found = self._hasher.hash_rows(rows)
        wrong = np.flatnonzero(found != self._checks[rows])
        if len(wrong):
            raise self._damage(int(rows[wrong[0]]), int(found[wrong[0]]))

    def _map(self, name: str, dtype: np.dtype, config: SegmentConfig) -> np.ndarray:
        file = entry_of(self.entry, f"{name}.npy")
        path = self._store.local(f"{self.entry.name}/{file.name}", file.num_bytes)
        where = f"{self._store.url}/{self.entry.name}/{file.name}"
        return map_array(path, dtype, array_shape(name, self.entry.num_rows, config), where)

    def _damage(self, row: int, found: int) -> FormatError:
        """Return the refusal of a row; the files are hashed to say which of them is to blame."""
        where = f"{self._store.url}/{self.entry.name}"
        changed = [f"{name}.npy" for name in ARRAYS if self._is_changed(entry_of(self.entry, f"{name}.npy"))]
        return FormatError(
            problem(
                "damaged row",
                where=f"{where}/{changed[0]}" if changed else where,
                field=f"checksum of row {row} of this shard",
                found=f"{found:016x}",
                expected=f"{int(self._checks[row]):016x}",
                advice=ADVICE,
            )
        )

    def _is_changed(self, file: FileEntry) -> bool:
        return sha256_of(self._store.local(f"{self.entry.name}/{file.name}", file.num_bytes)) != file.sha256


def entry_of(shard: ShardEntry, name: str) -> FileEntry:
    """Return the index's entry of a shard's file."""
    return next(file for file in shard.files if file.name == name)


def compare_sizes(url: str, shard: ShardEntry, sizes: Mapping[str, int]) -> None:
    """Refuse a shard of which a file is missing or has another size than the index says.

    Args:
        url: The data set.
        shard: The shard.
        sizes: A listing of the whole data set: one request instead of one for each file.

    Raises:
        FormatError: So it is.
    """
    for file in shard.files:
        name = f"{shard.name}/{file.name}"
        if name not in sizes:
            raise FormatError(read_problem(FileNotFoundError(errno.ENOENT, "no file"), f"{url}/{name}"))
        check_size(f"{url}/{name}", sizes[name], file.num_bytes)


def read_checked(store: Store, shard: ShardEntry, name: str) -> bytes:
    """Return the content of a small file of a shard, its size and SHA-256 compared with the index.

    Raises:
        FormatError: It is missing or changed.
    """
    file = entry_of(shard, name)
    path = f"{shard.name}/{name}"
    check_size(f"{store.url}/{path}", store.num_bytes(path), file.num_bytes)
    content = store.read_bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        where = f"{store.url}/{path}"
        raise FormatError(
            problem("changed file", where=where, field="sha256", found=found, expected=file.sha256, advice=ADVICE)
        )
    return content


def read_checks(store: Store, shard: ShardEntry) -> UInt64[np.ndarray, " row"]:
    """Return the checksums of a shard's rows.

    Raises:
        FormatError: Their file is missing or changed.
    """
    content = read_checked(store, shard, CHECKS_FILE)
    header = array_header(CHECK_TYPE, (shard.num_rows,))
    if content[: len(header)] != header or len(content) != len(header) + CHECK_TYPE.itemsize * shard.num_rows:
        raise _wrong_header(f"{store.url}/{shard.name}/{CHECKS_FILE}", content[: len(header)], header)
    return np.frombuffer(content, CHECK_TYPE, offset=len(header))


def read_rows(store: Store, shard: ShardEntry) -> pa.Table:
    """Return the table of a shard's rows.

    Raises:
        FormatError: It is damaged or has another number of rows or other columns.
    """
    where = f"{store.url}/{shard.name}/{ROWS_FILE}"
    content = read_checked(store, shard, ROWS_FILE)
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows != shard.num_rows or file.schema_arrow != ROWS_SCHEMA:
            found = f"{file.metadata.num_rows} rows of {', '.join(file.schema_arrow.names)}"
            expected = f"{shard.num_rows} rows of {', '.join(ROWS_SCHEMA.names)}"
            raise FormatError(problem("damaged file", where=where, field="table", found=found, expected=expected))
        return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"damaged file: {where}: {error}") from error


@cache
def array_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """Return the bytes that stand before the samples in an array file: NumPy format 1.0, C order."""
    stream = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def map_array(path: Path, dtype: np.dtype, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Return a read-only memory map of one array file; its header is compared byte for byte, never parsed.

    Raises:
        FormatError: The file is not an array of this type and shape.
    """
    header = array_header(dtype, shape)
    num_bytes = len(header) + dtype.itemsize * int(np.prod(shape))
    try:
        with path.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise FormatError(problem("cannot map", where=where, field="file", found=str(error), expected="it")) from error
    if len(mapped) != num_bytes or mapped[: len(header)] != header:
        raise _wrong_header(where, mapped[: len(header)], header)
    return np.frombuffer(mapped, dtype, offset=len(header)).reshape(shape)


def _wrong_header(where: str, found: bytes, expected: bytes) -> FormatError:
    shown = [part[10:].decode("latin-1").strip() for part in (found, expected)]
    return FormatError(
        problem("damaged file", where=where, field="array header", found=shown[0], expected=shown[1], advice=ADVICE)
    )
