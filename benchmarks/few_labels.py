"""What is pre-training worth when labels are few? The same encoder with and without it, on patients it never met.

    QUALITYFM_DATA=... OMP_NUM_THREADS=1 python benchmarks/few_labels.py --model RUN --fold 4 --how probe
    ... --model "RUNS/fold-{n}"                one encoder for each fold of the challenge: all of them are answered
    ... --model RUN --against OTHER            two pre-trained encoders instead of one with and without

(alarm) false alarms of five types, and (abp) arterial pressure: fold 4 of challenge2015 `train` is answered, which the
    encoder must not have seen; labels come from the other folds without the border of six numbers;
(af) MIT-BIH Arrhythmia, every third window, five rounds over patients; (quality) challenge2011 in its folds. Neither
    set may be in pre-training. A probe of quality sees all twelve leads, in turn as many as the encoder has slots for,
    and takes mean and largest of their features; full training sees the first of them only.
A share of the *training patients* is drawn, by seed, and at least four of each class where there are so many: of
MIT-BIH's five patients with AF a tenth would be none. Both arms get the same ones, and the table counts them. The arms
differ in the encoder's weights, and in full training in the rates that untrained bodies have (`for_untrained`). A probe
is a map of mean, deviation and maximum of the frozen tokens: a logistic regression, its penalty that of least loss over
repeated grouped folds of the drawn patients, or the shrunken linear map of `qualityfm.tasks.linear`. Figures are means
over seeds of AUC, or of minus MASE in percent (mean absolute error over that of the training mean, systolic and
diastolic). AUC compares answers of one round only, since each round has a probe of its own. Intervals by bootstrap over
patients or records, paired for the gain, which is positive where pre-training helps; they leave out the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from qualityfm.evidence.encoder_check import check_encoder
from qualityfm.evidence.intervals import auc, bootstrap
from qualityfm.finetune.body import Body, pretrained_body, untrained
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.data import WindowSet
from qualityfm.finetune.features import body_features
from qualityfm.finetune.fit import Fitted, fit_task
from qualityfm.finetune.run import gather, question_of
from qualityfm.inference.loading import find_checkpoint
from qualityfm.models.question import Question
from qualityfm.records import ChannelKind
from qualityfm.shards.joined import recording_marks
from qualityfm.sources import open_recording
from qualityfm.tasks.examples import Example
from qualityfm.tasks.folds import Side, fold_sides, with_folds
from qualityfm.tasks.linear import fit_linear
from qualityfm.tasks.task import find_task
from qualityfm.tasks.windows import cut_window

#: Task: folder of the data, and every how many-th example is used.
SETS = {"alarm": ("challenge2015", 1), "abp": ("challenge2015", 1), "af": ("mitdb", 3), "quality": ("challenge2011", 1)}
#: So many training patients of each class are kept at least, so that both occur.
MIN_OF_A_CLASS = 4
#: Weight of a logistic regression's squared weights, from next to nothing to a mere mean.
PENALTIES = np.logspace(-1, 8, 10)
#: Times that the drawn patients are cut into folds anew to choose among them: one cut of few patients is a toss.
NUM_REPEATS = 4
#: Leads of the recordings of a task that come with more than an encoder has slots for.
LEADS = {"quality": 12}


def material(name: str, data: Path, body: Body) -> tuple[Question, WindowSet, list[Side]]:
    """Return question, windows and rounds of a task."""
    folder, step = SETS[name]
    task = find_task(name)
    examples = [e for e in task.examples(data / folder, None) if e.label is not None and e.split != "test"][::step]
    examples = with_folds(examples)
    question = question_of(task, examples, None, None)
    windows = gather(question, examples, body).windows
    return question, windows, fold_sides(windows.examples)


@cache
def body_at(pattern: str, fold: str) -> Body:
    """Return the encoder of a run, of a checkpoint or of a shipped name; {n} in it is the fold."""
    return pretrained_body(find_checkpoint(pattern.replace("{n}", fold)))


def few(windows: WindowSet, side: Side, share: float, seed: int) -> np.ndarray:
    """Return the training examples of a share of the patients, both classes among them.

    Patients are drawn from those with and those without a positive example apart, so that a tenth has both.
    """
    groups, label = windows.groups[side.train], windows.truth[side.train, 0]
    rng = np.random.default_rng([seed, len(side.train)])
    is_class = set(np.unique(label)) <= {0.0, 1.0}
    names = np.unique(groups)
    is_positive = np.array([is_class and label[groups == name].max() > 0 for name in names])
    kept = []
    for part in (names[is_positive], names[~is_positive]):
        least = min(len(part), MIN_OF_A_CLASS)
        kept.extend(rng.permutation(part)[: max(least, round(share * len(part)))])
    return side.train[np.isin(groups, kept)]


def probe(x: np.ndarray, truth: np.ndarray, groups: np.ndarray, is_binary: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return what answers from features."""
    if not is_binary:
        maps = [fit_linear(x, column, groups) for column in truth.T]
        return lambda asked: np.stack([one.predict(asked) for one in maps], axis=1)
    is_true = truth[:, 0] > 0.5
    folds = [
        (train, test)
        for seed in range(NUM_REPEATS)
        for train, test in GroupKFold(min(5, len(np.unique(groups))), shuffle=True, random_state=seed).split(
            x, groups=groups
        )
        if len(np.unique(is_true[train])) == 2
    ]
    losses = [sum(_loss(penalty, x, is_true, fold) for fold in folds) for penalty in PENALTIES]
    chosen = PENALTIES[int(np.argmin(losses))] if folds else PENALTIES[-1]
    fitted = _logistic(chosen).fit(x, is_true)
    return lambda asked: fitted.predict_proba(asked)[:, 1:]


