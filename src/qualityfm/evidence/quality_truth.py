"""Figures against truth: simulated faults, second by second, and twelve-lead records that people judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from qualityfm.evidence.quality_data import RATE_HZ, one_channel
from qualityfm.evidence.quality_figures import Figure, auc_figure, mean_figure
from qualityfm.evidence.quality_peers import peer_seconds, peers_of
from qualityfm.evidence.quality_scorers import ScoredSeconds, Scorer
from qualityfm.quality import score_block
from qualityfm.records import GRADE_CUTS, ChannelKind
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.rhythm import RHYTHMS
from qualityfm.waveform.simulate import Simulation, SimulationConfig, simulate

#: A second is bad where the truth has less than this.
BAD_BELOW = GRADE_CUTS["B"]
FIRST_SEED = 50_000  # no fit and no test has seen these simulations
SIMULATED_S = 120.0


def simulations(noise: dict[str, Float[np.ndarray, "lead time"]], number: int) -> list[Simulation]:
    """Return simulated patients, every rhythm in turn, with faults made of the recorded noise where there is any."""
    bank = NoiseBank.from_lines({kind: lines.ravel() for kind, lines in noise.items()}, RATE_HZ)
    settings = [SimulationConfig(duration_s=SIMULATED_S, rhythm=r, faults_per_minute=2.0) for r in RHYTHMS]
    return [simulate(FIRST_SEED + i, settings[i % len(settings)], bank) for i in range(number)]


def truth_figures(
    patients: Sequence[Simulation], scorers: Mapping[str, Scorer], rounds: int, peer_every: int
) -> list[Figure]:
    """Return how well each second's score finds bad seconds, how often causes are right, and how often they are false.

    Seconds that a fault touches without spoiling them are left out of the AUC.

    Args:
        patients: Simulated recordings and what is true of them.
        scorers: By name.
        rounds: Bootstrap rounds over patients.
        peer_every: Peers see every n-th patient; 0 leaves them out.
    """
    figures = []
    for method, scorer in scorers.items():
        scored = [scorer(patient.recording) for patient in patients]
        figures += _second_figures(patients, scored, method, rounds)
        if scored[0].causes is not None:
            figures += _false_figures(patients, scorer, method, rounds)
            figures += _named_figures(patients, scored, method, rounds)
    for kind in (ChannelKind.ECG, ChannelKind.PPG) if peer_every else ():
        figures += _peer_truth(patients[:: max(1, min(peer_every, len(patients) // 4))], kind, rounds)
    return figures


def _of_channel(values: np.ndarray, scored: ScoredSeconds, name: str, num_seconds: int) -> np.ndarray:
    return np.asarray(values[scored.channels.index(name), :num_seconds])


def _second_figures(
    patients: Sequence[Simulation], scored: list[ScoredSeconds], method: str, rounds: int
) -> list[Figure]:
    parts: dict[ChannelKind, list[tuple[np.ndarray, ...]]] = defaultdict(list)
    for number, (patient, found) in enumerate(zip(patients, scored, strict=True)):
        for channel, signal in enumerate(patient.recording.signals):
            is_bad = patient.quality[channel] < BAD_BELOW
            is_clear = is_bad | ~_touched(patient, channel)
            quality = _of_channel(found.quality, found, signal.name, len(is_bad))
            parts[signal.kind].append((is_bad[is_clear], quality[is_clear], np.full(is_clear.sum(), number)))
    figures = []
    for kind, pieces in parts.items():
        is_bad, quality, group = (np.concatenate(p) for p in zip(*pieces, strict=True))
        names = ("simulated truth", kind.value, method, "AUC of bad seconds")
        figures.append(auc_figure(names, is_bad, quality, group, rounds, "at least .92"))
    return figures


def _false_figures(patients: Sequence[Simulation], scorer: Scorer, method: str, rounds: int) -> list[Figure]:
    false: dict[ChannelKind, list[tuple[int, float]]] = defaultdict(list)
    for number, patient in enumerate(patients):
        found = scorer(patient.clean)
        assert found.causes is not None  # the caller asked
        for signal in patient.clean.signals:
            causes = _of_channel(found.causes, found, signal.name, patient.quality.shape[1])
            false[signal.kind].append((number, float((causes > 0).mean())))
    measure = "share of clean seconds with a cause"
    return [
        _mean_figure(("simulated truth", kind.value, method, measure), pairs, rounds, "at most .01")
        for kind, pairs in false.items()
    ]


def _named_figures(
    patients: Sequence[Simulation], scored: list[ScoredSeconds], method: str, rounds: int
) -> list[Figure]:
    named: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, (patient, found) in enumerate(zip(patients, scored, strict=True)):
        assert found.causes is not None  # the caller asked
        for fault in patient.truth:
            is_spoilt = patient.quality[fault.channel] < BAD_BELOW
            first, last = int(np.ceil(fault.start_s)), int(fault.start_s + fault.duration_s)
            inside = first + np.flatnonzero(is_spoilt[first:last])
            if len(inside):
                name = patient.recording.signals[fault.channel].name
                causes = _of_channel(found.causes, found, name, len(is_spoilt))[inside]
                named[fault.cause.words].append((number, float(((causes & int(fault.cause)) > 0).mean() >= 0.5)))
    every = [pair for pairs in named.values() for pair in pairs]
    measure = "named in at least half of the seconds it spoils"
    return [
        _mean_figure(("simulated faults", cause, method, measure), pairs, rounds, "at least .90")
        for cause, pairs in [*sorted(named.items()), ("all", every)]
    ]


def _touched(patient: Simulation, channel: int) -> np.ndarray:
    touched = np.zeros(patient.quality.shape[1], bool)
    for fault in patient.truth:
        if fault.channel == channel:
            touched[int(fault.start_s) : int(np.ceil(fault.start_s + fault.duration_s))] = True
    return touched


def _mean_figure(names: tuple[str, str, str, str], pairs: list[tuple[int, float]], rounds: int, aim: str) -> Figure:
    groups, values = np.array([g for g, _ in pairs]), np.array([v for _, v in pairs])
    return mean_figure(names, values, groups, rounds, aim)


def _peer_truth(patients: Sequence[Simulation], kind: ChannelKind, rounds: int) -> list[Figure]:
    """Return the same AUC for every peer, on some of the patients."""
    lines, is_bad, is_clear, groups = [], [], [], []
    for number, patient in enumerate(patients):
        block = cut_block(patient.recording, SegmentConfig())
        channel = next(i for i, signal in enumerate(patient.recording.signals) if signal.kind == kind)
        slot = block.names.index(patient.recording.signals[channel].name)
        bad = patient.quality[channel] < BAD_BELOW
        lines.append(block.values[:, slot])
        is_bad.append(bad)
        is_clear.append(bad | ~_touched(patient, channel))
        groups.append(np.full(len(bad), number))
    together, clear = np.concatenate(lines), np.concatenate(is_clear)
    bad, group = np.concatenate(is_bad)[clear], np.concatenate(groups)[clear]
    ours = score_block(one_channel(together, kind)).quality[:, 0].ravel()[clear]
    scores = {"QualityFM, one channel": ours}
    for name, peer in peers_of(kind).items():
        scores[name] = peer_seconds(peer, together).ravel()[clear]
    return [
        auc_figure(("simulated truth, some", kind.value, name, "AUC of bad seconds"), bad, score, group, rounds)
        for name, score in scores.items()
    ]
