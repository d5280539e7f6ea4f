"""Figures against truth: simulated faults, second by second, and twelve-lead records that people judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from qualityfm.evidence.intervals import Estimate
from qualityfm.evidence.quality_data import RATE_HZ, one_channel, read_rows
from qualityfm.evidence.quality_figures import Figure, auc_figure, mean_figure
from qualityfm.evidence.quality_peers import peer_seconds, peers_of
from qualityfm.quality import judge_channels, score_block
from qualityfm.records import GRADE_CUTS, ChannelKind, Recording
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block
from qualityfm.sources import open_recording
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.rhythm import RHYTHMS
from qualityfm.waveform.simulate import Simulation, SimulationConfig, simulate

#: A second is bad where the truth has less than this.
BAD_BELOW = GRADE_CUTS["B"]
FIRST_SEED = 50_000  # no fit and no test has seen these simulations
SIMULATED_S = 120.0

#: Flat and clipped for more than this share: the rule that any learned model of the 2011 challenge must beat.
RULE_SHARE = 0.1


def simulations(noise: dict[str, Float[np.ndarray, "lead time"]], number: int) -> list[Simulation]:
    """Return simulated patients, every rhythm in turn, with faults made of the recorded noise where there is any."""
    bank = NoiseBank.from_lines({kind: lines.ravel() for kind, lines in noise.items()}, RATE_HZ)
    settings = [SimulationConfig(duration_s=SIMULATED_S, rhythm=r, faults_per_minute=2.0) for r in RHYTHMS]
    return [simulate(FIRST_SEED + i, settings[i % len(settings)], bank) for i in range(number)]


def _scored(recording: Recording, num_seconds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return quality and causes, [channel second]."""
    score = score_block(cut_block(recording, SegmentConfig()))
    quality, causes = (
        values.transpose(1, 0, 2).reshape(values.shape[1], -1)[:, :num_seconds]
        for values in (score.quality, score.causes)
    )
    return quality, causes


