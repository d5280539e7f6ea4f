"""The settings of fine-tuning. Plain data: reading it needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from qualityfm.errors import ConfigError, problem

ABOVE_ZERO = ("max_epochs", "batch_size", "learning_rate", "ridge", "patience", "rank", "inner_folds")
SHARES = ("layer_decay", "inner_share", "channel_dropout", "warmup_share", "label_smoothing", "dropout", "sensitivity")
NOT_NEGATIVE = ("weight_decay", "noise_sd", "gradient_clip", "gain", "seed", "head_rate")

How = Literal["probe", "full", "adapter"]


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How a task is learnt. The defaults suit a few hundred to a few thousand windows on one core.

    Attributes:
        how: "probe" fits the head alone on frozen features; "full" goes on from there with all weights; "adapter" with
            low-rank changes of the attention.
        pooling: How tokens become one vector, see `TaskHeadConfig`.
        dropout: Share of the pooled features zeroed while training.
        ridge: Weight of the probe's squared weights, per example, in deviations of the features.
        max_epochs: Passes over the training windows at most.
        patience: Epochs without a better validation loss until training stops.
        batch_size: Windows in a step.
        learning_rate: Peak of the last layer's rate.
        head_rate: Rate of the head over that of the last layer.
        layer_decay: Rate of each layer over that of the one above it.
        warmup_share: Share of the steps in which the rate rises.
        weight_decay: AdamW's.
        gradient_clip: Largest norm of the gradient; 0 switches clipping off.
        label_smoothing: Share by which the labels of a classification are drawn to the middle.
        balanced: Weigh the classes as if they were equally frequent while training; calibration undoes it.
        noise_sd: Noise added while training, in scaled units.
        gain: Largest change of a channel's size while training, as the log of a factor.
        channel_dropout: Chance that a window loses one of its channels while training.
        rank: Of the adapter's changes.
        inner_share: Share of the training patients set aside for early stopping, thresholds and calibration.
        inner_folds: 1 sets one such part aside; more train on each complement, so that every training patient counts
            for the thresholds, and then once on all of them for the median number of epochs.
        sensitivity: What the careful operating point holds.
        seed: Of everything random.
    """

    how: How = "full"
    pooling: Literal["statistics", "attention"] = "statistics"
    dropout: float = 0.1
    ridge: float = 0.1
    max_epochs: int = 20
    patience: int = 4
    batch_size: int = 32
    learning_rate: float = 3e-4
    head_rate: float = 3.0
    layer_decay: float = 0.7
    warmup_share: float = 0.1
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    label_smoothing: float = 0.05
    balanced: bool = True
    noise_sd: float = 0.05
    gain: float = 0.2
    channel_dropout: float = 0.2
    rank: int = 4
    inner_share: float = 0.25
    inner_folds: int = 1
    sensitivity: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ABOVE_ZERO:
            self._require(field, 0 < getattr(self, field) < math.inf, "a number above 0")
        for field in SHARES:
            self._require(field, 0 <= getattr(self, field) <= 1, "0 <= x <= 1")
        for field in NOT_NEGATIVE:
            self._require(field, 0 <= getattr(self, field) < math.inf, "a number of at least 0")
        self._require("inner_share", 0 < self.inner_share < 1, "0 < x < 1")
        self._require("sensitivity", 0 < self.sensitivity < 1, "0 < x < 1")

    def for_untrained(self) -> FinetuneConfig:
        """Return the settings for a body without pre-training: every layer at one, higher rate, and more steps."""
        return replace(
            self,
            learning_rate=5 * self.learning_rate,
            layer_decay=1.0,
            head_rate=1.0,
            batch_size=max(1, self.batch_size // 2),
            max_epochs=2 * self.max_epochs,
            patience=3 * self.patience,
        )

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            found = getattr(self, field)
            raise ConfigError(problem("wrong setting", where="finetune", field=field, found=found, expected=expected))
