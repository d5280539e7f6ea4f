"""The public benchmark of quality scores: parts of one table, every figure with a bootstrap interval.

Thresholds and fits of the classical score were made on minutes 0 to 12 of the noise stress test database, on `train` of
the 2015 challenge and on simulated patients; the noise of minutes 13 to 20, the arrhythmia, fibrillation, twelve-lead
and wearable sets are read for figures alone, except where a figure says that it was made in folds. A learned score is
shown pulses of one fold of `train` only, which it must not have learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

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
from qualityfm.evidence.quality_figures import Figure, add_noise, blindness_figures, noise_figures
from qualityfm.evidence.quality_kept import KeptParts
from qualityfm.evidence.quality_leads import twelve_lead_figures
from qualityfm.evidence.quality_learned import abstention_figures, calibration_figures
from qualityfm.evidence.quality_marks import mark_figures, marked_leads
from qualityfm.evidence.quality_peers import peer_seconds, peers_of
from qualityfm.evidence.quality_rhythms import alarm_figures, fibrillation_figures, pulse_figures
from qualityfm.evidence.quality_scorers import CLASSICAL, Scorer, classical, learned, line_quality
from qualityfm.evidence.quality_truth import simulations, truth_figures
from qualityfm.evidence.quality_wearable import wearable_figures
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock
from qualityfm.waveform.rhythm_bank import RhythmBank

if TYPE_CHECKING:
    from qualityfm.inference.predictor import Predictor

#: Slot of each pulse in the blocks of the 2015 challenge.
PULSE_SLOTS = {ChannelKind.PPG: 2, ChannelKind.ABP: 3}

#: Which of `add_noise`'s SNRs stands for "with noise" where abstention is asked, 6 dB.
NOISY_LEVEL = 3


@dataclass(frozen=True, kw_only=True)
class BenchmarkSize:
    """How much is measured.

    Attributes:
        rounds: Bootstrap rounds.
        ecgs_per_record: Clean ECG segments of each arrhythmia record that get noise.
        every_record: Every n-th arrhythmia record.
        every_train: Every n-th `train` record of the 2015 challenge.
        every_lead_record: Every n-th twelve-lead record.
        num_trees: Of the forest that judges twelve-lead records in folds.
        patients: Simulated patients with faults.
        pulses: Simulated patients of each rhythm.
        peer_every: Peers see every n-th segment of the noise test, and every n-th patient; 0 leaves them out there.
        peer_segments: Segments of each arrhythmia record that peers see; 0 leaves them out.
    """

    rounds: int = 200
    ecgs_per_record: int = 6
    every_record: int = 1
    every_train: int = 1
    every_lead_record: int = 1
    num_trees: int = 1000
    patients: int = 120
    pulses: int = 20
    peer_every: int = 8
    peer_segments: int = 4


QUICK = BenchmarkSize(
    rounds=50,
    ecgs_per_record=1,
    every_record=4,
    every_train=8,
    every_lead_record=6,
    num_trees=200,
    patients=12,
    pulses=4,
    peer_every=30,
    peer_segments=0,
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured, on what; data are read when a part first asks for them.

    Attributes:
        data: Folder of the public data sets.
        size: How much is measured.
        predictor: A model whose quality head is measured beside the classical score.
        heldout_fold: The fold of the 2015 challenge's `train` that the model has not learnt from.
    """

    data: Path
    size: BenchmarkSize = field(default_factory=BenchmarkSize)
    predictor: Predictor | None = None
    heldout_fold: int = 4

    @cached_property
    def scorers(self) -> dict[str, Scorer]:
        """The scores that are measured, by name."""
        return {CLASSICAL: classical(), **self.learned}

    @cached_property
    def learned(self) -> dict[str, Scorer]:
        """The learned one, by its model's name; empty without a model."""
        return {} if self.predictor is None else {f"learned, {self.predictor.name}": learned(self.predictor)}

    @cached_property
    def records(self) -> list[AnnotatedEcg]:
        """First leads of the arrhythmia database."""
        return list(annotated_ecgs(need_folder(self.data, "mitdb"), self.size.every_record))

    @cached_property
    def blocks(self) -> list[SegmentBlock]:
        """Records of `train` of the 2015 challenge."""
        return list(train_blocks(need_folder(self.data, "challenge2015"), self.size.every_train))

    @cached_property
    def heldout_blocks(self) -> list[SegmentBlock]:
        """Those of the held-out fold alone."""
        return list(train_blocks(need_folder(self.data, "challenge2015"), self.size.every_train, self.heldout_fold))

    @cached_property
    def noise(self) -> dict[str, np.ndarray]:
        """The recorded noise that no fit has seen."""
        return held_out_noise(need_folder(self.data, "nstdb"))


def _beats(bench: Bench) -> list[Figure]:
    return beat_figures(bench.records, bench.size.rounds)


