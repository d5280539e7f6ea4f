"""The interchange form of a shard: one Parquet table that is read without this package; the prose is docs/FORMAT.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from qualityfm.config import from_mapping
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.segments import SegmentConfig
from qualityfm.shards.format import ARRAYS, ShardSummary, hash_plain, to_json
from qualityfm.shards.quantise import MISSING, pack_bits
from qualityfm.shards.writer import ROWS_SCHEMA

PARQUET_NAME = "qualityfm-parquet"
PARQUET_VERSION = 1

#: The data set's index, written last; the leading mark hides it from whoever reads the folder as one table.
EXPORT_INDEX = "_index.json"

#: Key of the schema's metadata.
METADATA_KEY = b"qualityfm"

#: Type of one entry of each array in a table. Quality is widened: few readers know 16-bit floats.
CELLS: dict[str, pa.DataType] = {
    "values": pa.int16(),
    "is_real": pa.bool_(),
    "step": pa.float32(),
    "center": pa.float32(),
    "scale": pa.float32(),
    "quality": pa.float32(),
    "causes": pa.uint16(),
}


@dataclass(frozen=True, kw_only=True)
class ParquetNote:
    """What a table says about itself, in its schema's metadata.

    Attributes:
        format: Always `PARQUET_NAME`.
        format_version: Version of the form.
        content_hash: Identity of the data set.
        segments: How its segments were cut and scaled.
        missing: The integer that stands for a missing sample.
        physical: How an integer becomes a physical value.
        rows_hash: sha256 of the columns that describe the rows.
        shard: What the shard says about itself.
    """

    format: str = PARQUET_NAME
    format_version: int = PARQUET_VERSION
    content_hash: str
    segments: SegmentConfig
    missing: int = MISSING
    physical: str = "values * step * scale + center, in the unit that `units` names"
    rows_hash: str
    shard: ShardSummary


def slot_labels(config: SegmentConfig) -> tuple[str, ...]:
    """Return what the columns of each channel slot begin with: its kind, numbered where a kind has several slots."""
    totals, seen = Counter(config.channels), Counter[str]()
    labels = []
    for kind in config.channels:
        seen[kind] += 1
        labels.append(f"{kind}_{seen[kind]}" if totals[kind] > 1 else str(kind))
    return tuple(labels)


def cell_width(name: str, config: SegmentConfig) -> int | None:
    """Return how many entries of an array one row and channel has; None for a single value."""
    widths = {"values": config.num_samples, "is_real": config.num_samples}
    return (widths | {"quality": config.num_seconds, "causes": config.num_seconds}).get(name)


def table_schema(config: SegmentConfig) -> pa.Schema:
    """Return the columns of a table: those of rows.parquet, then every array of every channel slot."""
    fields = list(ROWS_SCHEMA)
    for label in slot_labels(config):
        for name, cell in CELLS.items():
            width = cell_width(name, config)
            fields.append(pa.field(f"{label}_{name}", cell if width is None else pa.list_(cell, width)))
    return pa.schema(fields)


def to_table(rows: pa.Table, arrays: Mapping[str, np.ndarray], config: SegmentConfig) -> pa.Table:
    """Return rows of a shard as a table.

    Args:
        rows: Their part of rows.parquet.
        arrays: Their part of each array, as on disk.
        config: How they were cut.
    """
    columns = [column.combine_chunks() for column in rows.columns]
    for slot in range(len(config.channels)):
        for name in CELLS:
            columns.append(_to_column(name, arrays[name][:, slot], config))
    return pa.Table.from_arrays(columns, schema=table_schema(config))


def from_table(table: pa.Table, config: SegmentConfig) -> tuple[dict[str, np.ndarray], pa.Table]:
    """Return the arrays of a table as they are on disk, and its columns of rows.parquet.

    Raises:
        FormatError: An array has an empty cell.
    """
    arrays = {}
    for name, dtype in ARRAYS.items():
        slots = [_from_column(table, f"{label}_{name}", cell_width(name, config)) for label in slot_labels(config)]
        stacked = np.stack(slots, axis=1)
        packed = pack_bits(stacked) if name == "is_real" else stacked
        arrays[name] = np.ascontiguousarray(packed.astype(dtype))
    # Parquet has its own name for the entries of a list; the cast brings back ours, and with it the same bytes.
    return arrays, table.select(ROWS_SCHEMA.names).cast(ROWS_SCHEMA)


def rows_hash(rows: pa.Table) -> str:
    """Return the sha256 of the columns of rows.parquet, independent of how they are stored."""
    plain = {name: rows[name].to_pylist() for name in ROWS_SCHEMA.names if name != "start"}
    return hash_plain(plain | {"start": rows["start"].cast(pa.int64()).to_pylist()})


def note_metadata(note: ParquetNote) -> dict[bytes, bytes]:
    """Return the metadata of a table's schema."""
    return {METADATA_KEY: to_json(note).encode()}


def read_note(metadata: Mapping[bytes, bytes] | None, where: object) -> ParquetNote:
    """Return what a table says about itself.

    Raises:
        FormatError: It says nothing, or not in this form and version.
    """
    try:
        plain: Any = json.loads((metadata or {})[METADATA_KEY])
        note = from_mapping(ParquetNote, plain, where=where, is_complete=True)
    except KeyError as error:
        expected = "a table that `qualityfm export` wrote"
        raise FormatError(
            problem("no exported table", where=where, field="metadata", found=None, expected=expected)
        ) from error
    except (ConfigError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"damaged file: {error}") from error
    if (note.format, note.format_version) != (PARQUET_NAME, PARQUET_VERSION):
        found, wanted = f"{note.format} {note.format_version}", f"{PARQUET_NAME} {PARQUET_VERSION}"
        raise FormatError(problem("table of another form", where=where, field="format", found=found, expected=wanted))
    return note


def _to_column(name: str, cells: np.ndarray, config: SegmentConfig) -> pa.Array:
    width = cell_width(name, config)
    if name == "is_real":
        cells = np.unpackbits(cells, axis=1, count=width, bitorder="little").astype(np.bool_)
    flat = pa.array(np.ascontiguousarray(cells.astype(CELLS[name].to_pandas_dtype())).reshape(-1))
    return flat if width is None else pa.FixedSizeListArray.from_arrays(flat, width)


def _from_column(table: pa.Table, name: str, width: int | None) -> np.ndarray:
    column = table[name].combine_chunks()
    flat = column if width is None else column.flatten()
    if column.null_count or flat.null_count or len(flat) != len(table) * (width or 1):
        raise FormatError(
            problem("damaged table", where=name, field="cells", found="empty ones", expected="a value in each")
        )
    values = flat.to_numpy(zero_copy_only=False)
    return np.asarray(values if width is None else values.reshape(len(table), width))
