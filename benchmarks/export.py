"""An exported model beside torch: seconds for a batch as ratios within one run, and what int8 costs on real recordings.

QUALITYFM_DATA=folder OMP_NUM_THREADS=1 python benchmarks/export.py --exported FLOAT32 --int8 INT8
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from qualityfm.evidence.intervals import bootstrap
from qualityfm.inference.loading import load_model
from qualityfm.inference.scoring import Scorer
from qualityfm.models.calibration import GOOD_FROM
from qualityfm.records import QualityScore
from qualityfm.sources import open_recording

#: Segments that go through together when timed, and repetitions of which the fastest counts.
BATCH, REPETITIONS = 32, 7

#: Draws of the bootstrap.
ROUNDS = 300

#: Records of the training split from here on were not trained on by the shipped weights (its card, `heldout`).
HELDOUT_FROM = 546


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qualityfm-tiny")
    parser.add_argument("--exported", required=True)
    parser.add_argument("--int8", required=True)
    parser.add_argument("--records", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    forms: dict[str, Scorer] = {
        "torch": load_model(arguments.model),
        "onnx": load_model(arguments.exported, runtime="onnx"),
        "openvino": load_model(arguments.exported, runtime="openvino"),
        "onnx_int8": load_model(arguments.int8, runtime="onnx"),
        "openvino_int8": load_model(arguments.int8, runtime="openvino"),
    }
    print(json.dumps({"speed": speed(forms), "accuracy": accuracy(forms, arguments.records)}, indent=1))


def speed(forms: dict[str, Scorer]) -> dict[str, dict[str, float]]:
    """Return the fastest of some batches for each form, and torch's time over it; forms take turns."""
    segments = forms["torch"].segments
    shape = (BATCH, len(segments.channels), segments.num_samples)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(REPETITIONS):
        for name, form in forms.items():
            best[name] = min(best[name], seconds_of(lambda form=form: form.answer(values)))
    return {name: {"batch_s": round(s, 4), "times_torch": round(best["torch"] / s, 2)} for name, s in best.items()}


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def accuracy(forms: dict[str, Scorer], num_records: int) -> dict[str, dict[str, object]]:
    """Return how far each form lies from torch on held-out records, and how well each ranks the classical score."""
    scores: dict[str, list[QualityScore]] = {name: [] for name in forms}
    for path in heldout_records(num_records):
        recording = open_recording(path)
        for name, form in forms.items():
            scores[name].append(form.score(recording))
    return {name: against_torch(found, scores["torch"]) for name, found in scores.items()}


def against_torch(found: list[QualityScore], exact: list[QualityScore]) -> dict[str, object]:
    """Return figures over the seconds that hold samples; the AUC lost has an interval over records."""
    good, exact_good = both(found, exact, "model_good")
    is_there = exact_good > 0
    records = np.concatenate([np.full(one.quality.size, number) for number, one in enumerate(exact)])[is_there]
    is_good = both(exact, exact, "quality")[0][is_there] >= GOOD_FROM
    quality, exact_quality = (one[is_there] for one in both(found, exact, "model_quality"))
    distance = np.abs(good - exact_good)[is_there]
    lost = bootstrap(
        lambda rows: auc(is_good[rows], exact_quality[rows]) - auc(is_good[rows], quality[rows]),
        records,
        num_rounds=ROUNDS,
    )
    return {
        "seconds": int(is_there.sum()),
        "auc_of_grade_b": round(auc(is_good, quality), 4),
        "auc_lost": [round(one, 5) for one in (lost.value, lost.low, lost.high)],
        "max_difference": float(f"{distance.max():.3g}"),
        "mean_difference": float(f"{distance.mean():.3g}"),
        "share_of_verdicts_changed": share_changed(good >= 0.5, exact_good >= 0.5, is_there),
        "share_of_causes_changed": share_changed(*both(found, exact, "model_causes"), is_there),
        "share_of_knows_changed": share_changed(*both(found, exact, "model_knows")),
    }


def auc(is_good: np.ndarray, quality: np.ndarray) -> float:
    return float(roc_auc_score(is_good, quality)) if 0 < is_good.sum() < len(is_good) else float("nan")


def share_changed(one: np.ndarray, other: np.ndarray, where: np.ndarray | slice = slice(None)) -> float:
    return float(f"{(one != other)[where].mean():.3g}")


def heldout_records(num_records: int) -> list[Path]:
    """Return the records that the shipped weights did not learn from, evenly thinned."""
    folder = Path(os.environ["QUALITYFM_DATA"]) / "challenge2015"
    rows = pd.read_csv(folder / "records.csv")
    numbers = rows["record"].str.extract(r"(\d+)")[0].astype(int)
    names = rows["record"][(rows["split"] == "train") & (numbers >= HELDOUT_FROM)].to_list()
    chosen = np.unique(np.linspace(0, len(names) - 1, min(num_records, len(names))).astype(int))
    return [folder / "records" / names[index] for index in chosen]


def both(one: list[QualityScore], other: list[QualityScore], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a field of all scores of two forms, in a row each."""
    first, second = (np.concatenate([np.ravel(getattr(score, name)) for score in scores]) for scores in (one, other))
    return first, second


if __name__ == "__main__":
    main()
