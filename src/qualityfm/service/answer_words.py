"""What the OpenAPI document says of good answers: their shape, with an example each."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from qualityfm.service.words import ERRORS

_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _good(description: str, schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"response_class": Response, "responses": {200: {"description": description, "content": content}, **ERRORS}}


_CHANNEL = _object(
    {
        "name": _TEXT,
        "kind": _TEXT,
        "quality": _list(_NUMBER),
        "causes": _list(_TEXT),
        "model_quality": _list(_NUMBER),
    },
    optional=("model_quality",),
)
_SEGMENT = _object(
    {
        "start_s": _NUMBER,
        "length_s": _NUMBER,
        "quality": _NUMBER,
        "grade": {"type": "string", "enum": list("ABCDE")},
        "usable_for": _list(_TEXT),
        "channels": _list(_CHANNEL),
    }
)
_SEGMENT_EXAMPLE = {
    "start_s": 0.0,
    "length_s": 3.0,
    "quality": 0.62,
    "grade": "C",
    "usable_for": ["heart rate"],
    "channels": [
        {"name": "II", "kind": "ecg", "quality": [0.94, 0.41, 0.52], "causes": ["", "motion, spike", "baseline"]}
    ],
}

SCORE: dict[str, Any] = {
    "summary": "Quality of every second",
    **_good(
        "Segments in time order; quality from 0 to 1 and causes of each second of each channel",
        _object({"recording": _TEXT, "segments": _list(_SEGMENT)}),
        {"recording": "bed 7", "segments": [_SEGMENT_EXAMPLE]},
    ),
}

EMBED: dict[str, Any] = {
    "summary": "One vector for each segment",
    **_good(
        "Vectors in time order; null for a segment without any sample",
        _object(
            {
                "recording": _TEXT,
                "start_s": _list(_NUMBER),
                "vectors": _list({"type": ["array", "null"], "items": _NUMBER}),
            }
        ),
        {"recording": "bed 7", "start_s": [0.0, 30.0], "vectors": [[0.12, -0.8, 0.05], None]},
    ),
}

_WINDOW = _object(
    {
        "start_s": _NUMBER,
        "values": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        "answer": _TEXT,
    }
)
TASK: dict[str, Any] = {
    "summary": "The task model's answer to each window",
    **_good(
        "Windows in time order; probabilities, or quantities in their unit; answer is yes, no, abstain or a class",
        _object({"recording": _TEXT, "task": _TEXT, "window_s": _NUMBER, "windows": _list(_WINDOW)}),
        {
            "recording": "bed 7",
            "task": "vt-alarm",
            "window_s": 10.0,
            "windows": [{"start_s": 290.0, "values": {"true_alarm": 0.03}, "answer": "no"}],
        },
    ),
}

REPORT: dict[str, Any] = {
    "summary": "A page to read or print",
    "response_class": Response,
    "responses": {200: {"description": "HTML that needs nothing else", "content": {"text/html": {}}}, **ERRORS},
}
