"""What prepare will do before it does it: recordings -> stretches -> groups, one shard each."""

from __future__ import annotations

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
from qualityfm.shards.format import ARRAYS, FORMAT_VERSION, RecordingNote, array_shape, hash_plain
from qualityfm.sources import Found, Layout, find_recordings

#: A long recording is read in stretches of about this length, so that a day needs no more memory than an hour.
STRETCH_S = 3600.0

#: Shards are this long at least, h: small files cost more than they give.
MIN_SHARD_H = 2.0

#: And at most, h: what a worker holds in memory and what an interruption can cost.
MAX_SHARD_H = 24.0

#: An archive that fits in between is cut into about this many shards, so that workers share it evenly.
NUM_SHARDS_WANTED = 64

#: Rough size of a row in the table of rows, in bytes.
TABLE_ROW_BYTES = 64


@dataclass(frozen=True, kw_only=True)
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
    plan_hash: str

    @property
    def estimated_bytes(self) -> int:
        """Size of the data set if every segment is kept."""
        row = sum(dtype.itemsize * int(np.prod(array_shape(name, 1, self.config))) for name, dtype in ARRAYS.items())
        return self.num_segments * (row + TABLE_ROW_BYTES)


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
    found: Iterable[Found] = listed
    question = None
    if selection is not None:
        selected = select(tuple(listed), selection)
        found = selected.found
        question = selection.question | {
            "num_selected": len(selected.found),
            "num_not_selected": selected.num_not_chosen,
            "num_without_row": selected.num_without_row,
            "num_rows_without_recording": selected.num_without_recording,
        }
    refused, left_out, usable = [], [], []
    for one in found:
        reason = one.aside or reason_to_leave_out(one, config)
        if one.problem:
            refused.append(identity.note(one.recording_id, one_line(one.problem, archive)))
        elif reason:
            left_out.append(identity.note(one.recording_id, reason))
        else:
            usable.append(one)
    hours = sum(one.duration_s for one in usable) / 3600
    stretches = [stretch for one in usable for stretch in _stretches(one, config)]
    if identity.key is not None and question is not None:  # conditions may name patients
        question = {"sha256": hash_plain(question)} | {k: v for k, v in question.items() if k.startswith("num_")}
    settings = {
        "format_version": FORMAT_VERSION,
        "package_version": package_version,
        "segments": to_plain(config),
        "selection": question,
        "layout": None if layout is None else {"name": layout.name, "sha256": hash_plain(to_plain(layout))},
        "key": identity.fingerprint,
    }
    request = settings | {
        # the stretches, under the name that data sets were hashed with before: another would give them other hashes
        "windows": [
            [identity.recording_id(s.recording_id), identity.subject_id(s.subject_id), s.first_segment, s.num_segments]
            for s in stretches
        ],
        "sizes": _sizes(usable, listed),
        "notes": to_plain([refused, left_out]),
    }
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
        plan_hash=hash_plain(request),
    )


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
    each = max(1, round(STRETCH_S / config.step_s))
    for first in range(0, total, each):
        yield Stretch(
            path=found.path,
            recording_id=found.recording_id,
            subject_id=found.subject_id,
            first_segment=first,
            num_segments=min(each, total - first),
            is_whole=total <= each,
        )


def _groups(stretches: list[Stretch], config: SegmentConfig, hours: float) -> Iterator[Group]:
    """Yield consecutive stretches until a shard is long enough."""
    wanted = min(MAX_SHARD_H, max(MIN_SHARD_H, hours / NUM_SHARDS_WANTED))
    most = max(1, int(wanted * 3600 / config.segment_s))
    waiting: list[Stretch] = []
    num_groups = 0
    for i, stretch in enumerate(stretches):
        waiting.append(stretch)
        following = stretches[i + 1].num_segments if i + 1 < len(stretches) else most
        if sum(s.num_segments for s in waiting) + following > most:
            yield Group(name=f"shard-{num_groups:05d}", stretches=tuple(waiting))
            num_groups += 1
            waiting = []


def _sizes(usable: Sequence[Found], listed: Iterable[Found]) -> list[list[list[Any]]]:
    """Return name and size of the files of each recording, then of each folder's files that bear no recording's name.

    The latter are, above all, the segments of recordings made of several; their names are free, so every recording of
    the folder is taken to use them. Sizes and not times: a copied archive is the same archive, a file that grew is not.
    """
    folders = [one.file.parent for one in usable]
    listings = {folder: _files_by_stem(folder) for folder in sorted(set(folders))}
    sizes = [listings[folder].get(_stem(one.file.name), []) for folder, one in zip(folders, usable, strict=True)]
    named = {(one.file.parent, _stem(one.file.name)) for one in listed}
    for folder, files in listings.items():
        others = [entry for stem, entries in files.items() if (folder, stem) not in named for entry in entries]
        if others:
            sizes.append(others)
    return sizes


def _files_by_stem(folder: Path) -> dict[str, list[list[Any]]]:
    """Return name and size of a folder's files, hidden ones aside, by what stands before the first dot."""
    files: dict[str, list[list[Any]]] = {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_file() and not entry.name.startswith("."):
                files.setdefault(_stem(entry.name), []).append([entry.name, entry.stat().st_size])
    return files


def _stem(name: str) -> str:
    return name.split(".")[0]
