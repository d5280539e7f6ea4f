"""Finished parts of a benchmark, kept beside its report: a second run with the same question reads them again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from qualityfm.evidence.quality_figures import Figure
from qualityfm.files import write_text

#: Rooms whose code decides a figure.
ROOMS = ("evidence", "inference", "models", "quality", "sources", "waveform")


@dataclass(frozen=True, kw_only=True)
class KeptParts:
    """A folder of finished parts.

    Attributes:
        folder: Where they are kept.
        question: What decides the figures; a part that was kept for another question is not found.
    """

    folder: Path
    question: str

    def find(self, part: str) -> list[Figure] | None:
        """Return the figures of a part; None where they are not kept, are damaged, or answer another question."""
        try:
            found = json.loads(self._path(part).read_text(encoding="utf-8"))
            return [Figure.from_row(row) for row in found["figures"]] if found["question"] == self.question else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, part: str, figures: Iterable[Figure]) -> None:
        """Write the figures of a part."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [plain_row(figure, with_curve=True) for figure in figures]
        write_text(self._path(part), json.dumps({"question": self.question, "figures": rows}, indent=1))

    def _path(self, part: str) -> Path:
        return self.folder / f"{re.sub(r'[^a-z0-9]+', '-', part.lower())}.json"


def plain_row(figure: Figure, with_curve: bool = False) -> dict[str, Any]:
    """Return a figure as JSON values: what is not a number is null."""
    row = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in figure.row().items()}
    return {**row, "curve": [list(point) for point in figure.curve]} if with_curve else row


def question_of(*settings: object) -> str:
    """Return a fingerprint of settings and of the code that decides a figure."""
    digest = sha256(repr(settings).encode())
    package = Path(str(files("qualityfm")))
    for path in [package / "segments.py", *sorted(p for room in ROOMS for p in (package / room).rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
