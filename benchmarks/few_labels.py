"""What is pre-training worth when labels are few? The same encoder with and without it, on patients it never met.

    QUALITYFM_DATA=... OMP_NUM_THREADS=1 python benchmarks/few_labels.py --model RUN --fold 4 --how probe

(alarm) false alarms of five types, and (abp) arterial pressure: fold 4 of challenge2015 `train` is answered, which the
    encoder must not have seen; labels come from the other folds without the border of six numbers;
(af) MIT-BIH Arrhythmia, every third window, five rounds over patients; (quality) challenge2011 in its folds. Neither
    set may be in pre-training.
A share of the *training patients* is drawn, by seed; both arms get the same ones. The pre-trained and the untrained arm
differ in the encoder's weights, and in full training in the rates that untrained bodies have (`for_untrained`). A probe
is a logistic or ridge regression on mean, deviation and maximum of the frozen tokens, its penalty chosen by grouped
folds of the drawn patients. Figures are means over seeds of AUC, or of minus MASE in percent (mean absolute error over
that of the training mean, systolic and diastolic); intervals by bootstrap over patients or records, paired for the
gain, which is positive where pre-training helps.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qualityfm.evidence.intervals import auc, bootstrap
from qualityfm.finetune.body import Body, pretrained_body, untrained
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.data import WindowSet
from qualityfm.finetune.features import body_features
from qualityfm.finetune.fit import fit_task
from qualityfm.finetune.run import gather, question_of
from qualityfm.models.question import Question
from qualityfm.tasks.folds import Side, fold_sides, with_folds
from qualityfm.tasks.task import find_task

#: Task: folder of the data, and every how many-th example is used.
SETS = {"alarm": ("challenge2015", 1), "abp": ("challenge2015", 1), "af": ("mitdb", 3), "quality": ("challenge2011", 1)}
#: Training patients are kept at least so many, so that both classes can occur.
MIN_PATIENTS = 8


def material(name: str, data: Path, body: Body, fold: int) -> tuple[Question, WindowSet, list[Side]]:
    """Return question, windows and rounds of a task."""
    folder, step = SETS[name]
    task = find_task(name)
    examples = [e for e in task.examples(data / folder, None) if e.label is not None and e.split != "test"][::step]
    examples = with_folds(examples)
    question = question_of(task, examples, None, None)
    windows = gather(question, examples, body).windows
    sides = fold_sides(windows.examples)
    return question, windows, [s for s in sides if s.name == f"fold {fold}"] if folder == "challenge2015" else sides


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
        least = min(len(part), MIN_PATIENTS // 2)
        kept.extend(rng.permutation(part)[: max(least, round(share * len(part)))])
    return side.train[np.isin(groups, kept)]


def probe(x: np.ndarray, truth: np.ndarray, groups: np.ndarray, is_binary: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return what answers from features, fitted with a penalty chosen by grouped folds."""
    folds = list(GroupKFold(min(4, len(np.unique(groups)))).split(x, groups=groups))
    if is_binary:
        folds = [f for f in folds if all(len(np.unique(truth[part, 0])) == 2 for part in f)] or None
        kind = LogisticRegressionCV(
            Cs=np.logspace(-5, 1, 7),
            cv=folds,
            scoring="neg_log_loss",
            class_weight="balanced",
            max_iter=2000,
            use_legacy_attributes=False,
        )
        model = make_pipeline(StandardScaler(), kind).fit(x, truth[:, 0] > 0.5)
        return lambda asked: model.predict_proba(asked)[:, 1:]
    search = GridSearchCV(Ridge(), {"alpha": np.logspace(1, 6, 11)}, cv=folds, scoring="neg_mean_absolute_error")
    return make_pipeline(StandardScaler(), search).fit(x, truth).predict


