"""`qualityfm verify`: every byte of a data set against the checksums in its index."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from qualityfm.cli.terminal import LateProgress, clean, say, say_facts, say_json

if TYPE_CHECKING:
    from qualityfm.shards.verify import Verification

EXAMPLES = (
    "qualityfm verify dataset",
    "qualityfm verify s3://bucket/dataset --json",
)

#: Exit code where something is wrong.
DAMAGED = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `verify`."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """Data set: a folder, or a URL of an object store."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Verify a data set; what is wrong is listed on stdout, and the exit code says whether anything is."""
    found, seconds = _verify(options.dataset)
    megabytes_per_s = round(found.num_bytes / 1e6 / max(seconds, 1e-3), 1)
    if options.json:
        rates = {"seconds": round(seconds, 3), "megabytes_per_s": megabytes_per_s}
        say_json({"is_whole": not found.problems} | asdict(found) | rates)
    else:
        for line in found.problems:
            say(clean(line))
        facts = {
            "shards": f"{found.num_shards:,}",
            "size": f"{found.num_bytes / 1e6:,.1f} MB",
            "rate": f"{megabytes_per_s:,.1f} MB/s",
            "problems": f"{len(found.problems):,}" if found.problems else "none: every byte is as it was written",
        }
        say_facts(f"{'damaged' if found.problems else 'whole'}: {found.url}", facts)
    return DAMAGED if found.problems else 0


def _verify(dataset: str) -> tuple[Verification, float]:
    """Return what is wrong, and how long the comparison took, s."""
    from qualityfm.shards.verify import verify_dataset

    shown = -1
    began = time.monotonic()
    with LateProgress("comparing megabytes") as display:

        def show(done: int, total: int) -> None:
            nonlocal shown
            if done // 10**6 > shown:
                shown = done // 10**6
                display.show(shown, total // 10**6, "")

        found = verify_dataset(dataset, progress=show)
    return found, time.monotonic() - began
