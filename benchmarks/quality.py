"""Speed of classical quality against NeuroKit2, in one run: `python benchmarks/quality.py`.

It needs no data: pairs of a simulated ECG and PPG, 30 s at 125 Hz, scored as one block. Processor time, turn and turn
about, so that a busy machine slows both. What the score is worth is measured by `qualityfm benchmark quality`.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import neurokit2
import numpy as np

from qualityfm.quality import score_block
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block
from qualityfm.waveform.rhythm import RHYTHMS
from qualityfm.waveform.simulate import SimulationConfig, simulate

NUM_PAIRS, ROUNDS, PEER_PAIRS = 256, 7, 4
RATE_HZ = 125


def pairs() -> SegmentBlock:
    """Return simulated pairs of every rhythm, with faults, as one block."""
    config = SegmentConfig(channels=(ChannelKind.ECG, ChannelKind.PPG))
    values = [
        cut_block(simulate(i, SimulationConfig(duration_s=60.0 * 8, rhythm=rhythm)).recording, config).values
        for i, rhythm in enumerate(RHYTHMS)
    ]
    chosen = np.ascontiguousarray(np.resize(np.concatenate(values), (NUM_PAIRS, 2, 30 * RATE_HZ)))
    return SegmentBlock(
        recording_id="pairs",
        subject_id=None,
        config=config,
        names=("II", "PLETH"),
        units=("mV", "NU"),
        start_s=np.arange(NUM_PAIRS) * 30.0,
        length_s=np.full(NUM_PAIRS, 30.0),
        values=chosen,
        is_real=np.isfinite(chosen),
    )


def processor_s(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def neurokit(pair: np.ndarray) -> None:
    """Score one pair as NeuroKit2 does: both of its ECG indices that give a curve, and the PPG's template match."""
    ecg, ppg = np.nan_to_num(pair.astype(float))
    for method in ("templatematch", "averageQRS"):
        neurokit2.ecg_quality(ecg, sampling_rate=RATE_HZ, method=method)
    neurokit2.ppg_quality(ppg, sampling_rate=RATE_HZ, method="templatematch")


def main() -> None:
    """Measure both and print the ratio."""
    warnings.simplefilter("ignore")
    block = pairs()
    score_block(block)  # compiles
    neurokit(block.values[0])
    ours, theirs = [], []
    for first in range(0, ROUNDS * PEER_PAIRS, PEER_PAIRS):
        ours.append(processor_s(lambda: score_block(block)) / NUM_PAIRS)
        some = block.values[first : first + PEER_PAIRS]
        theirs.append(processor_s(lambda some=some: [neurokit(pair) for pair in some]) / PEER_PAIRS)
    ratio = statistics.median(theirs) / statistics.median(ours)
    sys.stdout.write(
        f"QualityFM {1e6 * statistics.median(ours):.0f} us a pair, "
        f"NeuroKit2 {1e3 * statistics.median(theirs):.1f} ms: {ratio:.0f} times as fast\n"
    )


if __name__ == "__main__":
    main()
