"""Tables that are written piece by piece, so that a day or an archive needs no more memory than an hour."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from qualityfm.errors import SourceError

if TYPE_CHECKING:
    import pandas

#: Endings of the tables that are written.
SUFFIXES = (".csv", ".parquet", ".json")


class Table(Protocol):
    """A table that takes one frame after the other; all have the same columns."""

    def add(self, frame: pandas.DataFrame) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write what ends the table."""


@contextmanager
def open_table(out: Path) -> Iterator[Table]:
    """Open a CSV, Parquet or JSON table by its ending; it gets its name when it is whole, or not at all.

    Raises:
        SourceError: The file cannot be written.
    """
    aside = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    kinds: dict[str, type[_Csv | _Parquet | _Json]] = {".csv": _Csv, ".parquet": _Parquet, ".json": _Json}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            table = kinds[out.suffix.lower()](file)
            yield table
            table.close()
        aside.replace(out)
    except OSError as error:
        raise SourceError(f"cannot write: {out}: {error.strerror or error}") from error
    finally:
        if out.parent.is_dir():
            aside.unlink(missing_ok=True)


def write_frames(frames: Iterable[pandas.DataFrame], out: Path) -> None:
    """Write frames as one table.

    Raises:
        SourceError: The file cannot be written.
    """
    with open_table(out) as table:
        for frame in frames:
            table.add(frame)


class _Csv:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._has_rows = False

    def add(self, frame: pandas.DataFrame) -> None:
        frame.to_csv(self._file, index=False, header=not self._has_rows)
        self._has_rows = True

    def close(self) -> None:
        """Nothing ends a CSV table."""


class _Parquet:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._writer: Any = None

    def add(self, frame: pandas.DataFrame) -> None:
        import pyarrow
        import pyarrow.parquet

        if self._writer is None:
            schema = pyarrow.Table.from_pandas(frame, preserve_index=False).schema
            self._writer = pyarrow.parquet.ParquetWriter(self._file, schema)
        self._writer.write_table(pyarrow.Table.from_pandas(frame, schema=self._writer.schema, preserve_index=False))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Json:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._has_rows = False

    def add(self, frame: pandas.DataFrame) -> None:
        if not len(frame):
            return
        text = frame.to_json(orient="records", indent=1, force_ascii=False)
        rows = text.removeprefix("[").removesuffix("]").strip("\n")  # the array goes on from frame to frame
        self._file.write((",\n" if self._has_rows else "[\n").encode() + rows.encode())
        self._has_rows = True

    def close(self) -> None:
        self._file.write(b"\n]" if self._has_rows else b"[]")
