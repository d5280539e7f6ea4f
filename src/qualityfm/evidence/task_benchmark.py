"""The benchmarks of rhythm and pressure: baselines out of fold, with intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from qualityfm.evidence.curves import reliability, roc
from qualityfm.evidence.intervals import Estimate, auc, bootstrap
from qualityfm.evidence.report_tasks import chart, page, table
from qualityfm.evidence.task_scores import write_scores
from qualityfm.tasks.boosting import answer_sides
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import feature_table
from qualityfm.tasks.folds import fold_sides, leave_one_out_sides
from qualityfm.tasks.metrics import decision_metrics, regression_metrics
from qualityfm.tasks.task import TASKS

#: Seconds of each patient that a calibration may look at. Source: METHOD of the benchmark, docs/decisions/0024.
CALIBRATION_S = 60.0
#: Limits of ANSI/AAMI SP10 and shares of the BHS grades A, B, C within 5, 10, 15 mmHg. Source: O'Brien et al., J
#: Hypertens 11(S2):S43, 1993. An arterial line is not what they certify: figures are compared with them.
BHS_SHARES = {"A": (0.60, 0.85, 0.95), "B": (0.50, 0.75, 0.90), "C": (0.40, 0.65, 0.85)}


@dataclass(frozen=True, kw_only=True)
class TaskBenchmark:
    """What a benchmark found: rows of plain values with intervals, and the report.

    Attributes:
        task: Name of the task.
        rows: (model, figure, estimate), one for each figure of each model.
        patients: One row of plain values for each patient.
        html: The report.
    """

    task: str
    rows: tuple[tuple[str, str, Estimate], ...]
    patients: tuple[dict[str, object], ...]
    html: str


def benchmark_af(
    folder: Path, *, cache: Path | None = None, scores: Path | None = None, num_rounds: int = 500
) -> TaskBenchmark:
    """Measure the RR-interval model of AF, leaving one patient out.

    Args:
        folder: WFDB records with rhythm annotations.
        cache: Folder that keeps features.
        scores: CSV file to keep every answer in.
        num_rounds: Bootstrap rounds.

    Raises:
        TaskError: There are no rhythms, or a record has no patient.
    """
    examples = TASKS["af"].examples(folder, None)
    made = feature_table("af", examples, 30.0, cache)
    answers = answer_sides(made.values, examples, leave_one_out_sides(examples), kind="binary")
    truth, score = truths(examples)[:, 0] > 0.5, answers.score[:, 0]
    called, groups = score >= answers.threshold, groups_of(examples)
    if scores is not None:
        write_scores(scores, examples, ("af",), {"RR model": answers.score}, threshold=answers.threshold)
    rows = [("RR model", "auc", bootstrap(lambda r: auc(truth[r], score[r]), groups, num_rounds=num_rounds))]
    for name in ("tpr", "tnr", "f1"):
        figure = _decision(truth, called, name)
        rows.append(("RR model", name, bootstrap(figure, groups, num_rounds=num_rounds)))
    patients = per_patient(truth, called, groups)
    html = _rhythm_report(rows, patients, truth, score)
    return TaskBenchmark(task="af", rows=tuple(rows), patients=tuple(patients), html=html)


def _decision(truth: np.ndarray, called: np.ndarray, name: str) -> Callable[[np.ndarray], float]:
    return lambda rows: decision_metrics(truth[rows], called[rows])[name]


def per_patient(truth: np.ndarray, called: np.ndarray, groups: np.ndarray) -> list[dict[str, object]]:
    """Return one row for each patient, sensitivity and positive predictivity after EC57, then gross and mean.

    Source: ANSI/AAMI EC57:2012, record-by-record tables with gross (all windows) and average (all records) lines.
    """
    rows = [_patient_row(str(g), truth[groups == g], called[groups == g]) for g in np.unique(groups)]
    average: dict[str, object] = {"patient": "average", "windows": "", "af_windows": ""}
    for name in ("sensitivity", "predictivity"):
        known = [float(str(row[name])) for row in rows if row[name] != "not defined"]
        average[name] = round(float(np.mean(known)), 4) if known else "not defined"
    return [*rows, _patient_row("gross", truth, called), average]


def _patient_row(name: str, truth: np.ndarray, called: np.ndarray) -> dict[str, object]:
    hits = int((truth & called).sum())
    return {
        "patient": name,
        "windows": len(truth),
        "af_windows": int(truth.sum()),
        "sensitivity": round(hits / int(truth.sum()), 4) if truth.any() else "not defined",
        "predictivity": round(hits / int(called.sum()), 4) if called.any() else "not defined",
    }


def _rhythm_report(
    rows: list[tuple[str, str, Estimate]], patients: list[dict[str, object]], truth: np.ndarray, score: np.ndarray
) -> str:
    curve = reliability(truth, score)
    parts = (
        table("Figures", ("model", "figure", "value"), rows),
        chart("ROC", {"RR model": roc(truth, score)}, ("false", "true")),
        chart("Reliability", {"RR model": (curve.said, curve.found)}, ("said", "found"), diagonal=True),
        table("Each patient", tuple(patients[0]), [tuple(row.values()) for row in patients]),
    )
    lead = (f"{len(truth)} windows of 30 s, {int(truth.sum())} of them AF; one patient left out at a time.",)
    return page("Benchmark: af", lead, parts)


def benchmark_abp(
    folder: Path, *, cache: Path | None = None, scores: Path | None = None, num_rounds: int = 500
) -> TaskBenchmark:
    """Measure the baselines of pressure: training mean, boosting, and holding the patient's first minute.

    Args:
        folder: `records.csv` with folds, and records with ABP, PPG and ECG.
        cache: Folder that keeps features.
        scores: CSV file to keep every answer in.
        num_rounds: Bootstrap rounds.

    Raises:
        TaskError: No window is fit, or one has no fold.
    """
    task = TASKS["abp"]
    examples = [e for e in task.examples(folder, None) if e.split in (None, "train")]
    made = feature_table("abp", examples, 30.0, cache)
    answers = answer_sides(made.values, examples, fold_sides(examples), kind="regression")
    truth, groups = truths(examples), groups_of(examples)
    models = {"training mean": answers.train_mean, "trees": answers.score}
    rows = _pressure_rows(models, truth, answers.train_mean, groups, num_rounds)
    held, is_later = first_minute_held(examples, truth)
    later = {"first minute held": held[is_later]}
    rows += _pressure_rows(later, truth[is_later], answers.train_mean[is_later], groups[is_later], num_rounds)
    if scores is not None:
        write_scores(scores, examples, task.outputs, models | {"first minute held": held})
    standards = [standard_row(m, truth, s) for m, s in models.items()]
    standards.append(standard_row("first minute held", truth[is_later], held[is_later]))
    parts = (
        table("Figures", ("model", "figure", "value"), rows),
        table("Compared with AAMI and BHS, systolic", tuple(standards[0]), [tuple(r.values()) for r in standards]),
    )
    lead = (f"{len(examples)} windows of 30 s, {len(set(groups))} groups of records; folds of `train`.",)
    html = page("Benchmark: abp", lead, parts)
    return TaskBenchmark(task="abp", rows=tuple(rows), patients=tuple(standards), html=html)


def first_minute_held(
    examples: Sequence[Example], truth: Float[np.ndarray, "example output"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each window the mean label of its recording's first minute, and which windows come after it."""
    held, is_later = np.full(truth.shape, np.nan), np.zeros(len(examples), bool)
    names = np.array([example.recording for example in examples])
    ends, starts = np.array([e.end_s for e in examples]), np.array([e.start_s for e in examples])
    for name in np.unique(names):
        first = (names == name) & (ends <= CALIBRATION_S)
        later = (names == name) & (starts >= CALIBRATION_S)
        if first.any():
            held[later], is_later[later] = truth[first].mean(axis=0), True
    return held, is_later


