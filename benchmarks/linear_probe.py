"""Does the embedding know something? Linear probes on frozen features, against the same encoder untrained.

    python benchmarks/linear_probe.py --model qualityfm-tiny --fold 4

Both probes are fitted on the training folds and read once on the held-out fold of challenge2015 `train`:
(a) clean against noise-added segments (noise of minutes 13-20 of MIT-BIH NSTDB, SNR -6 to 18 dB);
(b) true against false alarms, from the 30 s before the alarm.
Records within 6 numbers of the held-out fold are in neither part. Intervals: bootstrap over records.
The simple baseline beside (a) is the mean classical quality, beside (b) the alarm type.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qualityfm.evidence.intervals import auc, bootstrap
from qualityfm.inference.predictor import Predictor, load_model
from qualityfm.models.network import Network
from qualityfm.pretrain.noise import load_noise
from qualityfm.quality.score import score_block
from qualityfm.records import Recording
from qualityfm.segments import SegmentBlock, cut_block, scale_values
from qualityfm.sources import open_recording
from qualityfm.waveform.artefacts import CorruptionConfig, NoiseBank, corrupt

ALARM_S = 300.0
#: Records nearer than this to a held-out one may be the same patient (the data set's own advice).
NEIGHBOUR_NUMBERS = 6
SEGMENTS_PER_RECORD = (2, 5, 8)


def features(predictor: Predictor, values: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of the tokens of scaled segments."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(values), 32):
            encoded = predictor.network.encoder(torch.from_numpy(values[first : first + 32]))
            spread = (encoded.tokens * encoded.is_valid[..., None]).std(1)
            parts.append(torch.cat([encoded.pooled, spread], -1).numpy())
    return np.concatenate(parts)


def probe(train_x, train_y, train_groups, test_x, test_y, test_groups) -> tuple[str, float]:
    """Fit on training records, choosing the penalty by grouped folds inside them; return the test AUC."""
    folds = list(GroupKFold(5).split(train_x, train_y, train_groups))
    model = make_pipeline(
        StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-4, 1, 6), cv=folds, scoring="roc_auc", max_iter=2000)
    ).fit(train_x, train_y)
    score = model.predict_proba(test_x)[:, 1]
    estimate = bootstrap(lambda chosen: auc(test_y[chosen], score[chosen]), test_groups)
    return str(estimate), estimate.value


def alarm_segment(recording: Recording, predictor: Predictor) -> np.ndarray:
    """Return the scaled 30 s that end at the alarm."""
    samples = []
    for signal in recording.signals:
        first = round((ALARM_S - predictor.segments.segment_s) * signal.sample_rate_hz)
        samples.append(
            type(signal)(**{**vars(signal), "samples": signal.samples[first : round(ALARM_S * signal.sample_rate_hz)]})
        )
    block = cut_block(Recording(**{**vars(recording), "signals": tuple(samples)}), predictor.segments)
    return scale_values(block.values[:1], predictor.segments).values[0]


def noisy_copies(block: SegmentBlock, bank: NoiseBank, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return clean and noise-added scaled segments, and the classical quality of both."""
    config = block.config
    chosen = [s for s in SEGMENTS_PER_RECORD if s < len(block)]
    scaled = scale_values(block.values[chosen], config)
    corrupted = [
        corrupt(v, config.channels, config.sample_rate_hz, bank, rng, CorruptionConfig()) for v in scaled.values
    ]
    noisy = np.stack([c.values for c in corrupted])
    unscaled = np.stack([c.values * c.scale[:, None] + c.center[:, None] for c in corrupted])
    physical = (unscaled * scaled.scale[..., None] + scaled.center[..., None]).astype(np.float32)
    parts = {"start_s": block.start_s[chosen], "length_s": block.length_s[chosen]}
    both = [
        score_block(SegmentBlock(**{**vars(block), **parts, "values": v, "is_real": np.isfinite(v)})).overall
        for v in (block.values[chosen], physical)
    ]
    return scaled.values, noisy, np.concatenate(both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="shipped name, run folder or checkpoint folder")
    parser.add_argument("--fold", type=int, default=4, help="fold of challenge2015 `train` that was held out")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = Path(os.environ["QUALITYFM_DATA"])
    with (data / "challenge2015" / "records.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    number = {row["record"]: int("".join(filter(str.isdigit, row["record"]))) for row in rows}
    held = {row["record"] for row in rows if int(row["fold"]) == arguments.fold}
    near = {r for r in number if r not in held and min(abs(number[r] - number[h]) for h in held) <= NEIGHBOUR_NUMBERS}
    rows = [row for row in rows if row["record"] not in near]

    trained = load_model(arguments.model)
    torch.manual_seed(0)
    untrained = Predictor(Network(trained.segments, trained.network.config).eval(), {"name": "untrained"})
    rate_hz = trained.segments.sample_rate_hz
    bank = load_noise(data / "nstdb", sample_rate_hz=rate_hz, seed=0, part="evaluation")
    rng = np.random.default_rng(0)
    noise_x, noise_y, noise_quality, noise_group, alarm_x, alarm_y, alarm_group, alarm_type = ([] for _ in range(8))
    for row in rows:
        recording = open_recording(data / "challenge2015" / "records" / row["record"])
        clean, noisy, quality = noisy_copies(cut_block(recording, trained.segments), bank, rng)
        noise_x += [*clean, *noisy]
        noise_y += [False] * len(clean) + [True] * len(noisy)
        noise_quality += list(quality)
        noise_group += [row["record"]] * 2 * len(clean)
        alarm_x.append(alarm_segment(recording, trained))
        alarm_y.append(row["true_alarm"] == "1")
        alarm_group.append(row["record"])
        alarm_type.append(row["alarm"])

    figures = {
        "model": arguments.model,
        "fold": arguments.fold,
        "records": len(rows),
        "left_out_as_neighbours": len(near),
    }
    for name, x, y, group in (("noise", noise_x, noise_y, noise_group), ("alarm", alarm_x, alarm_y, alarm_group)):
        x, y, group = np.stack(x), np.array(y), np.array(group)
        test = np.isin(group, list(held))
        for predictor in (trained, untrained):
            z = features(predictor, x)
            label = "trained" if predictor is trained else "untrained"
            figures[f"{name}_{label}"], _ = probe(z[~test], y[~test], group[~test], z[test], y[test], group[test])
        if name == "noise":
            score = 1 - np.array(noise_quality)
        else:  # share of true alarms of that type in the training folds
            kinds = np.array(alarm_type)
            score = np.array([y[~test & (kinds == k)].mean() for k in kinds])
        baseline = bootstrap(lambda chosen, y=y[test], s=score[test]: auc(y[chosen], s[chosen]), group[test])
        figures[f"{name}_baseline"] = str(baseline)
        figures[f"{name}_test_samples"] = int(test.sum())
    print(json.dumps(figures, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
