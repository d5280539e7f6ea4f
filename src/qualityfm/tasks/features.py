"""Hand-made features of many examples as one table, kept on disk by what they are made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import QualityFMError
from qualityfm.files import write_atomically
from qualityfm.records import ChannelKind
from qualityfm.tasks.alarm_features import alarm_features
from qualityfm.tasks.alarms import VT
from qualityfm.tasks.beat_features import Figures
from qualityfm.tasks.examples import Example
from qualityfm.tasks.pressure_features import pressure_features
from qualityfm.tasks.rhythm_features import rhythm_features
from qualityfm.tasks.tables import refuse
from qualityfm.tasks.traces import Trace, read_trace
from qualityfm.version import __version__

#: What makes the features of a task, and how far it looks back, s. A change of a function asks for another number.
FEATURES_VERSION = 1
#: Tasks whose features have a version of their own.
OWN_VERSIONS = {"abp": 2, "alarm": 2, "vt-alarm": 2}
#: Channels that are the answer of a task: they are left out before anything is measured.
HIDDEN: dict[str, tuple[ChannelKind, ...]] = {"abp": (ChannelKind.ABP,)}


def _of_alarm(trace: Trace, example: Example) -> Figures:
    return alarm_features(trace, example.kind)


def _of_vt_alarm(trace: Trace, example: Example) -> Figures:
    return alarm_features(trace, example.kind or VT)


def _of_rhythm(trace: Trace, example: Example) -> Figures:
    return rhythm_features(trace)


def _of_pressure(trace: Trace, example: Example) -> Figures:
    return pressure_features(trace)


Measure = Callable[[Trace, Example], Figures]
FEATURES: dict[str, Measure] = {
    "vt-alarm": _of_vt_alarm,
    "alarm": _of_alarm,
    "af": _of_rhythm,
    "abp": _of_pressure,
}


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Features of examples; NaN where one is not defined.

    Attributes:
        names: Name of each column.
        values: One row for each example.
        problems: What could not be read, one line each; such a row is NaN throughout, it is not lost.
    """

    names: tuple[str, ...]
    values: Float64[np.ndarray, "example feature"]
    problems: tuple[str, ...] = ()


def features_version(task: str) -> int:
    """Return the version of a task's features, which a model that was fitted to them keeps."""
    return OWN_VERSIONS.get(task, FEATURES_VERSION)


def feature_table(
    task: str,
    examples: Sequence[Example],
    lookback_s: float,
    cache: Path | None = None,
    report: Callable[[int, str], None] | None = None,
) -> FeatureTable:
    """Return the hand-made features of every example.

    Args:
        task: Name of a task in `FEATURES`.
        examples: Windows; labels are not looked at.
        lookback_s: How much before each window's end may be used, s.
        cache: Folder that keeps tables, by examples, files and version; None keeps nothing.
        report: Called with the number of examples measured, and a name.

    Raises:
        TaskError: There are no hand-made features for this task.
    """
    if task not in FEATURES:
        raise refuse("no features", task, "task", task, f"one of {', '.join(FEATURES)}")
    kept = cache / f"features-{_identity(task, examples, lookback_s)}.npz" if cache else None
    if kept is not None and kept.is_file():
        return _load(kept)
    rows, problems = _measure(task, examples, lookback_s, report)
    names = tuple(sorted({name for row in rows for name in row}))
    values = np.array([feature_row(row, names) for row in rows], np.float64).reshape(len(rows), -1)
    table = FeatureTable(names=names, values=values, problems=tuple(problems))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, lambda path: _save(path, table))
    return table


def feature_row(row: Figures, names: Sequence[str]) -> Float64[np.ndarray, " feature"]:
    """Return features in a stated order; NaN for one that is missing or not finite."""
    values = np.array([row.get(name, np.nan) for name in names], np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _measure(
    task: str, examples: Sequence[Example], lookback_s: float, report: Callable[[int, str], None] | None
) -> tuple[list[Figures], list[str]]:
    measure, hidden = FEATURES[task], HIDDEN.get(task, ())
    rows: list[Figures] = []
    problems = []
    for number, example in enumerate(examples, 1):
        try:
            rows.append(measure(read_trace(example, lookback_s, hidden), example))
        except QualityFMError as error:
            problems.append(str(error))
            rows.append({})
        if report is not None:
            report(number, example.name)
    return rows, problems


def _identity(task: str, examples: Sequence[Example], lookback_s: float) -> str:
    """Return a name for what a table is made of: windows, and size and time of each recording's files."""
    digest = hashlib.sha256(f"{__version__} {features_version(task)} {task} {lookback_s:g}".encode())
    for example in examples:
        fields = asdict(example)
        del fields["label"]
        digest.update(json.dumps(fields, sort_keys=True).encode())
        for suffix in (".hea", ".dat", ".csv", ""):
            path = Path(f"{example.recording}{suffix}")
            if path.is_file():
                about = path.stat()
                digest.update(f"{suffix} {about.st_size} {about.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _save(path: Path, table: FeatureTable) -> None:
    with path.open("wb") as file:
        np.savez_compressed(
            file, names=np.array(table.names), values=table.values, problems=np.array(table.problems, "U")
        )


def _load(path: Path) -> FeatureTable:
    with np.load(path, allow_pickle=False) as kept:
        return FeatureTable(
            names=tuple(map(str, kept["names"])), values=kept["values"], problems=tuple(map(str, kept["problems"]))
        )
