"""A fine-tuning run: examples of a task -> a checkpoint with its head, and what was chosen on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from qualityfm.config import to_plain
from qualityfm.errors import ConfigError, TaskError, problem
from qualityfm.finetune.body import Body
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.data import WindowSet, collect_windows
from qualityfm.finetune.fit import Fitted
from qualityfm.models.question import Question, Rule
from qualityfm.models.task_network import save_task_network
from qualityfm.tasks.alarms import ALARM_KINDS
from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import HIDDEN
from qualityfm.tasks.tables import read_question
from qualityfm.tasks.task import Task

CHECKPOINT = "checkpoint"

#: Tasks whose model tells kinds of examples apart, and those with the alarm's score.
KINDS = {"alarm": ALARM_KINDS}
RULES: dict[str, Rule] = {"alarm": "challenge", "vt-alarm": "challenge"}

#: Windows whose fingerprints a card keeps, so that a later test on them is noticed.
MAX_FINGERPRINTS = 20_000


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a task is learnt from.

    Attributes:
        question: What is asked.
        windows: Training examples with labels; none of the table's `test` split.
        problems: Recordings that could not be read, with the reason.
    """

    question: Question
    windows: WindowSet
    problems: tuple[dict[str, str], ...]


def question_of(task: Task, examples: Sequence[Example], labels: Path | None, window_s: float | None) -> Question:
    """Return what a task asks of its examples.

    Args:
        task: The task.
        examples: At least one.
        labels: The user's table, where the task leaves the kind of answer to it.
        window_s: Length of a window in place of the task's; it ends where the example ends.

    Raises:
        ConfigError: The window is longer than the task may look back.
        TaskError: The table does not say what is asked.
    """
    longest_s = max(task.max_lookback_s, *(example.length_s for example in examples))
    length_s = window_s or task.window_s or float(np.median([example.length_s for example in examples]))
    if not 0 < length_s <= longest_s:
        expected = f"above 0 and at most {longest_s:g} s"
        raise ConfigError(problem("wrong window", where=task.name, field="window_s", found=length_s, expected=expected))
    asked = read_question(labels) if not task.outputs and labels is not None else None
    return Question(
        task=task.name,
        answer=task.kind if asked is None else asked.kind,
        outputs=(task.outputs or ("label",)) if asked is None else asked.outputs,
        window_s=length_s,
        kinds=KINDS.get(task.name, ()),
        hidden=HIDDEN.get(task.name, ()),
        rule=RULES.get(task.name, "balanced"),
        unit=task.unit,
    )


def training_examples(examples: Sequence[Example]) -> list[Example]:
    """Return the examples with a label that may be learnt from: those of the split `train` where the table has splits.

    Raises:
        TaskError: There is none.
    """
    has_splits = any(example.split for example in examples)
    chosen = [e for e in examples if e.label is not None and (not has_splits or e.split == "train")]
    if not chosen:
        raise TaskError(
            problem("nothing to learn from", where="labels", field="examples", found=0, expected="at least one")
        )
    return chosen


def gather(
    question: Question,
    examples: Sequence[Example],
    body: Body,
    report: Callable[[int, str], None] | None = None,
) -> Material:
    """Read the windows of examples as a body takes them.

    Raises:
        TaskError: None could be read.
    """
    windows, problems = collect_windows(
        examples,
        body.segments,
        window_s=question.window_s,
        num_outputs=len(question.outputs),
        kinds=question.kinds,
        hidden=question.hidden,
        report=report,
    )
    return Material(question=question, windows=windows, problems=tuple(problems))


def save_run(
    out: Path, name: str, fitted: Fitted, body: Body, windows: WindowSet, config: FinetuneConfig, *, half: bool = False
) -> Path:
    """Write the checkpoint of a fitted task and return its folder.

    Raises:
        FormatError: The disk refuses.
    """
    about: dict[str, Any] = {
        "name": name,
        "finetune": to_plain(config),
        "encoder": {"name": body.name, **{key: value for key, value in body.origin.items() if key != "name"}},
        "examples": {
            "num_examples": fitted.num_examples,
            "num_groups": fitted.num_groups,
            "fingerprints": fingerprints(windows)[:MAX_FINGERPRINTS],
        },
        "metrics": {"best_epoch": fitted.best_epoch, "inner_loss": list(fitted.inner_loss)},
        "status": "research software, not a medical device",
    }
    for field in ("licence", "attribution"):
        if field in body.origin:
            about[field] = body.origin[field]
    save_task_network(out / CHECKPOINT, fitted.network, fitted.card(), about, half_precision=half)
    return out / CHECKPOINT


def fingerprints(windows: WindowSet) -> list[str]:
    """Return a short hash of each window's samples: it tells that a window was seen, and nothing of whose it is."""
    return [xxhash.xxh64_hexdigest(np.ascontiguousarray(values).tobytes()) for values in windows.values]


def settings(how: str, seed: int, base: FinetuneConfig | None = None) -> FinetuneConfig:
    """Return settings with a way to learn and a seed in place of the usual ones.

    Raises:
        ConfigError: There is no such way.
    """
    if how not in ("probe", "full", "adapter"):
        raise ConfigError(
            problem("no such way", where="finetune", field="how", found=how, expected="probe, full or adapter")
        )
    return replace(base or FinetuneConfig(), how=how, seed=seed)  # type: ignore[arg-type]  # just checked
