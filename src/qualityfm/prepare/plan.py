"""What prepare will do before it does it: recordings -> stretches -> groups, one shard each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qualityfm.config import to_plain
from qualityfm.prepare.identity import Identity
from qualityfm.prepare.selection import Selection, select
from qualityfm.segments import SegmentConfig, count_segments
from qualityfm.shards.format import ARRAYS, FORMAT_VERSION, RecordingNote, array_shape, hash_plain, to_json
from qualityfm.sources import Found, Layout, find_recordings

#: A long recording is read in stretches of at most this length, so that a day needs no more memory than an hour.
STRETCH_S = 3600.0

#: And of at most this many samples of all channels together, read or resampled; an hour of 8 channels at 500 Hz fits.
#: With the largest stretches and shards that these bounds allow a worker needed 0.81 GB (docs/SCALE.md).
MAX_STRETCH_SAMPLES = 2**24

#: Shards are this long at least, h: small files cost more than they give.
MIN_SHARD_H = 2.0

#: And at most, h: what an interruption can cost.
MAX_SHARD_H = 24.0

#: And no larger than this: a worker holds a shard twice while it writes it.
MAX_SHARD_BYTES = 2**27

#: An archive that fits in between is cut into about this many shards, so that workers share it evenly.
NUM_SHARDS_WANTED = 64

#: Rough size of a row in the table of rows, in bytes.
TABLE_ROW_BYTES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of a recording that is read and cut at once; stretches meet on the segment grid.

    Attributes:
        path: What `open_recording` takes.
        recording_id: The recording's id.
        subject_id: Patient, or None.
        first_segment: Number of its first segment, counted from the start of the recording.
        num_segments: Segments to cut.
        is_whole: True where the stretch is the whole recording.
    """

    path: Path
    recording_id: str
    subject_id: str | None
    first_segment: int
    num_segments: int
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    """The stretches that become one shard."""

    name: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides the bytes of a data set, apart from the samples.

    Attributes:
        config: How to cut and which segments to keep.
        groups: One for each shard.
        settings: Everything that was asked for, as plain values: two plans differ by one of these or by the recordings.
        selection: The question to the table and what it met, as plain values; None for the whole archive.
        refused: Recordings whose header cannot be used.
        left_out: Recordings that break a rule their header already shows.
        num_recordings: Recordings that will be read.
        hours: Their length.
        num_segments: Segments they can give at most.
        num_recorded: Those of them that do not lie in a gap that their header tells, about.
        plan_hash: Identity of all this.
    """

    config: SegmentConfig
    groups: tuple[Group, ...]
    settings: dict[str, Any]
    selection: dict[str, Any] | None
    refused: tuple[RecordingNote, ...]
    left_out: tuple[RecordingNote, ...]
    num_recordings: int
    hours: float
    num_segments: int
    num_recorded: int
    plan_hash: str

    @property
    def estimated_bytes(self) -> int:
        """Size of the data set if every segment is kept in which something was recorded."""
        return self.num_recorded * _row_bytes(self.config)


def make_plan(
    archive: Path,
    config: SegmentConfig,
    selection: Selection | None,
    package_version: str,
    layout: Layout | None = None,
    identity: Identity | None = None,
) -> Plan:
    """Return the plan for an archive; headers are read, samples are not.

    Raises:
        SourceError: The archive cannot be listed.
        ConfigError: The selection chooses nothing, or is unclear.
    """
    identity = identity or Identity()
    listed = find_recordings(archive, layout=layout)
    found, question = _chosen(listed, selection)
    refused, left_out, usable = [], [], []
    for one in found:
        reason = one.aside or reason_to_leave_out(one, config)
        if one.problem:
            refused.append(identity.note(one.recording_id, one_line(one.problem, archive)))
        elif reason:
            left_out.append(identity.note(one.recording_id, reason))
        else:
            usable.append(one)
    if identity.key is not None and question is not None:  # conditions may name patients
        hidden = identity.hasher()
        hidden.update(to_json(question).encode())
        question = {"hidden": hidden.hexdigest()} | {k: v for k, v in question.items() if k.startswith("num_")}
    settings = {
        "format_version": FORMAT_VERSION,
        "package_version": package_version,
        "segments": to_plain(config),
        "selection": question,
        "layout": None if layout is None else {"name": layout.name, "sha256": hash_plain(to_plain(layout))},
        "key": identity.fingerprint,
    }
    hours = sum(one.duration_s for one in usable) / 3600
    stretches = [stretch for one in usable for stretch in _stretches(one, config)]
    return Plan(
        config=config,
        groups=tuple(_groups(stretches, config, hours)),
        settings=settings,
        selection=question,
        refused=tuple(refused),
        left_out=tuple(left_out),
        num_recordings=len(usable),
        hours=hours,
        num_segments=sum(s.num_segments for s in stretches),
        num_recorded=sum(_num_recorded(one, config) for one in usable),
        plan_hash=_hash_request(settings, stretches, (*refused, *left_out), _files(usable, listed), identity),
    )


def _chosen(listed: Sequence[Found], selection: Selection | None) -> tuple[Sequence[Found], dict[str, Any] | None]:
    """Return the recordings that were asked for, and the question with what it met."""
    if selection is None:
        return listed, None
    selected = select(listed, selection)
    return selected.found, selection.question | {
        "num_selected": len(selected.found),
        "num_not_selected": selected.num_not_chosen,
        "num_without_row": selected.num_without_row,
        "num_rows_without_recording": selected.num_without_recording,
    }


def _hash_request(
    settings: dict[str, Any],
    stretches: Iterable[Stretch],
    notes: Iterable[RecordingNote],
    files: Iterable[tuple[str, int]],
    identity: Identity,
) -> str:
    """Return the identity of a plan; fed line by line, as an archive may hold a million recordings."""
    digest = identity.hasher()
    digest.update(hash_plain(settings).encode())
    rows: Iterator[Iterable[Any]] = (
        (identity.recording_id(s.recording_id), identity.subject_id(s.subject_id), s.first_segment, s.num_segments)
        for s in stretches
    )
    for kind, lines in (
        ("stretches", rows),
        ("notes", ((n.recording_id, n.reason) for n in notes)),
        ("files", files),
    ):
        digest.update(f"\n{kind}".encode())
        for line in lines:
            digest.update(b"\n" + json.dumps(list(line)).encode())
    return digest.hexdigest()


def reason_to_leave_out(found: Found, config: SegmentConfig) -> str | None:
    """Return which rule of the settings a recording breaks by its header alone; None if it breaks none."""
    if found.problem:
        return None
    kinds = Counter(channel.kind for channel in found.channels)
    if not any(kinds[kind] for kind in config.channels):
        return f"no channel of {', '.join(sorted(set(config.channels)))}"
    for kind, count in Counter(config.required).items():
        if kinds[kind] < count:
            return f"required channel missing: {kind}"
    if found.duration_s < config.min_recording_s:
        return f"shorter than {config.min_recording_s:g} s"
    return None


def one_line(text: str, archive: Path) -> str:
    """Return a message on one line that names files from the archive on, not this machine's folders."""
    short = text
    for folder in (archive, archive.absolute(), archive.resolve()):
        short = short.replace(f"{folder}/", "")
    return " ".join(short.split())


