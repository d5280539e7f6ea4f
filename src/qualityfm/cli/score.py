"""`qualityfm score`: quality per second of recordings, as a table."""

from __future__ import annotations

import re
import zlib
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.batches import Spread, for_each_recording
from qualityfm.cli.places import check_suffix, scorer
from qualityfm.cli.tables import SUFFIXES, Table, open_table
from qualityfm.cli.terminal import name_problems, remark, say_json, say_table
from qualityfm.errors import ConfigError, problem

if TYPE_CHECKING:
    from qualityfm.records import QualityScore, Recording

EXAMPLES = (
    "qualityfm score recordings/a103l --out quality.csv",
    "qualityfm score recordings/ --model runs/first --out quality.parquet",
    "qualityfm score archive/ --workers 8 --out quality.parquet --pages pages/",
    "qualityfm score recordings/ --task alarm --alarms alarms.csv --out answers.csv",
)

#: Segments whose seconds become rows of the table at once.
SEGMENTS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `score`."""

    recordings: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD_OR_FOLDER")]
    """A recording (its file, or the path without extension), or a folder of them."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add a model's estimate: a run, a checkpoint, a shipped name, or an exported model, which needs no torch."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="TABLE")] = None
    """Table to write: .csv, .parquet or .json. An older one is replaced."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    annotations: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder to write the quality into as WFDB annotations, RECORD.qfm, which other viewers show."""
    pages: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder to write a page with pictures of each recording into, as `qualityfm report` does."""
    per: Literal["second", "segment"] = "second"
    """What a row of the table is: a second of a channel, or a segment."""
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = None
    """Ask a task model instead: vt-alarm, alarm, af or abp of the shipped ones, or what --model was fine-tuned for."""
    end_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """With --task: judge only the window that ends here, such as the moment of the alarm; else one after the other."""
    kind: Annotated[str, tyro.conf.arg(metavar="KIND")] = ""
    """With --task: what sort of window it is, such as the alarm's type."""
    alarms: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = None
    """With --task: judge the window before each alarm of this table (record, alarm, and alarm_s unless all sound at
    300 s). Recordings without an alarm are left out."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Recordings of a folder worked on at a time, one process each; the same table for any number. By default one for
    every 16 recordings, at most all processors."""
    engine: Literal["processes", "ray"] = "processes"
    """Processes of this machine, or a Ray cluster (extra `ray`)."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """A running Ray cluster to join; without it one is started on this machine."""
    dry_run: bool = False
    """Say what would be read, from headers alone; write nothing."""
    json: bool = False
    """Print the summary as JSON."""


def run(options: Options) -> int:
    """Score recordings; in a folder, what cannot be used is skipped and named."""
    _check(options)
    if options.dry_run:
        from qualityfm.cli.score_plan import show_plan

        return show_plan(options)
    if options.task is not None:
        from qualityfm.cli.score_task import answer_recordings

        return answer_recordings(options)
    scorer_here.cache_clear()  # a model may have been trained anew under its name
    model_name = scorer_here(options.model)[1]
    is_folder = options.recordings.is_dir()
    work = ScoreRecording(model=options.model, model_name=model_name, pages=options.pages)
    with nullcontext() if options.out is None else open_table(options.out) as table:
        sink = _Sink(table=table, per=options.per, annotations=options.annotations)

        def take(found: QualityScore) -> Scored:
            sink.take(found)
            return Scored(row=_row(found), score=None if is_folder else found)

        batch = for_each_recording(
            options.recordings, work, "scoring", options.layout, spread=spread_of(options), take=take
        )
        sink.close()
    rows = [one.row for one in batch.results]
    if options.json:
        out = None if options.out is None else str(options.out)
        say_json({"model": model_name, "out": out, "recordings": rows, "problems": list(batch.problems)})
    else:
        _show(batch.results)
        name_problems(batch.problems)
        skipped = f", {len(batch.problems)} skipped" if batch.problems else ""
        remark(f"{len(rows)} scored{skipped}" + (f"; table: {options.out}" if options.out else ""))
    return 0


def _check(options: Options) -> None:
    """Refuse options that do not go together, before any work.

    Raises:
        ConfigError: They do not.
    """
    if options.out is not None:
        check_suffix(options.out, SUFFIXES)
    needs_task = {"--end-s": options.end_s, "--kind": options.kind or None, "--alarms": options.alarms}
    for name, value in needs_task.items():
        if value is not None and options.task is None:
            raise _refusal(name, value, "--task beside it")
    for name in ("--annotations", "--pages"):
        value = getattr(options, name[2:])
        if value is not None and options.task is not None:
            raise _refusal(name, value, "no --task beside it: quality is not asked for")
    if options.alarms is not None and (options.end_s is not None or options.kind):
        raise _refusal("--alarms", options.alarms, "no --end-s or --kind beside it: the table has both")


def _refusal(field: str, found: object, expected: str) -> ConfigError:
    return ConfigError(
        problem("options that do not go together", where="score", field=field, found=found, expected=expected)
    )


def spread_of(options: Options) -> Spread:
    """Return over what the recordings are spread."""
    return Spread(workers=options.workers, engine=options.engine, address=options.ray_address)


#: The model is loaded once in each process.
scorer_here = lru_cache(maxsize=1)(scorer)


@dataclass(frozen=True, kw_only=True)
class ScoreRecording:
    """Scores one recording, perhaps in another process.

    Attributes:
        model: What to load there; None for the classical score.
        model_name: Its name, for the pages.
        pages: Folder of pages; None for none.
    """

    model: str | None
    model_name: str | None
    pages: Path | None

    def __call__(self, recording: Recording) -> QualityScore:
        """Return the score, and write the recording's page."""
        found = scorer_here(self.model)[0](recording)
        if self.pages is not None:
            from qualityfm.inference.report import write_report

            write_report(recording, found, self.pages / page_name(recording.recording_id), model_name=self.model_name)
        return found


