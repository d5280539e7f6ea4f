"""One change at a time: pre-train every arm alike, probe what it learnt, and compare with the first arm.

    QUALITYFM_DATA=... python benchmarks/ablation.py --data DATASET --heldout DATASET --noise NSTDB \
        --out RUNS --steps 400 --seeds 0 1 --arms design-patches design-channels

Each arm and seed has a run folder OUT/arm-seed, which is resumed where it stopped and left alone once it is probed
(OUT/arm-seed/probe.json). The probes are those of benchmarks/linear_probe.py, read on the fold that --data leaves out
(af: on MIT-BIH Arrhythmia). Intervals: bootstrap over records (af: patients) of the difference in AUC to the first arm,
the same records and the mean over seeds in both; each seed's difference stands behind, for intervals leave seeds out.
An arm is a table of settings; nothing else differs, but that "channels" has half the width.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from qualityfm.config import first_difference, to_plain
from qualityfm.evidence.intervals import auc, bootstrap
from qualityfm.pretrain.loop import pretrain
from qualityfm.pretrain.preset import Preset, load_preset

#: Settings by table; "model" and "pretrain" are those of the preset file.
ARMS: dict[str, dict[str, dict[str, object]]] = {
    "design-patches": {},
    "design-channels": {"model": {"tokens": "channels"}},
    "design-wavelet": {"model": {"stem": "wavelet"}},
    "attention-blocks": {"model": {"attention": "blocks"}},
    "momentum-0.996": {"pretrain": {"teacher_momentum": 0.996}},
    "momentum-0.9": {"pretrain": {"teacher_momentum": 0.9}},
    "spectra-a-tenth": {"pretrain": {"amplitude_weight": 0.1, "phase_weight": 0.1}},
    "no-distillation": {"pretrain": {"distill_weight": 0.0}},
    "no-spectral-loss": {"pretrain": {"amplitude_weight": 0.0, "phase_weight": 0.0}},
    "radius-8": {"model": {"attention_radius": 8}},
    "radius-64": {"model": {"attention_radius": 64}},
    "no-beats": {"pretrain": {"beat_weight": 0.0}},
    "beats-and-heads": {"pretrain": {"distill_weight": 0.0, "amplitude_weight": 0.0, "phase_weight": 0.0}},
    "graded-by-paper": {"pretrain": {"grade_by": "paper_quality"}},
    "natural-pairs-only": {"pretrain": {"made_fraction": 0.0}},
    "made-pairs-only": {"pretrain": {"made_fraction": 1.0}},
    "no-masking": {"pretrain": {"mask_fraction": 0.0}},
    "no-channel-dropout": {"pretrain": {"channel_dropout": 0.0}},
    "heads-only": {
        "pretrain": {"distill_weight": 0.0, "amplitude_weight": 0.0, "phase_weight": 0.0, "beat_weight": 0.0}
    },
}


def preset_of(base: Preset, arm: str) -> Preset:
    """Return the preset of an arm."""
    changes = ARMS[arm]
    model = replace(base.model, **changes.get("model", {}))
    if model.tokens == "channels":  # several tokens a moment: half the width, so that a step costs about the same
        model = replace(model, width=model.width // 2, feed_forward=model.feed_forward // 2)
    return replace(
        base, name=f"{base.name}, {arm}", model=model, pretrain=replace(base.pretrain, **changes.get("pretrain", {}))
    )


def run(arm: str, seed: int, arguments: argparse.Namespace) -> dict[str, dict[str, list]]:
    """Return the probes of one arm and seed: made now, or by an earlier call."""
    from linear_probe import probe_scores

    folder = arguments.out / f"{arm}-{seed}"
    answer = folder / "probe.json"
    preset = preset_of(load_preset(arguments.preset), arm)
    asked = {
        "preset": to_plain(preset),
        "steps": arguments.steps,
        "fold": arguments.fold,
        "data": arguments.data,
        "heldout": arguments.heldout,
        "noise": None if arguments.noise is None else str(arguments.noise),
    }
    if answer.is_file():
        known = json.loads(answer.read_text(encoding="utf-8"))
        if known["asked"] != asked:
            name, was, now = first_difference(known["asked"], asked, "settings")
            raise SystemExit(f"{answer}: {name}: found {was!r}, expected {now!r}; choose another --out")
        return known["probes"]
    summary = pretrain(
        preset,
        arguments.data,
        folder,
        heldout=arguments.heldout,
        noise=arguments.noise,
        steps=arguments.steps,
        threads=int(os.environ.get("OMP_NUM_THREADS", "1")),
        seed=seed,
    )
    if not summary.is_finished:
        raise SystemExit(f"{folder}: stopped at step {summary.steps} of {summary.num_steps}; run again to go on")
    probes = probe_scores(str(folder), arguments.fold, against_untrained=False)
    answer.write_text(json.dumps({"asked": asked, "probes": probes}), encoding="utf-8")
    return probes


def compare(first: list[dict], other: list[dict], task: str) -> dict[str, str]:
    """Return AUC of an arm and its difference to the first arm, mean over seeds, with intervals over records."""
    groups, truth = (np.array(first[0][task][key]) for key in ("groups", "truth"))

    def area(runs: list[dict], chosen: np.ndarray) -> float:
        return float(np.mean([auc(truth[chosen], np.array(one[task]["trained"])[chosen]) for one in runs]))

    every = np.arange(len(groups))
    by_seed = [area([one], every) - area([known], every) for one, known in zip(other, first, strict=True)]
    return {
        "auc": str(bootstrap(lambda chosen: area(other, chosen), groups)),
        "difference": str(bootstrap(lambda chosen: area(other, chosen) - area(first, chosen), groups)),
        "by seed": " ".join(f"{one:+.3f}" for one in by_seed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="qualityfm-tiny")
    parser.add_argument("--data", required=True, help="shard set of the training folds")
    parser.add_argument("--heldout", help="shard set of the held-out fold, to watch the loss")
    parser.add_argument("--noise", type=Path, help="folder of recorded noise for made pairs")
    parser.add_argument("--fold", type=int, default=4, help="fold of challenge2015 `train` that --data leaves out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    table: dict[str, dict] = {}
    first: list[dict] = []
    for arm in arguments.arms:
        runs = [run(arm, seed, arguments) for seed in arguments.seeds]
        first = first or runs
        table[arm] = {task: compare(first, runs, task) for task in runs[0]}
        for task, figures in table[arm].items():
            print(
                f"{arm:20} {task:10} AUC {figures['auc']:24} against {arguments.arms[0]}: {figures['difference']}"
                f"  by seed {figures['by seed']}",
                flush=True,
            )
        (arguments.out / "table.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
