"""What every source answers with, and the questions it must answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qualityfm.records import ChannelKind, Recording
from qualityfm.sources.layout import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundChannel:
    """One channel of a recording that was found, as its header tells.

    Attributes:
        name: Its name in the file.
        kind: What it measures.
        unit: Canonical unit.
        sample_rate_hz: Samples per second.
        gap_s: Seconds of the recording in which the header says that this channel was not recorded. Missing samples
            inside a recorded piece are known only once they are read.
    """

    name: str
    kind: ChannelKind
    unit: str
    sample_rate_hz: float
    gap_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A recording that lies in an archive, known from its header alone.

    Attributes:
        path: What `open_recording` takes: a file, or an item of a file that holds several recordings, addressed as if
            the file were a folder (`Part_1.mat/0012`).
        recording_id: Path relative to the archive, without extension, with "/" between folders.
        subject_id: Patient, or None where the archive does not say.
        source: Key in `SOURCES`.
        duration_s: Length in seconds.
        channels: Its channels, in file order.
        problem: Why it cannot be read; then `duration_s` is 0 and there are no channels.
        aside: Why it is listed but is no recording of waveforms, such as a layout header or numerics.
        is_item: True where `path` addresses an item inside of a file.
    """

    path: Path
    recording_id: str
    subject_id: str | None
    source: str
    duration_s: float
    channels: tuple[FoundChannel, ...]
    problem: str | None = None
    aside: str | None = None
    is_item: bool = False

    @property
    def file(self) -> Path:
        """The file on disk."""
        return self.path.parent if self.is_item else self.path


class Source(Protocol):
    """A file format: how its files are named, listed and read. It knows no other source."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the files that would hold the recording a user calls `path`, most likely first; none may exist."""
        ...

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield what the files `names` of one folder hold, `recording_id` relative to that folder; read no samples.

        A file that cannot be read is yielded with its problem; nothing is raised for it. A file of another format, or
        one that the layout does not speak of, is passed over.
        """
        ...

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it.

        Args:
            path: The file, one of `candidates`.
            item: The recording in a file that holds several; None for a file that is one recording.
            start_s: Where to begin, seconds after the start of the recording; the result's time runs from here.
            duration_s: Seconds to read; None reads to the end. No more than this stretch is held in memory.
            layout: What the user says about the file; None where it was not asked or speaks of another format. A source
                that knows shipped layouts by a file's columns may then choose one itself.

        Raises:
            SourceError: The file cannot be read, or what it says about itself cannot be true.
            SignalError: The recording ends before `start_s`.
        """
        ...
