"""From a fine-tuned checkpoint to a task's answers for a recording, cut by the checkpoint's own recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from qualityfm.records import Recording
from qualityfm.tasks.answers import TaskPrediction as TaskPrediction
from qualityfm.tasks.answers import between, default_starts
from qualityfm.tasks.windows import Window, cut_window

#: Windows that go through the network together.
BATCH_WINDOWS = 64


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
        chosen = default_starts(recording.duration_s, window_s) if starts_s is None else np.asarray(starts_s, float)
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
        moved = between(recording, start_s, start_s + self.question.window_s)
        return cut_window(moved, self.segments, hidden=self.question.hidden)

    def __repr__(self) -> str:
        return f"TaskModel {self.name!r}: {self.question.task}, windows of {self.question.window_s:g} s"


def load_task_model(folder: Path, device: str = "cpu") -> TaskModel:
    """Return the fine-tuned model in a folder.

    Raises:
        FormatError: The checkpoint is damaged, of another version, or was never fine-tuned.
    """
    network, card = load_task_network(folder, device)
    return TaskModel(network, card)
