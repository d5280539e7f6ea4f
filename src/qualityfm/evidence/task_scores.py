"""Saved scores: every figure of a benchmark can be made again from this file alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from qualityfm.files import write_text
from qualityfm.tasks.examples import Example


def write_scores(
    path: Path,
    examples: Sequence[Example],
    outputs: Sequence[str],
    scores: Mapping[str, Float[np.ndarray, "example output"]],
    **columns: Float[np.ndarray, " example"],
) -> None:
    """Write one row for each example: who it is, its truth, and every model's answer.

    Args:
        path: CSV file to make or replace.
        examples: With labels.
        outputs: Name of each output.
        scores: Answers by model.
        columns: More numbers by name, such as thresholds or the quality.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    models = [f"{model}:{output}" for model in scores for output in outputs]
    named = ["record", "start_s", "group", "kind", "fold", *(f"true:{o}" for o in outputs)]
    writer.writerow([*named, *models, *columns])
    for i, example in enumerate(examples):
        answers = [repr(float(v)) for score in scores.values() for v in score[i]]
        extra = [repr(float(column[i])) for column in columns.values()]
        who = [example.name, example.start_s, example.group, example.kind, example.fold]
        writer.writerow([*who, *(example.label or ()), *answers, *extra])
    write_text(path, text.getvalue())


def read_scores(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a file of scores; numbers where all values are numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    return {name: _column([row[c] for row in rows]) for c, name in enumerate(names)}


def _column(values: list[str]) -> np.ndarray:
    try:
        return np.array(values, np.float64)
    except ValueError:
        return np.array(values)
