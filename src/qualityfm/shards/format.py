"""Shard format version 2: what lies in a data set folder, as types; the prose is docs/FORMAT.md."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from qualityfm.config import from_mapping, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.segments import SegmentConfig
from qualityfm.shards.store import Store, as_store

T = TypeVar("T")

FORMAT_NAME = "qualityfm-shards"
FORMAT_VERSION = 2
INDEX_FILE = "index.json"
SHARD_FILE = "shard.json"
ROWS_FILE = "rows.parquet"
CHECKS_FILE = "checks.npy"
SHARD_NAME = re.compile(r"shard-\d{5,}")

#: Arrays of a shard, each in its own .npy file, with their little-endian types.
ARRAYS: dict[str, np.dtype[Any]] = {
    "values": np.dtype("<i2"),
    "is_real": np.dtype("u1"),
    "step": np.dtype("<f4"),
    "center": np.dtype("<f4"),
    "scale": np.dtype("<f4"),
    "quality": np.dtype("<f2"),
    "causes": np.dtype("<u2"),
}

#: Checksum of each row, in `CHECKS_FILE`.
CHECK_TYPE = np.dtype("<u8")

#: Largest index.json that is read; a million shards stay far below.
MAX_INDEX_BYTES = 2**31


def array_shape(name: str, num_rows: int, config: SegmentConfig) -> tuple[int, ...]:
    """Return the shape that an array of `ARRAYS` has in a shard of `num_rows` rows."""
    inner = {
        "values": (config.num_samples,),
        "is_real": (-(-config.num_samples // 8),),
        "quality": (config.num_seconds,),
        "causes": (config.num_seconds,),
    }
    return (num_rows, len(config.channels), *inner.get(name, ()))


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file of a shard: its name inside the shard folder, its size and its checksum."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RecordingNote:
    """A recording of which nothing (or not all) is in the data set, and why."""

    recording_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RecordingCount:
    """Segments of one recording in one shard: how many were kept, how many were dropped for which reason.

    Attributes:
        recording_id: The recording.
        kept: Rows of it.
        dropped: Segments that are no rows, by reason.
        repairs: What had to be put right to read it, by the repair's name.
    """

    recording_id: str
    kept: int
    dropped: dict[str, int]
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShardSummary:
    """What one shard holds and what was met while making it; the content of its shard.json.

    Attributes:
        name: Folder name, such as "shard-00000".
        num_rows: Segments in it; a shard without rows has no files but its shard.json.
        hours: Hours of recording inside the segments.
        grades: Number of segments of each grade A to E.
        recordings: Counts for each recording that was read.
        refused: Recordings that could not be read.
        files: Every file but shard.json itself.
    """

    name: str
    num_rows: int
    hours: float
    grades: dict[str, int]
    recordings: tuple[RecordingCount, ...]
    refused: tuple[RecordingNote, ...]
    files: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One shard as the index lists it: number of rows, and every file with size and checksum."""

    name: str
    num_rows: int
    files: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """The content of index.json: what a data set holds, how it was made, and how to check it.

    Attributes:
        format: Always `FORMAT_NAME`.
        format_version: Version of the format on disk.
        package_version: Version of QualityFM that wrote it.
        segments: How the segments were cut and scaled.
        selection: Which recordings of the archive were asked for; None for all.
        plan_hash: Identity of the request (settings, selection, recordings), used when an interrupted run goes on.
        num_recordings: Recordings with at least one segment.
        num_segments: Rows over all shards.
        hours: Hours of recording inside the segments; overlapping segments count each time.
        grades: Number of segments of each grade A to E.
        dropped: Number of segments dropped, by reason.
        repairs: Number of recordings that were read under a repair, by its name.
        refused: Recordings, or parts of them, that could not be read.
        left_out: Recordings that were not asked for or broke a rule of `segments`, such as too short ones.
        shards: The shards in row order.
        content_hash: sha256 over everything above, the checksums of all files included.
    """

    format: str
    format_version: int
    package_version: str
    segments: SegmentConfig
    selection: dict[str, Any] | None
    plan_hash: str
    num_recordings: int
    num_segments: int
    hours: float
    grades: dict[str, int]
    dropped: dict[str, int]
    refused: tuple[RecordingNote, ...]
    left_out: tuple[RecordingNote, ...]
    shards: tuple[ShardEntry, ...]
    repairs: dict[str, int] = field(default_factory=dict)
    content_hash: str = ""

    def with_hash(self) -> DatasetIndex:
        """Return the same index with its `content_hash` filled in."""
        return replace(self, content_hash=hash_plain(to_plain(replace(self, content_hash=""))))


