"""The public benchmark of classical quality: one call, one table, every figure with a bootstrap interval.

Thresholds and fits were made on minutes 0 to 12 of the noise stress test database, on `train` of the 2015 challenge and
on simulated patients; the noise of minutes 13 to 20, the arrhythmia, fibrillation and twelve-lead sets are read for
figures alone, except where a figure says that it was made in folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qualityfm.evidence.quality_beats import beat_figures
from qualityfm.evidence.quality_data import (
    AnnotatedEcg,
    annotated_ecgs,
    clean_ecgs,
    clean_pulses,
    held_out_noise,
    need_folder,
    one_channel,
    train_blocks,
)
from qualityfm.evidence.quality_figures import Figure, blindness_figures, noise_figures
from qualityfm.evidence.quality_peers import peer_seconds, peers_of
from qualityfm.evidence.quality_rhythms import alarm_figures, fibrillation_figures, pulse_figures
from qualityfm.evidence.quality_truth import simulations, truth_figures, twelve_lead_figures
from qualityfm.quality import score_block
from qualityfm.records import ChannelKind


@dataclass(frozen=True, kw_only=True)
class BenchmarkSize:
    """How much is measured.

    Attributes:
        rounds: Bootstrap rounds.
        ecgs_per_record: Clean ECG segments of each arrhythmia record that get noise.
        every_train: Every n-th `train` record of the 2015 challenge.
        every_lead_record: Every n-th twelve-lead record.
        patients: Simulated patients with faults.
        pulses: Simulated patients of each rhythm.
        peer_every: Peers see every n-th segment of the noise test, and patient.
        peer_segments: Segments of each arrhythmia record that peers see; 0 leaves them out.
    """

    rounds: int = 200
    ecgs_per_record: int = 6
    every_train: int = 1
    every_lead_record: int = 1
    patients: int = 120
    pulses: int = 20
    peer_every: int = 8
    peer_segments: int = 4


QUICK = BenchmarkSize(
    rounds=50,
    ecgs_per_record=1,
    every_train=8,
    every_lead_record=6,
    patients=12,
    pulses=4,
    peer_every=30,
    peer_segments=0,
)


def benchmark_quality(
    data: Path, size: BenchmarkSize, say: Callable[[str], None] = lambda what: None
) -> Iterator[Figure]:
    """Yield the figures one by one.

    Args:
        data: Folder that holds `mitdb`, `nstdb`, `cudb`, `challenge2011` and `challenge2015`.
        size: How much is measured.
        say: Told what is measured next.

    Raises:
        SourceError: A data set is missing or cannot be read.
    """
    folders = {n: need_folder(data, n) for n in ("mitdb", "nstdb", "cudb", "challenge2011", "challenge2015")}
    say("annotated ECGs")
    records = list(annotated_ecgs(folders["mitdb"]))
    yield from beat_figures(records, size.rounds)
    yield from _blindness(records, size)
    yield from fibrillation_figures(folders["cudb"], size.rounds)
    say("true alarms")
    blocks = list(train_blocks(folders["challenge2015"], size.every_train))
    yield from alarm_figures(folders["challenge2015"], blocks, size.rounds)
    say("simulated pulses")
    yield from pulse_figures(size.pulses, size.rounds)
    noise = held_out_noise(folders["nstdb"])
    say("noise stress, ECG")
    ecgs, owners = clean_ecgs(records, size.ecgs_per_record)
    yield from noise_figures(ecgs, owners, ChannelKind.ECG, noise, size.rounds, size.peer_every)
    for slot, kind in ((2, ChannelKind.PPG), (3, ChannelKind.ABP)):
        say(f"noise stress, {kind.value.upper()}")
        pulses, owners = clean_pulses(blocks, slot)
        if len(pulses) >= 2:
            yield from noise_figures(pulses, owners, kind, noise, size.rounds, size.peer_every)
    say("simulated faults")
    yield from truth_figures(simulations(noise, size.patients), size.rounds, size.peer_every)
    say("twelve leads")
    yield from twelve_lead_figures(folders["challenge2011"], size.rounds, size.every_lead_record)


def _blindness(records: list[AnnotatedEcg], size: BenchmarkSize) -> Iterator[Figure]:
    """Yield our blindness to rhythm, and that of each peer on some segments of every rhythm of every record."""
    ours = [score_block(record.block).quality[:, 0].ravel() for record in records]
    yield from blindness_figures(records, ours, "QualityFM", size.rounds)
    if not size.peer_segments:
        return
    some = [_only(record, size.peer_segments) for record in records]
    for name, peer in peers_of(ChannelKind.ECG).items():
        theirs = [peer_seconds(peer, record.block.values[:, 0]).ravel() for record in some]
        yield from blindness_figures(some, theirs, name, size.rounds)


def _only(record: AnnotatedEcg, number: int) -> AnnotatedEcg:
    """Return some segments of every rhythm of a record."""
    seconds = record.rhythm.reshape(len(record.block), -1)
    chosen: set[int] = set()
    for rhythm in np.unique(seconds.astype(str)):
        chosen |= set(
            np.flatnonzero((seconds == rhythm).any(axis=1))[:: max(1, len(seconds) // number)][:number].tolist()
        )
    rows = sorted(chosen)
    return AnnotatedEcg(
        record=record.record,
        block=one_channel(np.nan_to_num(record.block.values[rows, 0]), ChannelKind.ECG),
        rhythm=seconds[rows].ravel(),
        is_noisy=record.is_noisy.reshape(seconds.shape)[rows].ravel(),
        is_ectopic=record.is_ectopic.reshape(seconds.shape)[rows].ravel(),
        beats_s=np.zeros(0),
    )