def _pressure_rows(
    models: dict[str, np.ndarray], truth: np.ndarray, train_mean: np.ndarray, groups: np.ndarray, num_rounds: int
) -> list[tuple[str, str, Estimate]]:
    outputs = TASKS["abp"].outputs

    def figure(score: np.ndarray, name: str) -> Callable[[np.ndarray], float]:
        return lambda r: regression_metrics(truth[r], score[r], outputs, train_mean[r], unit="mmhg")[name]

    names = [f"{kind}_{o}{tail}" for o in outputs for kind, tail in (("mae", "_mmhg"), ("me", "_mmhg"), ("mase", ""))]
    return [
        (model, name, bootstrap(figure(score, name), groups, num_rounds=num_rounds))
        for model, score in models.items()
        for name in names
    ]


def standard_row(model: str, truth: np.ndarray, score: np.ndarray, output: int = 0) -> dict[str, object]:
    """Return how errors compare with the limits of AAMI (mean 5, SD 8 mmHg) and the grades of the BHS."""
    error = score[:, output] - truth[:, output]
    within = [float((np.abs(error) <= limit).mean()) for limit in (5, 10, 15)]
    fits = (grade for grade, limits in BHS_SHARES.items() if all(w >= m for w, m in zip(within, limits, strict=True)))
    is_inside = abs(error.mean()) <= 5 and error.std(ddof=1) <= 8
    return {
        "model": model,
        "mean error, mmHg": round(float(error.mean()), 2),
        "SD, mmHg": round(float(error.std(ddof=1)), 2),
        "compared with AAMI": "within its limits" if is_inside else "outside its limits",
        "within 5, 10, 15 mmHg": ", ".join(f"{w:.1%}" for w in within),
        "compared with BHS": f"as grade {next(fits, 'D')}",
    }
