"""A task model's answers along one recording: asked window by window in a thread of its own, read at any time."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from qualityfm.errors import QualityFMError
from qualityfm.models.question import Question
from qualityfm.records import Recording
from qualityfm.service.alarms import KEEP, MUTE, Alarm

_LOG = logging.getLogger("qualityfm.service")

#: Windows that are asked together: small in memory, and progress is seen. Our choice.
PIECE_WINDOWS = 32


class TaskAnswers(Protocol):
    """What the viewer needs of a `TaskPrediction`; naming that here would bring torch along."""

    @property
    def start_s(self) -> Float64[np.ndarray, " window"]:
        """Start of each window, s."""
        ...

    @property
    def values(self) -> Float64[np.ndarray, "window output"]:
        """Probabilities or quantities; NaN for a window without any sample."""
        ...

    @property
    def answers(self) -> tuple[str, ...]:
        """Answer for each window."""
        ...


@runtime_checkable
class TaskAnswerer(Protocol):
    """What the viewer needs of a `TaskModel`."""

    @property
    def question(self) -> Question:
        """What it was taught to answer."""
        ...

    def predict_task(
        self, recording: Recording, *, starts_s: Sequence[float] | None = None, kind: str = ""
    ) -> TaskAnswers:
        """Return the answers for windows."""
        ...


class TaskLine:
    """Answers for windows of a recording, one after the other from its start; a rest shorter than a window is left out.

    Args:
        recording: The whole recording.
        model: Whom to ask.

    Attributes:
        windows: Start and end in s, answer, and the first output's value (None where there is none), in time order.
        problem: Why it cannot be asked; empty while it can.
    """

    def __init__(self, recording: Recording, model: TaskAnswerer) -> None:
        self._recording, self._model = recording, model
        self.windows: list[dict[str, Any]] = []
        self.problem = ""
        self.num_windows = int((recording.duration_s + 1e-6) // model.question.window_s)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="qualityfm-task")

    def begin(self) -> None:
        """Begin to ask, in a thread."""
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end after its piece."""
        self._ended.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until all is answered."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        window_s = self._model.question.window_s
        try:
            for first in range(0, self.num_windows, PIECE_WINDOWS):
                if self._ended.is_set():
                    return
                numbers = np.arange(first, min(first + PIECE_WINDOWS, self.num_windows))
                self.windows += _rows(
                    self._model.predict_task(self._recording, starts_s=(numbers * window_s).tolist()), window_s
                )
        except QualityFMError as error:
            self.problem = str(error)
        except Exception:
            _LOG.exception("asking a task model for the viewer failed")
            self.problem = "asking the model failed; the log of the service says why"

    def alarms(self, recording: str) -> tuple[Alarm, ...]:
        """Return an alarm where answers of a yes-or-no task turn to yes: at the end of the first such window."""
        answers = ["no", *(one["answer"] for one in self.windows)]
        turns = [n for n in range(len(answers) - 1) if answers[n + 1] == "yes" and answers[n] != "yes"]
        name = self._model.question.task
        return tuple(Alarm(recording=recording, alarm=name, alarm_s=self.windows[n]["end_s"]) for n in turns)

    def suggestion(self, alarm: Alarm) -> tuple[str, list[str]]:
        """Return what the model's answer on the window before an alarm suggests, "" for nothing, and why."""
        question = self._model.question
        start_s = max(0.0, alarm.alarm_s - question.window_s)
        try:
            found = self._model.predict_task(self._recording, starts_s=[start_s], kind=alarm.alarm)
        except QualityFMError as error:
            return "", [f"the model cannot be asked: {error}"]
        (row,) = _rows(found, question.window_s)
        value = "" if row["value"] is None else f", {question.outputs[0]} {row['value']:.3f}"
        words = [f"the model for {question.task} says {row['answer'] or 'a quantity'}{value}"]
        is_known = question.answer == "binary"
        return ({"yes": KEEP, "no": MUTE}.get(row["answer"], "") if is_known else ""), words


def _rows(found: TaskAnswers, window_s: float) -> list[dict[str, Any]]:
    first = found.values[:, 0].tolist()
    return [
        {
            "start_s": float(start_s),
            "end_s": float(start_s) + window_s,
            "answer": answer,
            "value": round(value, 4) if math.isfinite(value) else None,
        }
        for start_s, answer, value in zip(found.start_s.tolist(), found.answers, first, strict=True)
    ]
