"""From a fine-tuned checkpoint to a task's answers for a recording, cut by the checkpoint's own recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from qualityfm.config import from_mapping
from qualityfm.errors import ConfigError, FormatError, SignalError, problem
from qualityfm.inference.predictor import Predictor
from qualityfm.models.checkpoint import CARD, TASK
from qualityfm.models.operating import OperatingPoint
from qualityfm.models.question import Question
from qualityfm.models.task_network import TaskNetwork, load_task_network
from qualityfm.records import Recording, Signal
from qualityfm.tasks.windows import Window, cut_window

if TYPE_CHECKING:
    import pandas

#: Windows that go through the network together.
BATCH_WINDOWS = 64


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


class TaskModel(Predictor):
    """A loaded fine-tuned model. It scores with the classical quality alone; what it learnt is its task.

    Args:
        network: In evaluation mode.
        card: The checkpoint's model.json.

    Raises:
        FormatError: The card's task is damaged.
    """

    network: TaskNetwork

    def __init__(self, network: TaskNetwork, card: dict[str, Any]) -> None:
        super().__init__(network, card)
        try:
            self.question = from_mapping(Question, card[TASK]["question"], where=CARD, is_complete=True)
            stored = card[TASK]["operating"]
            self.operating = None if stored is None else from_mapping(OperatingPoint, stored, where=CARD)
        except (ConfigError, KeyError) as error:
            raise FormatError(f"damaged checkpoint: {CARD}: {TASK}: {error}") from error

    def predict_task(
        self, recording: Recording, *, starts_s: Sequence[float] | None = None, kind: str = ""
    ) -> TaskPrediction:
        """Return the answers for windows of a recording.

        Args:
            recording: With any of the channels that the model takes.
            starts_s: Where windows begin, s; by default one after the other, so that the last ends with the recording.
            kind: What sort of examples they are, such as the alarm's type; "" where it is not known.

        Raises:
            SignalError: The recording has no channel that the model takes, or `starts_s` lies outside.
        """
        window_s = self.question.window_s
        chosen = _default_starts(recording.duration_s, window_s) if starts_s is None else np.asarray(starts_s, float)
        windows = [self._window(recording, float(start_s)) for start_s in chosen]
        values = np.stack([window.values for window in windows])
        number = self.question.kinds.index(kind) if kind in self.question.kinds else -1
        found = self.values_of(values, np.stack([window.levels for window in windows]), np.full(len(values), number))
        return TaskPrediction(
            recording_id=recording.recording_id,
            question=self.question,
            start_s=chosen,
            values=found,
            answers=self.answers_of(found),
        )

    @torch.inference_mode()
    def values_of(
        self,
        values: Float[np.ndarray, "window channel time"],
        levels: Float[np.ndarray, "window level"],
        kind: np.ndarray,
    ) -> Float64[np.ndarray, "window output"]:
        """Return what the model says of windows that are cut and scaled; NaN for one without any sample."""
        parts = []
        for first in range(0, len(values), BATCH_WINDOWS):
            part = slice(first, first + BATCH_WINDOWS)
            inputs = (torch.from_numpy(np.ascontiguousarray(one[part])) for one in (values, levels, kind))
            device = next(self.network.parameters()).device
            outputs = self.network(*(one.to(device) for one in inputs))
            if self.operating is None:
                parts.append(self.network.head.in_units(outputs).cpu().numpy().astype(np.float64))
            else:
                parts.append(self.operating.probability(outputs.cpu().numpy()))
        found = np.concatenate(parts)
        is_there = np.isfinite(values).any(axis=(1, 2))
        return np.asarray(np.where(is_there[:, None], found, np.nan), np.float64)

    def answers_of(self, found: Float64[np.ndarray, "window output"]) -> tuple[str, ...]:
        """Return an answer for each window's values, see `TaskPrediction.answers`."""
        can_judge = np.isfinite(found).all(axis=1)
        if self.operating is None:
            return ("",) * len(found)
        if self.question.answer == "binary":
            return tuple(self.operating.answers(np.nan_to_num(found[:, 0]), can_judge))
        best = np.nan_to_num(found).argmax(axis=1)
        return tuple(self.question.outputs[k] if can else "abstain" for k, can in zip(best, can_judge, strict=True))

    def _window(self, recording: Recording, start_s: float) -> Window:
        if not 0 <= start_s < recording.duration_s:
            raise SignalError(
                problem(
                    "nothing to judge",
                    where=recording.recording_id,
                    field="starts_s",
                    found=start_s,
                    expected=f"0 to {recording.duration_s:g} s",
                )
            )
        moved = _between(recording, start_s, start_s + self.question.window_s)
        return cut_window(moved, self.segments, hidden=self.question.hidden)

    def __repr__(self) -> str:
        return f"TaskModel {self.name!r}: {self.question.task}, windows of {self.question.window_s:g} s"


def _default_starts(duration_s: float, window_s: float) -> Float64[np.ndarray, " window"]:
    """Return starts of windows in a row of which the last ends with the recording; 0 for a short one."""
    num = max(1, int((duration_s + 1e-6) // window_s))
    return np.asarray(np.maximum(duration_s - window_s * np.arange(num, 0, -1), 0.0), np.float64)


def _between(recording: Recording, begin_s: float, end_s: float) -> Recording:
    """Return a stretch of a recording that begins at 0, with no sample from `end_s` on."""

    def cut(signal: Signal) -> Signal:
        rate = signal.sample_rate_hz
        first = min(max(0, int(np.ceil((begin_s - signal.start_s) * rate - 1e-6))), len(signal.samples))
        last = max(first, int(np.ceil((end_s - signal.start_s) * rate - 1e-6)))
        starts_s = signal.start_s + first / rate - begin_s
        return replace(signal, samples=signal.samples[first:last], start_s=max(0.0, starts_s))

    return replace(recording, signals=tuple(map(cut, recording.signals)))


def load_task_model(folder: Path, device: str = "cpu") -> TaskModel:
    """Return the fine-tuned model in a folder.

    Raises:
        FormatError: The checkpoint is damaged, of another version, or was never fine-tuned.
    """
    network, card = load_task_network(folder, device)
    return TaskModel(network, card)