def page_name(recording_id: str) -> str:
    """Return a file name for a recording, whose own name may hold anything, "/" and ".." included."""
    plain = re.sub(r"[^A-Za-z0-9_+-]", "_", recording_id)[:80]
    mark = "" if plain == recording_id else f"-{zlib.crc32(recording_id.encode()):08x}"
    return f"{plain}{mark}.html"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What is kept of a recording once its rows are written: its summary, and of one that was named its score."""

    row: dict[str, Any]
    score: QualityScore | None


@dataclass(kw_only=True)
class _Sink:
    """Where scores go as soon as they are there, so that an archive needs no more memory than its longest recording."""

    table: Table | None
    per: str
    annotations: Path | None
    segments: list[dict[str, Any]] = field(default_factory=list)

    def take(self, score: QualityScore) -> None:
        if self.table is not None and self.per == "second":
            for first in range(0, len(score.overall), SEGMENTS_AT_ONCE):
                self.table.add(score.to_pandas(slice(first, first + SEGMENTS_AT_ONCE)))
        elif self.table is not None:
            self.segments += score.segments
        if self.annotations is not None:
            self.annotations.mkdir(parents=True, exist_ok=True)
            score.to_wfdb_annotations().wrann(write_fs=True, write_dir=str(self.annotations))

    def close(self) -> None:
        """Write segments at last: their columns are known only when all channels are."""
        import pandas as pd

        if self.table is not None and self.segments:
            self.table.add(pd.DataFrame(self.segments))


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


def _show(results: tuple[Scored, ...]) -> None:
    score = results[0].score
    if score is not None:
        names = [name for name in score.names if name]
        columns = {name: f"quality_{name}" for name in names}
        if score.model_quality is not None:
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
            for r in score.segments
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
        for r in (one.row for one in results)
    ]
    say_table(("recording", "grade", "quality", "segments", "channels"), table)
