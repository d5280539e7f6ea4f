"""Shards: is damage found before use, how fast are rows read at random, how fast is a whole data set verified?

    QUALITYFM_DATA=... python benchmarks/shards.py [--damages 10000] [--limit 100]

Random reads are compared with reading the same windows from the records with wfdb, in one run and on one core; CPU
seconds. The ratio is what carries over to other machines.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from preparing import take_records
from shard_damage import mend, outcome, spoil, take_whole

from qualityfm.files import write_text
from qualityfm.prepare.archive import prepare
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader
from qualityfm.shards.format import ARRAYS, INDEX_FILE, read_index, shard_entry, to_json
from qualityfm.shards.shard import read_rows
from qualityfm.shards.store import as_store
from qualityfm.shards.verify import verify_dataset
from qualityfm.shards.writer import PackedRows, write_shard

#: Rows asked for in one call, as a training step does, and windows read with wfdb.
BATCH_ROWS, NUM_WINDOWS = 64, 200

#: Shards of the data set that is damaged, and rows in each.
NUM_SHARDS, SHARD_ROWS = 3, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damages", type=int, default=10_000, help="random corruptions of a small data set")
    parser.add_argument("--limit", type=int, default=100, help="records, in name order")
    arguments = parser.parse_args()
    archive = Path(os.environ["QUALITYFM_DATA"]) / "challenge2015" / "records"
    config = SegmentConfig(channels=("ecg", "ppg"))  # type: ignore[arg-type]  # names become kinds
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        prepare(take_records(archive, Path(folder) / "records", arguments.limit), large, config=config)
        take_rows(large, small)
        figures = random_reads(large, archive) | verify_rate(large)
        figures["damage"] = find_damage(small, arguments.damages)
    print(json.dumps(figures, indent=1))


def random_reads(dataset: Path, archive: Path) -> dict[str, Any]:
    """Return rows a CPU second: the first time each is read (mapped and hashed), later, and with wfdb."""
    rng = np.random.default_rng(0)
    ShardReader(dataset).read(np.arange(BATCH_ROWS))  # compiled and in the system's cache
    reader = ShardReader(dataset)
    rows = rng.permutation(len(reader))

    def read_all(reader: ShardReader) -> None:
        for begin in range(0, len(rows), BATCH_ROWS):
            reader.read(rows[begin : begin + BATCH_ROWS])

    fresh = [reader, ShardReader(dataset), ShardReader(dataset)]
    first = len(rows) / min(cpu_s(partial(read_all, one)) for one in fresh)
    later = len(rows) / min(cpu_s(partial(read_all, one)) for one in fresh)
    windows = rng.choice(len(reader), NUM_WINDOWS)
    with_wfdb = NUM_WINDOWS / cpu_s(lambda: read_windows(reader, windows, archive))
    return {
        "rows": len(rows),
        "rows_per_s_first": round(first),
        "rows_per_s_later": round(later),
        "wfdb_windows_per_s": round(with_wfdb, 1),
        "ratio_first": round(first / with_wfdb),
        "ratio_later": round(later / with_wfdb),
    }


def read_windows(reader: ShardReader, rows: np.ndarray, archive: Path) -> None:
    for row in rows.tolist():
        path = str(archive / reader.rows["recording_id"][row])
        start_s, length_s = reader.rows["start_s"][row], reader.rows["length_s"][row]
        rate_hz = wfdb.rdheader(path).fs
        stop = int((start_s + length_s) * rate_hz)
        wfdb.rdrecord(path, sampfrom=int(start_s * rate_hz), sampto=stop, smooth_frames=False)


def verify_rate(dataset: Path) -> dict[str, Any]:
    wall_began = time.perf_counter()
    cpu = cpu_s(lambda: verify_dataset(dataset))
    megabytes = verify_dataset(dataset).num_bytes / 1e6
    wall_s = (time.perf_counter() - wall_began) / 2
    return {
        "megabytes": round(megabytes, 1),
        "verify_mb_per_s": round(megabytes / wall_s),
        "verify_mb_per_cpu_s": round(megabytes / cpu),
    }


def take_rows(dataset: Path, out: Path) -> None:
    """Write a small data set of several shards with the first rows of a larger one."""
    index, store = read_index(dataset), as_store(dataset)
    arrays = [np.load(dataset / index.shards[0].name / f"{name}.npy") for name in ARRAYS]
    table = read_rows(store, index.shards[0])
    out.mkdir()
    entries = []
    for number in range(NUM_SHARDS):
        mine = slice(number * SHARD_ROWS, (number + 1) * SHARD_ROWS)
        packed = PackedRows(arrays=dict(zip(ARRAYS, (a[mine] for a in arrays), strict=True)), table=table[mine])
        summary = write_shard(out, f"shard-{number:05d}", [packed])
        entries.append(shard_entry(summary))
    changed = replace(index, shards=tuple(entries), num_segments=NUM_SHARDS * SHARD_ROWS)
    write_text(out / INDEX_FILE, to_json(changed.with_hash()))


def find_damage(dataset: Path, num_damages: int) -> dict[str, dict[str, int]]:
    """Return how often each kind of damage was refused, harmless (verify reports it) or missed."""
    whole, rng = take_whole(dataset), np.random.default_rng(0)
    found: dict[str, Counter[str]] = {}
    for _ in range(num_damages):
        kind = spoil(whole, rng)
        found.setdefault(kind, Counter())[outcome(whole)] += 1
        mend(whole)
    total: Counter[str] = sum(found.values(), Counter())
    return {kind: dict(counts) for kind, counts in sorted(found.items())} | {"all": dict(total)}


def cpu_s(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


if __name__ == "__main__":
    main()
