"""Calls made from a service's OpenAPI document: ones that follow it, and ones that do not; and what answers may be."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

#: Share of the values that are not what the schema says.
ODD_SHARE = 0.15
ODD: tuple[Any, ...] = (
    None, True, "", "x" * 300, "../../etc/passwd", "\x00", "é\ud7ff", -1, 0, 1e20, -1e300, 2**70, 0.5, [], {}, [[[]]],
    "NaN", "1e999",
)  # fmt: skip
#: Whole bodies that are no JSON, or no good one.
TORN = (b"", b"{", b"\xff\xfe", b"NaN", b'{"channels": [1e999]}', b'{"a": 1, "a": 2}', b"[" * 5000, b"null", b'"text"')
KINDS = (
    "application/json",
    "text/plain",
    "application/octet-stream",
    "multipart/form-data",
    "",
    "application/JSON; x=y",
)
#: A record that can be read, a hundred seconds of letters.
RECORD = {"r1.hea": "r1 1 125 12500\nr1.dat 16 200/mV 16 0 0 0 0 II\n", "r1.dat": "abcdefghij" * 2500}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, and what the document says of its answers."""

    request: dict[str, Any]
    responses: dict[str, Any]


def calls_of(document: dict[str, Any], number: int, seed: int) -> Iterator[Call]:
    """Yield calls of all operations in turn."""
    draw = random.Random(seed)
    operations = [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]
    for place in range(number):
        path, method, operation = operations[place % len(operations)]
        yield _call(path, method, operation, draw)


def _call(path: str, method: str, operation: dict[str, Any], draw: random.Random) -> Call:
    query = []
    for one in operation.get("parameters", []):
        drawn = [_value(one["schema"], draw) for _ in range(draw.choice((0, 1, 1, 1, 1, 2)))]
        texts = [str(value) for value in drawn if not isinstance(value, list)] or [one.get("example", "x")]
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", draw.choice(("0", "0", "0", "1", "-1", "x", "9" * 20)))
        else:
            query += [(one["name"], text) for text in (texts if drawn else [])]
    content, kind = b"", ""
    if "requestBody" in operation:
        content, kind = _body(operation["requestBody"]["content"], draw)
    request = {"method": method.upper(), "url": path, "params": query, "content": content}
    return Call(request=request | {"headers": {"content-type": kind}}, responses=operation["responses"])


def _body(contents: dict[str, Any], draw: random.Random) -> tuple[bytes, str]:
    kind = draw.choice(list(contents))
    if draw.random() < ODD_SHARE:
        return draw.choice(TORN), draw.choice((kind, *KINDS))
    if kind == "application/json":
        one = contents[kind]
        return json.dumps(one["example"] if draw.random() < 0.2 else _value(one["schema"], draw)).encode(), kind
    if kind == "multipart/form-data" and draw.random() < 0.5:
        parts = "".join(
            f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n{text}\r\n'
            for name, text in RECORD.items()
        )
        return f"{parts}--edge--\r\n".encode(), "multipart/form-data; boundary=edge"
    if kind == "multipart/form-data":
        name, tail = draw.choice(("a.edf", "a.hea", "../x", "a.csv", 'q".dat')), draw.randbytes(draw.randrange(200))
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        return head + tail + draw.choice((b"\r\n--edge--\r\n", b"")), "multipart/form-data; boundary=edge"
    return draw.randbytes(draw.choice((0, 1, 4, 4000, 30_000))), kind


def _value(schema: dict[str, Any], draw: random.Random) -> Any:
    """Return a value of a schema, or now and then one that is not."""
    if draw.random() < ODD_SHARE:
        return draw.choice(ODD)
    if "enum" in schema:
        return draw.choice(schema["enum"])
    kind = schema.get("type", "string")
    kind = draw.choice(kind) if isinstance(kind, list) else kind
    if kind == "object":
        wanted, known = schema.get("required", []), schema.get("properties", {})
        chosen = [name for name in known if name in wanted or draw.random() < 0.5]
        return {name: _value(known[name], draw) for name in chosen if draw.random() > ODD_SHARE / 5}
    if kind == "array":
        items, length = schema["items"], draw.randint(schema.get("minItems", 0), 3)
        if items.get("type") == ["number", "null"]:  # samples: long enough to be scored, and mostly numbers
            return [draw.choice((draw.gauss(0, 1),) * 9 + (None,)) for _ in range(draw.choice((0, 1, 500, 5000)))]
        return [_value(items, draw) for _ in range(length)]
    if kind in ("number", "integer"):
        lowest = schema.get("minimum", schema.get("exclusiveMinimum", -100))
        found = draw.choice((lowest, lowest + 1, 125, 250, schema.get("maximum", 1000)))
        return int(found) if kind == "integer" else found
    return None if kind == "null" else draw.choice(("II", "PLETH", "bed 7", "II:ecg:mV", "PLETH:ppg:NU", "a.edf"))


def faults_of(call: Call, answer: httpx.Response) -> list[str]:
    """Return what the service must never do: fail, contradict its document, or refuse in another shape."""
    faults, status = [], answer.status_code
    kind = answer.headers.get("content-type", "").split(";")[0]
    if status >= 500 and not (status == 503 and "retry-after" in answer.headers):
        faults.append(f"status {status}")
    if str(status) not in call.responses:
        faults.append(f"status {status} is not in the document")
    elif kind not in call.responses[str(status)].get("content", {kind: None}):
        faults.append(f"status {status} comes as {kind}, which is not in the document")
    elif kind == "application/json":
        content = call.responses[str(status)].get("content", {})
        faults += mismatches(content.get(kind, {}).get("schema", {}), answer.json())
    if status >= 400 and (kind != "application/json" or answer.json()["error"]["status"] != status):
        faults.append("not the one shape of every error")
    if "Traceback" in answer.text:
        faults.append("shows a traceback")
    return faults


KINDS_OF = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "null": type(None)}


def mismatches(schema: dict[str, Any], value: Any, where: str = "answer") -> list[str]:
    """Return where a value is not what a schema says, as far as our own document uses schemas."""
    kinds = schema.get("type", list(KINDS_OF))
    if not any(isinstance(value, KINDS_OF[kind]) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{where} is {type(value).__name__}, not {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is {value!r}, not one of {schema['enum']}"]
    if isinstance(value, list):
        items = schema.get("items", {})
        return [fault for one in value for fault in mismatches(items, one, f"{where}[]")]
    if not isinstance(value, dict):
        return []
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    faults = [f"{where} lacks {name}" for name in schema.get("required", []) if name not in value]
    for name, one in value.items():
        if name not in known and more is False:
            faults.append(f"{where} has {name}, which is not in the document")
        faults += mismatches(known.get(name, more if isinstance(more, dict) else {}), one, f"{where}.{name}")
    return faults
