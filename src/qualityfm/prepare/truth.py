"""What is true of a recording whose faults are known: `NAME.truth.json` beside it, and how it enters a data set.

Only simulated archives bring such files. Where one lies, segments carry its quality and causes instead of the estimated
ones, so that a model is taught by what is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt16

from qualityfm.errors import SourceError, problem
from qualityfm.quality.score import joint_quality
from qualityfm.records import Cause, QualityScore
from qualityfm.segments import SegmentBlock
from qualityfm.strict_json import UnreadableJsonError, read_json

SUFFIX = ".truth.json"

#: Largest file that is read: a year of four channels stays below.
MAX_BYTES = 2**30

#: Every bit that a cause may have.
KNOWN_BITS = int(np.bitwise_or.reduce([int(cause) for cause in Cause]))

#: Digits of a quality in the file: a shard keeps no more.
DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The truth about each second of some channels.

    Attributes:
        names: The channels, as the recording calls them.
        quality: In [0, 1].
        causes: `Cause` flags.
    """

    names: tuple[str, ...]
    quality: Float32[np.ndarray, "channel second"]
    causes: UInt16[np.ndarray, "channel second"]


def truth_path(recording: Path) -> Path:
    """Return where the truth about a recording lies, if there is any."""
    return recording.with_suffix(SUFFIX)


def write_truth(recording: Path, truth: Truth) -> None:
    """Write the truth beside a recording."""
    channels = {
        name: {"quality": [round(float(one), DIGITS) for one in quality], "causes": causes.tolist()}
        for name, quality, causes in zip(truth.names, truth.quality, truth.causes, strict=True)
    }
    truth_path(recording).write_text(json.dumps(channels, separators=(",", ":")) + "\n", encoding="utf-8")


def read_truth(recording: Path) -> Truth | None:
    """Return the truth about a recording; None where no such file lies beside it.

    Raises:
        SourceError: The file is not what `write_truth` writes.
    """
    path = truth_path(recording)
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise _wrong(path, "bytes", path.stat().st_size, f"at most {MAX_BYTES}")
    try:
        channels = read_json(path.read_bytes(), str(path))
    except UnreadableJsonError as error:
        raise SourceError(str(error)) from error
    if not isinstance(channels, dict) or not channels:
        raise _wrong(path, "channels", type(channels).__name__, "an object with a channel or more")
    quality = [_numbers(path, name, found, "quality", 0, 1) for name, found in channels.items()]
    causes = [_numbers(path, name, found, "causes", 0, KNOWN_BITS) for name, found in channels.items()]
    lengths = {len(line) for line in (*quality, *causes)}
    if len(lengths) > 1:
        raise _wrong(path, "seconds", sorted(lengths), "one length for all channels")
    return Truth(names=tuple(channels), quality=np.array(quality, np.float32), causes=np.array(causes, np.uint16))


def with_truth(
    score: QualityScore, block: SegmentBlock, names: Sequence[str | None], truth: Truth, start_s: float
) -> QualityScore:
    """Return a score with the truth in place of the estimate, in the channels and seconds that it speaks of.

    Args:
        score: Of the block.
        block: The segments.
        names: Name that each slot's channel has in the recording.
        truth: Of the whole recording.
        start_s: Where in the recording the block's time begins, s.
    """
    quality, causes = score.quality.copy(), score.causes.copy()
    second = (start_s + block.start_s)[:, None] + np.arange(quality.shape[2])
    # A second that lies across two of the truth has the worse quality and the causes of both.
    first, last = np.floor(second + 1e-6).astype(int), np.ceil(second - 1e-6).astype(int)
    is_told = (first >= 0) & (last < truth.quality.shape[1])
    first, last = first[is_told], last[is_told]
    for slot, name in enumerate(names):
        if name in truth.names:
            channel = truth.names.index(name)
            known, named = truth.quality[channel], truth.causes[channel]
            quality[:, slot][is_told] = np.minimum(known[first], known[last])
            causes[:, slot][is_told] = named[first] | named[last]
    return replace(score, quality=quality, causes=causes, overall=joint_quality(quality, block))


def _numbers(path: Path, name: str, found: Any, field: str, low: float, high: float) -> list[float]:
    """Return a channel's numbers of one field, each within bounds."""
    values = found.get(field) if isinstance(found, dict) else None
    where = f"{name}.{field}"
    if not isinstance(values, list) or not values:
        raise _wrong(path, where, type(values).__name__, "a list of numbers")
    kinds = (int,) if field == "causes" else (int, float)
    foreign = next((one for one in values if type(one) not in kinds or not low <= one <= high), None)
    if foreign is not None:
        raise _wrong(path, where, str(foreign)[:40], f"{'whole ' if field == 'causes' else ''}numbers {low} to {high}")
    return values


def _wrong(path: Path, field: str, found: object, expected: str) -> SourceError:
    return SourceError(problem("wrong truth", where=path, field=field, found=found, expected=expected))
