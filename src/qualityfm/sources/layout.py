"""Layout: what a file does not say about itself - which columns are which channels, at which rate, of which patient.

WFDB, EDF and .vital files describe themselves; CSV, Parquet, HDF5, MAT and NumPy files do not. A layout is a TOML file;
those of well-known archives ship in `qualityfm/layouts/` and are known by name.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qualityfm.config import from_mapping, read_toml
from qualityfm.errors import ConfigError, problem
from qualityfm.records import ChannelKind


@dataclass(frozen=True, kw_only=True)
class ChannelRule:
    """One channel of a layout.

    Attributes:
        column: Where it lies in the file: a column of a table, a data set or variable of an array file, or the
            channel's own name in a file that describes itself.
        name: What it is called from then on; "" keeps `column`.
        unit: Physical unit after gain and offset; "" where the file says it itself, else an arbitrary unit.
        kind: What it measures; None asks the table of channel names.
        sample_rate_hz: Its rate where it differs from the layout's.
        gain: Physical value of one unit in the file.
        offset: Physical value of 0 in the file.
        wraps_at: Number of values after which an unsigned counter begins again at 0; 0 for none. A jump of more than
            half of it between two samples is undone.
        axis_index: Row or column of a two-dimensional array that holds the channel; None for a one-dimensional one.
        is_optional: True where some recordings of the archive lack it; any other missing channel is refused.
    """

    column: str
    name: str = ""
    unit: str = ""
    kind: ChannelKind | None = None
    sample_rate_hz: float | None = None
    gain: float = 1.0
    offset: float = 0.0
    wraps_at: int = 0
    axis_index: int | None = None
    is_optional: bool = False

    @property
    def shown_name(self) -> str:
        """The channel's name in a recording."""
        return self.name or self.column


