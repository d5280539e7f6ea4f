"""Quality of one recording as the viewer shows it: scored piece by piece in a thread of its own, read at any time."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.quality.score import score_quality
from qualityfm.records import GRADE_CUTS, Cause, Recording, Signal, grade
from qualityfm.segments import SegmentConfig, assign_slots, why_nothing_fits

_LOG = logging.getLogger("qualityfm.service")

#: Recording scored at a time, s, a whole number of segments: small in memory, and progress is seen. Our choice.
PIECE_S = 600.0
#: Read before and after a piece and thrown away, s: filters then see what they would see in the whole. One segment.
MARGIN_S = 30.0
#: A second below this quality is an artefact to jump to: worse than grade C, as docs/QUALITY.md names unusable.
ARTEFACT_BELOW = GRADE_CUTS["C"]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A stretch of bad seconds of one channel."""

    channel: int
    start_s: float
    end_s: float
    quality: float
    causes: str


class Ribbon:
    """Quality and causes of every second of a recording's scored channels.

    Args:
        recording: The whole recording.

    Attributes:
        channels: For each line, which channel of the recording it belongs to.
        duration_s: Seconds to be scored.
        scored_s: Seconds scored so far.
        problem: Why it cannot be scored; empty while it can.
    """

    def __init__(self, recording: Recording) -> None:
        config = SegmentConfig()
        slots = [s for s in assign_slots(recording, config.channels) if s is not None]
        indices = sorted(i for i, s in enumerate(recording.signals) if any(s is slot for slot in slots))
        self._recording = replace(recording, signals=tuple(recording.signals[i] for i in indices))
        self.channels = indices
        self.duration_s = max((s.start_s + s.duration_s for s in slots), default=0.0)
        self.scored_s, self.problem = 0.0, "" if slots else why_nothing_fits(recording, config)
        num_seconds = int(np.ceil(self.duration_s - 1e-9))
        self.quality = np.full((len(indices), num_seconds), np.nan, np.float32)
        self.causes = np.zeros(self.quality.shape, np.uint16)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="qualityfm-ribbon")

    def begin(self) -> None:
        """Begin to score, in a thread."""
        if self.channels:
            self._thread.start()

    def end(self) -> None:
        """Ask the thread to end after its piece."""
        self._ended.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until all is scored."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            start_s = 0.0
            while start_s < self.duration_s and not self._ended.is_set():
                self._score_piece(start_s)
                start_s += PIECE_S
                self.scored_s = min(start_s, self.duration_s)
        except QualityFMError as error:
            self.problem = str(error)
        except Exception:
            _LOG.exception("scoring a recording for the viewer failed")
            self.problem = "scoring failed; the log of the service says why"

    def _score_piece(self, start_s: float) -> None:
        config = SegmentConfig()
        begin_s = max(0.0, start_s - MARGIN_S)
        end_s = min(self.duration_s, start_s + PIECE_S)
        piece = cut_piece(self._recording, begin_s, min(self.duration_s, end_s + MARGIN_S))
        score = score_quality(piece, config)
        first, last = round(start_s), min(int(np.ceil(end_s - 1e-9)), self.quality.shape[1])
        offset = round(start_s - begin_s)
        for slot, signal in enumerate(assign_slots(piece, config.channels)):
            line = next((i for i, s in enumerate(piece.signals) if s is signal), None)
            if line is not None:
                seconds = slice(offset, offset + last - first)
                self.quality[line, first:last] = score.quality[:, slot].ravel()[seconds]
                self.causes[line, first:last] = score.causes[:, slot].ravel()[seconds]

    def cells(self, start_s: float, end_s: float, num_cells: int) -> list[dict[str, object]]:
        """Return, for each scored channel, coloured stretches: the worst grade and all causes of each cell."""
        first, last = _bounds(start_s, end_s, self.quality.shape[1])
        width = max(1, -(-(last - first) // num_cells))
        starts = np.arange(first - first % width, last, width)  # cells stay where they are while the view moves
        lines = []
        for line, channel in enumerate(self.channels):
            quality, causes = self.quality[line], self.causes[line]
            cells = [_cell(quality, causes, s, min(s + width, len(quality))) for s in starts.tolist()]
            lines.append({"channel": channel, "cells": _merged(cells)})
        return lines

    def next_spot(self, after_s: float) -> Spot | None:
        """Return the first artefact that begins after an instant, of any channel."""
        spots = [s for line in range(len(self.channels)) for s in self._spots(line) if s.start_s > after_s]
        return min(spots, key=lambda s: s.start_s, default=None)

    def worst_spot(self) -> Spot | None:
        """Return the artefact that costs most: the sum over its seconds of what is missing to a perfect quality.

        Where nothing was recorded there is nothing to look at: of such seconds none counts.
        """
        spots = [s for line in range(len(self.channels)) for s in self._spots(line, is_recorded=True)]
        return max(spots, key=lambda s: (s.end_s - s.start_s) * (1 - s.quality), default=None)

    def _spots(self, line: int, *, is_recorded: bool = False) -> list[Spot]:
        is_bad = self.quality[line] < ARTEFACT_BELOW  # NaN, not yet scored, is not bad
        if is_recorded:
            is_bad &= (self.causes[line] != int(Cause.DROPOUT)) | (self.quality[line] > 0)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_bad, [False]]).astype(np.int8))).reshape(-1, 2)
        return [self._spot(line, int(a), int(b)) for a, b in edges]

    def _spot(self, line: int, first: int, last: int) -> Spot:
        flags = int(np.bitwise_or.reduce(self.causes[line, first:last]))
        return Spot(
            channel=self.channels[line],
            start_s=float(first),
            end_s=float(last),
            quality=float(self.quality[line, first:last].mean()),
            causes=Cause(flags).words,
        )