def _blindness(bench: Bench) -> list[Figure]:
    figures, rounds = [], bench.size.rounds
    for name, scorer in bench.scorers.items():
        ours = [line_quality(scorer, r.block.values[:, 0], ChannelKind.ECG).ravel() for r in bench.records]
        figures += blindness_figures(bench.records, ours, name, rounds)
    if bench.size.peer_segments:
        some = [_only(record, bench.size.peer_segments) for record in bench.records]
        for name, peer in peers_of(ChannelKind.ECG).items():
            theirs = [peer_seconds(peer, record.block.values[:, 0]).ravel() for record in some]
            figures += blindness_figures(some, theirs, name, rounds, is_ours=False)
    return [*figures, *fibrillation_figures(need_folder(bench.data, "cudb"), bench.scorers, rounds)]


def _alarms(bench: Bench) -> list[Figure]:
    return alarm_figures(need_folder(bench.data, "challenge2015"), bench.blocks, bench.size.rounds)


def _pulses(bench: Bench) -> list[Figure]:
    size, folder = bench.size, bench.data / "vitaldb_arrhythmia_annotations"
    figures = pulse_figures(size.pulses, bench.scorers, size.rounds)
    if folder.is_dir():
        bank = RhythmBank.from_folder(folder, "test")
        figures += pulse_figures(size.pulses, bench.scorers, size.rounds, bank)
    return figures


def _marks(bench: Bench) -> list[Figure]:
    leads = list(marked_leads(need_folder(bench.data, "mitdb"), bench.size.every_record))
    return mark_figures(leads, bench.scorers, bench.size.rounds, bench.size.peer_segments)


def _ecg_noise(bench: Bench) -> list[Figure]:
    lines, owners = clean_ecgs(bench.records, bench.size.ecgs_per_record)
    return noise_figures(
        lines, owners, ChannelKind.ECG, bench.noise, bench.scorers, bench.size.rounds, bench.size.peer_every
    )


def _pulse_noise(bench: Bench) -> list[Figure]:
    figures, ours = [], {CLASSICAL: bench.scorers[CLASSICAL]}
    for kind, slot in PULSE_SLOTS.items():
        for blocks, scorers, peer_every in (
            (bench.blocks, ours, bench.size.peer_every),
            (bench.heldout_blocks if bench.learned else [], bench.learned, 0),
        ):
            lines, owners = clean_pulses(blocks, slot)
            if len(lines) >= 2:
                figures += noise_figures(lines, owners, kind, bench.noise, scorers, bench.size.rounds, peer_every)
    return figures


def _truth(bench: Bench) -> list[Figure]:
    patients = simulations(bench.noise, bench.size.patients)
    return [
        *truth_figures(patients, bench.scorers, bench.size.rounds, bench.size.peer_every),
        *calibration_figures(patients, bench.learned, bench.size.rounds),
    ]


def _abstention(bench: Bench) -> list[Figure]:
    if not bench.learned:
        return []
    clean = {ChannelKind.ECG: clean_ecgs(bench.records, 2)}
    clean |= {kind: clean_pulses(bench.heldout_blocks, slot) for kind, slot in PULSE_SLOTS.items()}
    clean = {kind: found for kind, found in clean.items() if len(found[0]) >= 2}
    noisy = {
        kind: (add_noise(lines, bench.noise["em"])[NOISY_LEVEL], owners) for kind, (lines, owners) in clean.items()
    }
    return abstention_figures(clean, noisy, bench.learned, bench.size.rounds)


def _wearables(bench: Bench) -> list[Figure]:
    return wearable_figures(need_folder(bench.data, "ppg_wearable"), bench.scorers, bench.size.rounds)


def _twelve_leads(bench: Bench) -> list[Figure]:
    folder, size = need_folder(bench.data, "challenge2011"), bench.size
    return twelve_lead_figures(folder, size.rounds, size.every_lead_record, size.num_trees)


#: The parts, in the order of the table.
PARTS: dict[str, Callable[[Bench], list[Figure]]] = {
    "beats": _beats,
    "rhythm blindness": _blindness,
    "true alarms": _alarms,
    "simulated pulses": _pulses,
    "noise marks": _marks,
    "noise stress, ECG": _ecg_noise,
    "noise stress, pulses": _pulse_noise,
    "simulated faults": _truth,
    "abstention": _abstention,
    "wearables": _wearables,
    "twelve leads": _twelve_leads,
}

#: Data sets without which there is no benchmark.
DATA_SETS = ("mitdb", "nstdb", "cudb", "challenge2011", "challenge2015", "ppg_wearable")


def benchmark_quality(
    bench: Bench, kept: KeptParts | None = None, say: Callable[[int, str], None] = lambda done, what: None
) -> Iterator[Figure]:
    """Yield the figures part by part.

    Args:
        bench: What is measured.
        kept: Where finished parts are kept, and found again when the same is asked.
        say: Told how many parts are done and which is next.

    Raises:
        SourceError: A data set is missing or cannot be read.
    """
    for name in DATA_SETS:
        need_folder(bench.data, name)
    for done, (name, part) in enumerate(PARTS.items()):
        say(done, name)
        figures = None if kept is None else kept.find(name)
        if figures is None:
            figures = part(bench)
            if kept is not None:
                kept.keep(name, figures)
        yield from figures
    say(len(PARTS), "")


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
