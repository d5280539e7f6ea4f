"""One labelled stretch of a recording: what every task is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped

from qualityfm.errors import TaskError, problem


@dataclass(frozen=True, kw_only=True)
class Example:
    """A window of a recording with its label. Nothing behind `start_s + length_s` may enter an answer.

    Attributes:
        recording: Path for `open_recording`.
        name: The recording's name in its archive.
        start_s: Begin of the window, seconds after the start of the recording.
        length_s: Length of the window, s.
        subject: Patient, or the best that is known of him (a cluster of overlapping records); None where nothing is.
        group: What splits and the bootstrap keep together: the patient, or the record; None where nothing is known.
        label: One number for each of the task's outputs (1.0 true, 0.0 false); None where it is not known.
        kind: What sort of example it is, such as the alarm's type or the rhythm; "" for no sort.
        fold: Fold of the cross-validation, or None.
        split: "train" or "test" where the labels say so, or None.
        number: Place in the archive where neighbours may be one patient; None where the patients are known.
        layout: Name of the layout that describes the file, or None.
    """

    recording: str
    name: str
    start_s: float
    length_s: float
    subject: str | None
    group: str | None
    label: tuple[float, ...] | None
    kind: str = ""
    fold: int | None = None
    split: str | None = None
    number: int | None = None
    layout: str | None = None

    @property
    def end_s(self) -> float:
        """End of the window: the last moment that may be looked at, seconds after the start of the recording."""
        return self.start_s + self.length_s

    def stretch(self, lookback_s: float) -> tuple[float, float]:
        """Return (start_s, duration_s) of the `lookback_s` seconds that end with the window; fewer at the beginning.

        Example:
            >>> Example(recording="a", name="a", start_s=290.0, length_s=10.0, subject=None, group="a",
            ...         label=(1.0,)).stretch(16.0)
            (284.0, 16.0)
        """
        begin_s = max(0.0, self.end_s - lookback_s)
        return begin_s, self.end_s - begin_s


def truths(examples: Sequence[Example]) -> Float64[np.ndarray, "example output"]:
    """Return the labels as an array.

    Raises:
        TaskError: An example has no label.
    """
    for example in examples:
        if example.label is None:
            raise TaskError(
                problem("no label", where=example.name, field="label", found=None, expected="a label for each example")
            )
    return np.array([example.label for example in examples], np.float64)


def groups_of(examples: Sequence[Example]) -> Shaped[np.ndarray, " example"]:
    """Return the group (patient or record) of every example.

    Raises:
        TaskError: An example has none: a figure made without it could be nothing but leakage.
    """
    for example in examples:
        if not example.group:
            raise TaskError(
                problem(
                    "no group",
                    where=example.name,
                    field="group",
                    found=example.group,
                    expected="the patient or record of every example",
                    advice="without one no test figure is made; add a column `subject` to the labels",
                )
            )
    return np.array([example.group for example in examples])
