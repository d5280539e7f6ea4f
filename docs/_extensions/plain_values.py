"""Keeps what is written about a value as it is: napoleon would take the words before a colon for its type."""

from __future__ import annotations

from sphinx.application import Sphinx

VALUES = ("attribute", "data")
BEFORE_NAPOLEON, AFTER_NAPOLEON = 400, 600


def setup(app: Sphinx) -> dict[str, bool]:
    """Remember the lines before napoleon sees them, and put them back afterwards."""
    kept: list[str] = []

    def remember(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
        kept[:] = lines

    def restore(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
        if what in VALUES:
            lines[:] = kept

    app.connect("autodoc-process-docstring", remember, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", restore, priority=AFTER_NAPOLEON)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
