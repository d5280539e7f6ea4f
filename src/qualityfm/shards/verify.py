"""Every byte of a data set against the checksums in its index."""

from __future__ import annotations

from pathlib import Path

from qualityfm.errors import FormatError
from qualityfm.files import sha256_of
from qualityfm.shards.format import ARRAYS, INDEX_FILE, DatasetIndex, ShardEntry, array_shape, read_index
from qualityfm.shards.reader import check_sizes, map_array, read_rows


def verify(folder: str | Path) -> list[str]:
    """Return what is wrong with a data set, one line each; an empty list means that every byte is as it was written."""
    folder = Path(folder)
    try:
        index = read_index(folder)
    except FormatError as error:
        return [str(error)]
    problems = [line for shard in index.shards for line in _shard_problems(folder, index, shard)]
    num_rows = sum(shard.num_rows for shard in index.shards)
    if num_rows != index.num_segments:
        problems.append(f"{folder / INDEX_FILE}: num_segments: found {index.num_segments}, shards hold {num_rows}")
    known = {shard.name for shard in index.shards} | {INDEX_FILE}
    problems += [f"unknown file: {path}" for path in sorted(folder.iterdir()) if path.name not in known]
    return problems


def _shard_problems(folder: Path, index: DatasetIndex, shard: ShardEntry) -> list[str]:
    try:
        check_sizes(folder, shard)
    except FormatError as error:
        return [str(error)]
    changed = [e.name for e in shard.files if sha256_of(folder / shard.name / e.name) != e.sha256]
    if changed or not shard.num_rows:
        return [f"changed file: {folder / shard.name / name}: sha256 differs from the index" for name in changed]
    try:
        read_rows(folder, shard)
        for name, dtype in ARRAYS.items():
            shape = array_shape(name, shard.num_rows, index.segments)
            map_array(folder / shard.name / f"{name}.npy", dtype, shape)
    except FormatError as error:
        return [str(error)]
    return []