def cut_piece(recording: Recording, start_s: float, end_s: float) -> Recording:
    """Return a stretch of a recording; its time runs from `start_s`, no sample is copied."""
    return replace(recording, signals=tuple(_cut_signal(s, start_s, end_s) for s in recording.signals))


def _cut_signal(signal: Signal, start_s: float, end_s: float) -> Signal:
    rate = signal.sample_rate_hz
    first = max(0, int(np.ceil((start_s - signal.start_s) * rate - 1e-6)))
    last = max(first, int(np.ceil((end_s - signal.start_s) * rate - 1e-6)))
    first = min(first, len(signal.samples))
    return replace(
        signal, samples=signal.samples[first:last], start_s=max(0.0, signal.start_s + first / rate - start_s)
    )


def _bounds(start_s: float, end_s: float, num_seconds: int) -> tuple[int, int]:
    first = int(np.clip(np.floor(start_s), 0, num_seconds))
    return first, int(np.clip(np.ceil(end_s), first, num_seconds))


def _cell(quality: np.ndarray, causes: np.ndarray, first: int, last: int) -> tuple[int, int, str, int, float]:
    """Return first and last second, grade ("" where not yet scored), causes and worst quality."""
    part = quality[first:last]
    known = part[~np.isnan(part)]
    if not len(known):
        return first, last, "", 0, float("nan")
    return first, last, grade(float(known.min())), int(np.bitwise_or.reduce(causes[first:last])), float(known.min())


def _merged(cells: list[tuple[int, int, str, int, float]]) -> list[dict[str, object]]:
    """Join neighbours of the same grade and causes; what is not scored yet is left out."""
    merged: list[list[float | str | int]] = []
    for first, last, letter, flags, quality in cells:
        if merged and letter and merged[-1][1] == first and merged[-1][2] == letter and merged[-1][3] == flags:
            merged[-1][1], merged[-1][4] = last, min(float(merged[-1][4]), quality)
        elif letter:
            merged.append([first, last, letter, flags, quality])
    return [
        {"start_s": a, "end_s": b, "grade": g, "quality": round(float(q), 3), "causes": Cause(int(f)).words}
        for a, b, g, f, q in merged
    ]
