"""TOML or JSON -> frozen dataclass, strictly; dataclass -> plain JSON values.

A component owns its config class; this room only knows how to fill one. An unknown key is an error that names
the nearest known key, a value of the wrong type is an error that names both types.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from qualityfm.errors import ConfigError, problem

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigError: The file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read settings: {path}: {error}") from error


def from_mapping(cls: type[T], mapping: Mapping[str, Any], *, where: object, is_complete: bool = False) -> T:
    """Return a dataclass filled from plain values; nested tables fill nested dataclasses.

    Args:
        cls: A keyword-only dataclass.
        mapping: Keys are field names; a missing key takes the field's default.
        where: File or source named in errors.
        is_complete: Refuse a mapping that leaves a field to its default: for files that must mean the same tomorrow.

    Raises:
        ConfigError: A key is unknown or missing without default, a value has the wrong type, or the class refuses it.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(problem("wrong setting", where=where, field=cls.__name__, found=mapping, expected="a table"))
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass by contract
    for key in mapping:
        if key not in fields:
            nearest = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
            expected = f"one of {', '.join(fields)}"
            advice = f"did you mean {nearest[0]!r}?" if nearest else ""
            raise ConfigError(
                problem("unknown setting", where=where, field=key, found=key, expected=expected, advice=advice)
            )
    values = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = _convert(hints[name], mapping[name], f"{where}: {name}", is_complete)
        elif is_complete or (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING):
            raise ConfigError(problem("missing setting", where=where, field=name, found=None, expected="a value"))
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{error} (in {where})") from error


def _convert(kind: Any, value: Any, where: str, is_complete: bool) -> Any:
    origin = typing.get_origin(kind)
    if origin is types.UnionType or origin is typing.Union:
        if value is None:
            return None
        (kind,) = (a for a in typing.get_args(kind) if a is not type(None))
        return _convert(kind, value, where, is_complete)
    if origin is typing.Literal:
        if value not in typing.get_args(kind):
            raise ConfigError(f"wrong setting: {where}: found {value!r}, expected one of {typing.get_args(kind)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"wrong setting: {where}: found {value!r}, expected a list")
        inner = typing.get_args(kind)[0]
        return tuple(_convert(inner, v, where, is_complete) for v in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"wrong setting: {where}: found {value!r}, expected a table")
        return dict(value)
    if dataclasses.is_dataclass(kind):
        return from_mapping(typing.cast(type[Any], kind), value, where=where, is_complete=is_complete)
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return float(value)
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        try:
            if issubclass(kind, str) and isinstance(value, str):
                return kind(value)  # an enumeration
        except ValueError:
            pass
        raise ConfigError(f"wrong setting: {where}: found {value!r}, expected {kind.__name__}")
    return value


def first_difference(found: Any, wanted: Any, name: str) -> tuple[str, object, object]:
    """Return name and both values of the first setting in which two trees of plain values differ.

    Args:
        found: What is there.
        wanted: What is asked for; only its keys count.
        name: Name of the whole.
    """
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in wanted:
            if found.get(key) != wanted[key]:
                return first_difference(found.get(key), wanted[key], f"{name}.{key}" if name else key)
    return name, found, wanted


def to_plain(value: Any) -> Any:
    """Return dataclasses, tuples and enumerations as the dicts, lists and strings that JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    return str(value) if isinstance(value, str) else value
