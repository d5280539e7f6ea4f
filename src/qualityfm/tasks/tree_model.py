"""A task answered by boosted trees or linear maps on hand-made features: kept as arrays, used with NumPy.

On the tasks where no network has beaten them, these are the models to use; the card says that no encoder is in them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from jaxtyping import Bool, Float, Float64

from qualityfm.config import from_mapping, to_plain
from qualityfm.errors import ConfigError, FormatError, QualityFMError, SignalError, problem
from qualityfm.files import sha256_of, write_atomically, write_text
from qualityfm.models.operating import OperatingPoint, fit_binary
from qualityfm.models.question import Question
from qualityfm.records import Recording
from qualityfm.strict_json import read_json
from qualityfm.tasks.answers import TaskPrediction, between, default_starts
from qualityfm.tasks.beat_lists import beat_list_lessons
from qualityfm.tasks.boosting import fitted_trees, inner_answers, require_two_classes
from qualityfm.tasks.examples import Example, groups_of, truths
from qualityfm.tasks.features import FEATURES, HIDDEN, FeatureTable, feature_row, feature_table, features_version
from qualityfm.tasks.learners import learner_of
from qualityfm.tasks.linear import Linear, is_linear, linear_from
from qualityfm.tasks.mixture import Mixture, is_mixture, mixture_from
from qualityfm.tasks.task import Task
from qualityfm.tasks.traces import trace_from
from qualityfm.tasks.trees import Trees, trees_from
from qualityfm.version import __version__

FORMAT, FORMAT_VERSION, CARD = "qualityfm-trees", 1, "model.json"
#: Largest files that are read; the shipped ones have less than a tenth.
MAX_CARD_BYTES, MAX_TREES_BYTES = 4_000_000, 50_000_000
#: A model abstains where no channel is of this quality. Our own choice, docs/decisions/0024.
MIN_QUALITY = 0.3
#: Sensitivity that a "no" holds unless another is asked for. Our own choice, docs/decisions/0024.
SENSITIVITY = 0.95
FIELDS: dict[str, type] = {
    "package_version": str,
    "trees": str,
    "trees_sha256": str,
    "features": list,
    "features_version": int,
    "lookback_s": float,
    "task": dict,
}


class TreeModel:
    """Trees, or linear maps, that answer a task.

    Args:
        card: Its model.json.
        trees: One for each output.
        changes: One for each output that says how far it has moved since a calibration; () for a model without.

    Raises:
        FormatError: The card's task is damaged.
    """

    def __init__(
        self, card: dict[str, Any], trees: Sequence[Trees | Mixture | Linear], changes: Sequence[Linear] = ()
    ) -> None:
        self.card = card
        self.trees = tuple(trees)
        self.changes = tuple(changes)
        self.names = tuple(card["features"])
        self.lookback_s = float(card["lookback_s"])
        try:
            self.question = from_mapping(Question, card["task"]["question"], where=CARD, is_complete=True)
            stored = card["task"]["operating"]
            self.operating = None if stored is None else from_mapping(OperatingPoint, stored, where=CARD)
        except (ConfigError, KeyError, TypeError) as error:
            raise FormatError(f"damaged model: {CARD}: task: {error}") from error

    @property
    def name(self) -> str:
        """The name on its card."""
        return str(self.card.get("name", "unnamed"))

    def measure(self, examples: Sequence[Example], report: Callable[[int, str], None] | None = None) -> FeatureTable:
        """Return the features of examples in this model's order; NaN throughout for one that cannot be read."""
        made = feature_table(self.question.task, examples, self.lookback_s, report=report)
        column = {name: k for k, name in enumerate(made.names)}
        values = np.full((len(examples), len(self.names)), np.nan)
        for k, name in enumerate(self.names):
            if name in column:
                values[:, k] = made.values[:, column[name]]
        return FeatureTable(names=self.names, values=values, problems=made.problems)

    def values_of(self, features: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, "example output"]:
        """Return calibrated probabilities or quantities; NaN for an example of which nothing could be measured."""
        found = np.stack([trees.predict(features) for trees in self.trees], axis=1)
        found = found if self.operating is None else self.operating.probability(found)
        return np.asarray(np.where(can_measure(features)[:, None], found, np.nan), np.float64)

    def changes_of(self, change: Float[np.ndarray, "example feature"]) -> Float64[np.ndarray, "example output"]:
        """Return how far each quantity has moved since a calibration.

        Args:
            change: Features against those of the calibration.

        Raises:
            ConfigError: The model was fitted without changes.
        """
        if not self.changes:
            expected = "a model with maps of changes, such as qualityfm-tiny-abp"
            raise ConfigError(
                problem("no calibration", where=self.name, field="changes", found="none", expected=expected)
            )
        return np.stack([part.predict(change) for part in self.changes], axis=1)

    def answers_of(
        self, values: Float[np.ndarray, "example output"], features: Float[np.ndarray, "example feature"]
    ) -> tuple[str, ...]:
        """Return "yes", "no" or "abstain" for each example; "" for quantities. It abstains where no channel is good."""
        if self.operating is None:
            return ("",) * len(values)
        can_judge = np.isfinite(values[:, 0]) & is_sure(features, self.names)
        return tuple(self.operating.answers(np.nan_to_num(values[:, 0]), can_judge))

    def predict_task(
        self, recording: Recording, *, starts_s: Sequence[float] | None = None, kind: str = ""
    ) -> TaskPrediction:
        """Return the answers for windows of a recording; what lies `lookback_s` before their ends is looked at too.

        Args:
            recording: With any of the channels that features are made of.
            starts_s: Where windows begin, s; by default one after the other, so that the last ends with the recording.
            kind: What sort of examples they are, such as the alarm's type; "" where it is not known.

        Raises:
            SignalError: `starts_s` lies outside the recording.
        """
        window_s = self.question.window_s
        chosen = default_starts(recording.duration_s, window_s) if starts_s is None else np.asarray(starts_s, float)
        features = np.stack([self._features(recording, float(start_s), kind) for start_s in chosen])
        values = self.values_of(features)
        return TaskPrediction(
            recording_id=recording.recording_id,
            question=self.question,
            start_s=chosen,
            values=values,
            answers=self.answers_of(values, features),
        )

    def _features(self, recording: Recording, start_s: float, kind: str) -> Float64[np.ndarray, " feature"]:
        if not 0 <= start_s < recording.duration_s:
            expected = f"0 to {recording.duration_s:g} s"
            raise SignalError(
                problem(
                    "nothing to judge",
                    where=recording.recording_id,
                    field="starts_s",
                    found=start_s,
                    expected=expected,
                )
            )
        end_s = start_s + self.question.window_s
        begin_s = max(0.0, end_s - self.lookback_s)
        example = Example(
            recording=recording.recording_id,
            name=recording.recording_id,
            start_s=start_s - begin_s,
            length_s=self.question.window_s,
            subject=None,
            group=None,
            label=None,
            kind=kind,
        )
        try:
            hidden = HIDDEN.get(self.question.task, ())
            trace = trace_from(between(recording, begin_s, end_s), end_s - begin_s, hidden)
            row = FEATURES[self.question.task](trace, example)
        except QualityFMError:
            row = {}
        return feature_row(row, self.names)

    def __repr__(self) -> str:
        num_trees = sum(part.num_trees for part in self.trees if not isinstance(part, Linear))
        made_of = f"{num_trees} trees" if num_trees else f"{len(self.trees)} linear maps"
        return f"TreeModel {self.name!r}: {self.question.task}, {made_of} on {len(self.names)} features"


