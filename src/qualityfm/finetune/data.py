"""The windows of all examples in memory, scaled once; every fold and arm of a comparison draws from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from qualityfm.errors import QualityFMError, TaskError, problem
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.tasks.examples import Example, groups_of
from qualityfm.tasks.windows import LEVELS_PER_SLOT, read_window, window_config

#: Samples that are held in memory, at most: 8 GB (our own bound).
MAX_SAMPLES = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class WindowSet:
    """The windows of examples, in their order.

    Attributes:
        config: How the windows were cut.
        examples: One for each window.
        values: Scaled samples; NaN where missing.
        levels: What scaling removed, see `qualityfm.tasks.windows.channel_levels`.
        kind: Number of each example's kind in the task's list; -1 for one that is not in it.
        truth: Labels; NaN where an example has none.
    """

    config: SegmentConfig
    examples: tuple[Example, ...]
    values: Float32[np.ndarray, "example channel time"]
    levels: Float32[np.ndarray, "example level"]
    kind: Int[np.ndarray, " example"]
    truth: Float[np.ndarray, "example output"]

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def groups(self) -> np.ndarray:
        """Who each window belongs to, as text; windows of one group never lie on two sides.

        Raises:
            TaskError: An example does not say.
        """
        return np.asarray(groups_of(self.examples))

    def at(self, numbers: Int[np.ndarray, " chosen"]) -> WindowSet:
        """Return the windows at some places, in ascending order."""
        return self.chosen(np.isin(np.arange(len(self)), numbers))

    def chosen(self, which: Bool[np.ndarray, " example"]) -> WindowSet:
        """Return the windows at the places that are true."""
        return WindowSet(
            config=self.config,
            examples=tuple(e for e, keep in zip(self.examples, which, strict=True) if keep),
            values=self.values[which],
            levels=self.levels[which],
            kind=self.kind[which],
            truth=self.truth[which],
        )


def collect_windows(
    examples: Sequence[Example],
    segments: SegmentConfig,
    *,
    window_s: float,
    num_outputs: int,
    kinds: Sequence[str] = (),
    hidden: Sequence[ChannelKind] = (),
    report: Callable[[int, str], None] | None = None,
) -> tuple[WindowSet, list[dict[str, str]]]:
    """Read the last `window_s` of every example.

    Args:
        examples: What to read.
        segments: The model's recipe.
        window_s: Length of a window, s.
        num_outputs: Numbers in a label.
        kinds: Kinds of examples that the model tells apart.
        hidden: Channels that it must not see.
        report: Called with the number of examples read.

    Returns:
        The windows that could be read, and for each other one its recording and the reason.

    Raises:
        TaskError: None could be read, or they would not fit into memory.
    """
    config = window_config(segments, window_s)
    num_channels = len(config.channels)
    _require_room(len(examples) * num_channels * config.num_samples)
    values = np.empty((len(examples), num_channels, config.num_samples), np.float32)
    levels = np.empty((len(examples), num_channels * LEVELS_PER_SLOT), np.float32)
    kept: list[Example] = []
    problems: list[dict[str, str]] = []
    for number, example in enumerate(examples, 1):
        begin_s = example.start_s + example.length_s - window_s
        try:
            window = read_window(example.recording, begin_s, config, hidden=hidden, layout=example.layout)
            values[len(kept)], levels[len(kept)] = window.values, window.levels
            kept.append(example)
        except QualityFMError as error:
            problems.append({"recording": example.name, "reason": str(error)})
        if report is not None:
            report(number, example.name)
    if not kept:
        first = f"; first reason: {problems[0]['reason']}" if problems else ""
        expected = "at least one example that can be read"
        raise TaskError(
            problem("nothing to learn from", where="examples", field="windows", found=len(examples), expected=expected)
            + first
        )
    found = WindowSet(
        config=config,
        examples=tuple(kept),
        values=values[: len(kept)],
        levels=levels[: len(kept)],
        kind=np.array([_number_of(example.kind, kinds) for example in kept]),
        truth=np.array([_label_of(example, num_outputs) for example in kept], np.float64),
    )
    return found, problems


def _require_room(num_samples: int) -> None:
    if num_samples > MAX_SAMPLES:
        expected, advice = f"at most {MAX_SAMPLES:,} samples", "give fewer examples or shorter windows"
        raise TaskError(
            problem("too much", where="examples", field="samples", found=num_samples, expected=expected, advice=advice)
        )


def _number_of(kind: str, kinds: Sequence[str]) -> int:
    return list(kinds).index(kind) if kind in kinds else -1


def _label_of(example: Example, num_outputs: int) -> tuple[float, ...]:
    if example.label is None:
        return (float("nan"),) * num_outputs
    if len(example.label) != num_outputs:
        raise TaskError(
            problem(
                "label does not fit",
                where=example.name,
                field="label",
                found=example.label,
                expected=f"{num_outputs} numbers",
            )
        )
    return example.label
