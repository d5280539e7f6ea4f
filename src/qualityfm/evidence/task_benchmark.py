"""The benchmark of rhythm: baselines out of fold, with intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qualityfm.evidence.curves import reliability, roc
from qualityfm.evidence.intervals import Estimate, auc, bootstrap
from qualityfm.evidence.pulse_rhythms import pulse_rhythm_rows
from qualityfm.evidence.report_tasks import chart, page, table
from qualityfm.evidence.task_scores import write_scores
from qualityfm.tasks.beat_lists import beat_list_lessons
from qualityfm.tasks.boosting import Answers, answer_sides
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import FeatureTable, feature_table
from qualityfm.tasks.folds import leave_one_out_sides
from qualityfm.tasks.learners import learner_of
from qualityfm.tasks.metrics import decision_metrics
from qualityfm.tasks.task import TASKS


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
    folder: Path,
    *,
    beat_lists: Path | None = None,
    cache: Path | None = None,
    scores: Path | None = None,
    num_rounds: int = 500,
    examples: Sequence[Example] | None = None,
) -> TaskBenchmark:
    """Measure the RR-interval model of AF, leaving one patient out; with lists of beats, on simulated pulses as well.

    Args:
        folder: WFDB records with rhythm annotations.
        beat_lists: Beats of further patients, of whose training cases every round learns too, and on which pulses are
            simulated.
        cache: Folder that keeps features.
        scores: CSV file to keep every answer in.
        num_rounds: Bootstrap rounds.
        examples: Windows of another archive, in place of the folder's.

    Raises:
        TaskError: There are no rhythms, or a record has no patient.
    """
    examples = TASKS["af"].examples(folder, None) if examples is None else examples
    made = feature_table("af", examples, 30.0, cache)
    answers = _answer_rhythms(made, examples, beat_lists)
    truth, score = truths(examples)[:, 0] > 0.5, answers.score[:, 0]
    called, groups = score >= answers.threshold, groups_of(examples)
    if scores is not None:
        write_scores(scores, examples, ("af",), {"RR model": answers.score}, threshold=answers.threshold)
    rows = [("RR model", "auc", bootstrap(lambda r: auc(truth[r], score[r]), groups, num_rounds=num_rounds))]
    for name in ("tpr", "tnr", "f1"):
        figure = _decision(truth, called, name)
        rows.append(("RR model", name, bootstrap(figure, groups, num_rounds=num_rounds)))
    if beat_lists is not None:
        rows += pulse_rhythm_rows(beat_lists, num_rounds=num_rounds)
    patients = per_patient(truth, called, groups)
    html = _rhythm_report(rows, patients, truth, score)
    return TaskBenchmark(task="af", rows=tuple(rows), patients=tuple(patients), html=html)


def _answer_rhythms(made: FeatureTable, examples: Sequence[Example], beat_lists: Path | None) -> Answers:
    sides, learn = leave_one_out_sides(examples), learner_of("af", made.names).learn
    if beat_lists is None:
        return answer_sides(made.values, examples, sides, kind="binary", learn=learn)
    lessons = beat_list_lessons(beat_lists, made.names)
    values, every = np.concatenate((made.values, lessons.values)), [*examples, *lessons.examples]
    is_asked = np.arange(len(every)) < len(examples)
    teachers = np.flatnonzero(~is_asked)
    taught = [replace(side, train=np.concatenate((side.train, teachers))) for side in sides]
    return answer_sides(values, every, taught, kind="binary", learn=learn, is_asked=is_asked)


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
