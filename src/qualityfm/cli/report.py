"""`qualityfm report`: one recording's quality as a page to read or print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qualityfm.cli.places import check_suffix, scorer
from qualityfm.cli.terminal import say

EXAMPLES = (
    "qualityfm report recordings/a103l --out a103l.html",
    "qualityfm report recordings/a103l --model runs/first --out a103l.html",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `report`."""

    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD")]
    """The recording: its file, or the path without extension."""
    out: Annotated[Path, tyro.conf.arg(metavar="REPORT.html")]
    """Page to write; an older one is replaced."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add a model's estimate: a run, a checkpoint, or a shipped name."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""


def run(options: Options) -> int:
    """Score one recording and write its report."""
    from qualityfm.inference.report import write_report
    from qualityfm.sources import open_recording

    check_suffix(options.out, (".html", ".htm"))
    recording = open_recording(options.recording, layout=options.layout)
    score, model_name = scorer(options.model)
    say(str(write_report(recording, score(recording), options.out, model_name=model_name)))
    return 0
