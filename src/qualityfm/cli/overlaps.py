"""`qualityfm overlaps`: recordings that show the same stretch of one patient, found by their samples."""

from __future__ import annotations

import csv
import io
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from qualityfm.cli.terminal import LateProgress, name_problems, remark, say, say_facts, say_json, say_table

if TYPE_CHECKING:
    from qualityfm.shards.overlaps import Overlap, OverlapSearch

EXAMPLES = (
    "qualityfm overlaps dataset/ --out pairs.csv",
    "qualityfm overlaps training/ testing/ --json",
)

#: Pairs that a screen holds; --out and --json give all.
MAX_PAIRS = 40

COLUMNS = ("first", "second", "offset_s", "shared_s", "correlation", "kind", "votes")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `overlaps`."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """Data set folder made by `qualityfm prepare`."""
    other: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="DATASET2")] = None
    """Another one; then only pairs across both are looked for."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PAIRS.csv")] = None
    """Write the pairs as a table."""
    json: bool = False
    """Print JSON, every pair and every channel that could not be checked included."""


def run(options: Options) -> int:
    """Look for overlaps; to find some, or none, is a result and no failure."""
    from qualityfm.files import write_text
    from qualityfm.shards.overlaps import search_overlaps
    from qualityfm.shards.reader import ShardReader

    first = ShardReader(options.dataset)
    second = None if options.other is None else ShardReader(options.other)
    with ExitStack() as stack:
        displays: dict[str, LateProgress] = {}

        def show(phase: str, done: int, total: int) -> None:
            if phase not in displays:
                stack.close()  # the phase before is over
                displays[phase] = stack.enter_context(LateProgress(phase))
            displays[phase].show(done, total, "")

        search = search_overlaps(first, second, progress=show)
    if options.out is not None:
        write_text(options.out, _table(search.overlaps))
    if options.json:
        say_json(_plain(search))
    else:
        _show(search, options)
    return 0


def _table(overlaps: tuple[Overlap, ...]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(overlap) for overlap in overlaps)
    return text.getvalue()


def _plain(search: OverlapSearch) -> dict[str, Any]:
    return asdict(search) | {"num_overlaps": len(search.overlaps)}


def _show(search: OverlapSearch, options: Options) -> None:
    rows = [
        (o.first, o.second, f"{o.offset_s:.2f}", f"{o.shared_s:.1f}", f"{o.correlation:.4f}", str(o.kind))
        for o in search.overlaps
    ]
    say_table(("first", "second", "offset s", "shared s", "correlation", "channel"), rows[:MAX_PAIRS])
    if len(rows) > MAX_PAIRS:
        say(f"... and {len(rows) - MAX_PAIRS} more; --out or --json gives them all")
    if rows:
        say()
    facts: dict[str, object] = {
        "overlapping pairs": f"{len(rows):,}",
        "recordings in them": f"{len({name for o in search.overlaps for name in (o.first, o.second)}):,}",
        "recordings": f"{search.num_recordings:,}",
        "hours": f"{search.hours:,.2f}",
        "shifts compared": f"{search.num_candidates:,}",
        "unchecked channels": _unchecked(search),
        "unchecked recordings": f"{len(search.unchecked_recordings):,}",
    }
    if search.share < 1:
        facts["fingerprints kept"] = f"1 of {round(1 / search.share)}: short overlaps may be missed"
    say_facts(" and ".join(filter(None, (options.dataset, options.other))), facts)
    reason = "no channel in which an overlap would surely be seen"
    name_problems([{"recording": name, "reason": reason} for name in search.unchecked_recordings], "unchecked")
    if options.out is not None:
        remark(f"wrote {options.out}")


def _unchecked(search: OverlapSearch) -> str:
    reasons = [channel.reason for channel in search.unchecked]
    return "; ".join(f"{reasons.count(reason):,} {reason}" for reason in sorted(set(reasons))) or "0"