def can_measure(features: Float[np.ndarray, "example feature"]) -> Bool[np.ndarray, " example"]:
    """Return which examples have a feature at all."""
    return np.asarray(np.isfinite(features).any(axis=1))


def is_sure(features: Float[np.ndarray, "example feature"], names: Sequence[str]) -> Bool[np.ndarray, " example"]:
    """Return where some channel is good enough to be asked at all; everywhere if no feature tells of quality."""
    columns = [
        k
        for k, name in enumerate(names)
        if name == "quality" or (name.endswith("_quality_mean") and "_low" not in name)
    ]
    if not columns:
        return np.ones(len(features), bool)
    return np.asarray(np.nan_to_num(features[:, columns]).max(axis=1) >= MIN_QUALITY)


@dataclass(frozen=True, kw_only=True)
class FittedTrees:
    """A model, and what became of its examples.

    Attributes:
        model: Ready to answer.
        problems: Recordings that could not be read, one line each.
    """

    model: TreeModel
    problems: tuple[str, ...]


def fit_tree_model(
    task: Task,
    question: Question,
    examples: Sequence[Example],
    *,
    name: str,
    sensitivity: float = SENSITIVITY,
    seed: int = 0,
    beat_lists: Path | None = None,
    cache: Path | None = None,
    report: Callable[[int, str], None] | None = None,
) -> FittedTrees:
    """Fit a task. Calibration and thresholds come from answers that are out of fold within the examples.

    Args:
        task: Yes-or-no, or quantities.
        question: What is asked.
        examples: To learn from, with labels and groups.
        name: For the card.
        sensitivity: That a "no" holds.
        seed: Of trees and inner folds.
        beat_lists: Yes-or-no tasks of rhythm: lists of beats to learn from as well; nothing is chosen on them.
        cache: Folder that keeps features.
        report: Called with the number of examples measured.

    Raises:
        TaskError: The task has no hand-made features, or an example no label or group.
        ConfigError: The task has several classes.
    """
    if question.answer == "multiclass":
        raise ConfigError(
            problem("no trees for this", where=task.name, field="answer", found="multiclass", expected="binary")
        )
    truth = truths(examples)
    groups_of(examples)  # who has no group is refused before anything is measured
    made = feature_table(task.name, examples, task.max_lookback_s, cache, report)
    learner = learner_of(task.name, made.names)
    operating, metrics, num_lessons = None, {}, 0
    if question.answer == "binary":
        require_two_classes(truth)
        material = _material(task, made, examples, beat_lists)
        num_lessons = len(material.truth) - len(examples)
        trees: Sequence[Trees | Mixture] = [learner.learn(material.values, material.truth[:, 0] > 0.5, seed)]
        inner = inner_answers(material.values, material.truth, material.groups, learner.learn, seed)[material.is_asked]
        logits = np.log(np.clip(inner, 1e-6, 1 - 1e-6) / np.clip(1 - inner, 1e-6, 1))
        of_asked = material.truth[material.is_asked]
        operating = fit_binary(logits, of_asked[:, 0] > 0.5, rule=question.rule, sensitivity=sensitivity)
        asked = [e for e, is_so in zip(examples, material.is_asked, strict=False) if is_so]
        metrics = task.metrics(of_asked, operating.probability(logits[:, None]), asked, threshold=operating.threshold)
    else:
        trees = fitted_trees(made.values, truth, seed)
    about = {
        "name": name,
        "made_of": f"{learner.made_of} on hand-made features; no encoder",
        "settings": learner.settings,
        "metrics_within_training": {key: value for key, value in metrics.items() if np.isfinite(value)},
    }
    card = card_of(task, question, examples, made, about, operating=operating)
    card["examples"]["num_windows_of_beat_lists"] = num_lessons
    return FittedTrees(model=TreeModel(card, trees), problems=made.problems)


