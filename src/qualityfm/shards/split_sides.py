"""Which patients are for training, validation and test.

A patient's side depends on its name and the seed alone, so recordings that are added later move nobody. Recordings that
show the same stretch of one patient under two names are kept together. A row whose patient is unknown may belong to
anybody, so it never enters any side but "train", unless it overlaps a recording whose patient is known.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from qualityfm.errors import ConfigError, TaskError, problem
from qualityfm.shards.reader import ShardReader
from qualityfm.shards.split_file import TRAIN, Split
from qualityfm.shards.splits import position_of


def make_split(
    reader: ShardReader,
    fractions: Mapping[str, float],
    *,
    seed: int,
    overlaps: Iterable[tuple[str, str]] | None = None,
) -> Split:
    """Return sides for the patients of a data set.

    Args:
        reader: The data set.
        fractions: Share of the patients for each side, such as {"train": 0.8, "val": 0.1, "test": 0.1}; they sum to 1.
        seed: Another seed gives other sides.
        overlaps: Pairs of recordings that show the same stretch; None where nobody looked for them.

    Raises:
        ConfigError: The fractions are wrong, or name no "train".
        TaskError: A side gets no patient; or a pair names a recording that is not in the data set.
    """
    sides = _check_fractions(fractions)
    pairs = None if overlaps is None else sorted({(min(pair), max(pair)) for pair in overlaps})
    subject_of = subjects_of_recordings(reader.rows)
    groups = _groups(subject_of, pairs or [], reader.url)
    subjects: dict[str, str] = {}
    recordings: dict[str, str] = {}
    for group in groups:
        side = _side_of(group.subjects, sides, seed)
        subjects |= dict.fromkeys(group.subjects, side)
        if group.subjects:
            recordings |= dict.fromkeys(group.recordings_without_subject, side)
    _refuse_empty_sides(sides, subjects, reader.url)
    return Split(
        content_hash=reader.index.content_hash,
        seed=seed,
        fractions=sides,
        subjects=dict(sorted(subjects.items())),
        recordings=dict(sorted(recordings.items())),
        overlaps=None if pairs is None else tuple(pairs),
    ).with_hash()


def subjects_of_recordings(rows: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the patient of each recording; "" where unknown."""
    return dict(zip(rows["recording_id"].tolist(), rows["subject_id"].tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Patients, and recordings of unknown ones, that stay together."""

    subjects: tuple[str, ...]
    recordings_without_subject: tuple[str, ...]


def _groups(subject_of: Mapping[str, str], pairs: list[tuple[str, str]], where: str) -> list[_Group]:
    """Return what stays together: the recordings of a patient, and recordings that overlap."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while leaders.setdefault(name, name) != name:
            leaders[name] = leaders[leaders[name]]
            name = leaders[name]
        return name

    def key(recording: str) -> str:
        if recording not in subject_of:
            expected = "a recording of the data set"
            raise TaskError(problem("unknown recording", where=where, field="pair", found=recording, expected=expected))
        return f"s{subject_of[recording]}" if subject_of[recording] else f"r{recording}"

    for recording in subject_of:
        leader(key(recording))
    for first, second in pairs:
        leaders[leader(key(first))] = leader(key(second))
    members: dict[str, list[str]] = {}
    for name in sorted(leaders):
        members.setdefault(leader(name), []).append(name)
    return [
        _Group(
            subjects=tuple(name[1:] for name in names if name[0] == "s"),
            recordings_without_subject=tuple(name[1:] for name in names if name[0] == "r"),
        )
        for names in members.values()
    ]


def _side_of(subjects: tuple[str, ...], sides: Mapping[str, float], seed: int) -> str:
    """Return the side of patients that stay together.

    One of them decides for all: the one whose name has the smallest hash, so that a patient who joins moves at most one
    of two groups that turn out to be one, and the shares stay as asked for.
    """
    if not subjects:
        return TRAIN
    decider = min(subjects, key=lambda name: hashlib.sha256(f"decider:{name}".encode()).digest())
    place, upper = position_of(decider, seed), 0.0
    for name, fraction in sides.items():
        upper += fraction
        if place < upper:
            return name
    return list(sides)[-1]  # the sum of the shares may round to a little less than 1


def _check_fractions(fractions: Mapping[str, float]) -> dict[str, float]:
    """Return the shares in the order of their names, so that sides do not depend on the order they were given in."""
    sides = {name: float(fraction) for name, fraction in sorted(fractions.items())}
    is_right = all(0 < fraction <= 1 for fraction in sides.values()) and math.isclose(sum(sides.values()), 1.0)
    if TRAIN not in sides or not is_right or not all(name.isidentifier() for name in sides):
        expected = "names with shares above 0 that sum to 1, train among them"
        raise ConfigError(problem("wrong setting", where="split", field="fractions", found=sides, expected=expected))
    return sides


def _refuse_empty_sides(sides: Mapping[str, float], subjects: Mapping[str, str], where: str) -> None:
    for name in sides:
        if name != TRAIN and name not in subjects.values():
            advice = "another seed or larger shares; patients come from a layout or a table given to prepare"
            found, expected = f"0 of {len(subjects)} known subjects", "1 or more"
            raise TaskError(
                problem("an empty side", where=where, field=name, found=found, expected=expected, advice=advice)
            )
