"""`qualityfm split`: which patients of a data set are for training, validation and test."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from qualityfm.cli.terminal import LateProgress, remark, say_json, say_table
from qualityfm.errors import ConfigError, problem

if TYPE_CHECKING:
    from qualityfm.shards.reader import ShardReader
    from qualityfm.shards.split_file import Split

EXAMPLES = (
    "qualityfm split dataset --out splits.json",
    "qualityfm split dataset --out splits.json --fractions train=.7 test=.3 --seed 1 --pairs pairs.csv",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `split`."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """Data set: a folder, or a URL of an object store."""
    out: Annotated[Path, tyro.conf.arg(metavar="SPLITS.json")]
    """File to write; an older one is replaced."""
    fractions: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=SHARE ...")] = ("train=.8", "val=.1", "test=.1")
    """Shares of the patients; they sum to 1, and one is called train."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Another seed gives other sides."""
    pairs: Annotated[Path | None, tyro.conf.arg(metavar="PAIRS.csv")] = None
    """Overlapping recordings as `qualityfm overlaps --out` writes them; without it they are looked for."""
    ignore_overlaps: bool = False
    """Do not look for recordings that show the same stretch under two names."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Write a split file and say what is on which side."""
    from qualityfm.cli.places import check_suffix
    from qualityfm.shards.reader import ShardReader
    from qualityfm.shards.split_file import sides_of_rows, write_split
    from qualityfm.shards.split_sides import make_split

    check_suffix(options.out, (".json",))
    fractions = _fractions(options.fractions)
    reader = ShardReader(options.dataset)
    make_split(reader, fractions, seed=options.seed)  # too few patients are said before the long search for overlaps
    split = make_split(reader, fractions, seed=options.seed, overlaps=_overlaps(options, reader))
    write_split(split, options.out)
    outcome = _outcome(split, reader, sides_of_rows(split, reader.rows))
    if options.json:
        say_json({"out": str(options.out)} | outcome)
    else:
        _show(outcome)
        remark(f"wrote {options.out}")
    return 0


def _fractions(words: Iterable[str]) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for word in words:
        name, _, share = word.partition("=")
        try:
            is_new = fractions.setdefault(name, float(share)) == float(share)
        except ValueError:
            is_new = False
        if not is_new or not name:
            expected = "NAME=SHARE, each name once, such as train=.8"
            raise ConfigError(
                problem("wrong setting", where="split", field="--fractions", found=word, expected=expected)
            )
    return fractions


def _overlaps(options: Options, reader: ShardReader) -> list[tuple[str, str]] | None:
    """Return pairs of overlapping recordings: from a table, from a search, or None where none is wanted."""
    if options.pairs is not None:
        return _read_pairs(options.pairs)
    if options.ignore_overlaps:
        return None
    from qualityfm.shards.overlaps import search_overlaps

    with LateProgress("looking for overlaps") as display:

        def show(phase: str, done: int, total: int) -> None:
            if phase == "reading":
                display.show(done, total, "")

        search = search_overlaps(reader, progress=show)
    return [(overlap.first, overlap.second) for overlap in search.overlaps]


def _read_pairs(table: Path) -> list[tuple[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            return [(row["first"], row["second"]) for row in csv.DictReader(stream)]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        expected = "a table with columns first and second, as `qualityfm overlaps --out` writes"
        found = f"{type(error).__name__}: {error}"
        raise ConfigError(problem("cannot read", where=table, field="pairs", found=found, expected=expected)) from error


def _outcome(split: Split, reader: ShardReader, sides: Any) -> dict[str, Any]:
    """Return counts for each side, and how many rows had no patient."""
    subject, recording, hours = reader.rows["subject_id"], reader.rows["recording_id"], reader.rows["length_s"] / 3600
    counts = {}
    for name in split.fractions:
        mine = sides == name
        counts[name] = {
            "subjects": len(set(subject[mine]) - {""}),
            "recordings": len(set(recording[mine])),
            "rows": int(mine.sum()),
            "hours": float(hours[mine].sum()),
        }
    unknown = subject == ""
    return {
        "content_hash": split.content_hash,
        "seed": split.seed,
        "sides": counts,
        "num_overlaps": None if split.overlaps is None else len(split.overlaps),
        "num_rows_without_subject": int(unknown.sum()),
        "num_rows_without_subject_for_training": int((unknown & (sides == "train")).sum()),
    }


def _show(outcome: dict[str, Any]) -> None:
    rows = [
        (name, f"{side['subjects']:,}", f"{side['recordings']:,}", f"{side['rows']:,}", f"{side['hours']:,.2f}")
        for name, side in outcome["sides"].items()
    ]
    say_table(("side", "subjects", "recordings", "rows", "hours"), rows)
    if outcome["num_rows_without_subject"]:
        unknown, training = outcome["num_rows_without_subject"], outcome["num_rows_without_subject_for_training"]
        remark(f"{unknown:,} rows have no known patient: {training:,} are for training, the others overlap a known one")
    if outcome["num_overlaps"] is None:
        remark("nobody looked for recordings that overlap under two names; the sides may share a patient")
    else:
        remark(f"{outcome['num_overlaps']:,} pairs of overlapping recordings are kept together")
