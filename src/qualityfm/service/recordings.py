"""The recordings that the viewer shows: a list known by numbers, and the few that are open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from qualityfm.errors import SourceError, problem
from qualityfm.records import Recording
from qualityfm.service.gate import RefusedError
from qualityfm.service.reduction import Reducer
from qualityfm.service.ribbon import Ribbon
from qualityfm.service.task_line import TaskAnswerer, TaskLine
from qualityfm.sources import Found, find_recordings, open_recording

#: Recordings held open at once, the last used ones. Our choice.
MAX_OPEN = 2
#: Most samples of one recording that are held, all channels together: 1 GB. A day of eight channels at 250 Hz fits.
MAX_SAMPLES = 250_000_000


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One entry of the list: where it is stays here, only its number is known outside."""

    number: int
    name: str
    path: Path
    found: Found | None = None


class OpenRecording:
    """A recording in memory, its views and its quality.

    Args:
        recording: As read.
        model: Whom to ask a task about it; None for nobody.
    """

    def __init__(self, recording: Recording, model: TaskAnswerer | None = None) -> None:
        self.recording = recording
        self.reducers = [Reducer(signal) for signal in recording.signals]
        for reducer in self.reducers:
            reducer.prepare()
        self.ribbon = Ribbon(recording)
        self.ribbon.begin()
        self.task = None if model is None else TaskLine(recording, model)
        if self.task is not None:
            self.task.begin()

    def close(self) -> None:
        """End the threads after the piece they work on."""
        self.ribbon.end()
        if self.task is not None:
            self.task.end()


class Recordings:
    """What a folder holds, or one recording.

    Args:
        path: A folder, looked through now, or anything that `open_recording` takes.
        layout: For files that do not describe themselves.
        model: Whom to ask a task about each recording that is opened; None for nobody.

    Raises:
        SourceError: There is no such folder or recording.
        ConfigError: There is no such layout.
    """

    def __init__(self, path: Path, layout: str | None = None, model: TaskAnswerer | None = None) -> None:
        self._layout, self._model = layout, model
        self._open: OrderedDict[int, OpenRecording] = OrderedDict()
        self._lock = threading.Lock()
        if path.is_dir():
            found = find_recordings(path, layout=layout)
            usable = [f for f in found if f.aside is None]
            self.listed = [Listed(number=i, name=f.recording_id, path=f.path, found=f) for i, f in enumerate(usable)]
        else:
            opened = OpenRecording(_checked(open_recording(path, layout=layout), path), model)
            self.listed = [Listed(number=0, name=opened.recording.recording_id, path=path)]
            self._open[0] = opened
        if not self.listed:
            expected = "at least one recording"
            raise SourceError(problem("nothing to show", where=path, field="folder", found="none", expected=expected))

    def entry(self, number: str) -> Listed:
        """Return the entry of a number as it stands in a URL.

        Raises:
            RefusedError: With status 404; a number is the only way to name a recording.
        """
        if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(self.listed)):
            raise RefusedError(404, f"no such recording: expected a number from 0 to {len(self.listed) - 1}")
        return self.listed[int(number)]

    def open(self, number: str) -> OpenRecording:
        """Return a recording, read now if it is not open; the one that was not used for longest is closed.

        Raises:
            RefusedError: There is no such number.
            SourceError: It cannot be read, or is too long.
        """
        entry = self.entry(number)
        with self._lock:
            if entry.number not in self._open:
                while len(self._open) >= MAX_OPEN:
                    self._open.popitem(last=False)[1].close()
                self._open[entry.number] = self._read(entry)
            self._open.move_to_end(entry.number)
            return self._open[entry.number]

    def _read(self, entry: Listed) -> OpenRecording:
        found = entry.found
        if found is not None and found.problem:
            raise SourceError(found.problem)
        if found is not None:
            _check_size(sum(c.sample_rate_hz for c in found.channels) * found.duration_s, entry.name)
        return OpenRecording(_checked(open_recording(entry.path, layout=self._layout), entry.path), self._model)

    def close(self) -> None:
        """End all scoring."""
        with self._lock:
            for opened in self._open.values():
                opened.close()


def _checked(recording: Recording, path: Path) -> Recording:
    _check_size(sum(len(s.samples) for s in recording.signals), path)
    return recording


def _check_size(num_samples: float, where: object) -> None:
    if num_samples > MAX_SAMPLES:
        expected = f"at most {MAX_SAMPLES} in one recording"
        raise SourceError(
            problem("too long to show", where=where, field="samples", found=round(num_samples), expected=expected)
        )
