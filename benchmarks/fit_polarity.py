"""Fits the weights of an upright lead II anew and prints them: `QUALITYFM_DATA=... python benchmarks/fit_polarity.py`.

Mean beats of lead II of every eighth `train` record of challenge2015 and of clean simulated patients of every rhythm,
and the same upside down; the shares printed are out of fold, by record.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from qualityfm.evidence.quality_data import train_blocks
from qualityfm.quality.ecg import SHAPE_HZ, SHAPE_RATE_HZ, UPSIDE_DOWN, WAVES_HZ, qrs_steepness
from qualityfm.quality.likeness import compare_events
from qualityfm.quality.lines import prepare_lines
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block
from qualityfm.waveform.filters import Band, split_bands
from qualityfm.waveform.rhythm import RHYTHMS
from qualityfm.waveform.simulate import SimulationConfig, simulate

EVERY, FOLDS, SIMULATED, FIRST_SEED, NAMED = 8, range(4), 72, 90_000, 0.6


def mean_beats(block: SegmentBlock) -> np.ndarray:
    """Return the mean beat of every segment of lead II; none where a block has no such lead."""
    if "II" not in block.names:
        return np.zeros((0, 12), np.float32)
    slot, rate_hz = block.names.index("II"), block.config.sample_rate_hz
    kind, unit, values = block.config.channels[slot], block.units[slot], block.values[:, slot]
    lines = prepare_lines(kind, "II", unit, rate_hz, values, block.is_real[:, slot], block.config.num_seconds)
    step = max(1, int(rate_hz / SHAPE_RATE_HZ))
    shape = split_bands(lines.bounded(), rate_hz, Band(low_hz=WAVES_HZ, high_hz=SHAPE_HZ, step=step))[0]
    return compare_events(shape, qrs_steepness(shape, rate_hz / step), rate_hz / step, lines.num_seconds).beat


def fit(beats: np.ndarray) -> np.ndarray:
    """Return weights that tell beats from their mirror images."""
    label = np.r_[np.ones(len(beats)), np.zeros(len(beats))]
    model = LogisticRegression(fit_intercept=False, max_iter=500)
    return np.asarray(model.fit(np.r_[beats, -beats], label).coef_[0])


def main() -> None:
    """Fit, and print the weights with the shares of segments that are named inverted, upright and turned over."""
    data = Path(os.environ["QUALITYFM_DATA"]) / "challenge2015"
    blocks = [block for fold in FOLDS for block in train_blocks(data, EVERY, fold)]
    settings = [SimulationConfig(duration_s=120.0, rhythm=rhythm) for rhythm in RHYTHMS]
    clean = [simulate(FIRST_SEED + i, settings[i % len(settings)]).clean for i in range(SIMULATED)]
    parts = [mean_beats(block) for block in (*blocks, *(cut_block(one, SegmentConfig()) for one in clean))]
    beats, group = np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    is_real, score = group < len(blocks), np.zeros(len(beats))
    for train, test in GroupKFold(5).split(beats, groups=group):
        score[test] = beats[test] @ fit(beats[train])
    named = UPSIDE_DOWN[0] + NAMED * (UPSIDE_DOWN[1] - UPSIDE_DOWN[0])
    for text, chosen in (("real", is_real), ("simulated", ~is_real)):
        false, found = (score[chosen] < -named).mean(), (score[chosen] > named).mean()
        sys.stdout.write(f"{text}: {chosen.sum()} segments, named upright {false:.3f}, turned over {found:.3f}\n")
    sys.stdout.write(f"{fit(beats).round(2).tolist()}\n")


if __name__ == "__main__":
    main()
