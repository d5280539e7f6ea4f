"""Did the encoder see who is tested? A figure needs proof that it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.encoder_check import marked_records
from qualityfm.files import sha256_of
from qualityfm.prepare.selection import read_selection
from qualityfm.tasks.alarms import MAX_NEIGHBOUR, record_number
from qualityfm.tasks.examples import Example


def require_unseen(card: Mapping[str, Any], examples: Sequence[Example], labels: Path) -> None:
    """Refuse a test figure of an encoder that was pre-trained on a tested record, or on a neighbour of one.

    Args:
        card: The checkpoint's card (`model.json`); its data set's selection names what was learned from.
        examples: What is to be tested.
        labels: The archive's table of records.

    Raises:
        TaskError: A tested record was learned from, or the card does not say what was.
    """
    seen = pretrained_records(card, labels)
    name = str(card.get("name", "model"))
    numbers = {number for record in seen if (number := record_number(record)) is not None}
    for example in examples:
        near = example.number is not None and any(
            example.number + step in numbers for step in range(-MAX_NEIGHBOUR, MAX_NEIGHBOUR + 1)
        )
        if example.name in seen or near:
            raise TaskError(
                problem(
                    "the encoder has seen a tested record",
                    where=name,
                    field="data.selection",
                    found=example.name if example.name in seen else f"a neighbour of {example.name}",
                    expected="pre-training without the tested patients",
                    advice="use the encoder that was pre-trained without this fold",
                )
            )


def pretrained_records(card: Mapping[str, Any], labels: Path) -> frozenset[str]:
    """Return the records that an encoder learned from, by the card's marks or its condition on the archive's table.

    Raises:
        TaskError: The card has no selection, or it was made on another table: nothing can be shown.
    """
    marked = marked_records(card.get("data") or {}, labels) if labels.is_file() else None
    if marked is not None:
        return frozenset(marked)
    selection = (card.get("data") or {}).get("selection")
    advice = "prepare with --table and --where, so that the data set remembers what it was made of"
    if not selection or "table_sha256" not in selection:
        raise _unproven(card, selection, "a selection of records", advice)
    if not labels.is_file() or sha256_of(labels) != selection["table_sha256"]:
        raise _unproven(card, labels.name, f"the table of the pre-training data, {selection.get('table')}", "")
    chosen = read_selection(
        labels,
        where=selection.get("where"),
        away_from=selection.get("away_from"),
        within=int(selection.get("within") or 0),
    )
    return frozenset(map(str, np.asarray(sorted(chosen.chosen))))


def _unproven(card: Mapping[str, Any], found: object, expected: str, advice: str) -> TaskError:
    return TaskError(
        problem(
            "no proof that the encoder has not seen the tested records",
            where=card.get("name", "model"),
            field="data.selection",
            found=found,
            expected=expected,
            advice=advice,
        )
    )