def card_of(
    task: Task,
    question: Question,
    examples: Sequence[Example],
    made: FeatureTable,
    about: dict[str, Any],
    *,
    operating: OperatingPoint | None = None,
) -> dict[str, Any]:
    """Return what the card of a model on hand-made features holds: `about`, the question, and what it learnt from.

    Raises:
        TaskError: An example has no label or group.
    """
    train_mean = truths(examples).mean(axis=0).tolist() if question.answer == "regression" else None
    return {
        **about,
        "features": list(made.names),
        "features_version": features_version(task.name),
        "lookback_s": float(task.max_lookback_s),
        "task": {
            "name": task.name,
            "question": to_plain(question),
            "operating": None if operating is None else to_plain(operating),
            "train_mean": train_mean,
        },
        "examples": {
            "num_examples": len(examples),
            "num_groups": len(set(groups_of(examples).tolist())),
            "fingerprints": fingerprints(made.values),
        },
        "status": "research software, not a medical device",
    }


@dataclass(frozen=True, kw_only=True)
class _Material:
    """What a yes-or-no task is learnt from; thresholds are chosen on what is asked about."""

    values: Float64[np.ndarray, "example feature"]
    truth: Float64[np.ndarray, "example output"]
    groups: np.ndarray
    is_asked: Bool[np.ndarray, " example"]


