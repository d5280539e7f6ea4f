"""Benchmarks on public archives with their published splits: the same models and figures, other examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qualityfm.errors import TaskError, problem
from qualityfm.evidence.alarm_benchmark import AlarmBenchmark, benchmark_alarms
from qualityfm.evidence.pressure_benchmark import FREE, PressureBenchmark, benchmark_pressures
from qualityfm.evidence.task_benchmark import TaskBenchmark, benchmark_af
from qualityfm.tasks.archives import ARCHIVES
from qualityfm.tasks.calibration import calibrated_by_patient
from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import FeatureTable, feature_table
from qualityfm.tasks.folds import Side, train_test_side
from qualityfm.tasks.linear_model import of_change
from qualityfm.tasks.task import TASKS

Say = Callable[[str], None]
#: The side of PulseDB whose patients are known from training.
KNOWN_PATIENTS = "calibrated"


@dataclass(frozen=True, kw_only=True)
class ArchiveBenchmark:
    """What a benchmark on an archive found.

    Attributes:
        note: What must be said beside its figures.
        alarms: Of alarms, or None.
        rhythm: Of rhythm, or None.
        pressures: Of pressure, by the side that was tested; {} for none.
    """

    note: str
    alarms: AlarmBenchmark | None = None
    rhythm: TaskBenchmark | None = None
    pressures: dict[str, PressureBenchmark]


def benchmark_archive(
    name: str,
    folder: Path,
    *,
    cache: Path | None = None,
    scores: Path | None = None,
    num_rounds: int = 500,
    say: Say = lambda what: None,
) -> ArchiveBenchmark:
    """Measure the models of an archive's task: learnt from its training side, judged on its testing side.

    Args:
        name: Key in `ARCHIVES`.
        folder: The archive.
        cache: Folder that keeps features.
        scores: CSV file to keep every answer in; of pressures, one beside it for each side.
        num_rounds: Bootstrap rounds.
        say: Told what happens next.

    Raises:
        TaskError: The archive's labels cannot be used, or a side is empty.
    """
    archive = ARCHIVES[name]
    say("labels")
    examples = archive.examples(folder)
    if archive.tasks[0] == "abp":
        pressures = _pressures(examples, archive.splits, cache, scores, num_rounds, say)
        return ArchiveBenchmark(note=archive.note, pressures=pressures)
    if archive.splits:
        alarms = benchmark_alarms(
            folder,
            archive.tasks[0],
            is_test=True,
            cache=cache,
            scores=scores,
            num_rounds=num_rounds,
            say=say,
            examples=examples,
        )
        return ArchiveBenchmark(note=archive.note, alarms=alarms, pressures={})
    rhythm = benchmark_af(folder, cache=cache, scores=scores, num_rounds=num_rounds, examples=examples)
    return ArchiveBenchmark(note=archive.note, rhythm=rhythm, pressures={})


def _pressures(
    examples: Sequence[Example],
    splits: Sequence[str],
    cache: Path | None,
    scores: Path | None,
    num_rounds: int,
    say: Say,
) -> dict[str, PressureBenchmark]:
    found = {}
    for split in splits:
        chosen = [
            replace(e, split="test" if e.split == split else "train") for e in examples if e.split in ("train", split)
        ]
        if not any(example.split == "test" for example in chosen):
            say(f"no windows of the side {split}")
            continue
        say(f"{split}: features")
        made = feature_table("abp", chosen, TASKS["abp"].max_lookback_s, cache)
        kept = None if scores is None else scores.with_name(f"{scores.stem}-{split}{scores.suffix}")
        found[split] = _one(made, chosen, split, kept, num_rounds, say)
    if not found:
        expected = f"windows of one of {', '.join(splits)}"
        raise TaskError(problem("nothing to test", where="archive", field="splits", found=0, expected=expected))
    return found


def _one(
    made: FeatureTable, examples: list[Example], split: str, scores: Path | None, num_rounds: int, say: Say
) -> PressureBenchmark:
    if split != KNOWN_PATIENTS:
        sides = [train_test_side(examples)]
        return benchmark_pressures(made, examples, sides, scores=scores, num_rounds=num_rounds, say=say)
    is_test = np.array([example.split == "test" for example in examples])
    sides = [Side(name=split, train=np.flatnonzero(~is_test), test=np.flatnonzero(is_test))]
    since = calibrated_by_patient(examples, of_change(made))
    return benchmark_pressures(
        made,
        examples,
        sides,
        since=since,
        free=f"{FREE}, patients known",
        calibration="calibration",
        scores=scores,
        num_rounds=num_rounds,
        say=say,
    )
