"""JSON from strangers: shallow, finite, without doubled keys; every refusal is a `SignalError`, never a surprise."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import SignalError, problem


class UnreadableJsonError(SignalError):
    """A text that is no JSON, or none that is read."""


#: Brackets within brackets; a channel table needs four.
MAX_NESTING = 16

#: Longest foreign text that a refusal repeats, characters.
MAX_SHOWN = 60

#: Everything between brackets, texts as a whole so that a bracket in a name does not count.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def read_json(text: bytes, where: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        UnreadableJsonError: No JSON, too deep, a key twice, or NaN and Infinity, which JSON does not have.
    """
    depth = _depth(text)
    if depth > MAX_NESTING:
        raise UnreadableJsonError(refusal(where, "nesting", depth, f"at most {MAX_NESTING} levels"))
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        expected = "JSON in UTF-8, every key once, no NaN or Infinity"
        raise UnreadableJsonError(refusal(where, "text", str(error), expected)) from error


def field_of(value: Any, name: str, kind: type | tuple[type, ...], where: str, default: Any = None) -> Any:
    """Return a field of an object, of one kind; `true` is no number.

    Raises:
        SignalError: Not an object, the field is missing, or of another kind.
    """
    if not isinstance(value, Mapping):
        raise refusal(where, "message", value, "an object")
    if name not in value:
        if default is not None:
            return default
        raise refusal(where, name, "nothing", "a value")
    found = value[name]
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise refusal(where, name, found, " or ".join(one.__name__ for one in kinds))
    return found


def only_fields(value: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    """Refuse fields that nobody reads.

    Raises:
        SignalError: There is one.
    """
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise refusal(where, "field", unknown[0], f"one of {', '.join(names)}")


def samples_of(value: Any, where: str) -> Float32[np.ndarray, " time"]:
    """Return a list of numbers as samples; null is a missing one.

    Raises:
        SignalError: No list, or something in it is neither a finite number nor null.
    """
    if not isinstance(value, list):
        raise refusal(where, "samples", value, "a list of numbers and nulls")
    foreign = set(map(type, value)) - {int, float, type(None)}
    if foreign:
        raise refusal(where, "samples", min(one.__name__ for one in foreign), "numbers and nulls")
    try:
        with np.errstate(over="ignore"):
            samples = np.array(value, np.float64).astype(np.float32)
    except OverflowError as error:
        raise refusal(where, "samples", "a number beyond any float", "finite numbers") from error
    if np.isinf(samples).any():
        raise refusal(where, "samples", "an infinite number", "finite numbers")
    return samples


def refusal(where: str, field: str, found: object, expected: str) -> SignalError:
    """Return the error for a message that cannot be used; foreign text is repeated in part only."""
    if isinstance(found, str | int | float | bool) or found is None:
        shown: object = found if len(str(found)[: MAX_SHOWN + 1]) <= MAX_SHOWN else f"{str(found)[:MAX_SHOWN]}..."
    else:
        shown = type(found).__name__
    return SignalError(problem("wrong message", where=where, field=field, found=shown, expected=expected))


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        mark = match.group()
        if mark in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"]", b"}"):
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
