"""Shard rows -> a batch of pairs as tensors; a pure function of data, recipe and step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from qualityfm.models.config import ModelConfig
from qualityfm.pretrain.augment import blank_span, drop_channel, hide_patches, jitter
from qualityfm.pretrain.beats import beat_targets
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.pairing import PairIndex, Pairs, anchors_of_step
from qualityfm.quality.findings import NUM_FINDINGS, find_signs
from qualityfm.records import Cause
from qualityfm.segments import SegmentBlock, SegmentConfig
from qualityfm.shards.joined import JoinedReader
from qualityfm.shards.reader import ShardBatch, ShardReader
from qualityfm.waveform.artefacts import CorruptionConfig, NoiseBank, corrupt
from qualityfm.waveform.seconds import second_starts

#: The bits of the causes that the cause head learns, in its order.
LEARNABLE = np.array(Cause.learnable(), np.uint16)

#: Chance in training that a pair's findings are held back, so that heads can do without them (decisions/0029).
HELD_BACK = 0.1


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """What one step needs.

    Attributes:
        better: Scaled samples for the teacher; NaN where missing.
        worse: Scaled samples for the student; NaN where missing.
        clean: The better member without jitter: target of the spectral losses.
        same_moment: True where the worse member is the better one with noise added.
        quality: Quality in [0, 1] of each second of the worse member.
        causes: Which of `Cause.learnable()` hold in each second of the worse member.
        has_quality: True where the worse member has that channel, so that its quality means something.
        hidden: Patches of the student behind the mask token; None for "convolution" tokens.
        findings: Of the classical indices in each second of the worse member, for heads that see them; all 0 in the
            pairs for which they are held back.
        beats: What `qualityfm.pretrain.beats` measures on the worse member before anything is done to it; None where
            no loss asks for it.
        beats_known: Which of these numbers are known.
    """

    better: Float[Tensor, "batch channel time"]
    worse: Float[Tensor, "batch channel time"]
    clean: Float[Tensor, "batch channel time"]
    same_moment: Bool[Tensor, " batch"]
    quality: Float[Tensor, "batch channel second"]
    causes: Bool[Tensor, "batch channel second cause"]
    has_quality: Bool[Tensor, "batch channel second"]
    hidden: Bool[Tensor, "batch patch"] | None
    findings: Float[Tensor, "batch channel second finding"] | None
    beats: Float[Tensor, "batch channel patch measure"] | None = None
    beats_known: Bool[Tensor, "batch channel patch measure"] | None = None

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch on a device."""
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return PairBatch(**moved)


def corruption_for(segments: SegmentConfig) -> CorruptionConfig:
    """Return how artefacts fit segments of this recipe: scaled anew only where each channel has a scale of its own."""
    return CorruptionConfig(is_rescaled=segments.scaling == "robust", clip=segments.clip)


