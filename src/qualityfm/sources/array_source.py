"""Array files -> Recording, as a layout says; what HDF5, MAT and NumPy files have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from qualityfm.errors import SourceError
from qualityfm.records import Recording
from qualityfm.sources.array_channels import channels_at, duration_of, read_signals
from qualityfm.sources.array_clock import TimedArrays
from qualityfm.sources.array_place import Entries, Place, RowPlace, find_place, shown_names
from qualityfm.sources.found import Found, FoundChannel
from qualityfm.sources.layout import Layout, layouts_that_ship
from qualityfm.sources.strict import refusal
from qualityfm.sources.table_channels import HOW_TO_WRITE_A_LAYOUT, found_problem


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """A format of array files, all of which need a layout.

    A file that no layout describes is no recording: archives are full of arrays that are none. Layouts that ship are
    known by what lies in a file.

    Attributes:
        name: Key in `SOURCES`.
        endings: How its files' names end, most likely first.
        opened: Opens a file for as long as it is looked at; refuses what is no regular file.
    """

    name: str
    endings: tuple[str, ...]
    opened: Callable[[Path], AbstractContextManager[Place]]

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file itself, or the files with its name and an ending."""
        if not path.name:
            return ()
        if path.name.lower().endswith(self.endings):
            return (path,)
        return tuple(path.with_name(f"{path.name}{ending}") for ending in self.endings)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the recordings in the files that the layout speaks of, or without one those of a layout that ships.

        Shapes are read and the patients' names, no samples; of files with a time column, the times.
        """
        for name in names:
            if name.lower().endswith(self.endings) and (layout is None or layout.speaks_of(self.name, name)):
                path = folder / name
                try:
                    described = layout or self._shipped(path)
                    if described is not None:
                        with self.opened(path) as root:
                            yield from self._found(root, described)
                except SourceError as error:
                    yield found_problem(path, path.stem, self.name, error)

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it; no other samples are read.

        Raises:
            SourceError: No layout describes the file, or it is not what the layout says.
            SignalError: The recording ends before `start_s`.
        """
        with self.opened(path) as root:
            layout = layout or self._shipped_layout(root)
            if layout is None:
                found = shown_names(root.child_names())
                what, expected = f"cannot read {self.name} file", "a layout"
                raise refusal(path, "arrays", found, expected, HOW_TO_WRITE_A_LAYOUT, what=what)
            place, name = _recording_at(root, layout, item)
            where = path if item is None else path / item
            if layout.time:
                return TimedArrays(place, layout).recording(name, _subject(root, place, layout), start_s, duration_s)
            channels = channels_at(place, layout)
            return Recording(
                recording_id=name,
                subject_id=_subject(root, place, layout),
                start=None,
                signals=read_signals(where, channels, layout.missing, start_s, duration_s),
            )

    def _shipped(self, path: Path) -> Layout | None:
        """Return the shipped layout that describes a file, or whose name it has though it cannot be read."""
        ours = [layout for layout in layouts_that_ship().values() if layout.source == self.name]
        if not ours:
            return None
        try:
            with self.opened(path) as root:
                return self._shipped_layout(root)
        except SourceError:
            named = [layout for layout in ours if layout.files != "*" and layout.speaks_of(self.name, path.name)]
            return named[0] if len(named) == 1 else None

    def _shipped_layout(self, root: Place) -> Layout | None:
        ours = [layout for layout in layouts_that_ship().values() if layout.source == self.name]
        fitting = [layout for layout in ours if _fits(root, layout)]
        named = [layout for layout in fitting if layout.speaks_of(self.name, root.path.name)]
        return (named or fitting)[0] if len(named or fitting) == 1 else None

    def _found(self, root: Place, layout: Layout) -> Iterator[Found]:
        if not layout.items:
            yield self._found_at(root, root, layout, None)
            return
        entries = _entries(root, layout)
        for index in range(entries.count):
            try:
                item = entries.name(index)
                yield self._found_at(root, entries.place(index), layout, item)
            except SourceError as error:
                problem = found_problem(root.path / item, f"{root.path.stem}/{item}", self.name, error)
                yield _as_item(problem)

    def _found_at(self, root: Place, place: Place, layout: Layout, item: str | None) -> Found:
        duration_s, channels = _described(place, layout)
        found = Found(
            path=root.path if item is None else root.path / item,
            recording_id=root.path.stem if item is None else f"{root.path.stem}/{item}",
            subject_id=_subject(root, place, layout),
            source=self.name,
            duration_s=duration_s,
            channels=channels,
        )
        return found if item is None else _as_item(found)


