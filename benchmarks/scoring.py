"""Scoring one hour of simulated ECG + PPG: read, cut, classical quality, and the model beside it. One core.

OMP_NUM_THREADS=1 python benchmarks/scoring.py --model qualityfm-tiny
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import wfdb

from qualityfm.inference.loading import load_model
from qualityfm.quality.score import score_quality
from qualityfm.records import ChannelKind
from qualityfm.sources import open_recording
from qualityfm.sources.wfdb_files import write_wfdb
from qualityfm.waveform.simulate import SimulationConfig, simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qualityfm-tiny")
    parser.add_argument("--hours", type=float, default=1.0)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    predictor = load_model(arguments.model)
    score_quality(simulate(0, SimulationConfig(duration_s=60.0)).recording)  # warm up
    with tempfile.TemporaryDirectory() as folder:
        recording = simulate(1, SimulationConfig(duration_s=3600.0 * arguments.hours)).recording
        kept = (recording.of_kind(ChannelKind.ECG)[0], *recording.of_kind(ChannelKind.PPG))
        path = write_wfdb(replace(recording, signals=kept), Path(folder)).with_suffix("")
        wfdb.rdrecord(str(path), smooth_frames=False)
        steps = {
            "decode_with_wfdb_s": lambda: wfdb.rdrecord(str(path), smooth_frames=False),
            "open_s": lambda: open_recording(path),
            "open_and_score_s": lambda: score_quality(open_recording(path)),
            "open_and_score_with_model_s": lambda: predictor.score(open_recording(path)),
            "to_table_s": lambda: predictor.score(open_recording(path)).to_pandas(),
        }
        figures: dict[str, float | str] = {"hours": arguments.hours, "model": predictor.name}
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            figures[name] = round(time.perf_counter() - began, 2)
    figures["peak_memory_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
