"""What a task's model says of windows of a recording, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from qualityfm.models.question import Question
from qualityfm.records import Recording, Signal

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, kw_only=True)
class TaskPrediction:
    """A task's answers for windows of a recording.

    Attributes:
        recording_id: The recording.
        question: What was asked; names the columns of `values`.
        start_s: Start of each window, s.
        values: Calibrated probabilities, or quantities in their unit; NaN for a window without any sample.
        answers: "yes", "no" or "abstain" for each window of a yes-or-no task, the class for several, else "".
    """

    recording_id: str
    question: Question
    start_s: Float64[np.ndarray, " window"]
    values: Float64[np.ndarray, "window output"]
    answers: tuple[str, ...]

    def to_pandas(self) -> pandas.DataFrame:
        """Return a frame with recording, start_s, one column for each output, and answer."""
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.question.outputs))
        frame.insert(0, "start_s", self.start_s)
        frame.insert(0, "recording", self.recording_id)
        frame["answer"] = list(self.answers)
        return frame

    def __repr__(self) -> str:
        return f"{self.question.task} of {self.recording_id!r}:\n{self.to_pandas().to_string(index=False)}"


def default_starts(duration_s: float, window_s: float) -> Float64[np.ndarray, " window"]:
    """Return starts of windows in a row of which the last ends with the recording; 0 for a short one."""
    num = max(1, int((duration_s + 1e-6) // window_s))
    return np.asarray(np.maximum(duration_s - window_s * np.arange(num, 0, -1), 0.0), np.float64)


def between(recording: Recording, begin_s: float, end_s: float) -> Recording:
    """Return a stretch of a recording that begins at 0, with no sample from `end_s` on."""

    def cut(signal: Signal) -> Signal:
        rate = signal.sample_rate_hz
        first = min(max(0, int(np.ceil((begin_s - signal.start_s) * rate - 1e-6))), len(signal.samples))
        last = max(first, int(np.ceil((end_s - signal.start_s) * rate - 1e-6)))
        starts_s = signal.start_s + first / rate - begin_s
        return replace(signal, samples=signal.samples[first:last], start_s=max(0.0, starts_s))

    return replace(recording, signals=tuple(map(cut, recording.signals)))