def to_json(value: Any) -> str:
    """Return plain values as JSON text, always the same text for the same values."""
    return json.dumps(to_plain(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def hash_plain(value: Any) -> str:
    """Return the sha256 of plain values, independent of key order."""
    return hashlib.sha256(to_json(value).encode()).hexdigest()


def shard_entry(summary: ShardSummary) -> ShardEntry:
    """Return what the index says about a shard: its files, and its shard.json, which is this summary."""
    content = to_json(summary).encode()
    own = FileEntry(name=SHARD_FILE, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return ShardEntry(name=summary.name, num_rows=summary.num_rows, files=(*summary.files, own))


def read_index(place: str | Path | Store, name: str = INDEX_FILE) -> DatasetIndex:
    """Return the index of a data set, its own checksum tested.

    Args:
        place: Folder, URL or store.
        name: File that holds it.

    Raises:
        FormatError: There is no index, it is not one of ours, it has another version, or it was changed.
    """
    store = as_store(place)
    path = f"{store.url}/{name}"
    plain = _read_json(store, name)
    _check_version(plain, path)
    index = _strict(DatasetIndex, plain, path)
    if index.with_hash().content_hash != index.content_hash:
        found, expected = index.content_hash, "the hash of the rest of it"
        raise FormatError(problem("damaged index", where=path, field="content_hash", found=found, expected=expected))
    _check_names(index, path)
    return index


def read_summary(place: str | Path | Store, name: str = "") -> ShardSummary:
    """Return what a finished shard says about itself.

    Args:
        place: Folder, URL or store of the shard; or of its data set, where `name` is given.
        name: The shard.

    Raises:
        FormatError: There is no shard.json, or it is damaged.
    """
    store = as_store(place)
    file = f"{name}/{SHARD_FILE}" if name else SHARD_FILE
    return _strict(ShardSummary, _read_json(store, file), f"{store.url}/{file}")


def _check_version(plain: dict[str, Any], path: str) -> None:
    if plain.get("format") != FORMAT_NAME:
        found, expected = plain.get("format"), repr(FORMAT_NAME)
        raise FormatError(problem("not a data set index", where=path, field="format", found=found, expected=expected))
    version = plain.get("format_version")
    if version != FORMAT_VERSION:
        raise FormatError(
            problem(
                "data set of another version",
                where=path,
                field="format_version",
                found=version,
                expected=f"version {FORMAT_VERSION}",
                advice="prepare the archive again, or install the QualityFM version that wrote it",
            )
        )


def _read_json(store: Store, name: str) -> dict[str, Any]:
    path = f"{store.url}/{name}"
    if not store.exists(name):
        advice = "was prepare interrupted? run it again, it goes on where it stopped"
        raise FormatError(
            problem("no data set here", where=store.url, field=name, found=None, expected="a file", advice=advice)
        )
    num_bytes = store.num_bytes(name)
    if num_bytes > MAX_INDEX_BYTES:
        expected = f"at most {MAX_INDEX_BYTES}"
        raise FormatError(problem("damaged file", where=path, field="bytes", found=num_bytes, expected=expected))
    try:
        plain = json.loads(store.read_bytes(name).decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"cannot read: {path}: {error}") from error
    if not isinstance(plain, dict):
        raise FormatError(problem("damaged file", where=path, field="JSON", found=type(plain), expected="an object"))
    return plain


def _strict(cls: type[T], plain: dict[str, Any], path: str) -> T:
    try:
        return from_mapping(cls, plain, where=path, is_complete=True)
    except (ConfigError, TypeError, ValueError) as error:
        raise FormatError(f"damaged file: {error}") from error


def _check_names(index: DatasetIndex, path: str) -> None:
    """Refuse shard and file names that are not ours: they are used as paths."""
    known = {SHARD_FILE, ROWS_FILE, CHECKS_FILE, *(f"{name}.npy" for name in ARRAYS)}
    for shard in index.shards:
        names = {entry.name for entry in shard.files}
        expected = known if shard.num_rows else {SHARD_FILE}
        if not SHARD_NAME.fullmatch(shard.name) or names != expected or shard.num_rows < 0:
            raise FormatError(
                problem(
                    "damaged index",
                    where=path,
                    field=shard.name,
                    found=sorted(names),
                    expected=f"shard-NNNNN with {', '.join(sorted(expected))}",
                )
            )