def _stretches(found: Found, config: SegmentConfig) -> Iterator[Stretch]:
    """Yield stretches that give the same segments as cutting the recording at once (see `segments.cut_block`)."""
    total = count_segments(found.duration_s, config)
    read_hz = sum(channel.sample_rate_hz for channel in found.channels)
    samples_per_s = max(read_hz, config.sample_rate_hz * len(config.channels) * config.segment_s / config.step_s)
    each = max(1, int(min(STRETCH_S, MAX_STRETCH_SAMPLES / samples_per_s) / config.step_s + 1e-9))
    for first in range(0, total, each):
        yield Stretch(
            path=found.path,
            recording_id=found.recording_id,
            subject_id=found.subject_id,
            first_segment=first,
            num_segments=min(each, total - first),
            is_whole=total <= each,
        )


def _num_recorded(found: Found, config: SegmentConfig) -> int:
    """Return how many segments hold samples by the header, about: as many as the channel with the least gaps fills."""
    gap_s = min(channel.gap_s for channel in found.channels if channel.kind in config.channels)
    return count_segments(max(0.0, found.duration_s - gap_s), config)


def _groups(stretches: list[Stretch], config: SegmentConfig, hours: float) -> Iterator[Group]:
    """Yield consecutive stretches until a shard is long enough."""
    wanted = min(MAX_SHARD_H, max(MIN_SHARD_H, hours / NUM_SHARDS_WANTED))
    most = max(1, min(int(wanted * 3600 / config.segment_s), MAX_SHARD_BYTES // _row_bytes(config)))
    waiting: list[Stretch] = []
    num_groups = num_waiting = 0
    for i, stretch in enumerate(stretches):
        waiting.append(stretch)
        num_waiting += stretch.num_segments
        following = stretches[i + 1].num_segments if i + 1 < len(stretches) else most
        if num_waiting + following > most:
            yield Group(name=f"shard-{num_groups:05d}", stretches=tuple(waiting))
            num_groups += 1
            waiting, num_waiting = [], 0


def _row_bytes(config: SegmentConfig) -> int:
    row = sum(dtype.itemsize * int(np.prod(array_shape(name, 1, config))) for name, dtype in ARRAYS.items())
    return row + TABLE_ROW_BYTES


def _files(usable: Sequence[Found], listed: Sequence[Found]) -> Iterator[tuple[str, int]]:
    """Yield name and size of the files that a plan rests on, folder by folder.

    Those are the files of the recordings and those that bear no recording's name: above all the segments of recordings
    made of several, whose names are free. Sizes and not times: a copied archive is the same archive, a file that grew
    is not.
    """
    used = {one.recording_id for one in usable}
    unused: dict[Path, set[str]] = {}
    for one in listed:
        if one.recording_id not in used:
            unused.setdefault(one.file.parent, set()).add(_stem(one.file.name))
    for one in usable if unused else ():
        unused.get(one.file.parent, set()).discard(_stem(one.file.name))
    for folder in sorted({one.file.parent for one in usable}):
        without = unused.get(folder, set())
        yield from (entry for entry in _sizes(folder) if _stem(entry[0]) not in without)


def _sizes(folder: Path) -> list[tuple[str, int]]:
    """Return name and size of a folder's files, hidden ones aside."""
    with os.scandir(folder) as entries:
        visible = (entry for entry in entries if entry.is_file() and not entry.name.startswith("."))
        return sorted((entry.name, entry.stat().st_size) for entry in visible)


def _stem(name: str) -> str:
    return name.split(".")[0]
