"""`qualityfm score --task`: a task model's answers for windows of recordings, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualityfm.cli.places import for_each_recording, write_table
from qualityfm.cli.terminal import name_problems, remark, say_json, say_table
from qualityfm.errors import TaskError, problem

if TYPE_CHECKING:
    from qualityfm.cli.score import Options
    from qualityfm.records import Recording
    from qualityfm.tasks.answers import TaskPrediction

#: Whose task models are asked where no model is named.
DEFAULT_MODEL = "qualityfm-tiny"


def answer_recordings(options: Options) -> int:
    """Answer, and print or write a row for each window; in a folder, what cannot be used is skipped and named."""
    import pandas as pd

    task = str(options.task)
    model = find_task_model(options.model or DEFAULT_MODEL, task)

    def answer_one(recording: Recording) -> TaskPrediction:
        starts_s = None if options.end_s is None else [max(0.0, options.end_s - model.question.window_s)]
        found: TaskPrediction = model.predict_task(recording, starts_s=starts_s, kind=options.kind)
        return found

    batch = for_each_recording(options.recordings, answer_one, f"asking {task}", options.layout)
    frame = pd.concat([one.to_pandas() for one in batch.results], ignore_index=True)
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


def _summary(model: str, task: str, frame: Any, out: Path | None) -> dict[str, Any]:
    answers = {str(key): int(count) for key, count in frame["answer"].value_counts().items() if key}
    rows = [] if out is not None else frame.astype(object).where(frame.notna(), None).to_dict("records")
    about = {"model": model, "task": task, "out": None if out is None else str(out)}
    return about | {"num_windows": len(frame), "answers": answers, "windows": rows}
