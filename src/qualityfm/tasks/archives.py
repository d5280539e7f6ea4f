"""Public archives as they are published: their labels, their patients and their own split, each under one name.

vtac             alarms of ventricular tachycardia; train, val and test of its own table, patients do not cross
mimic-perform-af atrial fibrillation or not; each patient is left out once
pulsedb-subset   pressure of 10 s; Train_Subset against CalBased_ (patients are known) and CalFree_Test_Subset
kachuee-uci      pressure; Part_4 against Part_1 to Part_3: nobody knows whose the records are
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.sources import Found, Layout, find_recordings, open_recording, read_layout
from qualityfm.tasks.alarms import ALARM_AT_S, VT
from qualityfm.tasks.alarms import WINDOW_S as ALARM_WINDOW_S
from qualityfm.tasks.examples import Example
from qualityfm.tasks.pressures import WINDOW_S, window_targets
from qualityfm.tasks.tables import read_labels, record_path, refuse, truth_of
from qualityfm.tasks.task import Task

#: Length of PulseDB's windows, s.
PULSEDB_S = 10.0
#: What a file of PulseDB's subsets is for, by the end of its `subset`. Source: Wang et al., Front Digit Health
#: 4:1090854, 2023, and Generate_Subsets.m of its repository; AAMI_ files are left to the user.
PULSEDB_SPLITS = {"CalBased_Test": "calibrated", "CalFree_Test": "calibration-free", "Train": "train"}
#: The part of the UCI archive that is tested. The archive names no split: three parts against one is our own choice,
#: docs/decisions/0038.
UCI_TEST_PART = 4


@dataclass(frozen=True, kw_only=True)
class Archive:
    """How a public archive asks a task.

    Attributes:
        layout: Name of its layout.
        tasks: Names of the tasks that its labels answer.
        examples: Takes the folder.
        splits: Names of the sides that are tested; () where each patient is left out once.
        note: What must be said beside its figures.
    """

    layout: str
    tasks: tuple[str, ...]
    examples: Callable[[Path], list[Example]]
    splits: tuple[str, ...]
    note: str


def vtac_examples(folder: Path) -> list[Example]:
    """Return the last 10 s before each alarm of VTaC, with the split of its own table.

    Raises:
        TaskError: One of its two tables cannot be used.
    """
    table = folder / "event_labels.csv"
    split_of = {
        row["event"]: row["split"] for row in read_labels(folder / "benchmark_data_split.csv", ("event", "split"))
    }
    home = folder / "waveforms" if (folder / "waveforms").is_dir() else folder
    return [
        Example(
            recording=record_path(home, f"{row['record']}/{row['event']}", f"{table} line {number}"),
            name=row["event"],
            start_s=ALARM_AT_S - ALARM_WINDOW_S,
            length_s=ALARM_WINDOW_S,
            subject=row["record"],
            group=row["record"],
            label=None if (truth := truth_of(row, "decision", f"{table} line {number}")) is None else (truth,),
            kind=VT,
            split=split_of.get(row["event"]),
            layout="vtac",
        )
        for number, row in enumerate(read_labels(table, ("record", "event", "decision")), 2)
    ]


def perform_af_examples(folder: Path) -> list[Example]:
    """Return the whole 30-s windows of MIMIC PERform AF; the file's name says whether its patient fibrillates.

    Raises:
        TaskError: There is no such file.
    """
    layout = read_layout("mimic-perform-af")
    examples = []
    for found in _recordings(folder, layout):
        is_af = bool(layout.labels_of(found.recording_id)["is_af"])
        whole = Example(
            recording=str(found.path),
            name=found.recording_id,
            start_s=0.0,
            length_s=WINDOW_S,
            subject=found.subject_id,
            group=found.subject_id,
            label=(float(is_af),),
            kind="AFIB" if is_af else "not AF",
            layout=layout.name,
        )
        starts_s = np.arange(0, found.duration_s - WINDOW_S + 1e-6, WINDOW_S)
        examples += [replace(whole, start_s=float(start_s)) for start_s in starts_s]
    return _some(examples, folder, "files such as mimic_perform_af_001_data.csv of 30 s or more")


def pulsedb_examples(folder: Path) -> list[Example]:
    """Return the windows of PulseDB's training and testing subsets; the pressure is the median over their beats.

    Raises:
        TaskError: There is no window of a subset with pulses, or subsets of two families, which share windows.
    """
    layout = read_layout("pulsedb-subset")
    families: set[str] = set()

    def side(found: Found) -> str | None:
        subset = str(layout.labels_of(found.recording_id)["subset"])
        for end, split in PULSEDB_SPLITS.items():
            if subset.endswith(end):
                families.add(subset.removesuffix(end).strip("_") or "of both sources")
                if len(families) > 1:
                    expected = "one family of subsets in a folder: of both sources, VitalDB or MIMIC"
                    raise refuse("mixed subsets", folder, "files", sorted(families), expected)
                return split
        return None

    return _pressures(folder, layout, side, PULSEDB_S)


def uci_examples(folder: Path) -> list[Example]:
    """Return the 30-s windows of the UCI archive; a record stands for a patient, because nobody knows whose it is.

    Raises:
        TaskError: There is no window with pulses.
    """

    def side(found: Found) -> str:
        part = re.search(r"[Pp]art_(\d+)", found.recording_id)
        return "test" if part is not None and int(part[1]) == UCI_TEST_PART else "train"

    return _pressures(folder, read_layout("kachuee-uci"), side, WINDOW_S)


def _pressures(folder: Path, layout: Layout, side: Callable[[Found], str | None], window_s: float) -> list[Example]:
    examples: list[Example] = []
    for found in _recordings(folder, layout):
        split = side(found)
        if split is None:
            continue
        try:
            recording = open_recording(found.path, layout=layout)
        except QualityFMError:
            continue
        group = recording.subject_id or found.subject_id or found.recording_id
        examples += [
            Example(
                recording=str(found.path),
                name=found.recording_id,
                start_s=start_s,
                length_s=window_s,
                subject=recording.subject_id,
                group=group,
                label=target,
                split=split,
                layout=layout.name,
            )
            for start_s, target in window_targets(recording, window_s)
        ]
    return _some(examples, folder, f"files of the layout {layout.name} with live ABP, PPG and ECG")


def _recordings(folder: Path, layout: Layout) -> list[Found]:
    found = find_recordings(folder, layout=layout)
    return [one for one in found if not one.problem and layout.speaks_of(one.source, one.file.name)]


def _some(examples: list[Example], folder: Path, expected: str) -> list[Example]:
    if not examples:
        raise refuse("no examples", folder, "recordings", 0, expected)
    return examples


#: Every archive: its name on the command line, and what it asks.
ARCHIVES: Mapping[str, Archive] = {
    "vtac": Archive(
        layout="vtac",
        tasks=("vt-alarm", "alarm"),
        examples=vtac_examples,
        splits=("test",),
        note="split by patient as published; `val` is not used, thresholds come from inner rounds of `train`",
    ),
    "perform-af": Archive(
        layout="mimic-perform-af",
        tasks=("af",),
        examples=perform_af_examples,
        splits=(),
        note="each patient is left out once; a patient either fibrillates throughout or not at all",
    ),
    "pulsedb": Archive(
        layout="pulsedb-subset",
        tasks=("abp",),
        examples=pulsedb_examples,
        splits=("calibration-free", "calibrated"),
        note="pressures are medians over the beats of 10 s of the ABP channel, not the file's own SBP and DBP",
    ),
    "uci": Archive(
        layout="kachuee-uci",
        tasks=("abp",),
        examples=uci_examples,
        splits=("test",),
        note="patients are unknown: the same one may stand on both sides, and figures are too good by as much",
    ),
}


def labelled_examples(task: Task, folder: Path, labels: Path | None, layout: str | None) -> list[Example]:
    """Return the examples of a folder: as the task finds them, or as a published archive labels them.

    Args:
        task: What is asked.
        folder: Of the recordings.
        labels: The user's table, or None.
        layout: Layout of an archive in `ARCHIVES`, or None.

    Raises:
        TaskError: The layout has no labels for the task, there is a table beside it, or labels cannot be used.
    """
    if layout is None:
        return task.examples(folder, labels)
    if labels is not None:
        raise refuse("two sources of labels", f"layout {layout}", "--labels", labels, "--layout or --labels")
    found = next((one for one in ARCHIVES.values() if one.layout == layout), None)
    if found is None:
        known = ", ".join(one.layout for one in ARCHIVES.values())
        raise refuse("no labels", f"layout {layout}", "--layout", layout, f"one of {known}", "else give --labels")
    if task.name not in found.tasks:
        raise refuse("another task", f"layout {layout}", "task", task.name, " or ".join(found.tasks))
    return found.examples(folder)