def _logistic(penalty: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=2000))


def _loss(penalty: float, x: np.ndarray, is_true: np.ndarray, fold: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the log loss on the second part of a fold, classes weighed as the fit weighs them."""
    train, test = fold
    answer = _logistic(penalty).fit(x[train], is_true[train]).predict_proba(x[test])[:, 1]
    weight = compute_sample_weight("balanced", is_true[test])
    return float(log_loss(is_true[test], answer, sample_weight=weight, labels=[False, True]))


def frozen(body: Body, windows: WindowSet, seed: int) -> np.ndarray:
    """Return a body's features of all windows, and which kind each is of."""
    kinds = np.arange(windows.kind.max() + 1) == windows.kind[:, None]
    return np.concatenate([body_features(body, windows, seed=seed), kinds], axis=1)


def turns_of(name: str, windows: WindowSet) -> list[WindowSet]:
    """Return what an encoder is shown in turn: the windows, or all leads of them, as many at once as it has slots."""
    if name not in LEADS:
        return [windows]
    slots = sum(kind == ChannelKind.ECG for kind in windows.config.channels)
    return [_turn(windows, range(first, min(first + slots, LEADS[name]))) for first in range(0, LEADS[name], slots)]


def _turn(windows: WindowSet, leads: range) -> WindowSet:
    cut = []
    for example in windows.examples:
        recording = open_recording(example.recording, start_s=example.start_s, duration_s=example.length_s)
        of_ecg = [signal for signal in recording.signals if signal.kind == ChannelKind.ECG]
        cut.append(cut_window(replace(recording, signals=tuple(of_ecg[k] for k in leads)), windows.config))
    return replace(windows, values=np.stack([w.values for w in cut]), levels=np.stack([w.levels for w in cut]))


def features_of(body: Body, turns: list[WindowSet], seed: int) -> np.ndarray:
    """Return the features that a probe is given; the seed is that of an untrained body."""
    by_turn = np.stack([frozen(body, turn, seed) for turn in turns])
    if len(turns) == 1:
        return by_turn[0]
    return np.concatenate([by_turn.mean(axis=0), by_turn.max(axis=0)], axis=1)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One side of a comparison.

    Attributes:
        bodies: By name of the round.
        features: Of the frozen bodies by `id` of the body and seed; empty in full training.
    """

    bodies: dict[str, Body]
    features: dict[tuple[int, int], np.ndarray]

    def answers(
        self, question: Question, windows: WindowSet, sides: list[Side], share: float, config: FinetuneConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the answer to every tested example, and the mean label of its training side; NaN where untested."""
        values = np.full(windows.truth.shape, np.nan)
        mean = values.copy()
        for side in sides:
            train = few(windows, side, share, config.seed)
            body = self.bodies[side.name]
            if self.features:
                x = self.features[id(body), config.seed]
                fitted = probe(x[train], windows.truth[train], windows.groups[train], question.answer == "binary")
                values[side.test] = fitted(x[side.test])
            else:
                values[side.test] = _taught(body, question, windows.at(train), config).scores(windows.at(side.test))
            mean[side.test] = np.nanmean(windows.truth[train], axis=0)
        return values, mean


def _taught(body: Body, question: Question, train: WindowSet, config: FinetuneConfig) -> Fitted:
    plain = replace(train, examples=tuple(replace(example, fold=None) for example in train.examples))
    return fit_task(body, question, plain, config if body.weights is not None else config.for_untrained())


def arm_of(bodies: dict[str, Body], turns: list[WindowSet], how: str, seeds: list[int]) -> Arm:
    """Return an arm; what frozen bodies make of the windows is worked out once."""
    features: dict[tuple[int, int], np.ndarray] = {}
    for body in {id(body): body for body in bodies.values()}.values() if how == "probe" else ():
        for seed in seeds:
            is_known = body.weights is not None and seed != seeds[0]  # only an untrained body is drawn anew
            features[id(body), seed] = features[id(body), seeds[0]] if is_known else features_of(body, turns, seed)
    return Arm(bodies=bodies, features=features)


def auc_within(rounds: np.ndarray, is_true: np.ndarray, score: np.ndarray) -> float:
    """Return the share of pairs of a true and a false example of one round that are in order."""
    total, pairs = 0.0, 0
    for number in np.unique(rounds):
        here = rounds == number
        count = int(is_true[here].sum()) * int((~is_true[here]).sum())
        if count:
            total, pairs = total + count * auc(is_true[here], score[here]), pairs + count
    return total / pairs if pairs else float("nan")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What was answered.

    Attributes:
        groups: Patient or record of each example.
        truth: Labels.
        rounds: Number of the round that answered each.
        is_binary: Whether labels are yes or no.
    """

    groups: np.ndarray
    truth: np.ndarray
    rounds: np.ndarray
    is_binary: bool

    def figure(self, rows: np.ndarray, runs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        """Return the mean over runs of AUC, or of minus MASE in percent over systolic and diastolic."""
        truth = self.truth[rows]
        if self.is_binary:
            return float(
                np.mean([auc_within(self.rounds[rows], truth[:, 0] > 0.5, values[rows, 0]) for values, _ in runs])
            )
        errors = [(np.abs(values[rows] - truth), np.abs(mean[rows] - truth)) for values, mean in runs]
        return float(-100 * np.mean([error[:, :2].mean(0) / usual[:, :2].mean(0) for error, usual in errors]))


def compare(arguments: argparse.Namespace, name: str, data: Path) -> dict[str, dict[str, str]]:
    """Return the figures of a task by share of labels."""
    first = body_at(arguments.model, str(arguments.fold))
    question, windows, sides = material(name, data, first)
    is_by_fold = SETS[name][0] == "challenge2015"  # the others are in no pre-training
    if is_by_fold and "{n}" not in arguments.model:
        sides = [side for side in sides if side.name == f"fold {arguments.fold}"]
    folds = {side.name: side.name.split()[-1] if is_by_fold else str(arguments.fold) for side in sides}
    bodies = {"model": {side: body_at(arguments.model, fold) for side, fold in folds.items()}}
    if arguments.against is None:
        bodies["against"] = dict.fromkeys(folds, untrained(first))
    else:
        bodies["against"] = {side: body_at(arguments.against, fold) for side, fold in folds.items()}
    for side in sides:
        for by_side in bodies.values():
            require_clean(by_side[side.name], first, [windows.examples[i] for i in side.test], data / SETS[name][0])
    turns = turns_of(name, windows) if arguments.how == "probe" else []
    arms = {arm: arm_of(by, turns, arguments.how, arguments.seeds) for arm, by in bodies.items()}
    table = {}
    for share in arguments.shares:
        settings = [FinetuneConfig(how=arguments.how, seed=seed) for seed in arguments.seeds]
        runs = {arm: [one.answers(question, windows, sides, share, s) for s in settings] for arm, one in arms.items()}
        drawn = [few(windows, side, share, seed) for side in sides for seed in arguments.seeds]
        table[f"{share:g}"] = figures(windows, sides, runs, is_binary=question.answer == "binary")
        table[f"{share:g}"]["drawn"] = _counted(windows, drawn, is_binary=question.answer == "binary")
        print(name, arguments.how, share, table[f"{share:g}"], flush=True)
    return table


def require_clean(body: Body, first: Body, tested: list[Example], folder: Path) -> None:
    """Refuse an encoder that met tested patients, or one whose windows would be cut in another way.

    Raises:
        TaskError: It met one of them.
    """
    if body.segments != first.segments:
        raise SystemExit(f"{body.name}: segments differ from those of {first.name}: windows are cut once for both")
    if (folder / "records.csv").is_file():
        check_encoder(body.origin, tested, folder / "records.csv", body.name)
        return
    known = set(body.origin.get("data", {}).get("recording_marks", ()))
    met = [example.name for example in tested if known & set(recording_marks([example.name]))]
    if met:
        raise SystemExit(
            f"{body.name}: was pre-trained on {met[0]}, expected an encoder that did not meet {folder.name}"
        )


def _counted(windows: WindowSet, drawn: list[np.ndarray], *, is_binary: bool) -> str:
    patients = np.mean([len(np.unique(windows.groups[chosen])) for chosen in drawn])
    told = f"{patients:.0f} patients, {np.mean([len(chosen) for chosen in drawn]):.0f} windows"
    if not is_binary:
        return told
    true = [chosen[windows.truth[chosen, 0] > 0.5] for chosen in drawn]
    return f"{told}; true ones: {np.mean([len(np.unique(windows.groups[t])) for t in true]):.0f} patients"


def figures(
    windows: WindowSet, sides: list[Side], runs: dict[str, list[tuple[np.ndarray, np.ndarray]]], *, is_binary: bool
) -> dict[str, str]:
    """Return both arms' figures and the gain of the first, with intervals, and each seed's gain."""
    rounds = np.full(len(windows), -1)
    for number, side in enumerate(sides):
        rounds[side.test] = number
    tested = rounds >= 0
    what = Tested(
        groups=windows.groups[tested], truth=windows.truth[tested], rounds=rounds[tested], is_binary=is_binary
    )
    kept = {arm: [(values[tested], mean[tested]) for values, mean in found] for arm, found in runs.items()}
    every = np.arange(len(what.groups))
    told = {arm: str(bootstrap(lambda rows, f=found: what.figure(rows, f), what.groups)) for arm, found in kept.items()}
    gain = bootstrap(lambda rows: what.figure(rows, kept["model"]) - what.figure(rows, kept["against"]), what.groups)
    by_seed = [what.figure(every, [a]) - what.figure(every, [b]) for a, b in zip(*kept.values(), strict=True)]
    return told | {
        "gain": str(gain),
        "gain by seed": " ".join(f"{one:.3f}" for one in by_seed),
        "tested": str(len(every)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run, checkpoint or shipped name; {n} stands for the fold")
    parser.add_argument("--against", help="the same of another encoder; by default --model's untrained")
    parser.add_argument("--fold", type=int, default=4, help="fold of challenge2015 that the encoder did not see")
    parser.add_argument("--tasks", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--how", choices=("probe", "full"), default="probe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    if arguments.against is not None and ("{n}" in arguments.model) != ("{n}" in arguments.against):
        parser.error("--model and --against must both stand for one encoder of each fold, or neither")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = Path(os.environ["QUALITYFM_DATA"])
    found: dict[str, object] = {**vars(arguments), "out": str(arguments.out)}
    for name in arguments.tasks:
        found[name] = compare(arguments, name, data)
        if arguments.out:
            arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
