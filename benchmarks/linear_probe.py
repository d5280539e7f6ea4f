"""Does the embedding know something? Linear probes on frozen features, against the same encoder untrained.

    python benchmarks/linear_probe.py --model qualityfm-tiny --fold 4

Every probe is fitted on the training folds and read once on the held-out fold of challenge2015 `train`:
(noise) segments of grade A or B against the same with recorded noise added to all of it (minutes 13-20 of MIT-BIH
    NSTDB, SNR -6 to 18 dB, baseline wander -18 to 6 dB);
(artefacts) any segments against the same with the artefacts of training, most of them short and on one channel;
(alarm) true against false alarms, from the 30 s before the alarm;
(af) atrial fibrillation against other rhythms, every third 30 s of MIT-BIH Arrhythmia, which no pre-training sees: five
    rounds over its patients, each window answered once.
Records within 6 numbers of the held-out fold are in neither part. Intervals: bootstrap over records; `gain` is the
paired difference to the untrained encoder. The simple baseline is the joint classical quality, for alarms their type.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qualityfm.evidence.intervals import auc, bootstrap
from qualityfm.finetune.data import collect_windows
from qualityfm.inference.loading import load_model
from qualityfm.inference.predictor import Predictor
from qualityfm.models.network import Network
from qualityfm.pretrain.batches import corruption_for
from qualityfm.pretrain.noise import load_noise
from qualityfm.quality.score import score_block
from qualityfm.records import GRADE_CUTS, Recording
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block, scale_values
from qualityfm.sources import open_recording
from qualityfm.tasks.rhythms import rhythm_examples
from qualityfm.waveform.artefacts import CorruptionConfig, NoiseBank, corrupt
from qualityfm.waveform.beats import find_qrs

ALARM_S = 300.0
#: Records nearer than this to a held-out one may be the same patient (the data set's own advice).
NEIGHBOUR_NUMBERS = 6
SEGMENTS_PER_RECORD = (2, 5, 8)
ARTEFACT_WORDS = (
    "noise",
    "motion",
    "baseline",
    "spike",
    "low_amplitude",
    "saturation",
    "flat",
    "dropout",
)


def features(predictor: Predictor, values: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of the tokens of scaled segments."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(values), 32):
            encoded = predictor.network.encoder(torch.from_numpy(values[first : first + 32]))
            spread = (encoded.tokens * encoded.is_valid[..., None]).std(1)
            parts.append(torch.cat([encoded.pooled, spread], -1).numpy())
    return np.concatenate(parts)


def probe(x: np.ndarray, y: np.ndarray, groups: np.ndarray, test: np.ndarray, scoring: str = "roc_auc") -> np.ndarray:
    """Fit on the training records, choosing the penalty by grouped folds inside them; return the test scores."""
    folds = list(GroupKFold(5).split(x[~test], y[~test], groups[~test]))
    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-4, 1, 6), cv=folds, scoring=scoring, max_iter=2000, use_legacy_attributes=False
        ),
    ).fit(x[~test], y[~test])
    return model.predict_proba(x[test])[:, 1]


def probe_rounds(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return a score of every sample from a probe that did not meet its group."""
    scores = np.empty(len(y))
    for _, held in GroupKFold(5).split(x, y, groups):
        test = np.isin(np.arange(len(y)), held)
        scores[test] = probe(x, y, groups, test, "neg_log_loss")  # an inner fold may hold no patient with AF
    return scores


def alarm_segment(recording: Recording, segments: SegmentConfig) -> np.ndarray:
    """Return the scaled 30 s that end at the alarm."""
    samples = []
    for signal in recording.signals:
        first = round((ALARM_S - segments.segment_s) * signal.sample_rate_hz)
        samples.append(
            type(signal)(**{**vars(signal), "samples": signal.samples[first : round(ALARM_S * signal.sample_rate_hz)]})
        )
    block = cut_block(Recording(**{**vars(recording), "signals": tuple(samples)}), segments)
    return scale_values(block.values[:1], segments).values[0]


