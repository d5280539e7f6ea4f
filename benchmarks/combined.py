"""Does a pre-trained encoder add to the shipped trees on hand-made features? Alarms of the 2015 challenge, clean folds.

    python benchmarks/combined.py --data DATA/challenge2015 --encoders runs/fold-{n} --scores scores.csv
    python benchmarks/combined.py --read scores.csv       # the same figures without recordings or encoders

The encoder of fold n must not have met fold n or its neighbours: `docs/experiments/LOG.md` 0028 has the commands.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from few_labels import probe
from jaxtyping import Float, Float64

from qualityfm import load_model, open_recording
from qualityfm.errors import QualityFMError
from qualityfm.evidence.encoder_check import require_unseen
from qualityfm.evidence.intervals import auc, bootstrap
from qualityfm.evidence.paired import paired_difference
from qualityfm.evidence.task_scores import read_scores, write_scores
from qualityfm.tasks.alarms import VT
from qualityfm.tasks.boosting import answer_sides
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import feature_table
from qualityfm.tasks.folds import Side, fold_sides
from qualityfm.tasks.learners import learner_of
from qualityfm.tasks.task import TASKS

#: Seconds before the alarm's end that the encoder sees: two segments.
LOOKBACK_S = 60.0
#: Principal components of the embedding that trees are given; found on training examples.
NUM_COMPONENTS = 16
#: What the answers are about, and who gives them.
OUTPUT, MODELS = "true_alarm", ("trees", "trees and encoder", "encoder")


def main() -> None:
    """Print the AUC of trees, of the encoder and of both, with paired differences to the trees."""
    arguments = _arguments()
    if arguments.read is None:
        arguments.read = arguments.scores
        answer(arguments)
    found = read_scores(arguments.read)
    answers = {name: found[f"{name}:{OUTPUT}"] for name in MODELS}
    truth, groups, is_vt = found[f"true:{OUTPUT}"] > 0.5, found["group"], found["kind"] == VT
    _tell("five types", answers, truth, groups, np.ones(len(truth), bool))
    _tell("VT among them", answers, truth, groups, is_vt)


def answer(arguments: argparse.Namespace) -> None:
    """Write every model's answer to every record."""
    table = arguments.data / "records.csv"
    every = TASKS["alarm"].examples(arguments.data, table)
    examples = [e for e in every if e.label is not None and e.split == "train"]
    made = feature_table("alarm", examples, 300.0, arguments.cache)
    kinds = made.values[:, [name.startswith("kind_") for name in made.names]]
    sides, truth, groups = fold_sides(examples), truths(examples), groups_of(examples)
    answers = {name: np.zeros(len(examples)) for name in MODELS}
    ask = partial(answer_sides, kind="binary", learn=learner_of("alarm", made.names).learn, has_thresholds=False)
    answers["trees"] = ask(made.values, examples, sides).score[:, 0]
    for side in sides:
        model = load_model(arguments.encoders.replace("{n}", side.name.split()[-1]))
        require_unseen(model.card, [examples[i] for i in side.test], table)
        standard = _standard(_embed(model, examples), side)
        low = standard @ np.linalg.svd(standard[side.train], full_matrices=False)[2][:NUM_COMPONENTS].T
        both = ask(made.values, examples, [side], extra_features=low)
        answers["trees and encoder"][side.test] = both.score[:, 0]
        seen = np.concatenate((standard, kinds), axis=1)
        fitted = probe(seen[side.train], truth[side.train], groups[side.train], is_binary=True)
        answers["encoder"][side.test] = fitted(seen[side.test])[:, 0]
    write_scores(arguments.scores, examples, (OUTPUT,), {name: score[:, None] for name, score in answers.items()})


def _embed(model: object, examples: Sequence[Example]) -> Float64[np.ndarray, "example feature"]:
    """Return the last segment's vector beside the mean over segments; NaN for a record that cannot be read."""
    found: list[np.ndarray | None] = []
    for example in examples:
        start_s, duration_s = example.stretch(LOOKBACK_S)
        try:
            recording = open_recording(example.recording, start_s=start_s, duration_s=duration_s)
            vectors = model.embed(recording).vectors  # type: ignore[attr-defined]
            found.append(np.concatenate((vectors[-1], vectors.mean(axis=0))))
        except QualityFMError:
            found.append(None)
    width = next(len(one) for one in found if one is not None)
    return np.array([np.full(width, np.nan) if one is None else one for one in found], np.float64)


def _standard(embedded: Float[np.ndarray, "example feature"], side: Side) -> Float64[np.ndarray, "example feature"]:
    known = embedded[side.train]
    centred = np.nan_to_num(embedded - np.nanmean(known, axis=0))
    return np.asarray(centred / (centred[side.train].std(axis=0) + 1e-6))


def _tell(what: str, answers: dict[str, np.ndarray], truth: np.ndarray, groups: np.ndarray, kept: np.ndarray) -> None:
    truth, groups = truth[kept], groups[kept]
    trees = answers["trees"][kept]
    for name, every in answers.items():
        score = every[kept]
        estimate = bootstrap(partial(_auc_of, truth, score), groups, num_rounds=1000)
        difference = paired_difference(auc, truth, score, trees, groups, num_rounds=1000)
        print(f"{what}: {name}: AUC {estimate}, against trees {difference}")


def _auc_of(truth: np.ndarray, score: np.ndarray, rows: np.ndarray) -> float:
    return auc(truth[rows], score[rows])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="challenge2015: records.csv and records")
    parser.add_argument("--encoders", help="runs, {n} stands for the fold")
    parser.add_argument("--scores", type=Path, default=Path("scores.csv"), help="table of answers to write")
    parser.add_argument("--read", type=Path, help="table of answers to read instead")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps features")
    arguments = parser.parse_args()
    if arguments.read is None and (arguments.data is None or arguments.encoders is None):
        parser.error("give --data and --encoders, or --read")
    return arguments


if __name__ == "__main__":
    main()
