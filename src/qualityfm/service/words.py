"""What the OpenAPI document says: bodies, examples, errors."""

from __future__ import annotations

from typing import Any

DESCRIPTION = "Signal quality of ECG, PPG and arterial pressure, second by second, with causes."

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
            "required": ["status", "message"],
        }
    },
    "required": ["error"],
}

_MEANINGS = {
    400: "The body cannot be read",
    401: "The token is missing or wrong",
    408: "The body did not come in time",
    413: "The body is too long",
    415: "The body is of another media type",
    421: "The request is for another host",
    422: "The recording cannot be used; the message says why",
    503: "The service is busy; Retry-After says when to come back",
}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"application/json": {"schema": _ERROR}}}
    for status, meaning in _MEANINGS.items()
}

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such recording or mark", "content": {"application/json": {"schema": _ERROR}}}
}


_CHANNEL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "kind", "sample_rate_hz", "samples"],
    "properties": {
        "name": {"type": "string"},
        "kind": {"type": "string", "enum": ["ecg", "ppg", "abp", "other"]},
        "unit": {"type": "string", "default": "NU"},
        "sample_rate_hz": {"type": "number", "minimum": 0.1, "maximum": 100000},
        "start_s": {"type": "number", "minimum": 0, "default": 0},
        "samples": {"type": "array", "items": {"type": ["number", "null"]}},
    },
}

_RECORDING = {
    "type": "object",
    "additionalProperties": False,
    "required": ["channels"],
    "properties": {
        "recording": {"type": "string"},
        "channels": {"type": "array", "minItems": 1, "maxItems": 64, "items": _CHANNEL},
    },
}

_EXAMPLE = {
    "recording": "bed 7",
    "channels": [
        {"name": "II", "kind": "ecg", "unit": "mV", "sample_rate_hz": 4, "samples": [0.1, None, 0.9, 0.2, 0.1, 0.0]}
    ],
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _query(name: str, schema: dict[str, Any], description: str, example: object, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "schema": schema,
        "description": description,
        "example": example,
    }


SAMPLES = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _RECORDING, "example": _EXAMPLE}}}
}

RAW = {
    "parameters": [
        _query("sample_rate_hz", {"type": "number"}, "Rate of all channels, Hz", 125, True),
        _query("channel", {"type": "array", "items": {"type": "string"}}, "name:kind:unit", ["II:ecg:mV"], True),
    ],
    "requestBody": {
        "required": True,
        "description": "Little-endian float32, one channel after the other; NaN is missing",
        "content": {"application/octet-stream": _BINARY},
    },
}

FILE = {
    "parameters": [
        _query("name", {"type": "string"}, "The file's name, for a body that is the file", "a.edf", False),
        _query("layout", {"type": "string"}, "A layout that ships, for files that do not say enough", "wfdb", False),
    ],
    "requestBody": {
        "required": True,
        "description": "The file itself, or a form with all files of the recording",
        "content": {
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"files": {"type": "array", "items": _BINARY["schema"]}}}
            },
        },
    },
}

_ASKED = [
    _query("end_s", {"type": "number", "exclusiveMinimum": 0}, "Judge only the window that ends here, s", 300, False),
    _query("kind", {"type": "string", "maxLength": 100}, "What sort of window it is", "Asystole", False),
]


def task(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of a call to a task model, whatever brings the recording."""
    return body | {"parameters": [*body.get("parameters", []), *_ASKED]}


_STRETCH = [
    _query("start_s", {"type": "number", "default": 0}, "Where the stretch begins, s", 0, False),
    _query("end_s", {"type": "number", "default": 30}, "Where it ends, s", 30, False),
    _query("columns", {"type": "integer", "minimum": 1, "maximum": 4000, "default": 1000}, "How many", 1000, False),
]
STRETCH = {"parameters": _STRETCH}
AFTER = {"parameters": [_query("after_s", {"type": "number", "default": -1}, "Look after this time, s", 12, False)]}


def _object(properties: dict[str, Any], required: list[str], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "additionalProperties": False, "required": required, "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


_TIME = {"type": "number", "minimum": 0}
MARK = _object(
    {
        "start_s": _TIME,
        "end_s": _TIME,
        "label": {"type": "string", "minLength": 1},
        "channel": {"type": "string"},
        "note": {"type": "string"},
    },
    ["start_s", "end_s", "label"],
    {"start_s": 12, "end_s": 15.5, "label": "artefact", "channel": "II"},
)
DECISION = _object(
    {"decision": {"type": "string", "enum": ["keep", "mute", ""]}, "reason": {"type": "string"}},
    ["decision"],
    {"decision": "mute", "reason": "noise on both leads"},
)
