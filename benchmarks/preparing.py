"""Archive to scored shards, against merely decoding the same files with wfdb, in one run and on one core.

    QUALITYFM_DATA=... python benchmarks/preparing.py [--limit 588]

CPU seconds, so that another job on the machine does not count. The ratio is what carries over to other machines.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import wfdb

from qualityfm.prepare.archive import prepare
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader
from qualityfm.sources import find_recordings, open_recording


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=588, help="records, in name order")
    arguments = parser.parse_args()
    archive = Path(os.environ["QUALITYFM_DATA"]) / "challenge2015" / "records"
    found = find_recordings(archive)[: arguments.limit]
    hours = sum(entry.duration_s for entry in found) / 3600
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(folder) / "archive"
        chosen.mkdir()
        for entry in found:
            for file in archive.glob(f"{entry.recording_id}.*"):
                (chosen / file.name).write_bytes(file.read_bytes())
        open_recording(found[0].path)  # imports are not counted
        wfdb.rdrecord(str(found[0].path.with_suffix("")), smooth_frames=False)

        began = time.process_time()
        for entry in found:
            wfdb.rdrecord(str(entry.path.with_suffix("")), smooth_frames=False)
        decode_s = time.process_time() - began

        prepare(chosen, Path(folder) / "warm", config=SegmentConfig(segment_s=10.0))  # compiles, imports
        began, wall_began = time.process_time(), time.perf_counter()
        report = prepare(chosen, Path(folder) / "data", config=SegmentConfig())
        prepare_s, wall_s = time.process_time() - began, time.perf_counter() - wall_began
        num_bytes = sum(file.stat().st_size for file in (Path(folder) / "data").rglob("*") if file.is_file())
        num_rows = len(ShardReader(Path(folder) / "data"))
    figures = {
        "records": len(found),
        "hours": round(hours, 2),
        "segments": num_rows,
        "refused": len(report.refused),
        "decode_cpu_s": round(decode_s, 2),
        "prepare_cpu_s": round(prepare_s, 2),
        "prepare_wall_s": round(wall_s, 2),
        "hours_per_cpu_s": round(hours / prepare_s, 2),
        "ratio_to_decoding": round(prepare_s / decode_s, 2),
        "megabytes": round(num_bytes / 1e6, 1),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
