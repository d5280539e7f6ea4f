"""The benchmark of alarms: baselines out of fold, every figure with its interval, one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from qualityfm.evidence.canary import canary, nuisance_features
from qualityfm.evidence.curves import HeldPoint, held_point, reliability, risk_coverage, roc
from qualityfm.evidence.intervals import Estimate, auc, bootstrap
from qualityfm.evidence.paired import paired_difference
from qualityfm.evidence.report_tasks import chart, page, table
from qualityfm.evidence.task_scores import write_scores
from qualityfm.tasks.alarm_rules import rule_scores
from qualityfm.tasks.alarms import ALARM_KINDS
from qualityfm.tasks.boosting import HELD_SENSITIVITY, Answers, answer_sides
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import FeatureTable, feature_table
from qualityfm.tasks.folds import Side, fold_sides, train_test_side
from qualityfm.tasks.learners import learner_of
from qualityfm.tasks.metrics import binary_metrics, decision_metrics
from qualityfm.tasks.task import TASKS
from qualityfm.tasks.tree_model import is_sure

FIGURES = ("auc", "score", "tpr", "tnr", "f1")


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """One row of the table.

    Attributes:
        model: Whose answers.
        figures: `auc`, `score`, `tpr`, `tnr`, `f1` with intervals over patients.
        by_kind: AUC within each kind of alarm; NaN where it is not defined.
        difference: AUC against the best baseline before it, paired; None for the first.
    """

    model: str
    figures: dict[str, Estimate]
    by_kind: dict[str, float]
    difference: Estimate | None


@dataclass(frozen=True, kw_only=True)
class AlarmBenchmark:
    """All that the benchmark found.

    Attributes:
        task: Name of the task.
        protocol: Who was tested, in words.
        rows: One for each model.
        held: Operating point that holds `HELD_SENSITIVITY`.
        canary: AUC of permuted labels.
        problems: Records that could not be read; they are answered like any other, from nothing.
        html: The report.
    """

    task: str
    protocol: str
    rows: tuple[ModelFigures, ...]
    held: HeldPoint
    canary: Estimate
    problems: tuple[str, ...]
    html: str


def benchmark_alarms(
    folder: Path,
    task: str = "vt-alarm",
    *,
    is_test: bool = False,
    lookback_s: float = 300.0,
    cache: Path | None = None,
    scores: Path | None = None,
    num_rounds: int = 1000,
    say: Callable[[str], None] = lambda what: None,
    examples: Sequence[Example] | None = None,
) -> AlarmBenchmark:
    """Answer the alarms of an archive in the layout of the 2015 challenge, and measure the answers.

    Args:
        folder: Holds `records.csv` and the records.
        task: "vt-alarm" or "alarm".
        is_test: Learn from `train` and answer `test`; otherwise the folds of `train`.
        lookback_s: Seconds before the alarm that may be looked at.
        cache: Folder that keeps features.
        scores: CSV file to keep every answer in.
        num_rounds: Bootstrap rounds.
        say: Told what happens next.
        examples: Alarms of another archive, in place of the folder's.

    Raises:
        TaskError: The labels cannot be used, or an alarm has no group.
    """
    about = TASKS[task]
    given = (about.lessons or about.examples)(folder, None) if examples is None else examples
    every = [e for e in given if e.label is not None]
    examples = every if is_test else [e for e in every if e.split == "train"]
    sides = [train_test_side(examples)] if is_test else fold_sides(examples)
    is_asked = np.array([not about.kinds or e.kind in about.kinds for e in examples])
    say("features")
    made = feature_table(task, examples, lookback_s, cache)
    say("trees in folds")
    answered = _models(task, made, examples, sides, is_asked)
    say("canary")
    silent = canary(made, examples, sides, num_rounds, task=task, is_asked=is_asked)
    asked = [examples[i] for i in answered["trees"].rows]
    if scores is not None:
        one = answered["trees"]
        write_scores(scores, asked, ("true_alarm",), {n: a.score for n, a in answered.items()}, threshold=one.threshold)
    rows = _rows(answered, asked, num_rounds)
    protocol = "the split `test`, learned from `train`" if is_test else "the folds of `train`"
    sure = is_sure(made.values, made.names)[answered["trees"].rows]
    held = _held(answered["trees"], asked, sure)
    html = _report(task, protocol, rows, held, silent, answered, asked, made)
    return AlarmBenchmark(
        task=task, protocol=protocol, rows=rows, held=held, canary=silent, problems=made.problems, html=html
    )


def _models(
    task: str, made: FeatureTable, examples: Sequence[Example], sides: Sequence[Side], is_asked: Bool[np.ndarray, " a"]
) -> dict[str, Answers]:
    """Return the answers of every baseline; the trees come last. Baselines learn from what is asked about alone."""
    kinds = made.values[:, [name.startswith("kind_") for name in made.names]]
    simple = {"max_iter": 50, "min_samples_leaf": 1, "max_features": 1.0}
    plain = [replace(side, train=side.train[is_asked[side.train]]) for side in sides]

    def baseline(features: np.ndarray, settings: dict[str, Any] | None = None) -> Answers:
        return answer_sides(features, examples, plain, kind="binary", settings=settings, is_asked=is_asked)

    learn = learner_of(task, made.names).learn
    return {
        "record number and missing channels": baseline(nuisance_features(made, examples).values),
        "kind of alarm alone": baseline(kinds, simple),
        "rules": baseline(rule_scores(made, examples)[:, None], simple),
        "trees": answer_sides(made.values, examples, sides, kind="binary", learn=learn, is_asked=is_asked),
    }


def _rows(answered: dict[str, Answers], asked: Sequence[Example], num_rounds: int) -> tuple[ModelFigures, ...]:
    truth, groups = truths(asked)[:, 0] > 0.5, groups_of(asked)
    rows: list[ModelFigures] = []
    best: Answers | None = None
    for model, answers in answered.items():
        score = answers.score[:, 0]
        difference = None
        if best is not None:
            difference = paired_difference(auc, truth, score, best.score[:, 0], groups, num_rounds=num_rounds)
        rows.append(
            ModelFigures(
                model=model,
                figures=_figures(truth, answers, groups, num_rounds),
                by_kind=_by_kind(answers, asked),
                difference=difference,
            )
        )
        if best is None or auc(truth, score) > auc(truth, best.score[:, 0]):
            best = answers
    return tuple(rows)


def _figures(truth: Bool[np.ndarray, " a"], answers: Answers, groups: np.ndarray, rounds: int) -> dict[str, Estimate]:
    score, called = answers.score[:, 0], answers.score[:, 0] >= answers.threshold
    found = {"auc": bootstrap(lambda rows: auc(truth[rows], score[rows]), groups, num_rounds=rounds)}
    for name in FIGURES[1:]:
        found[name] = bootstrap(
            lambda rows, name=name: decision_metrics(truth[rows], called[rows])[name],  # type: ignore[misc]
            groups,
            num_rounds=rounds,
        )
    return found


def _by_kind(answers: Answers, asked: Sequence[Example]) -> dict[str, float]:
    found = binary_metrics(truths(asked), answers.score, asked)
    names = {f"auc_{kind.lower()}": kind for kind in ALARM_KINDS} | {"auc_macro": "mean over kinds"}
    return {names[key]: value for key, value in found.items() if key in names}


def _held(answers: Answers, asked: Sequence[Example], is_sure: Bool[np.ndarray, " a"]) -> HeldPoint:
    """Return the held point; limits come from the training side of each round."""
    return held_point(truths(asked)[:, 0] > 0.5, answers.score[:, 0], answers.held, is_sure)


def shown(value: float) -> str:
    """Return a figure as text; one that is not defined says so."""
    return f"{value:.3f}" if np.isfinite(value) else "not defined"


def _report(
    task: str,
    protocol: str,
    rows: tuple[ModelFigures, ...],
    held: HeldPoint,
    silent: Estimate,
    answered: dict[str, Answers],
    asked: Sequence[Example],
    made: FeatureTable,
) -> str:
    truth, trees = truths(asked)[:, 0] > 0.5, answered["trees"]
    score = trees.score[:, 0]
    curve = reliability(truth, score)
    wrong = ((score >= trees.threshold) != truth).astype(float)
    quality = [k for k, name in enumerate(made.names) if name in ("ecg_high_quality_mean", "ppg_quality_mean")]
    trust = np.nan_to_num(made.values[trees.rows][:, quality]).mean(axis=1) if quality else np.zeros(len(score))
    by_quality, by_score = risk_coverage(wrong, trust), risk_coverage(wrong, np.abs(score - trees.threshold))
    kinds = list(rows[0].by_kind)
    lead = (
        f"{len(asked)} alarms, {int(truth.sum())} of them true; {protocol}. Intervals: bootstrap over records that "
        "belong together, 95 %. Thresholds come from training folds.",
        f"Permuted labels: AUC {silent}. An operating point that holds {HELD_SENSITIVITY:.0%} keeps "
        f"{held.sensitivity:.1%} of the true alarms, silences {held.removed:.1%} of the false ones and abstains on "
        f"{held.abstained:.1%}.",
    )
    parts = (
        table(
            "Figures",
            ("model", *FIGURES, "AUC against the best before"),
            [(r.model, *(str(r.figures[f]) for f in FIGURES), r.difference or "") for r in rows],
        ),
        table("AUC within each kind", ("model", *kinds), [(r.model, *map(shown, r.by_kind.values())) for r in rows])
        if kinds
        else "",
        chart("ROC", {n: roc(truth, a.score[:, 0]) for n, a in answered.items()}, ("false alarms", "true alarms")),
        chart(
            f"Reliability of the trees, error {curve.error:.3f}",
            {"trees": (curve.said, curve.found)},
            ("said", "found"),
            diagonal=True,
        ),
        chart(
            "Risk against coverage",
            {
                "by our quality": (by_quality.coverage, by_quality.risk),
                "by distance from the threshold": (by_score.coverage, by_score.risk),
            },
            ("answered", "wrong"),
        ),
    )
    return page(f"Benchmark: {task}", lead, parts)
