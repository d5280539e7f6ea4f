"""Work on one recording, or on all of a folder: skipped and named where they cannot be used, over processes or Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qualityfm.cli.terminal import progress, told_if_slow
from qualityfm.errors import QualityFMError, SourceError, problem

if TYPE_CHECKING:
    from qualityfm.cluster import Engine
    from qualityfm.records import Recording
    from qualityfm.sources import Found

T = TypeVar("T")

#: Recordings for which another process is worth its start, some seconds. Our choice.
RECORDINGS_A_WORKER = 16

#: Why the first command ever is silent for a while.
FIRST_USE = "at work; on first use the inner loops are compiled, once, for about half a minute"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What became of the recordings a command named."""

    results: tuple[Any, ...]
    problems: tuple[dict[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Over what a folder's recordings are spread.

    Attributes:
        workers: Recordings worked on at a time; None for as many as the folder is worth, at most all processors.
        engine: Processes of this machine, or a Ray cluster.
        address: A running Ray cluster to join.
    """

    workers: int | None = 1
    engine: Engine = "processes"
    address: str | None = None


ALONE = Spread()


def for_each_recording(
    path: Path,
    work: Callable[[Recording], T],
    label: str,
    layout: str | None = None,
    *,
    spread: Spread = ALONE,
    take: Callable[[T], Any] | None = None,
    is_wanted: Callable[[str], bool] | None = None,
) -> Batch:
    """Apply a function to one recording, or to every recording in a folder, with progress.

    In a folder, what cannot be read or used is skipped and noted; a recording that was named must work. Results are
    taken in the folder's order whatever the number of workers; one that is ready early waits for those before it.

    Args:
        path: The recording, or the folder.
        work: What to do with each; with several workers it must be possible to pickle it.
        label: What to call the work.
        layout: Of files that do not describe themselves.
        spread: Over what; the same results for any.
        take: Called here with each result, in order, and returns what is kept of it; None keeps it whole.
        is_wanted: Whether a recording of a folder is worked on, by its name; None for all.

    Raises:
        SourceError: There is nothing to read, or no recording of the folder could be used.
        SignalError: The recording that was named cannot be used.
    """
    from qualityfm.sources import find_recordings, open_recording

    keep = take or (lambda result: result)
    if not path.is_dir():
        with told_if_slow(FIRST_USE):
            return Batch(results=(keep(work(open_recording(path, layout=layout))),), problems=())
    found = [one for one in find_recordings(path, layout=layout) if one.aside is None]
    if is_wanted is not None:
        found = [one for one in found if is_wanted(one.recording_id)]
    results: list[Any] = []
    problems: list[dict[str, str]] = []
    for one, outcome in zip(found, _outcomes(found, _Step(work=work, layout=layout), label, spread), strict=True):
        try:
            results.append(keep(outcome.result()))
        except QualityFMError as error:
            problems.append({"recording": one.recording_id, "reason": str(error)})
    if not results:
        first = f"; first reason: {problems[0]['reason']}" if problems else ""
        expected = "at least one recording that can be used"
        raise SourceError(
            problem("nothing to work on", where=path, field="recordings", found=len(found), expected=expected) + first
        )
    return Batch(results=tuple(results), problems=tuple(problems))


def num_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class _Outcome(Generic[T]):
    """A result, or why there is none."""

    value: T | None = None
    error: QualityFMError | None = None

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, kw_only=True)
class _Step(Generic[T]):
    """Opens a recording and works on it, perhaps in another process."""

    work: Callable[[Recording], T]
    layout: str | None

    def __call__(self, one: Found) -> _Outcome[T]:
        from qualityfm.sources import open_recording

        try:
            if one.problem is not None:
                raise SourceError(one.problem)
            recording = replace(open_recording(one.path, layout=self.layout), recording_id=one.recording_id)
            return _Outcome(value=self.work(recording))
        except QualityFMError as error:
            return _Outcome(error=error)


def _outcomes(found: list[Found], step: _Step[T], label: str, spread: Spread) -> Iterator[_Outcome[T]]:
    """Yield what became of each recording, in order, and show progress as they get ready."""
    from qualityfm.cluster import map_unordered

    workers = spread.workers
    if workers is None:
        workers = max(1, min(num_processors(), len(found) // RECORDINGS_A_WORKER))
    waiting: dict[int, _Outcome[T]] = {}
    next_place = 0
    ready = map_unordered(step, found, workers, engine=spread.engine, address=spread.address)
    with progress(label, len(found)) as advance, closing(ready):
        for number, (place, outcome) in enumerate(ready, 1):
            advance(number, found[place].recording_id)
            waiting[place] = outcome
            while next_place in waiting:
                yield waiting.pop(next_place)
                next_place += 1
