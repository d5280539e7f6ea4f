"""`qualityfm demo`: the whole road in minutes, by the same verbs that do real work."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qualityfm.cli import prepare, pretrain, report, score
from qualityfm.cli.places import DATA_VARIABLE, real_data_folder
from qualityfm.cli.terminal import progress, remark, say
from qualityfm.errors import ConfigError, SourceError, problem

EXAMPLES = ("qualityfm demo", "qualityfm demo --out /tmp/demo --steps 400")

PRESET = "demo"

#: Marks a folder as ours to make anew.
MARKER = "made-by-qualityfm-demo"

#: The simulated archive: two hours of patients, a third of them without artefacts.
NUM_RECORDS, RECORD_S = 24, 300.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `demo`."""

    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("demo")
    """Where everything is written; an earlier demo in it is replaced."""
    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 240
    """Training steps."""
    records: Annotated[int, tyro.conf.arg(metavar="N")] = NUM_RECORDS
    """Simulated records; real recordings are used instead where QUALITYFM_DATA points to some."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What the demo works on."""

    folder: Path
    select: Path | None
    where: str | None


def run(options: Options) -> int:
    """Simulate or find an archive, prepare, pre-train, score, report; 1 where training taught the model nothing."""
    began = time.monotonic()
    data = real_data_folder()
    _clear(options.out)
    _heading(1, "archive")
    archive = _simulated(options) if data is None else _real(data)
    _heading(2, "data set")
    dataset, run_folder = options.out / "dataset", options.out / "run"
    prepare.run(
        prepare.Options(
            archive=archive.folder,
            out=str(dataset),
            select=archive.select,
            where=archive.where,
            preset=PRESET,
            workers=2,
        )
    )
    _heading(3, f"pre-training, {options.steps} steps")
    # One thread: a model this small gains little from a second, and loses much where another job holds that core.
    training = pretrain.Options(preset=PRESET, data=(str(dataset),), out=run_folder, steps=options.steps, threads=1)
    summary = pretrain.train(training)
    code = pretrain.show(training, summary)
    if code:
        return code
    record = archive.folder / _telling_recording(dataset)
    _heading(4, f"quality of {record.name}, classical and by the model")
    table, page = options.out / "quality.csv", options.out / "report.html"
    score.run(score.Options(recordings=record, model=str(run_folder), out=table))
    _heading(5, "report")
    report.run(report.Options(recording=record, model=str(run_folder), out=page))
    start, end = summary.heldout_start["loss"], summary.heldout_end["loss"]
    if not end < start:
        remark(f"the demo failed: the held-out loss went from {start:.4f} to {end:.4f}, it should have fallen")
        return 1
    _farewell(options.out, archive, record, time.monotonic() - began)
    return 0


def _clear(out: Path) -> None:
    """Make the folder; take away an earlier demo, and nothing else."""
    if out.is_dir() and any(out.iterdir()):
        if not (out / MARKER).is_file():
            expected = "a new or empty folder, or an earlier demo"
            raise ConfigError(
                problem("folder in use", where=out, field="--out", found="other files", expected=expected)
            )
        for name in ("archive", "dataset", "run"):
            shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text("`qualityfm demo` replaces what it finds here.\n", encoding="utf-8")


def _simulated(options: Options) -> Archive:
    """Write simulated patients of all rhythms as WFDB records."""
    from qualityfm.prepare.simulated import SimulatedArchive, write_simulated

    folder = options.out / "archive"
    with progress("simulating patients", options.records) as advance:
        write_simulated(folder, SimulatedArchive(num_records=options.records, record_s=RECORD_S), progress=advance)
    say(f"{options.records} simulated records in {folder} ({DATA_VARIABLE} is not set, so no real ones)")
    return Archive(folder=folder, select=None, where=None)


def _real(data: Path) -> Archive:
    """Return the real recordings that may be learnt from."""
    archive = data / "challenge2015"
    table = archive / "records.csv"
    if not table.is_file():
        advice = f"unset {DATA_VARIABLE} for a demo with simulated records"
        raise SourceError(
            problem("no such table", where=table, field="file", found="nothing", expected="a CSV file", advice=advice)
        )
    say(f"real recordings: the train records of {archive}")
    return Archive(folder=archive / "records", select=table, where="split == 'train'")


def _telling_recording(dataset: Path) -> str:
    """Return the recording whose segments differ most in quality: it has something to show."""
    import numpy as np

    from qualityfm.shards.reader import ShardReader

    rows = ShardReader(dataset).rows
    names = np.unique(rows["recording_id"])
    spreads = [float(np.std(rows["quality"][rows["recording_id"] == name])) for name in names]
    return str(names[int(np.argmax(spreads))])


def _heading(number: int, what: str) -> None:
    say(f"\n[{number}/5] {what}")


def _farewell(out: Path, archive: Archive, record: Path, seconds: float) -> None:
    model = out / "run"
    say(f"\nDone in {seconds:.0f} s. Open {(out / 'report.html').resolve()} in a browser.\n")
    say("Try next:")
    for line in (
        f"qualityfm scan {archive.folder}",
        f"qualityfm inspect {model}",
        f"qualityfm score {record}",
        f"qualityfm embed {record} --model {model} --out {out / 'features.parquet'}",
        f"qualityfm report {record} --out {out / 'classical.html'}",
        "qualityfm pretrain --help",
    ):
        say(f"  {line}")
