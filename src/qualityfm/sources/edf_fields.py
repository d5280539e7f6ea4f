"""Single fields of an EDF header: their grammar, and the names of what had to be mended to read them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from qualityfm.errors import SourceError
from qualityfm.sources.strict import refusal, shown

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,8}", re.ASCII)


@dataclass
class Repairs:
    """What had to be mended while reading."""

    path: Path
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, note: str) -> None:
        """Name a repair, and explain it where it was made first."""
        if name not in self.names:
            self.names.append(name)
            self.notes.append(note)


def text_of(repairs: Repairs, raw: bytes, where: str) -> str:
    """Return a label or unit; what cannot be printed becomes "?"."""
    raw = raw.rstrip(b" \0").lstrip(b" ")
    try:
        text = raw.decode("utf-8")  # ASCII is what the format asks for
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if not text.isprintable():
        repairs.add("unprintable-text", f"{where}: characters that cannot be printed are shown as ?")
        text = "".join(c if c.isprintable() else "?" for c in text)
    return text


def unit_of(repairs: Repairs, raw: bytes, where: str) -> str:
    """Return a unit; its first letter may make a thousandfold difference, so blanks in its place are named."""
    unit = text_of(repairs, raw, where)
    _name_leading_blanks(repairs, raw, where, unit)
    return unit


def _name_leading_blanks(repairs: Repairs, raw: bytes, where: str, text: str) -> None:
    if text and raw.startswith(b" "):
        repairs.add("right-justified", f"{where}: blanks before it, where fields begin with their first character")


def number_of(repairs: Repairs, raw: bytes, where: str, low: float, high: float) -> float:
    """Return the number in a field, from `low` to `high`."""
    text = _field(repairs, raw, where)
    if _NUMBER.fullmatch(text) is None or not low <= float(text) <= high:
        raise _wrong(repairs.path, where, text, f"a number from {low:g} to {high:g}")
    return float(text)


def whole_of(repairs: Repairs, raw: bytes, where: str, low: int, high: int) -> int:
    """Return the whole number in a field, from `low` to `high`."""
    text = _field(repairs, raw, where)
    if _WHOLE.fullmatch(text) is None or not low <= int(text) <= high:
        raise _wrong(repairs.path, where, text, f"a whole number from {low} to {high}")
    return int(text)


def _field(repairs: Repairs, raw: bytes, where: str) -> str:
    text = raw.strip(b" ")
    if text.endswith(b"\0"):
        repairs.add("nul-padding", f"{where}: padded with NUL instead of blanks")
        text = text.rstrip(b" \0")
    decoded = text.decode("latin-1")
    _name_leading_blanks(repairs, raw, where, decoded)
    return decoded


def _wrong(path: Path, where: str, text: str, expected: str) -> SourceError:
    return refusal(path, where, shown(text), expected)
