"""The benchmark of pressure: against the training mean, and with a calibration against the held first minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from qualityfm.evidence.intervals import Estimate
from qualityfm.evidence.paired import paired_difference
from qualityfm.evidence.report_tasks import page, scatter, table
from qualityfm.evidence.standards import standard_row
from qualityfm.evidence.task_figures import task_figures
from qualityfm.evidence.task_scores import write_scores
from qualityfm.tasks.boosting import answer_sides
from qualityfm.tasks.calibration import Calibrated
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import FeatureTable, feature_table
from qualityfm.tasks.folds import Side, fold_sides
from qualityfm.tasks.linear_model import linear_sides
from qualityfm.tasks.pressure_features import NOT_OF_PATIENT
from qualityfm.tasks.pressures import PRESSURES
from qualityfm.tasks.task import TASKS

MEAN, MEDIAN, NUISANCE, TREES, LINEAR = "training mean", "training median", "nuisance", "trees", "linear"
FREE, WITH, FIRST_MINUTE = "calibration-free", "calibrated", "first minute"


@dataclass(frozen=True, kw_only=True)
class PressureRow:
    """One figure of one model.

    Attributes:
        protocol: "calibration-free" or "calibrated".
        model: Whose answers.
        figure: Such as `mae_systolic_mmhg`.
        estimate: With its interval over patients.
    """

    protocol: str
    model: str
    figure: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class PressureBenchmark:
    """All that the benchmark found.

    Attributes:
        rows: Figures of every model in both protocols.
        differences: (model, against, figure, estimate): mean absolute errors, paired; below 0 the model is better.
        standards: Rows of plain values, compared with AAMI and BHS.
        canary: By pressure, MAE of maps taught permuted labels less that of the median, mmHg; 0 or above is silent.
        problems: Records that could not be read.
        html: The report.
    """

    rows: tuple[PressureRow, ...]
    differences: tuple[tuple[str, str, str, Estimate], ...]
    standards: tuple[dict[str, object], ...]
    canary: dict[str, Estimate]
    problems: tuple[str, ...]
    html: str


def benchmark_abp(
    folder: Path,
    *,
    cache: Path | None = None,
    scores: Path | None = None,
    num_rounds: int = 500,
    say: Callable[[str], None] = lambda what: None,
) -> PressureBenchmark:
    """Measure pressure in the folds of `train`.

    Args:
        folder: `records.csv` with folds, and records with ABP, PPG and ECG.
        cache: Folder that keeps features.
        scores: CSV file to keep every answer in.
        num_rounds: Bootstrap rounds of differences.
        say: Told what happens next.

    Raises:
        TaskError: No window is fit, or one has no fold.
    """
    examples = [e for e in TASKS["abp"].examples(folder, None) if e.split in (None, "train")]
    say("features")
    made = feature_table("abp", examples, TASKS["abp"].max_lookback_s, cache)
    return benchmark_pressures(made, examples, fold_sides(examples), scores=scores, num_rounds=num_rounds, say=say)


def benchmark_pressures(
    made: FeatureTable,
    examples: Sequence[Example],
    sides: Sequence[Side],
    *,
    since: Calibrated | None = None,
    free: str = FREE,
    calibration: str = FIRST_MINUTE,
    scores: Path | None = None,
    num_rounds: int = 500,
    say: Callable[[str], None] = lambda what: None,
) -> PressureBenchmark:
    """Measure both protocols in given rounds; see `benchmark_abp`.

    Args:
        made: Features of the examples.
        examples: With labels and groups.
        sides: Rounds.
        since: A calibration other than the first minute of each recording.
        free: Name of the protocol without a calibration.
        calibration: Name of the calibration.
        scores: CSV file to keep every answer in.
        num_rounds: Bootstrap rounds of differences.
        say: Told what happens next.

    Raises:
        TaskError: An example has no label or group.
    """
    say("models in folds")
    found = linear_sides(made, examples, sides, since=since)
    asked = np.flatnonzero(np.isfinite(found.train_mean[:, 0]))
    trees = np.full(found.level.shape, np.nan)
    answers = answer_sides(made.values, examples, sides, kind="regression")
    trees[answers.rows] = answers.score
    nuisance = linear_sides(nuisance_table(made, examples), examples, sides).level
    levels = {MEAN: found.train_mean, MEDIAN: found.middle, NUISANCE: nuisance, TREES: trees, LINEAR: found.level}
    later = asked[np.isfinite(found.held[asked, 0])]
    held, moved = f"{calibration} held", f"{calibration} and change"
    known = {held: found.held, moved: found.changed}
    if scores is not None:
        write_scores(
            scores, [examples[int(i)] for i in asked], PRESSURES, {n: s[asked] for n, s in (levels | known).items()}
        )
    say("intervals")
    judged = [(free, levels, asked), (WITH, known, later if _has_groups(examples, later) else later[:0])]
    rows = [row for name, models, at in judged for row in _rows(name, models, examples, found.train_mean, at)]
    pairs = [(LINEAR, against, levels, asked) for against in (MEAN, MEDIAN, TREES)]
    pairs += [(NUISANCE, MEAN, levels, asked), (moved, held, known, judged[1][2])]
    differences = [d for m, a, models, at in pairs for d in _differences(m, a, models, examples, at, num_rounds)]
    silent = _canary(made, examples, sides, asked, num_rounds)
    standards = [
        standard_row(model, output, truths(examples)[at, k], score[at, k], len({examples[i].group for i in at}))
        for _, models, at in judged
        for model, score in models.items()
        for k, output in enumerate(PRESSURES)
        if len(at)
    ]
    pictures = [
        scatter(f"{model}, {PRESSURES[k]}", *bland_altman(truths(examples)[at, k], models[model][at, k]))
        for model, models, at in ((LINEAR, levels, asked), (moved, known, judged[1][2]))
        for k in range(2)
        if len(at)
    ]
    lead = _lead(examples, asked, judged[1][2], silent)
    html = _report(lead, rows, differences, standards, pictures)
    return PressureBenchmark(
        rows=tuple(rows),
        differences=tuple(differences),
        standards=tuple(standards),
        canary=silent,
        problems=made.problems,
        html=html,
    )


def _has_groups(examples: Sequence[Example], rows: np.ndarray) -> bool:
    return len({examples[i].group for i in rows}) > 1


def bland_altman(
    truth: Float64[np.ndarray, " example"], score: Float64[np.ndarray, " example"]
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Return means of estimate and truth, their differences, and the mean difference with its limits of agreement.

    Source: Bland and Altman, Lancet 327:307, 1986.
    """
    difference = score - truth
    middle, reach = float(difference.mean()), 1.96 * float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    return (score + truth) / 2, difference, (middle - reach, middle, middle + reach)


