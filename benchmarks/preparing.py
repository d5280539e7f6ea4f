"""Archive to scored shards, against merely decoding the same files with wfdb, in one run and on one core.

    QUALITYFM_DATA=... python benchmarks/preparing.py [--limit 588] [--day-hours 24]

CPU seconds, so that another job on the machine does not count. The ratio is what carries over to other machines. Then
the same work step by step, and the memory that a worker needs for one long recording of many channels. Random reads and
`verify` are in shards.py, the search for overlaps in overlaps.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from qualityfm.prepare.archive import prepare
from qualityfm.prepare.rules import keep_usable
from qualityfm.quality.paper import paper_quality
from qualityfm.quality.score import score_block
from qualityfm.segments import SegmentConfig, cut_block, scale_values
from qualityfm.shards import ShardReader
from qualityfm.shards.writer import pack_rows, write_shard
from qualityfm.sources import Found, find_recordings, open_recording

#: The long recording: rate in Hz; name and unit of each channel.
DAY_RATE_HZ = 250
DAY_CHANNELS = {"II": "mV", "V": "mV", "I": "mV", "III": "mV", "aVR": "mV", "PLETH": "NU", "ABP": "mmHg", "RESP": "NU"}

#: Measured in a process of its own, so that its memory is its own; getrusage counts what the parent held as well.
MEASURED = """
import re, sys, time
from pathlib import Path
from qualityfm.segments import SegmentConfig
def peak_kb():
    return re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)
"""

#: What a worker does.
WORKER = """
from qualityfm.prepare.archive import prepare
before = peak_kb()
began = time.process_time()
hours = prepare(sys.argv[1], sys.argv[2], config=SegmentConfig()).hours
cpu_s = time.process_time() - began
print(hours, cpu_s, before, peak_kb())
"""

#: Planning an archive of many recordings of an hour; only their listing is made up.
PLANNER = """
from qualityfm.prepare import plan
from qualityfm.records import ChannelKind
from qualityfm.sources.found import Found, FoundChannel
def channels():
    three = ("II", ChannelKind.ECG, "mV"), ("PLETH", ChannelKind.PPG, "NU"), ("ABP", ChannelKind.ABP, "mmHg")
    return tuple(FoundChannel(name=n, kind=k, unit=u, sample_rate_hz=250.0) for n, k, u in three)
def recording(number):
    path, patient = Path(sys.argv[1]) / f"{number:08d}.hea", f"p{number // 100:05d}"
    return Found(path=path, recording_id=f"{patient}/{number:08d}", subject_id=patient, source="wfdb",
                 duration_s=3600.0, channels=channels())
listed = [recording(number) for number in range(int(sys.argv[2]))]
before, began = peak_kb(), time.process_time()
plan.find_recordings = lambda archive, layout=None: listed
plan.make_plan(Path(sys.argv[1]), SegmentConfig(), None, "")
print(time.process_time() - began, before, peak_kb())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=588, help="records, in name order")
    parser.add_argument("--day-hours", type=int, default=24, help="length of the long recording, h")
    parser.add_argument("--plan", type=int, default=1_000_000, help="recordings of the archive that is only planned")
    arguments = parser.parse_args()
    archive = Path(os.environ["QUALITYFM_DATA"]) / "challenge2015" / "records"
    with tempfile.TemporaryDirectory() as folder:
        chosen = take_records(archive, Path(folder) / "archive", arguments.limit)
        figures = whole(chosen, Path(folder))
        figures["cpu_s_of_each_step"] = step_by_step(find_recordings(chosen), Path(folder))
    figures["long_recording"] = long_recording(arguments.day_hours)
    figures["planning"] = planning(arguments.plan)
    print(json.dumps(figures, indent=1))


def take_records(archive: Path, folder: Path, limit: int) -> Path:
    folder.mkdir()
    for header in sorted(archive.glob("*.hea"))[:limit]:
        for file in archive.glob(f"{header.stem}.*"):
            shutil.copy(file, folder)
    return folder


