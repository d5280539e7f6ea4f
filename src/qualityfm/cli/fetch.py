"""`qualityfm fetch`: open data sets from their official homes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from qualityfm.cli.terminal import LateProgress, name_problems, remark, say, say_facts, say_json, say_table

if TYPE_CHECKING:
    from qualityfm.fetch import FetchReport, OpenSet
    from qualityfm.fetch.fetcher import FetchProgress

EXAMPLES = (
    "qualityfm fetch --list",
    "qualityfm fetch bidmc --out bidmc/",
    'qualityfm fetch vitaldb --only "vital_files/000*" --dry-run',
)

#: Files that a screen holds; --json gives all.
MAX_FILES = 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `fetch`."""

    name: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="NAME")] = None
    """Name of an open data set; --list tells them."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for the files, made if it is not there; NAME where it is not given."""
    list: bool = False
    """List the data sets."""
    only: Annotated[str | None, tyro.conf.arg(metavar="PATTERN")] = None
    """Only files whose path matches, such as "training/*.mat"."""
    mirror: Annotated[str | None, tyro.conf.arg(metavar="URL")] = None
    """Ask a mirror; it takes the place of https://HOST, the paths are those of the home."""
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 2
    """Connections at a time, 8 at most."""
    dry_run: bool = False
    """Ask for the list of files, fetch none."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Fetch a data set; files that cannot be fetched are named, and the exit code is 1."""
    from qualityfm.errors import ConfigError, problem
    from qualityfm.fetch import find_set

    if options.list:
        return _list(options.json)
    if options.name is None:
        expected = "the name of a data set, or --list"
        raise ConfigError(problem("nothing to fetch", where="fetch", field="NAME", found=None, expected=expected))
    open_set = find_set(options.name)
    report = _fetch(open_set, options)
    if options.json:
        say_json(_plain(report, open_set))
    else:
        _show(report, open_set)
    return 1 if report.failed else 0


def _fetch(open_set: OpenSet, options: Options) -> FetchReport:
    from qualityfm.fetch import fetch

    with LateProgress(f"fetching {open_set.name}") as display:

        def show(progress: FetchProgress) -> None:
            display.show(progress.files_done, progress.num_files, f"{progress.num_bytes / 1e6:,.1f} MB")

        return fetch(
            open_set,
            options.out or Path(open_set.name),
            only=options.only,
            mirror=options.mirror,
            workers=options.workers,
            dry_run=options.dry_run,
            progress=show,
        )


def _list(as_json: bool) -> int:
    from qualityfm.fetch import OPEN_SETS

    if as_json:
        say_json({"data_sets": [asdict(one) for one in OPEN_SETS]})
        return 0
    rows = [(one.name, _size(one.about_bytes), one.licence, one.holds) for one in OPEN_SETS]
    say_table(("name", "size", "licence", "what"), rows)
    say()
    by_hand = ", ".join(one.name for one in OPEN_SETS if one.home == "manual")
    say(f"cannot be fetched by plain HTTP: {by_hand}; `qualityfm fetch NAME` says what to do")
    return 0


def _show(report: FetchReport, open_set: OpenSet) -> None:
    facts: dict[str, Any] = {"licence": open_set.licence, "page": open_set.page, "files": f"{len(report.files):,}"}
    if report.is_dry_run:
        rows = [(file.path, _size(file.num_bytes), file.digest or "none published") for file in report.files]
        say_table(("file", "size", "checksum"), rows[:MAX_FILES])
        if len(rows) > MAX_FILES:
            say(f"... and {len(rows) - MAX_FILES:,} more files; --json lists them all")
        say()
        facts["size"] = _total(report, open_set)
        say_facts(f"would fetch {open_set.title} into {report.out}", facts)
        return
    name_problems([{"recording": path, "reason": reason} for path, reason in report.failed.items()], "failed")
    there = [one for one in report.fetched if one.was_there]
    facts |= {
        "fetched": f"{len(report.fetched) - len(there):,}",
        "were there": f"{len(there):,}",
        "failed": f"{len(report.failed):,}",
        "size": _size(sum(one.num_bytes for one in report.fetched)),
        "resumed": _size(sum(one.num_resumed_bytes for one in report.fetched)),
        "checksums": _checked(report),
    }
    say_facts(f"{open_set.title}: {report.out}", facts)
    if report.failed:
        remark("run the same command again: it goes on where it stopped")
    elif any(one.path.endswith(".zip") for one in report.fetched):
        say("next: unzip the zip files, then qualityfm scan DIR")
    else:
        say(f"next: qualityfm scan {report.out}")


def _checked(report: FetchReport) -> str:
    num_unverified = sum(not one.is_verified for one in report.fetched)
    compared = f"{len(report.fetched) - num_unverified:,} compared"
    return f"{compared}, {num_unverified:,} not published by the home" if num_unverified else compared


def _total(report: FetchReport, open_set: OpenSet) -> str:
    if report.num_bytes is not None:
        return _size(report.num_bytes)
    about = f"; the whole data set has about {_size(open_set.about_bytes)}" if open_set.about_bytes else ""
    return f"not told by the list of files{about}"


def _size(num_bytes: int | None) -> str:
    """Return a size in the largest unit that leaves a whole number."""
    if num_bytes is None:
        return "unknown"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes} bytes"


def _plain(report: FetchReport, open_set: OpenSet) -> dict[str, Any]:
    return {
        "name": report.name,
        "title": open_set.title,
        "licence": open_set.licence,
        "page": open_set.page,
        "out": str(report.out),
        "is_dry_run": report.is_dry_run,
        "num_files": len(report.files),
        "num_bytes": report.num_bytes if report.is_dry_run else sum(one.num_bytes for one in report.fetched),
        "num_failed": len(report.failed),
        "num_unverified": sum(not one.is_verified for one in report.fetched),
        "files": [asdict(one) for one in (report.files if report.is_dry_run else report.fetched)],
        "failed": report.failed,
    }