def truth_figures(patients: Sequence[Simulation], rounds: int, peer_every: int) -> list[Figure]:
    """Return how well each second's score finds bad seconds, how often causes are right, and how often they are false.

    Seconds that a fault touches without spoiling them are left out of the AUC.
    """
    seconds: dict[ChannelKind, list[tuple[np.ndarray, ...]]] = defaultdict(list)
    named: dict[str, list[tuple[int, float]]] = defaultdict(list)
    false: dict[ChannelKind, list[tuple[int, float]]] = defaultdict(list)
    for number, patient in enumerate(patients):
        quality, causes = _scored(patient.recording, patient.quality.shape[1])
        _, clean_causes = _scored(patient.clean, patient.quality.shape[1])
        for channel, signal in enumerate(patient.recording.signals):
            is_bad = patient.quality[channel] < BAD_BELOW
            is_clear = is_bad | ~_touched(patient, channel)
            group = np.full(is_clear.sum(), number)
            seconds[signal.kind].append((is_bad[is_clear], quality[channel][is_clear], group))
            false[signal.kind].append((number, float((clean_causes[channel] > 0).mean())))
        for fault in patient.truth:
            first, last = int(np.ceil(fault.start_s)), int(fault.start_s + fault.duration_s)
            inside = [
                s for s in range(first, min(last, causes.shape[1])) if patient.quality[fault.channel, s] < BAD_BELOW
            ]
            if inside:
                hits = (causes[fault.channel, inside] & int(fault.cause)) > 0
                named[fault.cause.words].append((number, float(hits.mean() >= 0.5)))
    figures = []
    for kind, parts in seconds.items():
        is_bad, quality, group = (np.concatenate(p) for p in zip(*parts, strict=True))
        names = ("simulated truth", kind.value, "QualityFM", "AUC of bad seconds")
        figures.append(auc_figure(names, is_bad, quality, group, rounds, "at least .92"))
        names = ("simulated truth", kind.value, "QualityFM", "share of clean seconds with a cause")
        figures.append(_mean_figure(names, false[kind], rounds, "at most .01"))
    for kind in (ChannelKind.ECG, ChannelKind.PPG):
        figures += _peer_truth(patients[:: max(1, min(peer_every, len(patients) // 4))], kind, rounds)
    for cause, found in sorted(named.items()):
        names = ("simulated faults", cause, "QualityFM", "named in at least half of the seconds it spoils")
        figures.append(_mean_figure(names, found, rounds, "at least .90"))
    every = [pair for found in named.values() for pair in found]
    names = ("simulated faults", "all", "QualityFM", "named in at least half of the seconds it spoils")
    return [*figures, _mean_figure(names, every, rounds, "at least .90")]


def _touched(patient: Simulation, channel: int) -> np.ndarray:
    touched = np.zeros(patient.quality.shape[1], bool)
    for fault in patient.truth:
        if fault.channel == channel:
            touched[int(fault.start_s) : int(np.ceil(fault.start_s + fault.duration_s))] = True
    return touched


def _mean_figure(names: tuple[str, str, str, str], pairs: list[tuple[int, float]], rounds: int, aim: str) -> Figure:
    groups, values = np.array([g for g, _ in pairs]), np.array([v for _, v in pairs])
    if len(np.unique(groups)) < 2:
        mean = float(values.mean())
        part, case, method, measure = names
        estimate = Estimate(value=mean, low=float("nan"), high=float("nan"))
        return Figure(part=part, case=case, method=method, measure=measure, estimate=estimate, num_records=1, aim=aim)
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


def twelve_lead_figures(folder: Path, rounds: int, every: int = 1) -> list[Figure]:
    """Return how well records that people called unacceptable are found: by rule, by score, by a model in folds.

    Args:
        folder: Set a of the 2011 challenge, with `labels.csv`.
        rounds: Bootstrap rounds.
        every: Read every n-th record.
    """
    config = SegmentConfig(channels=(ChannelKind.ECG,) * 12, segment_s=10.0, step_s=10.0)
    rows = [row for row in read_rows(folder / "labels.csv") if row["quality"] != "indeterminate"][::every]
    blocks = [cut_block(open_recording(folder / "records" / row["record"]), config) for row in rows]
    is_bad = np.array([row["quality"] == "unacceptable" for row in rows])
    groups = np.array([row["record"] for row in rows])
    qualities = [score_block(block) for block in blocks]
    scores = {
        "rule: a lead constant or clipped": np.array([-_rule_share(block) for block in blocks]),
        "QualityFM, joint": np.array([q.overall[0] for q in qualities]),
        "QualityFM, worst lead": np.array([q.quality[0].mean(axis=1).min() for q in qualities]),
    }
    features = np.array([lead_features(block) for block in blocks])
    in_folds = _out_of_fold(features, is_bad, np.array([int(row["fold"]) for row in rows]))
    if in_folds is not None:
        scores["QualityFM's indices, trees in folds"] = -in_folds
    part, case, measure = "twelve leads", "challenge2011", "AUC of unacceptable records"
    figures = []
    for name, score in scores.items():
        aim = "at least .985" if "folds" in name else ""
        figures.append(auc_figure((part, case, name, measure), is_bad, score, groups, rounds, aim))
    for name, called in (
        ("rule: a lead constant or clipped", -scores["rule: a lead constant or clipped"] > RULE_SHARE),
    ) + (() if in_folds is None else (("QualityFM's indices, trees in folds", in_folds > 0.5),)):
        is_right = (called == is_bad).astype(float)
        names = (part, case, name, "accuracy")
        figures.append(mean_figure(names, is_right, groups, rounds))
    return figures


def _rule_share(block: SegmentBlock) -> float:
    """Return the largest share of a lead that does not change, or that lies at its highest or lowest value."""
    values = np.nan_to_num(block.values[0])
    rests = (np.diff(values, axis=1) == 0).mean(axis=1)
    rails = ((values == values.max(axis=1, keepdims=True)) | (values == values.min(axis=1, keepdims=True))).mean(axis=1)
    return float(np.maximum(rests, rails).max())


def lead_features(block: SegmentBlock) -> Float[np.ndarray, " feature"]:
    """Return one segment's indices over all leads: the worst two, middle and best lead, and the mean, of each index."""
    rows = []
    quality = score_block(block).quality[0]
    for c, judgement in judge_channels(block).items():
        samples = np.nan_to_num(block.values[0, c])
        trusts = [f(trust[0]) for trust in judgement.trusts.values() for f in (np.mean, np.min)]
        signs = [] if judgement.signs is None else [*judgement.signs[0].mean(axis=0), *judgement.signs[0].max(axis=0)]
        size = (
            np.log(np.ptp(samples) + 1e-3),
            np.log(samples.std() + 1e-3),
            np.log(np.abs(np.diff(samples)).mean() + 1e-4),
        )
        rests = (np.abs(np.diff(samples)) < 1e-6).mean()
        rows.append([*trusts, *signs, quality[c].mean(), quality[c].min(), *size, rests])
    table = np.array(rows)
    ordered = np.sort(table, axis=0)
    return np.concatenate((ordered[0], ordered[1], ordered[3], ordered[5], ordered[-1], table.mean(axis=0)))


def _out_of_fold(features: np.ndarray, is_bad: np.ndarray, fold: np.ndarray) -> Float[np.ndarray, " record"] | None:
    """Return each record's probability by a forest that has not seen its fold; None without scikit-learn."""
    try:
        from sklearn.ensemble import ExtraTreesClassifier
    except ModuleNotFoundError:
        return None
    probability = np.zeros(len(is_bad))
    for held_out in np.unique(fold):
        is_train = fold != held_out
        model = ExtraTreesClassifier(1000, min_samples_leaf=2, max_features=0.3, random_state=0)
        model.fit(features[is_train], is_bad[is_train])
        probability[~is_train] = model.predict_proba(features[~is_train])[:, 1]
    return probability
