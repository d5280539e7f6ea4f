"""Did an encoder meet, in pre-training, the patients that a figure is about?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qualityfm.errors import ConfigError, TaskError, problem
from qualityfm.files import sha256_of
from qualityfm.prepare.expression import rows_where
from qualityfm.prepare.record_tables import read_record_table
from qualityfm.shards.joined import recording_marks
from qualityfm.tasks.alarms import MAX_NEIGHBOUR, record_number
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
        "untrained"; "clean" where its data were chosen by the same table and hold none of the tested; "unknown" where
        its data were chosen in another way, so that only the user can tell.

    Raises:
        TaskError: It met at least one of them.
    """
    if not origin:
        return "untrained"
    met = _pretrained_on(origin, labels)
    if met is None:
        return "unknown"
    numbers = np.array([n for one in met if (n := record_number(one)) is not None])
    for example in tested:
        if example.name in met or _is_near(example.number, numbers):
            expected = "an encoder that was pre-trained without them"
            advice = "give the fold's own encoder (--model-folds), or an untrained one (scratch:NAME)"
            raise TaskError(
                problem(
                    "the encoder met tested patients",
                    where=name,
                    field="record",
                    found=example.name,
                    expected=expected,
                    advice=advice,
                )
            )
    return "clean"


def marked_records(data: Mapping[str, Any], labels: Path) -> set[str] | None:
    """Return the records of a table whose marks stand among a card's data; None where the card has no marks."""
    marks = data.get("recording_marks")
    if not isinstance(marks, list):
        return None
    names = [str(one) for one in read_record_table(labels).index]
    return {name for name in names if recording_marks([name]) <= set(marks)}


def _is_near(number: int | None, numbers: np.ndarray) -> bool:
    return number is not None and len(numbers) > 0 and bool(np.abs(numbers - number).min() <= MAX_NEIGHBOUR)


def _pretrained_on(origin: Mapping[str, Any], labels: Path | None) -> set[str] | None:
    """Return the names of the table's records that an encoder was pre-trained on; None where that cannot be told."""
    data = origin.get("data")
    if isinstance(data, Mapping) and labels is not None and labels.is_file():
        marked = marked_records(data, labels)
        if marked is not None:
            return marked
    selection = data.get("selection") if isinstance(data, Mapping) else None
    if not isinstance(selection, Mapping) or labels is None or not labels.is_file():
        return None
    if selection.get("table_sha256") != sha256_of(labels) or not isinstance(selection.get("where"), str):
        return None
    frame = read_record_table(labels)
    try:
        chosen = rows_where(selection["where"], frame, where=labels)
        away = selection.get("away_from")
        border = rows_where(away, frame, where=labels) if isinstance(away, str) else np.zeros(len(frame), bool)
    except ConfigError:
        return None
    kept = [str(one) for one in frame.index[chosen]]
    far_from = np.array([n for one in frame.index[border] if (n := record_number(str(one))) is not None])
    within = selection.get("within", 0)
    if not len(far_from) or not isinstance(within, int):
        return set(kept)
    return {one for one in kept if (n := record_number(one)) is None or np.abs(far_from - n).min() > within}
