"""Does the protocol leak? Labels that mean nothing must not be learned, nor must what is no signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.intervals import Estimate, auc, bootstrap
from qualityfm.tasks.boosting import answer_sides
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import FeatureTable
from qualityfm.tasks.folds import Side
from qualityfm.tasks.learners import learner_of


def permuted(examples: Sequence[Example], seed: int = 0) -> list[Example]:
    """Return the examples with the labels dealt out anew, among examples of one kind."""
    rng = np.random.default_rng(seed)
    labels = [example.label for example in examples]
    for kind in sorted({example.kind for example in examples}):
        rows = [i for i, example in enumerate(examples) if example.kind == kind]
        for row, other in zip(rows, rng.permutation(rows), strict=True):
            labels[row] = examples[other].label
    return [replace(example, label=label) for example, label in zip(examples, labels, strict=True)]


def canary(
    table: FeatureTable,
    examples: Sequence[Example],
    sides: Sequence[Side],
    num_rounds: int = 500,
    *,
    task: str = "",
    is_asked: Bool[np.ndarray, " example"] | None = None,
) -> Estimate:
    """Return the AUC of what was taught permuted labels; its interval must hold 0.5.

    Labels are dealt out within each kind, and kinds differ in how often they are true, so columns that name the kind
    are left out and the AUC is the mean over kinds.

    Args:
        table: Features.
        examples: Where they come from, with labels.
        sides: Rounds.
        num_rounds: Bootstrap rounds.
        task: Learnt as this task is.
        is_asked: Which examples are answered; the others only teach. None: all.
    """
    told = permuted(examples)
    named = [not name.startswith("kind_") for name in table.names]
    names = [name for name, is_kept in zip(table.names, named, strict=True) if is_kept]
    learn = learner_of(task, names).learn
    answers = answer_sides(
        table.values[:, named], told, sides, kind="binary", learn=learn, is_asked=is_asked, has_thresholds=False
    )
    truth, kinds = truths(told)[answers.rows, 0] > 0.5, np.array([told[i].kind for i in answers.rows])
    score = answers.score[:, 0]

    def figure(rows: np.ndarray) -> float:
        each = [auc(truth[part], score[part]) for k in np.unique(kinds) if len(part := rows[kinds[rows] == k])]
        defined = [value for value in each if np.isfinite(value)]
        return float(np.mean(defined)) if defined else float("nan")

    return bootstrap(figure, groups_of([told[i] for i in answers.rows]), num_rounds=num_rounds)


def require_silent(found: Estimate, where: str) -> None:
    """Refuse a protocol whose canary sings.

    Raises:
        TaskError: The interval does not hold 0.5: something other than the signals tells the labels.
    """
    if not found.low <= 0.5 <= found.high:
        raise TaskError(
            problem("the protocol leaks", where=where, field="AUC of permuted labels", found=str(found), expected="0.5")
        )


def nuisance_features(table: FeatureTable, examples: Sequence[Example]) -> FeatureTable:
    """Return what is no physiology: record number, window length and begin, and which channels are missing."""
    missing = {
        f"{slot}_missing": np.isnan(table.values[:, table.names.index(f"{slot}_rate_bpm")])
        for slot in ("ecg1", "ecg2", "ppg", "abp")
        if f"{slot}_rate_bpm" in table.names
    }
    columns = {
        "number": np.array([np.nan if e.number is None else e.number for e in examples], float),
        "start_s": np.array([e.start_s for e in examples]),
        "length_s": np.array([e.length_s for e in examples]),
    } | missing
    return FeatureTable(names=tuple(columns), values=np.stack([np.asarray(c, float) for c in columns.values()], axis=1))