def _material(task: Task, made: FeatureTable, examples: Sequence[Example], beat_lists: Path | None) -> _Material:
    """Return the examples, of which some kinds may only teach, and the windows of beat lists, which only teach."""
    is_asked = np.array([not task.kinds or example.kind in task.kinds for example in examples])
    if beat_lists is None:
        return _Material(values=made.values, truth=truths(examples), groups=groups_of(examples), is_asked=is_asked)
    lessons = beat_list_lessons(beat_lists, made.names)
    every = [*examples, *lessons.examples]
    return _Material(
        values=np.concatenate((made.values, lessons.values)),
        truth=truths(every),
        groups=groups_of(every),
        is_asked=np.concatenate((is_asked, np.zeros(len(lessons.examples), bool))),
    )


def fingerprints(features: Float[np.ndarray, "example feature"]) -> list[str]:
    """Return a short hash of each example's features: it tells that it was seen, and nothing of whose it is."""
    return [xxhash.xxh64_hexdigest(np.ascontiguousarray(row, np.float64).tobytes()) for row in features]


def save_tree_model(folder: Path, model: TreeModel, about: dict[str, Any] | None = None) -> None:
    """Write the trees, then the card that vouches for them by checksum.

    Raises:
        FormatError: The disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    parts = {f"{k}_": part for k, part in enumerate(model.trees)}
    parts |= {f"change{k}_": part for k, part in enumerate(model.changes)}
    arrays = {key: array for prefix, part in parts.items() for key, array in part.arrays(prefix).items()}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for an option
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path = folder / f"trees-{digest[:12]}.npz"
    write_atomically(path, lambda aside: aside.write_bytes(buffer.getvalue()))
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "package_version": __version__}
    stored = {"trees": path.name, "trees_sha256": sha256_of(path)}
    card = {**head, **model.card, **(about or {}), **stored}
    write_text(folder / CARD, json.dumps(card, indent=1, allow_nan=False) + "\n")


def load_tree_model(folder: Path) -> TreeModel:
    """Return the trees in a folder, with the card's checksum verified. Nothing in it is a pickle.

    Raises:
        FormatError: Missing or damaged files, another version, or features that this package no longer makes.
    """
    card = _read_card(folder / CARD)
    path: Path = folder / card["trees"]
    if path.parent != folder or path.suffix != ".npz" or path.is_symlink() or not path.is_file():
        raise _refused(folder / CARD, "trees", card["trees"], "an .npz file in the model's folder")
    if path.stat().st_size > MAX_TREES_BYTES:
        raise _refused(path, "size", path.stat().st_size, f"at most {MAX_TREES_BYTES} bytes")
    if sha256_of(path) != card["trees_sha256"]:
        raise _refused(path, "sha256", sha256_of(path)[:12], card["trees_sha256"][:12])
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise _refused(path, "arrays", type(error).__name__, "an archive of NumPy arrays") from error
    num_outputs, num_features = len(card["task"].get("question", {}).get("outputs", [])), len(card["features"])
    read = linear_from if is_linear(arrays, "0_") else mixture_from if is_mixture(arrays, "0_") else trees_from
    parts = [read(arrays, f"{k}_", num_features, path) for k in range(num_outputs)]
    has_changes = is_linear(arrays, "change0_")
    changes = [linear_from(arrays, f"change{k}_", num_features, path) for k in range(num_outputs * has_changes)]
    return TreeModel(card, parts, changes)


def _read_card(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise _refused(path, "size", path.stat().st_size, f"at most {MAX_CARD_BYTES} bytes")
        card = read_json(path.read_bytes(), str(path))
    except (OSError, SignalError) as error:
        raise FormatError(f"cannot open model: {path}: {error}") from error
    task = card.get("task") if isinstance(card, dict) else None
    version = features_version(str(task.get("name") if isinstance(task, dict) else None))
    wanted = {"format": FORMAT, "format_version": FORMAT_VERSION, "features_version": version}
    for field, value in wanted.items():
        found = card.get(field) if isinstance(card, dict) else None
        if found != value:
            raise _refused(path, field, found, repr(value))
    for field, kind in FIELDS.items():
        if type(card.get(field)) is not kind:
            raise _refused(path, field, card.get(field), kind.__name__)
    if not all(isinstance(name, str) for name in card["features"]):
        raise _refused(path, "features", "other than names", "names")
    return dict(card)


def _refused(where: Path, field: str, found: object, expected: str) -> FormatError:
    return FormatError(problem("damaged model", where=str(where), field=field, found=found, expected=expected))