def joint_quality(block: SegmentBlock, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the classical joint quality of chosen segments with other (physical) samples in them."""
    parts = {"start_s": block.start_s[chosen], "length_s": block.length_s[chosen]}
    changed = {**vars(block), **parts, "values": values.astype(np.float32), "is_real": np.isfinite(values)}
    return score_block(SegmentBlock(**changed)).overall


def spoiled_copies(
    block: SegmentBlock, bank: NoiseBank, rng: np.random.Generator, settings: CorruptionConfig, least_quality: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scaled segments, their spoiled copies, and the joint quality of both."""
    config = block.config
    chosen = np.array([s for s in SEGMENTS_PER_RECORD if s < len(block)], dtype=int)
    chosen = chosen[joint_quality(block, chosen, block.values[chosen]) >= least_quality]
    scaled = scale_values(block.values[chosen], config)
    spoiled = [corrupt(v, config.channels, config.sample_rate_hz, bank, rng, settings) for v in scaled.values]
    copies = np.array([c.values for c in spoiled], np.float32).reshape(scaled.values.shape)
    unscaled = [c.values * c.scale[:, None] + c.center[:, None] for c in spoiled]
    physical = np.reshape(unscaled, scaled.values.shape) * scaled.scale[..., None] + scaled.center[..., None]
    quality = [joint_quality(block, chosen, v) for v in (block.values[chosen], physical)]
    return scaled.values, copies, np.concatenate(quality)


def probe_scores(model: str, fold: int, *, against_untrained: bool = True) -> dict[str, dict[str, list]]:
    """Return, for each probe, the held-out samples: their record (groups), truth, and score of each contestant.

    Args:
        model: Shipped name, run folder or checkpoint folder.
        fold: Fold of challenge2015 `train` that was held out.
        against_untrained: Whether the same encoder untrained is probed too; else its scores are 0.
    """
    data = Path(os.environ["QUALITYFM_DATA"])
    _, held = fold_records(data, fold)
    trained = load_model(model)
    torch.manual_seed(0)
    untrained = Predictor(Network(trained.segments, trained.network.config).eval(), {"name": "untrained"})
    found = {}
    for name, entries in probe_samples(data, fold, trained.segments).items():
        groups, x, y, baseline = (np.array(column) for column in zip(*entries, strict=True))
        test = np.isin(groups, list(held)) if name != "af" else np.ones(len(y), bool)
        answer = probe_rounds if name == "af" else partial(probe, test=test)
        if name == "alarm":  # share of true alarms of that type in the training folds
            baseline = np.array([y[~test & (baseline == kind)].mean() for kind in baseline])
        scores = {
            "trained": answer(features(trained, x), y, groups),
            "untrained": answer(features(untrained, x), y, groups) if against_untrained else np.zeros(test.sum()),
            "baseline": baseline[test].astype(float),
        }
        found[name] = {key: v.tolist() for key, v in {"groups": groups[test], "truth": y[test], **scores}.items()}
    return found


def fold_records(data: Path, fold: int) -> tuple[list[dict[str, str]], set[str]]:
    """Return the rows of records.csv that take part, and the names of those held out."""
    with (data / "challenge2015" / "records.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    number = {row["record"]: int("".join(filter(str.isdigit, row["record"]))) for row in rows}
    held = {row["record"] for row in rows if int(row["fold"]) == fold}
    near = {r for r in number if r not in held and min(abs(number[r] - number[h]) for h in held) <= NEIGHBOUR_NUMBERS}
    return [row for row in rows if row["record"] not in near], held


@cache
def probe_samples(data: Path, fold: int, segments: SegmentConfig) -> dict[str, list[tuple]]:
    """Return what each probe sees: record, scaled segment, label and baseline of every sample."""
    rows, _ = fold_records(data, fold)
    bank = load_noise(data / "nstdb", sample_rate_hz=segments.sample_rate_hz, seed=0, part="evaluation")
    artefacts = corruption_for(segments)
    recorded = {f"{c}_probability": 0.5 if c in ("noise", "motion", "baseline") else 0.0 for c in ARTEFACT_WORDS}
    noise = replace(artefacts, **recorded, whole_probability=1.0)
    rng = np.random.default_rng(0)
    samples: dict[str, list[tuple]] = {"noise": [], "artefacts": [], "alarm": []}
    for row in rows:
        record = row["record"]
        recording = open_recording(data / "challenge2015" / "records" / record)
        block = cut_block(recording, segments)
        for name, settings, least in (("noise", noise, GRADE_CUTS["B"]), ("artefacts", artefacts, 0.0)):
            clean, spoiled, quality = spoiled_copies(block, bank, rng, settings, least)
            labels = [False] * len(clean) + [True] * len(spoiled)
            samples[name] += zip([record] * len(labels), [*clean, *spoiled], labels, 1 - quality, strict=True)
        samples["alarm"].append((record, alarm_segment(recording, segments), row["true_alarm"] == "1", row["alarm"]))
    samples["af"] = rhythm_samples(data, segments)
    return samples


def rhythm_samples(data: Path, segments: SegmentConfig) -> list[tuple]:
    """Return patient, scaled window, label and the spread of its intervals (the baseline) of every third window."""
    examples = rhythm_examples(data / "mitdb", None)[::3]
    windows, _ = collect_windows(examples, segments, window_s=segments.segment_s, num_outputs=1)
    lines = np.nan_to_num(windows.values[:, 0])
    spread = []
    for beats in find_qrs(lines, segments.sample_rate_hz):
        intervals = np.diff(np.flatnonzero(beats))
        spread.append(float(np.std(intervals) / np.mean(intervals)) if len(intervals) > 2 else 0.0)
    return list(zip(windows.groups, windows.values, windows.truth[:, 0] > 0.5, spread, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="shipped name, run folder or checkpoint folder")
    parser.add_argument("--fold", type=int, default=4, help="fold of challenge2015 `train` that was held out")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    figures: dict[str, object] = {"model": arguments.model, "fold": arguments.fold}
    for name, found in probe_scores(arguments.model, arguments.fold).items():
        groups, truth = np.array(found["groups"]), np.array(found["truth"])
        scores = {label: np.array(found[label]) for label in ("trained", "untrained", "baseline")}
        areas = {label: lambda chosen, s=s: auc(truth[chosen], s[chosen]) for label, s in scores.items()}  # noqa: B023
        areas["gain"] = lambda chosen, a=dict(areas): a["trained"](chosen) - a["untrained"](chosen)
        intervals = {label: str(bootstrap(area, groups)) for label, area in areas.items()}
        figures[name] = {**intervals, "test_samples": len(truth)}
    print(json.dumps(figures, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
