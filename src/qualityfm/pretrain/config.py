"""The settings of a pre-training run. Plain data: reading it needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from qualityfm.errors import ConfigError, problem

#: Length of the short-time windows of the spectral loss, s: two beats at 60 /min (our own choice, docs/decisions/0006).
SPECTRAL_WINDOW_S = 2.0

SHARES = (
    "made_fraction",
    "spared_fraction",
    "mask_fraction",
    "channel_dropout",
    "warmup_share",
    "teacher_momentum",
    "center_momentum",
)
ABOVE_ZERO = (
    "epochs",
    "batch_size",
    "learning_rate_at_256",
    "student_temperature",
    "teacher_temperature",
    "cause_emphasis",
)
NOT_NEGATIVE = (
    "final_learning_rate",
    "weight_decay",
    "final_weight_decay",
    "gradient_clip",
    "num_prototypes",
    "max_distance_s",
    "noise_sd",
    "offset",
    "distill_weight",
    "amplitude_weight",
    "phase_weight",
    "quality_weight",
    "cause_weight",
    "beat_weight",
    "seed",
)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """The self-distillation recipe; the two families are two sets of these settings.

    Attributes:
        objective: "paper" distils every token and predicts standardised FFT amplitude and raw phase; "aligned" distils
            tokens only where both members show the same moment, and predicts wrap-safe short-time spectra.
        grade_by: Column of the shard set that grades segments: our rhythm-blind quality, or the published definition.
        epochs: Passes over the anchors; each segment is an anchor once an epoch.
        batch_size: Pairs in a step.
        learning_rate_at_256: Peak learning rate for a batch of 256; scaled linearly with the batch.
        final_learning_rate: At the end of the cosine.
        warmup_share: Share of the steps in which the learning rate rises.
        weight_decay: At the start of its cosine.
        final_weight_decay: At its end.
        decoupled_weight_decay: AdamW's decay instead of Adam's L2 term.
        gradient_clip: Largest norm of the gradient; 0 switches clipping off.
        teacher_momentum: Of the moving average, at the start of a cosine to 1.
        student_temperature: Of the student's softmax.
        teacher_temperature: Of the teacher's softmax.
        center_momentum: Of the running mean subtracted from the teacher's logits.
        num_prototypes: Outputs of the projection head; 0 compares the features themselves.
        made_fraction: Share of pairs made by adding noise although a natural partner exists.
        spared_fraction: Share of made pairs whose student sees the segment as it is: what quality and causes look like
            where nothing was added. Of use where nothing is distilled.
        max_distance_s: Farthest apart that the two members of a natural pair begin, s.
        mask_fraction: Share of the student's patches hidden behind the mask token (not with "convolution").
        channel_dropout: Chance that one of the student's channels is taken away, where at least two are there.
        noise_sd: Noise added to both members, in scaled units.
        gain_range: Random gain of each channel.
        offset: Largest random offset of each channel, in scaled units.
        zeroed_span: Shortest and longest share of the segment that is zeroed in both members ("convolution"), or
            missing in the student.
        distill_weight: Weight of the distillation loss.
        amplitude_weight: Weight of the amplitude or power term.
        phase_weight: Weight of the phase term.
        quality_weight: Weight of the quality head's loss.
        cause_weight: Weight of the cause head's loss.
        beat_weight: Weight of the loss on beats, as `qualityfm.pretrain.beats` measures them (not with "paper").
        cause_emphasis: How much more a second that has a cause counts for it than one that has not; causes are rare.
        seed: Of everything random in the run.
    """

    objective: Literal["paper", "aligned"] = "aligned"
    grade_by: Literal["quality", "paper_quality"] = "quality"
    epochs: float = 20.0
    batch_size: int = 32
    learning_rate_at_256: float = 4e-3
    final_learning_rate: float = 1e-6
    warmup_share: float = 0.05
    weight_decay: float = 0.04
    final_weight_decay: float = 0.1
    decoupled_weight_decay: bool = True
    gradient_clip: float = 3.0
    teacher_momentum: float = 0.99
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    center_momentum: float = 0.9
    num_prototypes: int = 512
    made_fraction: float = 0.5
    spared_fraction: float = 0.0
    max_distance_s: float = 270.0
    mask_fraction: float = 0.3
    channel_dropout: float = 0.2
    noise_sd: float = 0.01
    gain_range: tuple[float, ...] = (0.9, 1.1)
    offset: float = 0.1
    zeroed_span: tuple[float, ...] = (0.05, 0.10)
    distill_weight: float = 1.0
    amplitude_weight: float = 1.0
    phase_weight: float = 1.0
    quality_weight: float = 1.0
    cause_weight: float = 1.0
    cause_emphasis: float = 1.0
    beat_weight: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("gain_range", "zeroed_span"):
            low_high = getattr(self, field)
            is_pair = len(low_high) == 2 and 0 <= low_high[0] <= low_high[1] < math.inf
            self._require(field, is_pair, "two numbers from 0 up, low and high")
        self._require("zeroed_span", self.zeroed_span[1] <= 1, "shares up to 1")
        for field in SHARES:
            self._require(field, 0 <= getattr(self, field) <= 1, "0 <= x <= 1")
        for field in ABOVE_ZERO:
            self._require(field, 0 < getattr(self, field) < math.inf, "a number above 0")
        for field in NOT_NEGATIVE:
            self._require(field, 0 <= getattr(self, field) < math.inf, "a number of at least 0")

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            found = getattr(self, field)
            raise ConfigError(problem("wrong setting", where="pretrain", field=field, found=found, expected=expected))