def whole(archive: Path, folder: Path) -> dict[str, Any]:
    """Return the figures of decoding an archive with wfdb and of preparing it."""
    find_recordings(archive)  # compiles, imports
    began = time.process_time()
    found = find_recordings(archive)
    list_s = time.process_time() - began
    hours = sum(entry.duration_s for entry in found) / 3600
    prepare(archive, folder / "warm", config=SegmentConfig(segment_s=10.0))  # compiles, imports, fills the disk cache
    began = time.process_time()
    for entry in found:
        wfdb.rdrecord(str(entry.path.with_suffix("")), smooth_frames=False)
    decode_s = time.process_time() - began
    began, wall_began = time.process_time(), time.perf_counter()
    report = prepare(archive, folder / "data", config=SegmentConfig())
    prepare_s, wall_s = time.process_time() - began, time.perf_counter() - wall_began
    num_bytes = sum(file.stat().st_size for file in (folder / "data").rglob("*") if file.is_file())
    return {
        "records": len(found),
        "hours": round(hours, 2),
        "segments": len(ShardReader(folder / "data")),
        "refused": len(report.refused),
        "archive_megabytes": round(sum(file.stat().st_size for file in archive.iterdir()) / 1e6, 1),
        "headers_per_cpu_s": round(len(found) / list_s),
        "decode_cpu_s": round(decode_s, 2),
        "prepare_cpu_s": round(prepare_s, 2),
        "prepare_wall_s": round(wall_s, 2),
        "hours_per_cpu_s": round(hours / prepare_s, 2),
        "ratio_to_decoding": round(prepare_s / decode_s, 2),
        "megabytes": round(num_bytes / 1e6, 1),
    }


def step_by_step(found: Sequence[Found], folder: Path) -> dict[str, float]:
    """Return the CPU seconds of each step from file to shard."""
    seconds: Counter[str] = Counter()
    now = time.process_time()

    def lap(step: str) -> None:
        nonlocal now
        seconds[step] += (then := time.process_time()) - now  # type: ignore[assignment]  # counters add fractions too
        now = then

    rows = []
    for entry in found:
        recording = open_recording(entry.path)
        lap("read")
        block, _ = keep_usable(cut_block(recording, SegmentConfig()), recording)
        lap("cut")
        scaled = scale_values(block.values, block.config)
        lap("scale")
        score = score_block(block)
        lap("quality")
        paper = paper_quality(block)
        lap("published quality")
        rows.append(pack_rows(block, scaled, score, paper, block.start_s))
        lap("pack")
    write_shard(folder, "shard-00000", rows)
    lap("write")
    return {step: round(spent, 2) for step, spent in seconds.items()}


def long_recording(hours: int) -> dict[str, float]:
    """Return the rate and the memory high-water mark of a worker that prepares one long recording."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.mkdir()
        write_long_recording(archive, hours)
        kept, cpu_s, before, after = measured(WORKER, str(archive), str(Path(folder) / "data"))
    return {
        "channels": len(DAY_CHANNELS),
        "hours": kept,
        "hours_per_cpu_s": round(kept / cpu_s, 2),
        "peak_mb": round(after * 1024 / 1e6),  # Linux counts in units of 1024 bytes
        "peak_mb_of_imports": round(before * 1024 / 1e6),
    }


def planning(num_recordings: int) -> dict[str, float]:
    """Return what planning a large archive costs the process that was started."""
    with tempfile.TemporaryDirectory() as folder:
        cpu_s, before, after = measured(PLANNER, folder, str(num_recordings))
    return {
        "recordings": num_recordings,
        "cpu_s": round(cpu_s, 1),
        "peak_mb": round(after * 1024 / 1e6),
        "peak_mb_of_listing": round(before * 1024 / 1e6),
    }


def measured(program: str, *arguments: str) -> list[float]:
    """Return the numbers that a program prints."""
    command = [sys.executable, "-c", MEASURED + program, *arguments]
    return [float(n) for n in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()]


def write_long_recording(folder: Path, hours: int) -> None:
    """Write a WFDB record of 16-bit samples, the same noisy waves every minute."""
    rng = np.random.default_rng(0)
    time_s = np.arange(60 * DAY_RATE_HZ)[:, None] / DAY_RATE_HZ
    waves = 800 * np.sin(2 * np.pi * 1.2 * time_s + np.arange(len(DAY_CHANNELS)))
    minute = (waves + rng.normal(0, 30, waves.shape)).astype("<i2")
    with (folder / "day.dat").open("wb") as stream:
        for _ in range(60 * hours):
            stream.write(minute.tobytes())
    sums = (minute.sum(axis=0, dtype=np.int64) * 60 * hours).astype(np.int16)
    lines = [f"day {len(DAY_CHANNELS)} {DAY_RATE_HZ} {3600 * hours * DAY_RATE_HZ}"]
    for c, (name, unit) in enumerate(DAY_CHANNELS.items()):
        lines.append(f"day.dat 16 200/{unit} 16 0 {minute[0, c]} {sums[c]} 0 {name}")
    (folder / "day.hea").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
