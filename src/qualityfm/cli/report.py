"""`qualityfm report`: the quality of a recording, or of a folder of them, as a page to read or print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from qualityfm.cli.batches import for_each_recording
from qualityfm.cli.places import check_suffix, scorer
from qualityfm.cli.terminal import name_problems, say

if TYPE_CHECKING:
    from qualityfm.records import Recording

EXAMPLES = (
    "qualityfm report recordings/a103l --out a103l.html",
    "qualityfm report recordings/a103l --model runs/first --out a103l.html",
    "qualityfm report recordings/ --out archive.html --pages",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `report`."""

    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD_OR_FOLDER")]
    """A recording (its file, or the path without extension), or a folder of them: one page for all."""
    out: Annotated[Path, tyro.conf.arg(metavar="REPORT.html")]
    """Page to write; an older one is replaced."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add a model's estimate: a run, a checkpoint, or a shipped name."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    pages: bool = False
    """For a folder: write each recording's own page beside the archive's, too, and link them."""


def run(options: Options) -> int:
    """Score one recording, or a folder of them, and write the report."""
    check_suffix(options.out, (".html", ".htm"))
    return _report_folder(options) if options.recording.is_dir() else _report_one(options)


def _report_one(options: Options) -> int:
    from qualityfm.inference.report import write_report
    from qualityfm.sources import open_recording

    recording = open_recording(options.recording, layout=options.layout)
    score, model_name = scorer(options.model)
    say(str(write_report(recording, score(recording), options.out, model_name=model_name)))
    return 0


def _report_folder(options: Options) -> int:
    """Write the archive's page; in a folder, what cannot be used is skipped and named on it."""
    from qualityfm.inference.archive_report import ArchiveSummary, render_archive_report
    from qualityfm.inference.report import write_page, write_report

    score, model_name = scorer(options.model)
    summary = ArchiveSummary(name=options.recording.resolve().name)
    folder = options.out.with_name(f"{options.out.stem}-pages")

    def report_one(recording: Recording) -> None:
        found = score(recording)
        page = folder / f"{len(summary.rows):06d}.html"  # names in archives may hold anything, "/" and ".." included
        if options.pages:
            write_report(recording, found, page, model_name=model_name)
        summary.add(found, f"{folder.name}/{page.name}" if options.pages else None)

    batch = for_each_recording(options.recording, report_one, "scoring", options.layout)
    say(str(write_page(render_archive_report(summary, batch.problems, model_name=model_name), options.out)))
    name_problems(batch.problems)
    return 0
