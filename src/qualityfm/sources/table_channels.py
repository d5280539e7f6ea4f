"""What a layout makes of the columns of a table: which are channels, at which rate, in which unit."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qualityfm.errors import SourceError, problem
from qualityfm.records import ChannelKind
from qualityfm.sources.channel_names import kind_of
from qualityfm.sources.found import Found, FoundChannel
from qualityfm.sources.layout import ChannelRule, Layout, layouts_that_ship
from qualityfm.sources.strict import MAX_SHOWN, refusal
from qualityfm.sources.units import canonical_unit

#: Names of columns that a message repeats are no longer than this: longer ones are text, and text may name a patient.
MAX_NAME_LENGTH = 40

#: Channels of one recording that say the same rate may differ in length by this share, and by a sample. Our own bound.
LENGTH_TOLERANCE = 0.01

HOW_TO_WRITE_A_LAYOUT = "say with --layout which columns are channels and at which rate (docs/ARCHIVES.md)"


@dataclass(frozen=True, kw_only=True)
class TableChannel:
    """A column that is a channel.

    Attributes:
        column: Its name in the layout.
        name: The channel's name.
        kind: What it measures.
        unit: Canonical unit.
        sample_rate_hz: Samples per second.
        factor: Physical value of one unit in the file, in the canonical unit.
        offset: Physical value of 0 in the file, in the canonical unit.
        wraps_at: See `ChannelRule`.
        every: Rows from one of its samples to the next.
    """

    column: str
    name: str
    kind: ChannelKind
    unit: str
    sample_rate_hz: float
    factor: float
    offset: float
    wraps_at: int
    every: int

    @property
    def found(self) -> FoundChannel:
        """The channel as a listing shows it."""
        return FoundChannel(name=self.name, kind=self.kind, unit=self.unit, sample_rate_hz=self.sample_rate_hz)


def clean_name(column: str) -> str:
    """Return a column's name without the blanks, quotes and byte-order mark around it."""
    return column.strip("\ufeff \t\r\n").strip('"').strip()


def column_places(path: Path, layout: Layout, columns: Sequence[str]) -> dict[str, int]:
    """Return where the columns that a layout names lie; optional channels that are absent are left out.

    Raises:
        SourceError: A column is missing, or there are two of its name.
    """
    if not layout.channels:
        raise refusal(path, "channels", "none in the layout", "one or more channels", HOW_TO_WRITE_A_LAYOUT)
    names = [clean_name(column) for column in columns]
    optional = {rule.column for rule in layout.channels if rule.is_optional}
    places = {}
    for wanted in _columns_named(layout):
        count = names.count(clean_name(wanted))
        if count == 1:
            places[wanted] = names.index(clean_name(wanted))
        elif count or wanted not in optional:
            raise _no_column(path, layout, wanted, names, count)
    if not any(rule.column in places for rule in layout.channels):
        raise refusal(path, "columns", shown_columns(names), f"a channel of layout {layout.name}")
    return places


def _columns_named(layout: Layout) -> list[str]:
    named = (layout.time, layout.subject_column, *(rule.column for rule in layout.channels))
    return list(dict.fromkeys(name for name in named if name))


def _no_column(path: Path, layout: Layout, wanted: str, names: list[str], count: int) -> SourceError:
    if count:
        return refusal(path, f"column {wanted}", f"{count} of that name", "one")
    nearest = difflib.get_close_matches(wanted, names, n=1)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"layout {layout.name} speaks of other files"
    return refusal(path, f"column {wanted}", shown_columns(names), f"a column {wanted!r}", advice)


def shown_columns(names: Sequence[str]) -> str:
    """Return the columns of a table as a message may name them; a line of free text is told by its length."""
    if len(names) < 2:
        return f"one column of {sum(map(len, names))} characters"
    if any(len(name) > MAX_NAME_LENGTH for name in names) or not any(any(map(str.isalpha, name)) for name in names):
        return f"{len(names)} columns without names"
    text = ", ".join(names)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 20]}... ({len(names)} columns)"


def shipped_layout(source: str, path: Path, columns_of: dict[str, Sequence[str]]) -> Layout | None:
    """Return the shipped layout whose columns a file has; None if there is none, or several that read it differently.

    Args:
        source: Key in `SOURCES`.
        path: The file; where several layouts fit its columns, one that speaks of its name is preferred.
        columns_of: The file's columns for each separator.
    """
    fitting = []
    for layout in layouts_that_ship().values():
        if layout.source == source and layout.separator in columns_of and layout.channels:
            try:
                column_places(path, layout, columns_of[layout.separator])
            except SourceError:
                continue
            fitting.append(layout)
    named = [layout for layout in fitting if layout.speaks_of(source, path.name)] or fitting
    return named[0] if named and all(_reads_like(named[0], other) for other in named) else None


