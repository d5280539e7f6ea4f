"""The tasks of `qualityfm benchmark`: the baselines of alarms, rhythm and pressure, with intervals and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qualityfm.cli.terminal import remark, say, say_json, say_table
from qualityfm.errors import ConfigError, problem
from qualityfm.files import write_text

if TYPE_CHECKING:
    from qualityfm.cli.benchmark import Options
    from qualityfm.evidence.intervals import Estimate

TASK_NAMES = {"vt": "vt-alarm", "alarm": "alarm"}


def run_task(options: Options, data: Path) -> int:
    """Measure the baselines of a task, print them, and write what was asked for."""
    if options.what in TASK_NAMES:
        return _alarms(options, data)
    if options.test:
        expected = f"one of {', '.join(TASK_NAMES)}"
        raise ConfigError(problem("no split", where="benchmark", field="--test", found=options.what, expected=expected))
    from qualityfm.evidence.task_benchmark import benchmark_abp, benchmark_af

    measure, folder = (benchmark_af, "mitdb") if options.what == "af" else (benchmark_abp, "challenge2015")
    found = measure(_data_set(data, folder), cache=options.out, scores=_scores(options))
    _write(options, found.html)
    if options.json:
        figures = [{"model": m, "figure": f} | _plain(e) for m, f, e in found.rows]
        say_json({"benchmark": options.what, "figures": figures, "patients": list(found.patients)})
        return 0
    say_table(("model", "figure", "value [95 %]"), [(m, f, str(e)) for m, f, e in found.rows])
    return 0


def _alarms(options: Options, data: Path) -> int:
    from qualityfm.evidence.alarm_benchmark import FIGURES, benchmark_alarms, shown

    found = benchmark_alarms(
        _data_set(data, "challenge2015"),
        TASK_NAMES[options.what],
        is_test=options.test,
        cache=options.out,
        scores=_scores(options),
        say=remark,
    )
    _write(options, found.html)
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
        about = {"benchmark": options.what, "protocol": found.protocol, "models": models}
        say_json(about | {"permuted_labels_auc": _plain(found.canary), "problems": list(found.problems)})
        return 0
    for line in found.problems:
        remark(line)
    say_table(("model", *FIGURES), [(row.model, *(str(row.figures[name]) for name in FIGURES)) for row in found.rows])
    say(f"{found.protocol}; permuted labels: AUC {found.canary}")
    return 0


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


def _write(options: Options, html: str) -> None:
    if options.out is not None:
        write_text(options.out / "report.html", html)