def _as_item(found: Found) -> Found:
    return replace(found, is_item=True)


def _described(place: Place, layout: Layout) -> tuple[float, tuple[FoundChannel, ...]]:
    if layout.time:
        timed = TimedArrays(place, layout)
        return timed.duration_s(), tuple(channel.found for channel in timed.channels)
    channels = channels_at(place, layout)
    return duration_of(channels), tuple(channel.channel.found for channel in channels)


def _fits(root: Place, layout: Layout) -> bool:
    """Tell whether the first recording of a file is what a layout says."""
    try:
        place = _entries(root, layout).place(0) if layout.items else root
        return bool(channels_at(place, layout))
    except SourceError:
        return False


def _recording_at(root: Place, layout: Layout, item: str | None) -> tuple[Place, str]:
    """Return the place of a recording, and its id."""
    path = root.path
    if not layout.items:
        if item is not None:
            raise refusal(
                path, "item", f"{len(item)} characters", f"none: in layout {layout.name} a file is a recording"
            )
        return root, path.stem
    entries = _entries(root, layout)
    index = None if item is None else entries.index_of(item)
    if index is None:
        expected = f"{path.name}/{entries.name(0)} to {path.name}/{entries.name(entries.count - 1)}"
        raise refusal(path, "item", item, expected, f"the file holds {entries.count} recordings")
    return entries.place(index), f"{path.stem}/{item}"


def _entries(root: Place, layout: Layout) -> Entries:
    """Return the recordings of a file."""
    if layout.items == "rows":
        entries = _rows(root, layout)
    else:
        entries = _container(root, layout.items).entries()
    if not entries.count:
        raise refusal(root.path, "items", "none", "one recording or more")
    return entries


def _rows(root: Place, layout: Layout) -> Entries:
    column = next((rule.column for rule in layout.channels if not rule.is_optional), "")
    first = find_place(root, column)
    if first is None:
        found = shown_names(root.child_names())
        raise refusal(root.path, root.label, found, f"an array {column!r}, as in layout {layout.name}")
    shape = first.array().shape
    if len(shape) < 2:
        raise refusal(root.path, first.label, f"{len(shape)} dimensions", "rows that are recordings")
    return Entries(count=shape[0], place=lambda row: RowPlace(root, row, shape[0]))


def _container(root: Place, pattern: str) -> Place:
    """Return the one place that an `items` setting names: "/" for the file itself, else a name with wildcards."""
    if pattern == "/":
        return root
    if (named := find_place(root, pattern)) is not None:
        return named
    fitting = [name for name in root.child_names() if fnmatchcase(name, pattern)]
    place = root.child(fitting[0]) if len(fitting) == 1 else None
    if place is None:
        found = shown_names(fitting or root.child_names())
        raise refusal(root.path, root.label, found, f"one {pattern!r} that holds the recordings")
    return place


def _subject(root: Place, place: Place, layout: Layout) -> str | None:
    """Return the patient that a field of the recording or of the whole file names."""
    if not layout.subject_column:
        return layout.subject_of(root.path.as_posix())
    below = find_place(place, layout.subject_column) or find_place(root, layout.subject_column)
    if below is None:
        found = shown_names(place.child_names())
        raise refusal(root.path, f"array {layout.subject_column}", found, "the patient")
    return below.text()
