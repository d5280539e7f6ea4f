"""Did an encoder meet, in pre-training, the patients that a figure is about? A figure needs proof that it did not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qualityfm.errors import ConfigError, TaskError, problem
from qualityfm.files import sha256_of
from qualityfm.prepare.record_tables import read_record_table
from qualityfm.prepare.selection import read_selection
from qualityfm.shards.joined import recording_marks
from qualityfm.tasks.alarms import is_neighbour, record_number
from qualityfm.tasks.examples import Example

Verdict = Literal["untrained", "clean", "unknown"]


def check_encoder(
    origin: Mapping[str, Any], tested: Sequence[Example], labels: Path | None, name: str = "encoder"
) -> Verdict:
    """Return how sure it is that an encoder did not meet the tested records or their neighbours.

    Args:
        origin: What the encoder's card says of its pre-training; empty for an untrained one.
        tested: What a figure is about.
        labels: Table of the records.
        name: Of the encoder, for errors.

    Returns:
        "untrained"; "clean" where its card tells which of the table's records it met, and none of the tested is among
        them; "unknown" where the card does not tell, so that only the user can.

    Raises:
        TaskError: It met at least one of them.
    """
    if not origin:
        return "untrained"
    if labels is None:
        return "unknown"
    try:
        records = pretrained_records(origin, labels)
    except (TaskError, ConfigError):
        return "unknown"
    met = _first_met(tested, records)
    if met is not None:
        raise TaskError(
            problem(
                "the encoder met tested patients",
                where=name,
                field="record",
                found=met.name,
                expected="an encoder that was pre-trained without them",
                advice="give the fold's own encoder (--model-folds), or an untrained one (scratch:NAME)",
            )
        )
    return "clean"


def require_unseen(card: Mapping[str, Any], examples: Sequence[Example], labels: Path) -> None:
    """Refuse a test figure of an encoder that was pre-trained on a tested record, or on a neighbour of one.

    Args:
        card: The checkpoint's card (`model.json`); its data say what was learned from.
        examples: What is to be tested.
        labels: The archive's table of records.

    Raises:
        TaskError: A tested record was learned from, or the card does not say what was.
    """
    seen = pretrained_records(card, labels)
    met = _first_met(examples, seen)
    if met is not None:
        raise TaskError(
            problem(
                "the encoder has seen a tested record",
                where=card.get("name", "model"),
                field="data.selection",
                found=met.name if met.name in seen else f"a neighbour of {met.name}",
                expected="pre-training without the tested patients",
                advice="use the encoder that was pre-trained without this fold",
            )
        )


def pretrained_records(card: Mapping[str, Any], labels: Path) -> frozenset[str]:
    """Return the records of a table that an encoder learned from, by its card's marks, else by its card's condition.

    Raises:
        TaskError: The card has neither, or its condition was put to another table: nothing can be shown.
        ConfigError: The card's condition does not fit the table.
    """
    found = card.get("data")
    data = found if isinstance(found, Mapping) else {}
    if isinstance(data.get("recording_marks"), list) and labels.is_file():
        marks = {mark for mark in data["recording_marks"] if isinstance(mark, str)}
        names = [str(one) for one in read_record_table(labels).index]
        return frozenset(name for name in names if recording_marks([name]) <= marks)
    selection = data.get("selection")
    advice = "prepare with --select and --where, so that the data set remembers what it was made of"
    if not isinstance(selection, Mapping) or "table_sha256" not in selection:
        raise _unproven(card, selection, "a selection of records", advice)
    if not labels.is_file() or sha256_of(labels) != selection["table_sha256"]:
        raise _unproven(card, labels.name, f"the table of the pre-training data, {selection.get('table')}", "")
    where, away_from, within = (selection.get(field) for field in ("where", "away_from", "within"))
    if not (isinstance(where, str | None) and isinstance(away_from, str | None) and isinstance(within, int | None)):
        raise _unproven(card, selection, "conditions as texts and a number", advice)
    chosen = read_selection(labels, where=where, away_from=away_from, within=within or 0)
    return frozenset(map(str, chosen.chosen))


def _first_met(examples: Sequence[Example], records: Collection[str]) -> Example | None:
    """Return the first example whose record, or a neighbour of it, is among those met."""
    numbers = np.array([n for one in records if (n := record_number(one)) is not None], np.int64)
    return next((one for one in examples if one.name in records or is_neighbour(one.number, numbers)), None)


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
