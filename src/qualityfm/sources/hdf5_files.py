"""HDF5 files -> Recording, as a layout says: which data set is which channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qualityfm.errors import SourceError
from qualityfm.records import Recording
from qualityfm.sources.array_lines import ArrayLine, array_line, found_of, recording_of
from qualityfm.sources.found import Found
from qualityfm.sources.hdf5_tree import check_dataset, child, opened
from qualityfm.sources.layout import ChannelRule, Layout
from qualityfm.sources.strict import refusal
from qualityfm.sources.table_channels import HOW_TO_WRITE_A_LAYOUT, found_problem, item_name, number_of_item

ENDINGS = (".h5", ".hdf5", ".hdf")


class Hdf5Source:
    """HDF5 files; which data sets are channels, a layout says."""

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the file itself, or the file with its name and one of the endings."""
        if not path.name:
            return ()
        return (path,) if path.suffix.lower() in ENDINGS else tuple(path.with_name(path.name + e) for e in ENDINGS)

    def scan(self, folder: Path, names: Sequence[str], layout: Layout | None) -> Iterator[Found]:
        """Yield the recordings in files that the layout speaks of; without one, an HDF5 file is no recording."""
        for name in names:
            if layout is not None and name.lower().endswith(ENDINGS) and layout.speaks_of("hdf5", name):
                path = folder / name
                try:
                    with opened(path) as file:
                        found = list(_found(path, file, layout))
                except SourceError as error:
                    found = [found_problem(path, path.stem, "hdf5", error)]
                yield from found

    def open(
        self, path: Path, *, item: str | None, start_s: float, duration_s: float | None, layout: Layout | None
    ) -> Recording:
        """Read a recording, or a stretch of it.

        Raises:
            SourceError: No layout describes the file, or it is not what the layout says.
            SignalError: The recording ends before `start_s`.
        """
        with opened(path) as file:
            if layout is None:
                found = ", ".join(str(name) for name, _ in zip(file, range(8), strict=False)) or "nothing"
                raise refusal(path, "data sets", found, "a layout", HOW_TO_WRITE_A_LAYOUT)
            here, name, row = _place(path, file, layout, item)
            lines = _lines(path, here, layout, row)
            subject_id = _subject(path, here, layout, row)
            return recording_of(path, name, subject_id, lines, layout.missing, start_s, duration_s)


#: The one reader of HDF5 files.
HDF5 = Hdf5Source()


def _place(path: Path, file: Any, layout: Layout, item: str | None) -> tuple[Any, str, int | None]:
    """Return the group with a recording's data sets, the recording's id, and its row in them."""
    if not layout.items:
        if item is not None:
            raise refusal(path, "item", item, f"no item: in layout {layout.name} a file is one recording")
        return file, path.stem, None
    if layout.items == "rows":
        number = number_of_item(path, item, _num_rows(path, file, layout))
        return file, f"{path.stem}/{item}", number
    if item is None or "/" in item:
        expected = f"the name of an entry of {layout.items}"
        raise refusal(path, "item", item, expected, "this file holds several recordings")
    return child(path, child(path, file, layout.items), item), f"{path.stem}/{item}", None


def _found(path: Path, file: Any, layout: Layout) -> Iterator[Found]:
    items: list[str | None] = [None]
    if layout.items == "rows":
        num_items = _num_rows(path, file, layout)
        items = [item_name(index, num_items) for index in range(num_items)]
    elif layout.items:
        items = [str(name) for name in child(path, file, layout.items)]
    for item in items:
        where = path if item is None else path / item
        try:
            here, name, row = _place(path, file, layout, item)
            yield found_of(where, name, "hdf5", _subject(path, here, layout, row), _lines(path, here, layout, row))
        except SourceError as error:
            name = path.stem if item is None else f"{path.stem}/{item}"
            yield replace(found_problem(where, name, "hdf5", error), is_item=item is not None)


def _num_rows(path: Path, file: Any, layout: Layout) -> int:
    _, dataset = _datasets(path, file, layout)[0]
    if len(dataset.shape) < 2 or not dataset.shape[0]:
        raise refusal(path, "items", str(dataset.shape), "data sets whose first axis counts recordings")
    return int(dataset.shape[0])


def _lines(path: Path, here: Any, layout: Layout, row: int | None) -> list[ArrayLine]:
    return [array_line(path, layout, rule, dataset, row) for rule, dataset in _datasets(path, here, layout)]


def _datasets(path: Path, here: Any, layout: Layout) -> list[tuple[ChannelRule, Any]]:
    if not layout.channels:
        raise refusal(path, "channels", "none in the layout", "one or more channels", HOW_TO_WRITE_A_LAYOUT)
    found = []
    for rule in layout.channels:
        if rule.is_optional and rule.column.strip("/").split("/")[0] not in here:
            continue
        dataset = check_dataset(path, child(path, here, rule.column), f"data set {rule.column}")
        found.append((rule, dataset))
    if not found:
        raise refusal(path, "channels", "none", f"a channel of layout {layout.name}")
    return found


def _subject(path: Path, here: Any, layout: Layout, row: int | None) -> str | None:
    """Return the patient that a data set or an attribute of the layout's name says."""
    if not layout.subject_column:
        return layout.subject_of(path.as_posix())
    if layout.subject_column in here.attrs:
        value = here.attrs[layout.subject_column]
    else:
        dataset = check_dataset(path, child(path, here, layout.subject_column), f"data set {layout.subject_column}")
        value = dataset[row] if row is not None else dataset[()]
    value = value.item() if getattr(value, "size", 2) == 1 else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str | int):
        raise refusal(path, f"data set {layout.subject_column}", type(value).__name__, "a name or a number")
    return str(value) or None
