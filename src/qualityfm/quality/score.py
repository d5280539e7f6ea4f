"""Quality of every second of every channel with its causes, and the joint quality of a segment.

The road: lines of one kind -> a trust in [0, 1] per cause (quality/ecg.py, quality/ppg.py) -> their product is the
quality of the second, and every trust below the lower bound of grade B raises its `Cause`.

The joint quality of a segment: channels of one kind are averaged, then the kinds, then the seconds that the
recording reaches. A slot that the recording cannot fill does not count; a second without samples counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt16

from qualityfm.quality.by_second import multiply_trusts
from qualityfm.quality.ecg import judge_ecg
from qualityfm.quality.faults import dropout_trust, judge_faults
from qualityfm.quality.lines import Judgement, Lines, Trusts, prepare_lines
from qualityfm.quality.ppg import judge_pulse
from qualityfm.quality.standstill import blame_lone_silence, excuse_silence, heart_without_beats
from qualityfm.quality.together import judge_together
from qualityfm.quality.usable import usable_for
from qualityfm.records import GRADE_CUTS, Cause, ChannelKind, QualityScore, Recording
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_blocks

#: A trust below this is named as a cause: the second is worse than grade B for this reason alone.
CAUSE_BELOW = GRADE_CUTS["B"]
#: Where else it is named: breathing and broad beats move a baseline too. An ECG's trust falls faster than it is named.
#: Our own choice, docs/decisions/0020 and 0036.
BASELINE_BELOW = {ChannelKind.ECG: 0.43}
BASELINE_BELOW_ELSE = 0.6

#: A second with less of it recorded and moving has no other cause than these: what else is in it is a remnant. A
#: pinned trace and a flushed pressure rest where they should not.
#: Our own choice, docs/decisions/0021.
REST_BELOW = 0.2
CAUSES_AT_REST = Cause.DROPOUT | Cause.FLAT | Cause.SATURATION | Cause.HIGH_AMPLITUDE

#: What judges each kind of channel; any other is judged by the faults of its samples alone.
INDICES: dict[ChannelKind, Callable[[Lines], Judgement]] = {
    ChannelKind.ECG: judge_ecg,
    ChannelKind.PPG: judge_pulse,
    ChannelKind.ABP: judge_pulse,
}

#: Samples of one channel scored at a time: small enough for the processor's cache and for memory at any length.
CHUNK_SAMPLES = 2**18


def score_quality(recording: Recording, config: SegmentConfig | None = None) -> QualityScore:
    """Cut a recording into segments and score each of its seconds.

    Args:
        recording: Channels of any rates, NaN where missing.
        config: How to cut; the defaults are those of `qualityfm-tiny`.

    Raises:
        SignalError: The recording has no channel that fits a slot, or no samples.

    Example:
        >>> import numpy as np
        >>> from qualityfm.records import Signal
        >>> flat = Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0, samples=np.ones(1250, "f4"))
        >>> score = score_quality(Recording(recording_id="r1", subject_id=None, start=None, signals=(flat,)))
        >>> float(score.overall[0]), score.grades[0]
        (0.0, 'E')
    """
    return join_scores([score_block(block) for block in cut_blocks(recording, config or SegmentConfig())])


def join_scores(parts: Sequence[QualityScore]) -> QualityScore:
    """Return the score of a recording from those of its consecutive blocks; at least one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    joined: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(QualityScore)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    usable = {use: np.concatenate([part.usable[use] for part in parts]) for use in first.usable}
    return replace(first, **joined, usable=usable)


