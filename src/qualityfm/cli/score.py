"""`qualityfm score`: quality per second of recordings, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.places import check_suffix, for_each_recording, scorer, write_table
from qualityfm.cli.terminal import name_problems, remark, say_json, say_table

if TYPE_CHECKING:
    from qualityfm.records import QualityScore

EXAMPLES = (
    "qualityfm score recordings/a103l --out quality.csv",
    "qualityfm score recordings/ --model runs/first --out quality.parquet",
)

SUFFIXES = (".csv", ".parquet", ".json")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `score`."""

    recordings: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD_OR_FOLDER")]
    """A recording (its file, or the path without extension), or a folder of them."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add a model's estimate: a run, a checkpoint, or a shipped name. Without it the score needs no torch."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="TABLE")] = None
    """Table to write: .csv, .parquet or .json. An older one is replaced."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    annotations: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder to write the quality into as WFDB annotations, RECORD.qfm, which other viewers show."""
    per: Literal["second", "segment"] = "second"
    """What a row of the table is: a second of a channel, or a segment."""
    json: bool = False
    """Print the summary as JSON."""


def run(options: Options) -> int:
    """Score recordings; in a folder, what cannot be used is skipped and named."""
    if options.out is not None:
        check_suffix(options.out, SUFFIXES)
    score, model_name = scorer(options.model)
    batch = for_each_recording(options.recordings, score, "scoring", options.layout)
    if options.out is not None:
        write_table(_frame(batch.results, options.per), options.out)
    if options.annotations is not None:
        _annotate(batch.results, options.annotations)
    rows = [_row(one) for one in batch.results]
    if options.json:
        out = None if options.out is None else str(options.out)
        say_json({"model": model_name, "out": out, "recordings": rows, "problems": list(batch.problems)})
    else:
        _show(batch.results, rows)
        name_problems(batch.problems)
        skipped = f", {len(batch.problems)} skipped" if batch.problems else ""
        remark(f"{len(rows)} scored{skipped}" + (f"; table: {options.out}" if options.out else ""))
    return 0


def _annotate(scores: tuple[QualityScore, ...], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for score in scores:
        score.to_wfdb_annotations().wrann(write_fs=True, write_dir=str(folder))


def _frame(scores: tuple[QualityScore, ...], per: str) -> Any:
    import pandas as pd

    frames = [one.to_pandas() if per == "second" else pd.DataFrame(one.segments) for one in scores]
    return pd.concat(frames, ignore_index=True)


def _row(score: QualityScore) -> dict[str, Any]:
    """Return one recording's summary: mean joint quality, grades of its segments, mean quality of each channel."""
    from qualityfm.records import grade

    weights = score.segment_length_s
    mean = float((score.overall * weights).sum() / max(float(weights.sum()), 1e-9))
    names = [name for name in score.names if name is not None]
    summary = {
        "recording": score.recording_id,
        "quality": round(mean, 4),
        "grade": grade(mean),
        "num_segments": len(score.overall),
        "segments_by_grade": {letter: score.grades.count(letter) for letter in "ABCDE"},
        "channels": {name: _mean_of(score, f"quality_{name}") for name in names},
    }
    if score.model_quality is not None:
        summary["channels_model"] = {name: _mean_of(score, f"model_{name}") for name in names}
    return summary


def _mean_of(score: QualityScore, column: str) -> float:
    values = [float(row[column]) for row in score.segments]
    return round(sum(values) / len(values), 4)


def _show(scores: tuple[QualityScore, ...], rows: list[dict[str, Any]]) -> None:
    if len(scores) == 1:
        names = [name for name in scores[0].names if name]
        columns = {name: f"quality_{name}" for name in names}
        if scores[0].model_quality is not None:
            columns |= {f"model {name}": f"model_{name}" for name in names}
        table = [
            (
                f"{r['start_s']:g}",
                r["grade"],
                f"{r['quality']:.2f}",
                *(f"{r[key]:.2f}" for key in columns.values()),
                r["usable_for"] or "nothing",
                r["causes"],
            )
            for r in scores[0].segments
        ]
        say_table(("start_s", "grade", "quality", *columns, "usable for", "causes"), table)
        return
    table = [
        (
            r["recording"],
            r["grade"],
            f"{r['quality']:.2f}",
            r["num_segments"],
            " ".join(f"{name} {quality:.2f}" for name, quality in r["channels"].items()),
        )
        for r in rows
    ]
    say_table(("recording", "grade", "quality", "segments", "channels"), table)
