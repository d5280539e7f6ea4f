"""`qualityfm benchmark`: measure quality scores, or the baselines of a clinical task, on public recordings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.terminal import progress, remark, say_json, say_table
from qualityfm.errors import ConfigError, problem

if TYPE_CHECKING:
    from qualityfm.evidence.quality_benchmark import Bench

EXAMPLES = (
    "qualityfm benchmark quality --data /data/physionet --out runs/quality",
    "qualityfm benchmark quality --quick --model qualityfm-tiny --json",
    "qualityfm benchmark vt --data /data/physionet --out runs/vt",
    "qualityfm benchmark vtac --data /data/vtac --out runs/vtac",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `benchmark`."""

    what: tyro.conf.Positional[Literal["quality", "vt", "alarm", "af", "abp", "vtac", "perform-af", "pulsedb", "uci"]]
    """What to measure: quality, the score of each second; the models of a task: vt, alarm, af, abp; or the same on an
    archive with the split it is published with, whose folder --data names: vtac, perform-af, pulsedb, uci."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that holds mitdb, nstdb, cudb, challenge2011, challenge2015 and ppg_wearable; else what QUALITYFM_DATA
    says."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add rows for a model's quality head: a run, a checkpoint, or a shipped name."""
    heldout_fold: Annotated[int, tyro.conf.arg(metavar="FOLD")] = 4
    """Fold of challenge2015 that the model has not learnt from: the only one whose pulses it is shown."""
    quick: bool = False
    """A small part of everything, in about a minute; its intervals are wide."""
    test: bool = False
    """vt, alarm: answer the split `test` instead of the folds of `train`. Choose nothing by it."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder to write table.json, table.csv and report.html into. Finished parts are kept there too: a run that was
    stopped goes on where it was. Tasks write report.html, scores.csv and their features."""
    json: bool = False
    """Print the figures as JSON."""


def run(options: Options) -> int:
    """Measure, and print the table."""
    if options.what != "quality":
        from qualityfm.cli.benchmark_task import run_task

        return run_task(options, _folder(options.data))
    from qualityfm.evidence.quality_benchmark import PARTS, QUICK, Bench, BenchmarkSize, benchmark_quality
    from qualityfm.evidence.quality_kept import plain_row
    from qualityfm.evidence.quality_report import misses_aim, write_report

    size = QUICK if options.quick else BenchmarkSize()
    bench = Bench(
        data=_folder(options.data), size=size, predictor=_model(options.model), heldout_fold=options.heldout_fold
    )
    with progress("measuring", len(PARTS)) as advance:
        figures = list(benchmark_quality(bench, _kept(bench, options.out), advance))
    facts = {"benchmark": options.what, "quick": options.quick, **_facts(bench)}
    if options.out is not None:
        write_report(options.out, figures, facts)
    if options.json:
        say_json({**facts, "figures": [plain_row(figure) for figure in figures]})
        return 0
    rows = [
        (f.part, f.case, f.method, f.measure, str(f.estimate), f.num_records, f.aim + " (missed)" * misses_aim(f))
        for f in figures
    ]
    say_table(("part", "case", "method", "measure", "value [95 %]", "records", "aim"), rows)
    for words in _absences(bench):
        remark(words)
    if options.out is not None:
        remark(f"report: {options.out / 'report.html'}")
    return 0


def _model(name: str | None) -> Any:
    if name is None:
        return None
    from qualityfm.inference.loading import load_model

    return load_model(name)


def _kept(bench: Bench, out: Path | None) -> Any:
    from qualityfm.evidence.quality_kept import KeptParts, question_of

    if out is None:
        return None
    facts = _facts(bench)
    question = question_of(bench.data.resolve(), bench.size, bench.heldout_fold, sorted(facts.items(), key=str))
    return KeptParts(folder=out / "parts", question=question)


def _facts(bench: Bench) -> dict[str, Any]:
    """Return what the figures depend on: versions, and the model with its weights."""
    from qualityfm.evidence.quality_peers import installed_peers
    from qualityfm.version import __version__

    facts: dict[str, Any] = {"qualityfm": __version__, "peers": installed_peers()}
    if bench.predictor is not None:
        facts["model"] = bench.predictor.name
        facts["weights"] = bench.predictor.card.get("weights_sha256")
        facts["absent"] = _absences(bench)
    return facts


def _absences(bench: Bench) -> list[str]:
    """Return which figures of a model cannot be there, in words."""
    if bench.predictor is None:
        return []
    found, name = [], bench.predictor.name
    if bench.predictor.network.causes is None:
        found.append(f"{name} has no cause head: no figure of named causes")
    if bench.predictor.calibration is None:
        found.append(f"{name} is not calibrated: no figure of its probabilities and of what it knows")
    return found


def _folder(data: Path | None) -> Path:
    found = data or (Path(os.environ["QUALITYFM_DATA"]) if os.environ.get("QUALITYFM_DATA") else None)
    if found is None:
        advice = "give --data, or set QUALITYFM_DATA"
        raise ConfigError(
            problem("no data", where="benchmark", field="--data", found=None, expected="a folder", advice=advice)
        )
    return found