class PairBatches:
    """Makes the batch of any step from a shard set.

    Args:
        reader: One data set or several.
        rows: Its rows this run may use.
        config: The recipe.
        model: Tells how the student's patches lie.
        bank: Noise for made pairs.
        seed: Two instances with one seed make the same batches.
        held_back: Chance that a pair's findings are held back.
    """

    def __init__(
        self,
        reader: ShardReader | JoinedReader,
        rows: Int[np.ndarray, " anchor"],
        config: PretrainConfig,
        model: ModelConfig,
        bank: NoiseBank,
        *,
        seed: int,
        held_back: float = 0.0,
    ) -> None:
        self.reader, self.config, self.model, self.bank, self.seed = reader, config, model, bank, seed
        self.held_back = held_back
        segments = reader.segments
        self._corruption = corruption_for(segments)
        self.index = PairIndex(
            reader.rows["recording_id"],
            reader.rows["start_s"],
            reader.rows[config.grade_by],
            rows,
            max_distance_s=config.max_distance_s,
            made_fraction=config.made_fraction,
        )

    def batch(self, step: int, part: slice | None = None) -> PairBatch:
        """Return the pairs of one step, or those at some positions of it; only these are read."""
        places = np.arange(self.config.batch_size)[part or slice(None)]
        anchors = anchors_of_step(len(self.index), self.config.batch_size, step, self.seed)
        pairs = self.index.draw(anchors, np.random.default_rng([self.seed, 2, step])).at(places)
        # One stream for each position: a pair is the same whoever reads it.
        streams = [np.random.default_rng([self.seed, 3, step, int(place)]) for place in places]
        better, worse = self.reader.read(pairs.better), self.reader.read(pairs.worse)
        members = [self._members(better, worse, pairs, i, rng) for i, rng in enumerate(streams)]
        teacher, student, quality, causes, has_quality, findings = (
            np.stack(parts) for parts in zip(*members, strict=True)
        )
        beats, beats_known = self._beats(worse)
        return PairBatch(
            better=torch.from_numpy(teacher),
            worse=torch.from_numpy(student),
            clean=torch.from_numpy(better.values),
            same_moment=torch.from_numpy(pairs.is_made),
            quality=torch.from_numpy(quality),
            causes=torch.from_numpy((causes[..., None] & LEARNABLE) != 0),
            has_quality=torch.from_numpy(has_quality),
            hidden=self._hidden(streams),
            findings=torch.from_numpy(findings) if self.model.heads_see == "tokens and findings" else None,
            beats=beats,
            beats_known=beats_known,
        )

    def _members(
        self, better: ShardBatch, worse: ShardBatch, pairs: Pairs, i: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, ...]:
        """Return one pair's teacher and student samples, and of the student quality, causes, where known, findings."""
        segments = self.reader.segments
        scale, center = worse.scale[i][:, None], worse.center[i][:, None]
        student, quality, causes = worse.values[i], worse.quality[i], worse.causes[i]
        if pairs.is_made[i] and not (self.config.spared_fraction and rng.random() < self.config.spared_fraction):
            noisy = corrupt(student, segments.channels, segments.sample_rate_hz, self.bank, rng, self._corruption)
            student, quality, causes = noisy.values, quality * noisy.quality, causes | noisy.causes
            scale, center = scale * noisy.scale[:, None], center + scale * noisy.center[:, None]
        physical = student * scale + center
        student = jitter(student, self.config, rng)
        student = drop_channel(student, self.config.channel_dropout, rng)
        stacked = self.model.tokens == "convolution"
        before = np.isfinite(student)
        student = blank_span(student, self.config, rng, fill=0.0 if stacked else np.nan)
        quality = quality * _kept_share(before, np.isfinite(student), quality.shape[1], segments.sample_rate_hz)
        is_live = np.isfinite(student).any(axis=1) & ((worse.causes[i] & Cause.ABSENT) == 0).any(axis=1)
        has_quality = np.broadcast_to(is_live[:, None], quality.shape)
        teacher = jitter(better.values[i], self.config, rng)
        if stacked:
            teacher = blank_span(teacher, self.config, rng, fill=0.0)
        physical = np.where(np.isfinite(student), physical, np.nan).astype(np.float32)
        findings = self._findings(physical, worse.is_real[i], int(pairs.worse[i]), rng)
        return teacher, student.astype(np.float32), quality.astype(np.float32), causes, has_quality, findings

    def _findings(
        self,
        physical: Float32[np.ndarray, "channel time"],
        is_real: Bool[np.ndarray, "channel time"],
        row: int,
        rng: np.random.Generator,
    ) -> Float32[np.ndarray, "channel second finding"]:
        """Return what the classical indices find in the student; nothing for heads that do not see it, or by chance."""
        segments = self.reader.segments
        shape = (len(physical), segments.num_seconds, NUM_FINDINGS)
        if self.model.heads_see == "tokens" or rng.random() < self.held_back:
            return np.zeros(shape, np.float32)
        is_there = np.isfinite(physical).any(axis=1)
        names = self.reader.names(row)
        block = SegmentBlock(
            recording_id="",
            subject_id=None,
            config=segments,
            names=tuple(name if there else None for name, there in zip(names, is_there, strict=True)),
            units=self.reader.units(row),
            start_s=np.zeros(1),
            length_s=np.full(1, self.reader.rows["length_s"][row]),
            values=physical[None],
            is_real=(is_real & np.isfinite(physical))[None],
        )
        return np.asarray(find_signs(block)[0])

    def _beats(self, worse: ShardBatch) -> tuple[Tensor | None, Tensor | None]:
        if self.config.beat_weight == 0:
            return None, None
        segments = self.reader.segments
        found = beat_targets(
            worse.values, worse.quality, segments.channels, segments.sample_rate_hz, self.model.patch_samples
        )
        return torch.from_numpy(found.measures), torch.from_numpy(found.is_known)

    def _hidden(self, streams: list[np.random.Generator]) -> Bool[Tensor, "batch patch"] | None:
        if self.model.tokens == "convolution":
            return None
        num_patches = -(-self.reader.segments.num_samples // self.model.patch_samples)
        masks = [hide_patches(num_patches, self.config.mask_fraction, rng) for rng in streams]
        return torch.from_numpy(np.stack(masks))


def _kept_share(
    before: Bool[np.ndarray, "channel time"],
    after: Bool[np.ndarray, "channel time"],
    num_seconds: int,
    sample_rate_hz: float,
) -> Float[np.ndarray, "channel second"]:
    """Return the share of each second's samples that a blanked span left; 0 where nothing is left."""
    begins = second_starts(num_seconds, sample_rate_hz)
    had, kept = (np.add.reduceat(part, begins, axis=1, dtype=np.float64) for part in (before, after))
    return np.divide(kept, had, out=np.zeros_like(kept), where=had > 0)