def probe_answers(
    features: np.ndarray, windows: WindowSet, sides: list[Side], share: float, seed: int, is_binary: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `answers` does, from frozen features."""
    values = np.full(windows.truth.shape, np.nan)
    mean = values.copy()
    for side in sides:
        train = few(windows, side, share, seed)
        fitted = probe(features[train], windows.truth[train], windows.groups[train], is_binary)
        values[side.test] = fitted(features[side.test])
        mean[side.test] = np.nanmean(windows.truth[train], axis=0)
    return values, mean


def frozen(body: Body, windows: WindowSet, seed: int) -> np.ndarray:
    """Return a body's features of all windows, and which kind each is of."""
    kinds = np.arange(windows.kind.max() + 1) == windows.kind[:, None]
    return np.concatenate([body_features(body, windows, seed=seed), kinds], axis=1)


def answers(
    body: Body, question: Question, windows: WindowSet, sides: list[Side], share: float, config: FinetuneConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return the answer to every tested example, and the mean label of its training side; NaN where none is tested."""
    values = np.full((len(windows), len(question.outputs)), np.nan)
    mean = values.copy()
    for side in sides:
        chosen = few(windows, side, share, config.seed)
        train = windows.at(chosen)
        plain = replace(train, examples=tuple(replace(e, fold=None) for e in train.examples))
        values[side.test] = fit_task(body, question, plain, config).scores(windows.at(side.test))
        mean[side.test] = np.nanmean(train.truth, axis=0)
    return values, mean


def figure(truth: np.ndarray, runs: list[tuple[np.ndarray, np.ndarray]], rows: np.ndarray, is_binary: bool) -> float:
    """Return the mean over seeds of AUC, or of minus MASE in percent over systolic and diastolic."""
    if is_binary:
        return float(np.mean([auc(truth[rows, 0] > 0.5, values[rows, 0]) for values, _ in runs]))
    found = [np.abs(values - truth)[rows, :2].mean(0) / np.abs(mean - truth)[rows, :2].mean(0) for values, mean in runs]
    return float(-100 * np.mean(found))


def compare(
    body: Body, name: str, data: Path, fold: int, shares: list[float], config: FinetuneConfig, seeds: list[int]
) -> dict[str, dict[str, str]]:
    """Return the figures of a task by share of labels."""
    question, windows, sides = material(name, data, body, fold)
    is_binary = question.answer == "binary"
    table, bodies = {}, {"pre-trained": body, "untrained": untrained(body)}
    kept = {}
    if config.how == "probe":
        kept = {arm: {seed: frozen(one, windows, seed) for seed in seeds} for arm, one in bodies.items()}
    for share in shares:
        arms = {}
        for arm, one in bodies.items():
            settings = config if one.weights is not None else config.for_untrained()
            arms[arm] = [
                probe_answers(kept[arm][seed], windows, sides, share, seed, is_binary)
                if kept
                else answers(one, question, windows, sides, share, replace(settings, seed=seed))
                for seed in seeds
            ]
        tested = np.isfinite(arms["untrained"][0][0]).all(axis=1)
        groups, truth = windows.groups[tested], windows.truth[tested]
        runs = {arm: [(v[tested], m[tested]) for v, m in found] for arm, found in arms.items()}
        of = {arm: partial(figure, truth, found, is_binary=is_binary) for arm, found in runs.items()}
        intervals = {arm: str(bootstrap(lambda rows, f=f: f(rows=rows), groups)) for arm, f in of.items()}
        gain = bootstrap(lambda rows, of=of: of["pre-trained"](rows=rows) - of["untrained"](rows=rows), groups)
        table[f"{share:g}"] = intervals | {"gain": str(gain), "tested": str(len(groups))}
        print(name, config.how, share, table[f"{share:g}"], flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="run or checkpoint folder")
    parser.add_argument("--fold", type=int, default=4, help="fold of challenge2015 that the encoder did not see")
    parser.add_argument("--tasks", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--how", choices=("probe", "full"), default="probe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = Path(os.environ["QUALITYFM_DATA"])
    folder = arguments.model / "checkpoint"
    body = pretrained_body(folder if folder.is_dir() else arguments.model)
    config = FinetuneConfig(how=arguments.how)
    found: dict[str, object] = {"model": str(arguments.model), "how": arguments.how, "seeds": arguments.seeds}
    for name in arguments.tasks:
        found[name] = compare(body, name, data, arguments.fold, arguments.shares, config, arguments.seeds)
        if arguments.out:
            arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
