"""Looking for overlapping recordings, against preparing the same recordings, in one run and on one core.

    QUALITYFM_DATA=... python benchmarks/overlaps.py

Prepares the alarm records as they are, and once more cut in two with a gap between (so that every patient has two
recordings that must not be taken for one). CPU seconds; the ratio is what carries over to other machines.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path

from qualityfm.prepare.archive import prepare
from qualityfm.records import Recording
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader
from qualityfm.shards.overlap_votes import MAX_FINGERPRINTS
from qualityfm.shards.overlaps import Overlap, OverlapSearch, search_overlaps
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.wfdb_write import write_wfdb

#: The halves of a record, s; a pair of them that shares less than this cannot be told by two pieces of 3 s.
HALVES = {"first": (0.0, 141.3), "second": (147.7, 290.0)}
SHORTEST_S = 6.0
#: Hours of the largest collection that anybody has announced: 21.57 million segments of 30 s.
FULL_HOURS = 179_750.0

Pair = tuple[str, str]


def main() -> None:
    archive = Path(os.environ["QUALITYFM_DATA"]) / "challenge2015"
    with (archive / "overlap_pairs.csv").open(encoding="utf-8-sig") as table:
        listed = {(row["record_a"], row["record_b"]): float(row["lag_s"]) for row in csv.DictReader(table)}
    with tempfile.TemporaryDirectory() as folder:
        prepare_s, search_s, search = _timed(archive, Path(folder) / "whole")
        _write_halves(archive, Path(folder) / "archive")
        _, _, halves = _timed(Path(folder) / "archive", Path(folder) / "halves")
    found = {_names(overlap): overlap for overlap in search.overlaps}
    expected = {pair: span for pair, span in _half_pairs(found).items() if span >= SHORTEST_S}
    found_halves = {frozenset(_names(overlap)) for overlap in halves.overlaps}
    per_hour = search.num_fingerprints / search.hours
    figures = {
        "recordings": search.num_recordings,
        "hours": round(search.hours, 2),
        "listed pairs found": f"{len(listed.keys() & found.keys())} of {len(listed)}",
        "largest error of a listed shift, s": max(
            abs(found[p].offset_s - listed[p]) for p in listed.keys() & found.keys()
        ),
        "other pairs": {
            " ".join(p): f"{o.shared_s:g} s, r {o.correlation}" for p, o in found.items() if p not in listed
        },
        "shifts compared": search.num_candidates,
        "halves: recordings": halves.num_recordings,
        "halves: overlaps found": f"{len(expected.keys() & found_halves)} of {len(expected)}",
        "halves: other pairs": len(found_halves - _half_pairs(found).keys()),
        "cpu ms per hour": round(1000 * search_s / search.hours),
        "cpu, share of preparing": round(search_s / prepare_s, 3),
        "index, kB per hour": round(16e-3 * per_hour),
        f"share kept at {FULL_HOURS:,.0f} h": _share(per_hour * FULL_HOURS),
        f"cpu hours at {FULL_HOURS:,.0f} h": round(search_s / search.hours * FULL_HOURS / 3600, 1),
    }
    print(json.dumps(figures, indent=1))


def _timed(archive: Path, out: Path) -> tuple[float, float, OverlapSearch]:
    began = time.process_time()
    prepare(archive, out, config=SegmentConfig())
    prepared = time.process_time()
    search = search_overlaps(ShardReader(out))
    return prepared - began, time.process_time() - prepared, search


def _names(overlap: Overlap) -> Pair:
    return Path(overlap.first).name, Path(overlap.second).name


def _write_halves(archive: Path, out: Path) -> None:
    for entry in find_recordings(archive):
        recording = open_recording(entry.path)
        for half in HALVES:
            write_wfdb(_half(recording, half), out)


def _half(recording: Recording, half: str) -> Recording:
    start_s, stop_s = HALVES[half]
    signals = tuple(
        dataclasses.replace(s, samples=s.samples[round(start_s * s.sample_rate_hz) : round(stop_s * s.sample_rate_hz)])
        for s in recording.signals
    )
    name = f"{Path(recording.recording_id).name}-{half}"
    return dataclasses.replace(recording, recording_id=name, start=None, signals=signals)


def _half_pairs(found: dict[Pair, Overlap]) -> dict[frozenset[str], float]:
    """Return for every two halves that share time, by the shifts of the whole records, how long."""
    shared = {}
    for (first, second), overlap in found.items():
        for one, (one_start, one_stop) in HALVES.items():
            for other, (other_start, other_stop) in HALVES.items():
                start, stop = (
                    max(one_start, other_start + overlap.offset_s),
                    min(one_stop, other_stop + overlap.offset_s),
                )
                if stop > start:
                    shared[frozenset((f"{first}-{one}", f"{second}-{other}"))] = stop - start
    return shared


def _share(num_fingerprints: float) -> str:
    halvings = 0
    while num_fingerprints * 0.5**halvings > MAX_FINGERPRINTS:
        halvings += 1
    return f"1 of {2**halvings}"


if __name__ == "__main__":
    main()