def _reads_like(first: Layout, second: Layout) -> bool:
    def reading(layout: Layout) -> Layout:
        return replace(
            layout, name="", title="", files="*", subject="", tables=(), path_labels={}, license="", source_url=""
        )

    return reading(first) == reading(second)


def table_channels(path: Path, layout: Layout, places: dict[str, int], rate_hz: float | None) -> list[TableChannel]:
    """Return the channels of a table, in the file's order.

    Args:
        path: The file named in errors.
        layout: What the columns are.
        places: The columns that are there.
        rate_hz: Rows per second; None where rows are no samples, and every channel needs a rate in the layout.

    Raises:
        SourceError: A channel has no rate, or one that rows cannot hold.
    """
    rules = sorted((rule for rule in layout.channels if rule.column in places), key=lambda rule: places[rule.column])
    return [_channel(path, layout, rule, rate_hz) for rule in rules]


def _channel(path: Path, layout: Layout, rule: ChannelRule, rate_hz: float | None) -> TableChannel:
    unit, to_canonical = canonical_unit(rule.unit or "NU")
    own_rate_hz = rule.sample_rate_hz or rate_hz or layout.sample_rate_hz
    if own_rate_hz is None:
        advice = f"write it into layout {layout.name}"
        raise refusal(path, f"channel {rule.shown_name}: sample_rate_hz", None, "samples per second", advice)
    every = 1 if rate_hz is None else round(rate_hz / own_rate_hz)
    if rate_hz is not None and (every < 1 or not math.isclose(every * own_rate_hz, rate_hz, rel_tol=1e-6)):
        expected = f"a whole fraction of {rate_hz:g} Hz, the rate of the rows"
        raise refusal(path, f"channel {rule.shown_name}: sample_rate_hz", own_rate_hz, expected)
    return TableChannel(
        column=rule.column,
        name=rule.shown_name,
        kind=rule.kind or kind_of(rule.shown_name, unit),
        unit=unit,
        sample_rate_hz=own_rate_hz,
        factor=rule.gain * to_canonical,
        offset=rule.offset * to_canonical,
        wraps_at=rule.wraps_at,
        every=every,
    )


def check_lengths(path: Path, field: str, channels: Sequence[TableChannel], lengths_s: Sequence[float]) -> None:
    """Refuse channels of one recording that are of unequal length: one of their rates is wrong.

    Raises:
        SourceError: They differ by more than a sample and `LENGTH_TOLERANCE`.
    """
    sample_s = max(1 / channel.sample_rate_hz for channel in channels)
    if max(lengths_s) - min(lengths_s) > sample_s + LENGTH_TOLERANCE * max(lengths_s):
        found = ", ".join(f"{c.name} {s:g} s" for c, s in zip(channels, lengths_s, strict=True))
        raise refusal(path, field, found, "channels of one length", "correct a rate in the layout")


def unknown_table(path: Path, columns: Sequence[str]) -> SourceError:
    """Return the refusal of a table that no layout describes."""
    names = [clean_name(column) for column in columns]
    found = shown_columns(names)
    what, expected = "cannot read table", "the columns of a layout that ships, or a layout"
    return refusal(path, "columns", found, expected, HOW_TO_WRITE_A_LAYOUT, what=what)


def found_problem(path: Path, recording_id: str, source: str, error: SourceError) -> Found:
    """Return the listing of a recording that cannot be read."""
    return Found(
        path=path,
        recording_id=recording_id,
        subject_id=None,
        source=source,
        duration_s=0.0,
        channels=(),
        problem=str(error),
    )


def behind_the_end(path: Path, start_s: float, end_s: float) -> str:
    """Return the message about a stretch that begins where the recording has ended."""
    return problem("nothing to read", where=path, field="start_s", found=start_s, expected=f"below {end_s:g} s")


def number_of_item(path: Path, item: str | None, num_items: int) -> int:
    """Return which of a file's recordings an item's name stands for.

    Raises:
        SourceError: There is no such item.
    """
    is_number = item is not None and item.isascii() and item.isdigit() and len(item) < 10
    if not is_number or item_name(int(item or 0), num_items) != item or int(item or 0) >= num_items:
        expected = f"{path.name}/{item_name(0, num_items)} to {item_name(num_items - 1, num_items)}"
        raise refusal(path, "item", item, expected, "this file holds several recordings")
    return int(item or 0)


def item_name(index: int, num_items: int) -> str:
    """Return the name of a file's recording: its number, with zeros in front so that names sort as numbers.

    Example:
        >>> item_name(12, 300), item_name(12, 300_000)
        ('0012', '000012')
    """
    return f"{index:0{max(4, len(str(num_items - 1)))}d}"
