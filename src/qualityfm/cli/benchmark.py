"""`qualityfm benchmark`: measure the shipped scores on public recordings and print one table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from qualityfm.cli.terminal import remark, say_json, say_table
from qualityfm.errors import ConfigError, problem

EXAMPLES = (
    "qualityfm benchmark quality --data /data/physionet",
    "qualityfm benchmark quality --quick --json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `benchmark`."""

    what: tyro.conf.Positional[Literal["quality"]]
    """What to measure: quality, the classical score."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that holds mitdb, nstdb, cudb, challenge2011 and challenge2015; else what QUALITYFM_DATA says."""
    quick: bool = False
    """A small part of everything, in about a minute; its intervals are wide."""
    json: bool = False
    """Print the figures as JSON."""


def run(options: Options) -> int:
    """Measure, and print the table."""
    from qualityfm.evidence.quality_benchmark import QUICK, BenchmarkSize, benchmark_quality

    size = QUICK if options.quick else BenchmarkSize()
    figures = list(benchmark_quality(_folder(options.data), size, remark))
    if options.json:
        say_json({"benchmark": options.what, "quick": options.quick, "figures": [figure.row() for figure in figures]})
        return 0
    rows = [(f.part, f.case, f.method, f.measure, str(f.estimate), f.num_records, f.aim) for f in figures]
    say_table(("part", "case", "method", "measure", "value [95 %]", "records", "aim"), rows)
    return 0


def _folder(data: Path | None) -> Path:
    found = data or (Path(os.environ["QUALITYFM_DATA"]) if os.environ.get("QUALITYFM_DATA") else None)
    if found is None:
        advice = "give --data, or set QUALITYFM_DATA"
        raise ConfigError(
            problem("no data", where="benchmark", field="--data", found=None, expected="a folder", advice=advice)
        )
    return found
