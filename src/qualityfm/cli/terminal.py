"""What the verbs say: results on stdout, progress and remarks on stderr, nothing that a file could smuggle in."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

#: Without a terminal, progress is a line every so often, s.
PLAIN_EVERY_S = 10.0

#: A command that shows nothing for so long says why, s.
PATIENCE_S = 5.0

#: Refused records that are named one by one before the rest is only counted.
MAX_NAMED = 20

#: Called with how much is done, and a remark.
Advance = Callable[[int, str], None]


def say(text: str = "") -> None:
    """Write a line of result to stdout."""
    sys.stdout.write(f"{text}\n")


def remark(text: str) -> None:
    """Write a line to stderr; results stay clean."""
    sys.stdout.flush()
    sys.stderr.write(f"{clean(text)}\n")
    sys.stderr.flush()


def say_json(value: Any) -> None:
    """Write a value as JSON to stdout; what is not a finite number becomes null."""
    say(json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def clean(text: object) -> str:
    """Return text without control characters: names in files could move the cursor or recolour the terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def say_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write aligned columns; numbers are set to the right."""
    if not rows:
        return
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(head[c]), *(len(row[c]) for row in cells)) for c in range(len(head))]
    is_number = [
        all(isinstance(row[c], int | float) or _looks_numeric(str(row[c])) for row in rows) for c in range(len(head))
    ]

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        )
        return "  ".join(aligned).rstrip()

    say(line(head))
    for row in cells:
        say(line(row))


def _looks_numeric(text: str) -> bool:
    return text[:1].isdigit() or text == "-"


def say_facts(title: str, facts: Mapping[str, object]) -> None:
    """Write a title and one aligned line for each fact."""
    say(clean(title))
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        say(f"  {name:<{width}}  {clean(value)}")


def name_problems(problems: Sequence[Mapping[str, str]], verb: str = "skipped") -> None:
    """Name what was left out on stderr, and count what is too much to name."""
    for one in problems[:MAX_NAMED]:
        remark(f"{verb} {one['recording']}: {one['reason']}")
    if len(problems) > MAX_NAMED:
        remark(f"{verb} {len(problems) - MAX_NAMED} more; --json names them all")


@contextmanager
def progress(label: str, total: int, began: float | None = None) -> Iterator[Advance]:
    """Show progress on stderr: a bar on a terminal, a line every ten seconds elsewhere.

    Args:
        label: What is being done.
        total: How much there is to do.
        began: `time.monotonic()` when the work began, if that was earlier.
    """
    if sys.stderr.isatty():
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _plain_lines(label, total, time.monotonic() if began is None else began)


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=clean(note))


def _plain_lines(label: str, total: int, began: float) -> Advance:
    last = time.monotonic()

    def advance(done: int, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or now - last >= PLAIN_EVERY_S:
            last = now
            left_s = (now - began) / max(done, 1) * (total - done)
            left = f", about {left_s:.0f} s left" if done < total else f" in {now - began:.0f} s"
            remark(f"{label}: {done} of {total}{left}{f'  {note}' if note else ''}")

    return advance


@contextmanager
def told_if_slow(text: str) -> Iterator[None]:
    """While entered, say once why nothing is seen yet, if it takes longer than `PATIENCE_S`."""
    timer = threading.Timer(PATIENCE_S, remark, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class LateProgress:
    """Progress of work that tells its length only with its first report.

    Args:
        label: What is being done.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._began = time.monotonic()
        self._stack = ExitStack()
        self._advance: Advance | None = None

    def __enter__(self) -> Self:
        return self

    def show(self, done: int, total: int, note: str) -> None:
        """Show how much is done."""
        if self._advance is None:
            self._advance = self._stack.enter_context(progress(self._label, total, self._began))
        self._advance(done, note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
