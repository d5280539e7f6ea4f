"""Several data sets read as one, so that a run can learn from archives that were prepared apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from qualityfm.config import first_difference, to_plain
from qualityfm.errors import ConfigError, problem
from qualityfm.segments import SegmentConfig
from qualityfm.shards.reader import ShardBatch, ShardReader
from qualityfm.shards.splits import refuse_leakage
from qualityfm.shards.store import Store

#: Hexadecimal digits of a recording's mark: two of a million recordings share one with a chance of 3e-8.
MARK_DIGITS = 16


class JoinedReader:
    """One data set or several with the same form, their rows behind each other in the order given.

    Args:
        places: Folders, URLs or stores of the data sets.

    Attributes:
        parts: A reader for each.
        rows: The columns of all, as `ShardReader.rows`.

    Raises:
        ConfigError: No data set is named, or they were cut in different ways.
        TaskError: Two of them hold the same patient or recording.
        FormatError: One is damaged.

    Example:
        ::

            reader = JoinedReader(["icu", "simulated"])
            batch = reader.read(np.arange(8))
    """

    def __init__(self, places: Sequence[str | Path | Store]) -> None:
        if not places:
            expected = "at least one data set"
            raise ConfigError(problem("no data", where="command", field="data", found="none", expected=expected))
        self.parts = tuple(ShardReader(place) for place in places)
        for number, part in enumerate(self.parts[1:], 1):
            _require_same_form(self.parts[0], part)
            for earlier in self.parts[:number]:
                refuse_leakage(earlier, part)
        names = self.parts[0].rows
        self.rows = {name: np.concatenate([part.rows[name] for part in self.parts]) for name in names}
        self._first_row = np.cumsum([0, *(len(part) for part in self.parts)])

    @property
    def url(self) -> str:
        """Where they lie, for messages."""
        return " + ".join(part.url for part in self.parts)

    @property
    def segments(self) -> SegmentConfig:
        """How all of them were cut."""
        return self.parts[0].segments

    @property
    def content_hash(self) -> str:
        """Identity of the data: a single set's own, else one of all and their order."""
        sums = [part.index.content_hash for part in self.parts]
        return sums[0] if len(sums) == 1 else hashlib.sha256(" ".join(sums).encode()).hexdigest()

    def __len__(self) -> int:
        return int(self._first_row[-1])

    def names(self, row: int) -> tuple[str | None, ...]:
        """Return the file's channel name in each slot of a row; None for an empty slot."""
        part, local = self._place(row)
        return part.names(local)

    def units(self, row: int) -> tuple[str, ...]:
        """Return the physical unit of each slot of a row; "" for an empty slot."""
        part, local = self._place(row)
        return part.units(local)

    def _place(self, row: int) -> tuple[ShardReader, int]:
        part = int(np.searchsorted(self._first_row, row, side="right")) - 1
        return self.parts[part], int(row - self._first_row[part])

    def read(self, rows: Int[np.ndarray, " row"]) -> ShardBatch:
        """Return rows in the order given, whichever set they lie in.

        Raises:
            IndexError: A row number is negative or too large.
            FormatError: A row is not what was written.
        """
        if len(self.parts) == 1:
            return self.parts[0].read(rows)
        rows = np.asarray(rows, np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows must lie in 0 .. {len(self) - 1}, found {rows.min()} .. {rows.max()}")
        part_of_row = np.searchsorted(self._first_row, rows, side="right") - 1
        used = np.unique(part_of_row)
        read = [self.parts[part].read(rows[part_of_row == part] - self._first_row[part]) for part in used]
        back = np.argsort(np.concatenate([np.flatnonzero(part_of_row == part) for part in used]), kind="stable")
        return ShardBatch(
            **{name: np.concatenate([getattr(one, name) for one in read])[back] for name in vars(read[0])}
        )

    def describe(self, rows: Int[np.ndarray, " row"]) -> dict[str, Any]:
        """Return what a model card says of the rows that were learnt from: each set, and a mark of each recording."""
        described = []
        for part, first in zip(self.parts, self._first_row, strict=False):
            mine = rows[(rows >= first) & (rows < first + len(part))] - first
            described.append({"content_hash": part.index.content_hash, **_extent(part.rows, mine)})
            described[-1]["selection"] = to_plain(part.index.selection)
        marks = recording_marks(self.rows["recording_id"][rows].tolist())
        return {
            "content_hash": self.content_hash,
            **_extent(self.rows, rows),
            "sets": described,
            "recording_marks": sorted(marks),
        }


def recording_marks(recording_ids: Iterable[str]) -> set[str]:
    """Return a mark for each recording name, by which a card can be asked whether a recording was learnt from.

    The names themselves, which may name patients, stay out of the card. Folders do not count.
    """
    names = {recording_id.rsplit("/", 1)[-1] for recording_id in recording_ids}
    return {hashlib.sha256(f"recording:{name}".encode()).hexdigest()[:MARK_DIGITS] for name in names}


def _extent(columns: dict[str, np.ndarray], rows: Int[np.ndarray, " row"]) -> dict[str, Any]:
    return {
        "num_segments": len(rows),
        "num_recordings": len(set(columns["recording_id"][rows])),
        "hours": round(float(columns["length_s"][rows].sum()) / 3600, 2),
    }


def _require_same_form(first: ShardReader, other: ShardReader) -> None:
    if first.segments != other.segments:
        field, was, wanted = first_difference(to_plain(other.segments), to_plain(first.segments), "segments")
        expected = f"{wanted!r}, as {first.url} has it"
        advice = "prepare both with one preset"
        raise ConfigError(
            problem(
                "data sets differ in form", where=other.url, field=field, found=was, expected=expected, advice=advice
            )
        )
