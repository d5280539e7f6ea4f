"""Channels of a file that describes itself (EDF, .vital), as a layout chooses, names and calibrates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qualityfm.errors import ConfigError, problem
from qualityfm.records import ChannelKind
from qualityfm.sources.channel_names import kind_of
from qualityfm.sources.layout import ChannelRule, Layout
from qualityfm.sources.strict import refusal
from qualityfm.sources.units import canonical_unit


@dataclass(frozen=True, kw_only=True)
class Described:
    """A channel as the file itself describes it: name, unit as written ("" for none), samples per second."""

    name: str
    unit: str
    sample_rate_hz: float


@dataclass(frozen=True, kw_only=True)
class ChosenChannel:
    """A channel that is to be read.

    Attributes:
        index: Its place among the file's channels.
        name: Its name from here on.
        kind: What it measures.
        unit: Canonical unit.
        sample_rate_hz: Samples per second.
        factor: What the file's physical values are multiplied by.
        offset: What is added then.
    """

    index: int
    name: str
    kind: ChannelKind
    unit: str
    sample_rate_hz: float
    factor: float
    offset: float


def chosen_channels(path: Path, layout: Layout | None, found: Sequence[Described]) -> tuple[ChosenChannel, ...]:
    """Return the channels to read, in file order: those of the layout, or all where it names none.

    Raises:
        SourceError: A channel that the layout does not call optional is missing, or has another rate than it says.
        ConfigError: The layout sets what only files that do not describe themselves need.
    """
    if layout is None:
        return tuple(_chosen(i, channel, ChannelRule(column=channel.name)) for i, channel in enumerate(found))
    _check_settings(layout)
    if not layout.channels:
        return chosen_channels(path, None, found)
    rules = {rule.column: rule for rule in layout.channels}
    _check_presence(path, layout, {channel.name for channel in found})
    chosen = [(i, channel) for i, channel in enumerate(found) if channel.name in rules]
    for _, channel in chosen:
        _check_rate(path, channel, rules[channel.name])
    return tuple(_chosen(i, channel, rules[channel.name]) for i, channel in chosen)


def _chosen(index: int, channel: Described, rule: ChannelRule) -> ChosenChannel:
    # A file that gives no unit measures in an arbitrary one.
    unit, factor = canonical_unit(rule.unit or channel.unit or "NU")
    return ChosenChannel(
        index=index,
        name=rule.shown_name,
        kind=rule.kind or kind_of(rule.shown_name, unit),
        unit=unit,
        sample_rate_hz=channel.sample_rate_hz,
        factor=rule.gain * factor,
        offset=rule.offset * factor,
    )


def _check_settings(layout: Layout) -> None:
    foreign = {
        "sample_rate_hz": layout.sample_rate_hz is not None,
        "time": bool(layout.time),
        "items": bool(layout.items),
        "missing": bool(layout.missing),
        "subject_column": bool(layout.subject_column),
        "channels: wraps_at": any(rule.wraps_at for rule in layout.channels),
        "channels: axis_index": any(rule.axis_index is not None for rule in layout.channels),
    }
    for field, is_set in foreign.items():
        if is_set:
            where, expected = f"layout {layout.name}", f"left out: {layout.source} files say it themselves"
            raise ConfigError(problem("wrong setting", where=where, field=field, found="a value", expected=expected))


def _check_presence(path: Path, layout: Layout, names: set[str]) -> None:
    for rule in layout.channels:
        if rule.column not in names and not rule.is_optional:
            raise refusal(path, "channels", f"no {rule.column}", f"{rule.column}, as layout {layout.name} says")
    if names.isdisjoint(rule.column for rule in layout.channels):
        raise refusal(path, "channels", f"{len(names)} others", f"a channel of layout {layout.name}")


def _check_rate(path: Path, channel: Described, rule: ChannelRule) -> None:
    if rule.sample_rate_hz is not None and abs(rule.sample_rate_hz / channel.sample_rate_hz - 1) > 1e-6:
        expected = f"{rule.sample_rate_hz:g} Hz, as the layout says"
        raise refusal(path, f"channel {channel.name}: sample rate", f"{channel.sample_rate_hz:g} Hz", expected)