def nuisance_table(made: FeatureTable, examples: Sequence[Example]) -> FeatureTable:
    """Return what is no physiology: record number, begin of the window, and how good the signals are."""
    columns = {
        "number": np.array([np.nan if e.number is None else e.number for e in examples], float),
        "start_s": np.array([e.start_s for e in examples]),
    }
    columns |= {f"of_{n}": made.values[:, made.names.index(n)] for n in NOT_OF_PATIENT if n in made.names}
    return FeatureTable(names=tuple(columns), values=np.stack(list(columns.values()), axis=1))


def permuted_patients(examples: Sequence[Example], seed: int = 0) -> list[Example]:
    """Return the examples with each patient's labels in place of another's, repeated where there are too few."""
    groups = groups_of(examples)
    names = np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    dealt = list(examples)
    for name, other in zip(names, np.random.default_rng(seed).permutation(names), strict=True):
        for place, row in enumerate(members[name]):
            source = int(members[other][place % len(members[other])])
            dealt[row] = replace(examples[int(row)], label=examples[source].label)
    return dealt


def _canary(
    made: FeatureTable, examples: Sequence[Example], sides: Sequence[Side], asked: np.ndarray, num_rounds: int
) -> dict[str, Estimate]:
    told = permuted_patients(examples)
    found = linear_sides(made, told, sides)
    models = {LINEAR: found.level, MEDIAN: found.middle}
    differences = _differences(LINEAR, MEDIAN, models, told, asked, num_rounds)
    return {output: estimate for output, (*_, estimate) in zip(PRESSURES, differences, strict=True)}


def _rows(
    protocol: str, models: dict[str, np.ndarray], examples: Sequence[Example], train_mean: np.ndarray, at: np.ndarray
) -> list[PressureRow]:
    if not len(at):
        return []
    asked, rows = [examples[int(i)] for i in at], []
    for model, score in models.items():
        found = task_figures(TASKS["abp"], asked, score[at], train_mean=train_mean[at])
        for name, value in found.values.items():
            low, high = found.intervals.get(name, (np.nan, np.nan))
            estimate = Estimate(value=value, low=low, high=high)
            rows.append(PressureRow(protocol=protocol, model=model, figure=name, estimate=estimate))
    return rows


def _differences(
    model: str,
    against: str,
    models: dict[str, np.ndarray],
    examples: Sequence[Example],
    at: np.ndarray,
    num_rounds: int,
) -> list[tuple[str, str, str, Estimate]]:
    if not len(at):
        return []
    truth, groups = truths(examples)[at], groups_of(examples)[at]

    def error(known: np.ndarray, score: np.ndarray) -> float:
        return float(np.abs(score - known).mean())

    return [
        (
            model,
            against,
            f"mae_{output}_mmhg",
            paired_difference(
                error, truth[:, k], models[model][at, k], models[against][at, k], groups, num_rounds=num_rounds
            ),
        )
        for k, output in enumerate(PRESSURES)
    ]


def _lead(
    examples: Sequence[Example], asked: np.ndarray, later: np.ndarray, silent: dict[str, Estimate]
) -> tuple[str, ...]:
    patients, followed = ({examples[i].group for i in rows} for rows in (asked, later))
    told = ", ".join(f"{output} {estimate} mmHg" for output, estimate in silent.items())
    return (
        f"{len(asked)} windows of 30 s, {len(patients)} groups of records; {len(later)} windows of {len(followed)} "
        "groups with a calibration. Intervals: bootstrap over groups, 95 %.",
        f"Taught permuted labels, error against the training median: {told}; 0 or above is silent.",
        "Nuisance: record number, time, signal quality. Standards are for cuffs: figures are compared with them.",
    )


def _report(
    lead: tuple[str, ...],
    rows: list[PressureRow],
    differences: list[tuple[str, str, str, Estimate]],
    standards: list[dict[str, object]],
    pictures: list[str],
) -> str:
    figures = [(r.protocol, r.model, r.figure, r.estimate) for r in rows]
    parts = (
        table("Figures", ("protocol", "model", "figure", "value"), figures),
        table("Paired differences, below 0 is better", ("model", "against", "figure", "difference"), differences),
        table("Compared with AAMI and BHS", tuple(standards[0]), [tuple(row.values()) for row in standards]),
        "<h2>Bland and Altman</h2>",
        *pictures,
    )
    return page("Benchmark: abp", lead, parts)
