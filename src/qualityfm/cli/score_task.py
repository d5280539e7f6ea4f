"""`qualityfm score --task`: a task model's answers for windows of recordings, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualityfm.cli.batches import for_each_recording
from qualityfm.cli.places import write_table
from qualityfm.cli.terminal import name_problems, remark, say_json, say_table
from qualityfm.errors import TaskError, problem
from qualityfm.service.alarms import Alarm, is_of, read_alarms

if TYPE_CHECKING:
    import pandas

    from qualityfm.cli.score import Options
    from qualityfm.records import Recording
    from qualityfm.tasks.answers import TaskPrediction

#: Whose task models are asked where no model is named.
DEFAULT_MODEL = "qualityfm-tiny"


def answer_recordings(options: Options) -> int:
    """Answer, and print or write a row for each window; in a folder, what cannot be used is skipped and named."""
    import pandas as pd

    from qualityfm.cli.score import spread_of

    task, name = str(options.task), options.model or DEFAULT_MODEL
    alarms = None if options.alarms is None else read_alarms(options.alarms)
    _model_here.cache_clear()  # a model may have been trained anew under its name
    model = _model_here(name, task)
    batch = for_each_recording(
        options.recordings,
        AskRecording(model=name, task=task, end_s=options.end_s, kind=options.kind, alarms=alarms),
        f"asking {task}",
        options.layout,
        spread=spread_of(options),
        is_wanted=None if alarms is None else lambda recording: any(is_of(alarm, recording) for alarm in alarms),
    )
    frame = pd.concat(batch.results, ignore_index=True)
    if options.out is not None:
        write_table(frame, options.out)
    if options.json:
        say_json(_summary(model.name, task, frame, options.out) | {"problems": list(batch.problems)})
        return 0
    name_problems(batch.problems)
    if options.out is None:
        outputs = list(model.question.outputs)
        rows = [
            (row["recording"], f"{row['start_s']:g}", *(f"{row[name]:.3g}" for name in outputs), row["answer"])
            for row in frame.to_dict("records")
        ]
        say_table(("recording", "start_s", *outputs, "answer"), rows)
    remark(f"{len(frame)} windows of {len(batch.results)} recordings" + (f": {options.out}" if options.out else ""))
    return 0


@dataclass(frozen=True, kw_only=True)
class AskRecording:
    """Asks a task model of one recording, perhaps in another process.

    Attributes:
        model: What to load there.
        task: What it must answer.
        end_s: End of the only window; None for one after the other.
        kind: What sort of window it is.
        alarms: A window ends at each of these that is of the recording, with its kind; None without a table.
    """

    model: str
    task: str
    end_s: float | None
    kind: str
    alarms: tuple[Alarm, ...] | None

    def __call__(self, recording: Recording) -> pandas.DataFrame:
        """Return a row for each window."""
        import pandas as pd

        if self.alarms is None:
            return self._asked(recording, self.end_s, self.kind)
        known = [one for one in self.alarms if is_of(one, recording.recording_id)]
        if not known:
            expected = "an alarm of this recording in the table"
            raise TaskError(
                problem("no alarm", where=recording.recording_id, field="--alarms", found=None, expected=expected)
            )
        rows = [
            self._asked(recording, one.alarm_s, one.alarm).assign(alarm=one.alarm, alarm_s=one.alarm_s) for one in known
        ]
        return pd.concat(rows, ignore_index=True)

    def _asked(self, recording: Recording, end_s: float | None, kind: str) -> pandas.DataFrame:
        model = _model_here(self.model, self.task)
        starts_s = None if end_s is None else [max(0.0, end_s - model.question.window_s)]
        found: TaskPrediction = model.predict_task(recording, starts_s=starts_s, kind=kind)
        return found.to_pandas()


def find_task_model(name: str, task: str) -> Any:
    """Return a model that answers a task: NAME itself, or the shipped NAME-TASK.

    Raises:
        TaskError: It answers no task, or another one.
    """
    from qualityfm.inference.loading import load_model, shipped_models

    of_task = f"{name}-{task}"
    model = load_model(of_task if of_task in shipped_models() else name, runtime="auto")
    question = getattr(model, "question", None)
    if question is None or question.task != task:
        found = None if question is None else question.task
        advice = f"`qualityfm finetune {task}` makes one"
        raise TaskError(
            problem(
                "no task head", where=name, field="task", found=found, expected=f"a model for {task}", advice=advice
            )
        )
    return model


#: The model is loaded once in each process.
_model_here = lru_cache(maxsize=1)(find_task_model)


def _summary(model: str, task: str, frame: Any, out: Path | None) -> dict[str, Any]:
    answers = {str(key): int(count) for key, count in frame["answer"].value_counts().items() if key}
    rows = [] if out is not None else frame.astype(object).where(frame.notna(), None).to_dict("records")
    about = {"model": model, "task": task, "out": None if out is None else str(out)}
    return about | {"num_windows": len(frame), "answers": answers, "windows": rows}