def score_block(block: SegmentBlock) -> QualityScore:
    """Score every second of every channel of all segments of a recording; no samples make this fail.

    Returns:
        Quality and causes; `segment_start_s` and `segment_length_s` are those of the block.
    """
    shape = (len(block), len(block.names), block.config.num_seconds)
    quality, causes = np.zeros(shape, np.float32), np.zeros(shape, np.uint16)
    step = max(1, CHUNK_SAMPLES // max(1, block.values.shape[2]))
    for first in range(0, len(block) if block.values.size else 0, step):
        part = slice(first, first + step)
        quality[part], causes[part] = _score_part(block, part)
    return QualityScore(
        recording_id=block.recording_id,
        segment_start_s=block.start_s,
        segment_length_s=block.length_s,
        kinds=block.config.channels,
        names=block.names,
        quality=quality,
        causes=causes,
        overall=joint_quality(quality, block),
        usable=usable_for(block.config.channels, block.units, quality, causes, block.length_s),
    )


def _score_part(
    block: SegmentBlock, part: slice
) -> tuple[Float32[np.ndarray, "segment channel second"], UInt16[np.ndarray, "segment channel second"]]:
    """Return quality and causes of some segments."""
    config = block.config
    num_segments = len(block.length_s[part])
    shape = (num_segments, len(block.names), config.num_seconds)
    quality, causes = np.zeros(shape, np.float32), np.full(shape, int(Cause.ABSENT), np.uint16)
    judged = judge_channels(block, part)
    for c, judgement in judged.items():
        quality[:, c], causes[:, c] = _combine(judgement.trusts, config.channels[c])
    for c, trusts in judge_together(config.channels, judged, quality).items():
        for cause, trust in trusts.items():
            quality[:, c] *= trust
            causes[:, c] |= np.where(trust < CAUSE_BELOW, int(cause), 0).astype(np.uint16)
    return quality, causes


def judge_channels(block: SegmentBlock, part: slice = slice(None)) -> dict[int, Judgement]:
    """Return what the indices found in each filled slot of some segments: the trusts behind the quality.

    Example:
        >>> from qualityfm.segments import cut_block
        >>> from qualityfm.waveform.simulate import SimulationConfig, simulate
        >>> block = cut_block(simulate(1, SimulationConfig(duration_s=30.0)).clean, SegmentConfig())
        >>> judge_channels(block)[0].trusts[Cause.FLAT].shape
        (1, 30)
    """
    config, judged = block.config, {}
    sample_s = np.arange(block.values.shape[2]) / config.sample_rate_hz
    is_expected = sample_s < block.length_s[part, None] - 0.5 / config.sample_rate_hz
    is_beatless = None
    for c in sorted(range(len(block.names)), key=lambda c: config.channels[c] is not ChannelKind.ECG):
        name = block.names[c]
        if name is None:
            continue
        lines = prepare_lines(
            config.channels[c],
            name,
            block.units[c],
            config.sample_rate_hz,
            block.values[part, c],
            block.is_real[part, c],
            config.num_seconds,
            None if config.channels[c] is ChannelKind.ECG else is_beatless,
        )
        found = INDICES.get(lines.kind, judge_faults)(lines)
        judged[c] = replace(found, trusts={Cause.DROPOUT: dropout_trust(lines, is_expected), **found.trusts})
        if lines.kind is ChannelKind.ECG:
            is_beatless = heart_without_beats([judged[e] for e in judged])
    excuse_silence(judged)
    blame_lone_silence(judged)
    return judged


def _combine(
    trusts: Trusts, kind: ChannelKind
) -> tuple[Float32[np.ndarray, "line second"], UInt16[np.ndarray, "line second"]]:
    """Return the product of all trusts and the causes whose trust alone is below grade B.

    A second without any sample has the cause dropout alone, one that is next to empty or at rest only what empties it
    or holds it: there is nothing else to say of it.
    """
    present = trusts[Cause.DROPOUT]
    quality, causes = np.empty(present.shape, np.float32), np.empty(present.shape, np.uint16)
    table = np.concatenate(list(trusts.values())).reshape(len(trusts), *present.shape)
    multiply_trusts(table, *_flags_and_limits(tuple(trusts), kind), quality, causes)
    if present.min(initial=1) <= REST_BELOW or trusts[Cause.FLAT].min(initial=1) <= REST_BELOW:
        causes[np.minimum(present, trusts[Cause.FLAT]) < REST_BELOW] &= np.uint16(CAUSES_AT_REST)
        causes[present <= 0] = int(Cause.DROPOUT)
    return quality, causes


@lru_cache(maxsize=16)
def _flags_and_limits(
    causes: tuple[Cause, ...], kind: ChannelKind
) -> tuple[UInt16[np.ndarray, " cause"], Float32[np.ndarray, " cause"]]:
    """Return the flag of each cause, and the trust below which it is named."""
    below = {Cause.BASELINE: BASELINE_BELOW.get(kind, BASELINE_BELOW_ELSE)}
    flags = np.array([int(cause) for cause in causes], np.uint16)
    return flags, np.array([below.get(cause, CAUSE_BELOW) for cause in causes], np.float32)


def joint_quality(
    quality: Float32[np.ndarray, "segment channel second"], block: SegmentBlock
) -> Float32[np.ndarray, " segment"]:
    """Return the joint quality of each segment."""
    kinds = sorted({k for k, name in zip(block.config.channels, block.names, strict=True) if name is not None})
    if not kinds or not len(block):
        return np.zeros(len(block), np.float32)
    per_kind = []
    for kind in kinds:
        slots = [c for c, name in enumerate(block.names) if name is not None and block.config.channels[c] == kind]
        per_kind.append(quality[:, slots].mean(axis=1))
    seconds = np.mean(per_kind, axis=0)
    is_reached = np.arange(seconds.shape[1]) < np.ceil(block.length_s - 1e-9)[:, None]
    return np.asarray((seconds * is_reached).sum(axis=1) / np.maximum(is_reached.sum(axis=1), 1), np.float32)
