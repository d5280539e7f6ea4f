"""What a pre-training run tells while it works, and at its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What a progress display needs after each step."""

    step: int
    num_steps: int
    loss: float
    pairs_per_s: float
    heldout_loss: float | None
    is_collapsed: bool = False


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended.

    Attributes:
        folder: The run's folder; its checkpoint lies in `checkpoint/`.
        steps: Steps done.
        num_steps: Steps planned.
        heldout_start: Held-out losses before the first step.
        heldout_end: The same at the last check, with feature spread, effective rank
            and teacher entropy.
        num_natural: Pairs of two segments seen so far.
        num_made: Pairs made by adding noise.
        is_collapsed: Whether spread or rank fell below their bounds at any check.
    """

    folder: Path
    steps: int
    num_steps: int
    heldout_start: dict[str, float]
    heldout_end: dict[str, float]
    num_natural: int
    num_made: int
    is_collapsed: bool

    @property
    def is_finished(self) -> bool:
        """Whether all planned steps are done."""
        return self.steps >= self.num_steps
