"""What finished shards say about themselves, added up as they come: the index over them."""

from __future__ import annotations

from collections import Counter

from qualityfm.prepare.plan import Plan
from qualityfm.shards.format import (
    FORMAT_NAME,
    FORMAT_VERSION,
    DatasetIndex,
    RecordingNote,
    ShardEntry,
    ShardSummary,
    shard_entry,
)
from qualityfm.version import __version__


class Tally:
    """Sums over shards; the order in which they come changes nothing.

    Holds no more than the index needs: an archive may have a million recordings, each with counts in one shard or two.
    """

    def __init__(self) -> None:
        self._entries: dict[str, ShardEntry] = {}
        self._hours: dict[str, float] = {}
        self._grades, self._dropped = Counter[str](), Counter[str]()
        self._kept: set[str] = set()
        self._reasons: dict[str, Counter[str]] = {}
        self._repairs: dict[str, set[str]] = {}
        self._refused: list[RecordingNote] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def add(self, summary: ShardSummary) -> None:
        """Add one finished shard."""
        self._entries[summary.name] = shard_entry(summary)
        self._hours[summary.name] = summary.hours
        self._grades.update(summary.grades)
        self._refused.extend(summary.refused)
        for one in summary.recordings:
            self._dropped.update(one.dropped)
            if one.kept:
                self._kept.add(one.recording_id)
                self._reasons.pop(one.recording_id, None)
            elif one.recording_id not in self._kept:
                self._reasons.setdefault(one.recording_id, Counter()).update(one.dropped)
            for repair in one.repairs:
                self._repairs.setdefault(repair, set()).add(one.recording_id)

    def index(self, plan: Plan) -> DatasetIndex:
        """Return the index over all shards of a plan."""
        is_refused = {note.recording_id for note in self._refused}
        empty = [
            RecordingNote(recording_id=name, reason=f"no segment kept: {counted(counts)}")
            for name, counts in self._reasons.items()
            if name not in is_refused
        ]
        entries = tuple(self._entries[group.name] for group in plan.groups)
        return DatasetIndex(
            format=FORMAT_NAME,
            format_version=FORMAT_VERSION,
            package_version=__version__,
            segments=plan.config,
            selection=plan.selection,
            plan_hash=plan.plan_hash,
            num_recordings=len(self._kept),
            num_segments=sum(entry.num_rows for entry in entries),
            hours=sum(self._hours[entry.name] for entry in entries),
            grades=dict(self._grades),
            dropped=dict(sorted(self._dropped.items())),
            refused=tuple(sorted([*plan.refused, *self._refused], key=_by_name)),
            left_out=tuple(sorted([*plan.left_out, *empty], key=_by_name)),
            shards=entries,
            repairs={name: len(recordings) for name, recordings in sorted(self._repairs.items())},
        ).with_hash()


def counted(counts: Counter[str]) -> str:
    """Return counts as text, such as "3 x no usable channel"."""
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.items()))


def _by_name(note: RecordingNote) -> tuple[str, str]:
    return note.recording_id, note.reason
