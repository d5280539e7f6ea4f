"""What a fine-tuned head is asked. Plain data: reading it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qualityfm.records import ChannelKind

#: What outputs are: one logit, a logit for each class, or numbers.
Answer = Literal["binary", "multiclass", "regression"]

#: What a threshold serves: the score of the 2015 challenge, or the mean of sensitivity and specificity.
Rule = Literal["challenge", "balanced"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a head is asked.

    Attributes:
        task: Name of the task.
        answer: What its outputs are.
        outputs: Name of each number of an answer; for several classes of each class.
        window_s: Length of a window, s.
        kinds: Kinds of examples that the head tells apart, such as alarm types.
        hidden: Channels that the model must not see.
        rule: What the threshold serves.
        unit: Of a quantity.
    """

    task: str
    answer: Answer
    outputs: tuple[str, ...]
    window_s: float
    kinds: tuple[str, ...] = ()
    hidden: tuple[ChannelKind, ...] = ()
    rule: Rule = "balanced"
    unit: str = ""
