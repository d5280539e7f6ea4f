"""A task model's answers to one request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from qualityfm.records import Recording
from qualityfm.service.task_line import TaskAnswerer
from qualityfm.strict_json import refusal

#: Longest `kind` that a query may name, characters.
MAX_KIND = 100


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request asks of a task model.

    Attributes:
        end_s: End of the only window to judge, s; None for one after the other.
        kind: What sort of window it is, such as the alarm's type.
    """

    end_s: float | None
    kind: str


def asked_of(query: Mapping[str, str]) -> Asked:
    """Return what a query asks.

    Raises:
        SignalError: `end_s` is no time, or `kind` is long.
    """
    text, kind = query.get("end_s"), query.get("kind", "")
    if len(kind) > MAX_KIND:
        raise refusal("query", "kind", kind, f"at most {MAX_KIND} characters")
    try:
        end_s = None if text is None else float(text)
    except ValueError:
        end_s = math.nan
    if end_s is not None and not 0 < end_s < 1e9:
        raise refusal("query", "end_s", text, "seconds after the start")
    return Asked(end_s=end_s, kind=kind)


def answer_bytes(model: TaskAnswerer, recording: Recording, asked: Asked) -> bytes:
    """Return the answers as the JSON that the service answers with; null for a window without any sample."""
    question = model.question
    starts_s = None if asked.end_s is None else [max(0.0, asked.end_s - question.window_s)]
    found = model.predict_task(recording, starts_s=starts_s, kind=asked.kind)
    windows = [
        {
            "start_s": float(start_s),
            "values": {
                name: float(value) if math.isfinite(value) else None
                for name, value in zip(question.outputs, values, strict=True)
            },
            "answer": answer,
        }
        for start_s, values, answer in zip(found.start_s, found.values, found.answers, strict=True)
    ]
    about = {"recording": recording.recording_id, "task": question.task, "window_s": question.window_s}
    return json.dumps({**about, "windows": windows}, ensure_ascii=False).encode()
