"""The tasks of `qualityfm benchmark`: the baselines of alarms, rhythm and pressure, with intervals and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualityfm.cli.terminal import remark, say, say_json, say_table
from qualityfm.config import to_plain
from qualityfm.errors import ConfigError, problem
from qualityfm.files import write_text

if TYPE_CHECKING:
    from qualityfm.cli.benchmark import Options
    from qualityfm.evidence.alarm_benchmark import AlarmBenchmark
    from qualityfm.evidence.intervals import Estimate
    from qualityfm.evidence.pressure_benchmark import PressureBenchmark
    from qualityfm.evidence.task_benchmark import TaskBenchmark

#: Beats of further patients that a model of rhythm learns from where they are there.
BEAT_LISTS = "vitaldb_arrhythmia_annotations"
TASK_NAMES = {"vt": "vt-alarm", "alarm": "alarm"}
#: Archives that are benchmarked with the split they are published with.
ARCHIVE_NAMES = ("vtac", "perform-af", "pulsedb", "uci")


def run_task(options: Options, data: Path) -> int:
    """Measure the baselines of a task, print them, and write what was asked for."""
    if options.what in TASK_NAMES:
        return _alarms(options, data)
    if options.test:
        expected = f"one of {', '.join(TASK_NAMES)}"
        raise ConfigError(problem("no split", where="benchmark", field="--test", found=options.what, expected=expected))
    if options.what in ARCHIVE_NAMES:
        return _archive(options, data)
    if options.what == "abp":
        return _pressures(options, data)
    from qualityfm.evidence.task_benchmark import benchmark_af

    lists = data / BEAT_LISTS
    found = benchmark_af(
        _data_set(data, "mitdb"),
        beat_lists=lists if lists.is_dir() else None,
        cache=options.out,
        scores=_scores(options),
    )
    _write(options, found.html)
    return _show_rhythm(options, found, {"benchmark": options.what})


def _show_rhythm(options: Options, found: TaskBenchmark, about: dict[str, str]) -> int:
    if options.json:
        figures = [{"model": m, "figure": f} | _plain(e) for m, f, e in found.rows]
        say_json(about | {"figures": figures, "patients": list(found.patients)})
        return 0
    say_table(("model", "figure", "value [95 %]"), [(m, f, str(e)) for m, f, e in found.rows])
    return 0


def _alarms(options: Options, data: Path) -> int:
    from qualityfm.evidence.alarm_benchmark import benchmark_alarms

    found = benchmark_alarms(
        _data_set(data, "challenge2015"),
        TASK_NAMES[options.what],
        is_test=options.test,
        cache=options.out,
        scores=_scores(options),
        say=remark,
    )
    _write(options, found.html)
    return _show_alarms(options, found, {"benchmark": options.what})


def _show_alarms(options: Options, found: AlarmBenchmark, about: dict[str, str]) -> int:
    from qualityfm.evidence.alarm_benchmark import FIGURES, shown

    if options.json:
        models = [
            {
                "model": row.model,
                "figures": {name: _plain(estimate) for name, estimate in row.figures.items()},
                "auc_by_kind": {kind: shown(value) for kind, value in row.by_kind.items()},
                "auc_difference": _plain(row.difference) if row.difference else None,
            }
            for row in found.rows
        ]
        whole = {"protocol": found.protocol, "models": models, "permuted_labels_auc": _plain(found.canary)}
        say_json(about | whole | {"held_sensitivity": to_plain(found.held), "problems": list(found.problems)})
        return 0
    for line in found.problems:
        remark(line)
    names = ("model", *FIGURES, "AUC against the best before")
    say_table(names, [(r.model, *(str(r.figures[f]) for f in FIGURES), str(r.difference or "")) for r in found.rows])
    if found.rows[0].by_kind:
        kinds = tuple(found.rows[0].by_kind)
        say_table(("AUC", *kinds), [(row.model, *map(shown, row.by_kind.values())) for row in found.rows])
    say(f"{found.protocol}; permuted labels: AUC {found.canary}")
    held = found.held
    say(
        f"holding a sensitivity: {held.sensitivity:.1%} of true alarms stay on, {held.removed:.1%} of false ones are "
        f"silenced, {held.abstained:.1%} have no answer"
    )
    return 0


def _pressures(options: Options, data: Path) -> int:
    from qualityfm.evidence.pressure_benchmark import benchmark_abp

    found = benchmark_abp(_data_set(data, "challenge2015"), cache=options.out, scores=_scores(options), say=remark)
    _write(options, found.html)
    if options.json:
        say_json({"benchmark": options.what} | _plain_pressures(found))
    else:
        _show_pressures(found)
    return 0


def _archive(options: Options, data: Path) -> int:
    from qualityfm.evidence.archive_benchmark import benchmark_archive

    found = benchmark_archive(options.what, data, cache=options.out, scores=_scores(options), say=remark)
    about = {"benchmark": options.what, "note": found.note}
    remark(found.note)
    if found.alarms is not None:
        _write(options, found.alarms.html)
        return _show_alarms(options, found.alarms, about)
    if found.rhythm is not None:
        _write(options, found.rhythm.html)
        return _show_rhythm(options, found.rhythm, about)
    for side, one in found.pressures.items():
        _write(options, one.html, f"report-{side}.html")
        if not options.json:
            say(f"{options.what}, {side}")
            _show_pressures(one)
    if options.json:
        say_json(about | {"protocols": {side: _plain_pressures(one) for side, one in found.pressures.items()}})
    return 0


def _plain_pressures(found: PressureBenchmark) -> dict[str, Any]:
    figures = [{"protocol": r.protocol, "model": r.model, "figure": r.figure} | _plain(r.estimate) for r in found.rows]
    paired = [{"model": m, "against": a, "figure": f} | _plain(e) for m, a, f, e in found.differences]
    silent = {output: _plain(estimate) for output, estimate in found.canary.items()}
    about = {"figures": figures, "differences": paired, "standards": list(found.standards)}
    return about | {"permuted_labels_mmhg": silent, "problems": list(found.problems)}


def _show_pressures(found: PressureBenchmark) -> None:
    for line in found.problems:
        remark(line)
    rows = [(r.protocol, r.model, r.figure, str(r.estimate)) for r in found.rows]
    say_table(("protocol", "model", "figure", "value [95 %]"), rows)
    paired = [(model, against, figure, str(estimate)) for model, against, figure, estimate in found.differences]
    say_table(("model", "against", "figure", "difference [95 %]"), paired)
    say_table(tuple(found.standards[0]), [tuple(map(str, row.values())) for row in found.standards])
    told = ", ".join(f"{output} {estimate}" for output, estimate in found.canary.items())
    say(f"permuted labels, error against the training median, mmHg: {told}")


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _data_set(data: Path, name: str) -> Path:
    """Return a data set's folder, or the folder itself where it is one."""
    from qualityfm.evidence.quality_data import need_folder

    return data if (data / "records.csv").is_file() else need_folder(data, name)


def _scores(options: Options) -> Path | None:
    """Return the file of answers, its folder made; None where nothing is to be written."""
    if options.out is None:
        return None
    options.out.mkdir(parents=True, exist_ok=True)
    return options.out / "scores.csv"


def _write(options: Options, html: str, name: str = "report.html") -> None:
    if options.out is not None:
        write_text(options.out / name, html)