@dataclass(frozen=True, kw_only=True)
class TableRule:
    """A CSV file of an archive with one row for each recording: labels, splits, patients.

    Its columns are there for choosing recordings, and for tasks that are given them; they never enter a shard.

    Attributes:
        file: Its name, from the archive's folder on.
        record: Column that names the recording (its whole id or the last part of it).
        subject: Column that names the patient; "" for none.
        rename: Other columns under the names that the tasks know, such as {decision = "is_true_alarm"}.
    """

    file: str
    record: str
    subject: str = ""
    rename: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the files of an archive are to be read.

    Attributes:
        name: Its name.
        title: What it is for, in one line.
        source: Key in `SOURCES` of the format it speaks of.
        files: Pattern of the files it speaks of, matched against the file's name.
        sample_rate_hz: Rate of every channel without one of its own, Hz; None where `time` gives it.
        time: Column or data set with the time of each sample; "" for none.
        time_unit: Unit of `time`; "datetime" for dates and times as text or timestamps.
        separator: What stands between columns of a CSV file.
        decimal: What stands before the fraction of a number in a CSV file.
        items: Array files: what holds several recordings. "" - the file is one recording; "rows" - the first axis
            counts recordings; a name - a group, cell or struct array whose entries are recordings.
        samples_axis: Array files: which axis of a two-dimensional array is time.
        missing: Values in the file that stand for a missing sample.
        subject: Regular expression searched in the recording's path; its group 1 is the patient. "" for none.
        subject_column: Column, data set or field in the file that names the patient; "" for none.
        channels: The channels to read; empty for all that the file describes itself.
        tables: Tables beside the recordings.
        path_labels: Columns made of a recording's path, like those of `tables`: name -> regular expression searched in
            it; its group 1 is the value, or whether it is found is, where it has no group.
        license: Licence of the data, for people.
        source_url: Home of the data, for people.
    """

    name: str
    title: str
    source: str
    files: str = "*"
    sample_rate_hz: float | None = None
    time: str = ""
    time_unit: Literal["s", "ms", "us", "datetime"] = "s"
    separator: str = ","
    decimal: Literal[".", ","] = "."
    items: str = ""
    samples_axis: Literal[0, 1, -1] = -1
    missing: tuple[float, ...] = ()
    subject: str = ""
    subject_column: str = ""
    channels: tuple[ChannelRule, ...] = ()
    tables: tuple[TableRule, ...] = ()
    path_labels: dict[str, str] = field(default_factory=dict)
    license: str = ""
    source_url: str = ""

    def __post_init__(self) -> None:
        for rate_hz in (self.sample_rate_hz, *(c.sample_rate_hz for c in self.channels)):
            if rate_hz is not None and not (math.isfinite(rate_hz) and 0 < rate_hz <= 1e6):
                raise self._wrong("sample_rate_hz", rate_hz, "0 < x <= 1e6 Hz")
        names = [c.shown_name for c in self.channels]
        if len(set(names)) < len(names):
            raise self._wrong("channels", ", ".join(names), "each name once")
        if any(not (math.isfinite(c.gain) and c.gain != 0 and math.isfinite(c.offset)) for c in self.channels):
            raise self._wrong("channels: gain, offset", "0 or no number", "finite numbers, gain not 0")
        if len(self.separator) != 1 or self.separator == self.decimal:
            raise self._wrong("separator", self.separator, "one character, another one than decimal")
        if self.subject and self._num_groups("subject", self.subject) != 1:
            raise self._wrong("subject", self.subject, "a regular expression with one group")
        for name, pattern in self.path_labels.items():
            if self._num_groups(f"path_labels: {name}", pattern) > 1:
                raise self._wrong(f"path_labels: {name}", pattern, "a regular expression with one group or none")

    def _num_groups(self, field: str, pattern: str) -> int:
        try:
            return re.compile(pattern).groups
        except (re.error, TypeError) as error:
            raise self._wrong(field, pattern, f"a regular expression ({error})") from error

    def _wrong(self, field: str, found: object, expected: str) -> ConfigError:
        return ConfigError(
            problem("wrong setting", where=f"layout {self.name}", field=field, found=found, expected=expected)
        )

    def speaks_of(self, source: str, file_name: str) -> bool:
        """Tell whether a file of a format is one that this layout describes."""
        return source == self.source and fnmatch.fnmatchcase(file_name, self.files)

    def subject_of(self, recording_path: str) -> str | None:
        """Return the patient named in a recording's path; None where it names none."""
        match = re.search(self.subject, recording_path) if self.subject else None
        return match[1] or None if match else None

    def labels_of(self, recording_path: str) -> dict[str, str | bool]:
        """Return what `path_labels` say about one recording; "" where a value is not found."""
        labels: dict[str, str | bool] = {}
        for name, pattern in self.path_labels.items():
            match = re.search(pattern, recording_path)
            has_value = re.compile(pattern).groups == 1
            labels[name] = (match[1] or "" if match else "") if has_value else match is not None
        return labels


def read_layout(name_or_path: str | Path) -> Layout:
    """Return a layout that ships, by name, or one of the user's, by the path of its TOML file.

    Raises:
        ConfigError: There is no such layout, or it is not one.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return _from_toml(read_toml(path), path)
    known = layouts_that_ship()
    if str(name_or_path) not in known:
        nearest = difflib.get_close_matches(str(name_or_path), known, n=1, cutoff=0.0)
        advice = f"did you mean {nearest[0]!r}?" if nearest else ""
        expected = f"a path ending in .toml or one of {', '.join(known)}"
        found = str(name_or_path)
        raise ConfigError(
            problem("no such layout", where="layouts", field="name", found=found, expected=expected, advice=advice)
        )
    return known[str(name_or_path)]


@lru_cache(maxsize=1)
def layouts_that_ship() -> dict[str, Layout]:
    """Return the layouts in `qualityfm/layouts/` by name."""
    paths = sorted(Path(str(files("qualityfm.layouts"))).glob("*.toml"))
    return {path.stem: _from_toml(read_toml(path), path) for path in paths}


def _from_toml(tables: dict[str, Any], path: Path) -> Layout:
    return from_mapping(Layout, {"name": path.stem} | tables, where=path)
