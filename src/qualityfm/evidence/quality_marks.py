"""Does a low score find the seconds that annotators marked as noisy? Per lead, on the MIT-BIH Arrhythmia Database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32

from qualityfm.evidence.intervals import auc
from qualityfm.evidence.quality_data import RATE_HZ, SEGMENT_S, stretches
from qualityfm.evidence.quality_figures import Figure, auc_figure, mean_figure
from qualityfm.evidence.quality_peers import peer_seconds, peers_of
from qualityfm.evidence.quality_scorers import Scorer, line_quality
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.sources import open_recording, read_annotations
from qualityfm.sources.annotations import Annotations

PART = "noise marks"
MEASURE = "AUC of a low score in seconds marked as noisy"

#: Seconds on either side of a mark that are left out: marks stand at beats, not where noise begins. Our own choice.
BORDER_S = 1.0

#: Seconds of either kind that a lead must have for an AUC of its own. Our own choice.
LEAST_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class MarkedLead:
    """One lead with the noise that annotators saw in it.

    Attributes:
        record: Name of the record.
        lead: 0 for the record's first lead, 1 for its second.
        lines: Its 30-s segments at `RATE_HZ`.
        is_noisy: True for a second marked as noisy or unreadable in this lead.
        is_judged: False for a second near a mark or behind the end.
    """

    record: str
    lead: int
    lines: Float32[np.ndarray, "line time"]
    is_noisy: Bool[np.ndarray, " second"]
    is_judged: Bool[np.ndarray, " second"]

    def some(self, number: int) -> MarkedLead:
        """Return at most a number of segments with noise and as many without."""
        noisy = (self.is_noisy & self.is_judged).reshape(-1, SEGMENT_S).any(axis=1)
        rng = np.random.default_rng(1)
        rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(noisy == is_in))[:number] for is_in in (0, 1)]))
        is_noisy, is_judged = (marks.reshape(-1, SEGMENT_S)[rows].ravel() for marks in (self.is_noisy, self.is_judged))
        return MarkedLead(
            record=self.record, lead=self.lead, lines=self.lines[rows], is_noisy=is_noisy, is_judged=is_judged
        )


def marked_leads(folder: Path, every: int = 1) -> Iterator[MarkedLead]:
    """Yield both leads of every n-th record of a folder in the layout of the MIT-BIH Arrhythmia Database."""
    for header in sorted(folder.glob("*.hea"))[::every]:
        config = SegmentConfig(
            channels=(ChannelKind.ECG,) * 2, sample_rate_hz=RATE_HZ, segment_s=SEGMENT_S, step_s=SEGMENT_S
        )
        block = cut_block(open_recording(header.with_suffix("")), config)
        marks = read_annotations(header, "atr")
        duration_s = float(block.length_s.sum())
        for lead in range(2):
            is_noisy, is_judged = noisy_seconds(marks, lead, len(block) * SEGMENT_S, duration_s)
            lines = np.nan_to_num(block.values[:, lead])
            yield MarkedLead(record=header.stem, lead=lead, lines=lines, is_noisy=is_noisy, is_judged=is_judged)


def noisy_seconds(
    marks: Annotations, lead: int, num_seconds: int, duration_s: float
) -> tuple[Bool[np.ndarray, " second"], Bool[np.ndarray, " second"]]:
    """Return which seconds are marked as noisy in one lead, and which are far enough from any mark to be judged.

    A mark `~` holds until the next one. Bit i of its subtype says that signal i is noisy, bit 4 + i that it is
    unreadable; -1 says that all are.

    Source:
        WFDB Programmer's Guide, annotation codes, NOISE.
    """
    changes = [(s, int(k)) for s, c, k in zip(marks.times_s, marks.symbols, marks.subtypes, strict=True) if c == "~"]
    begins = np.arange(num_seconds, dtype=float)
    is_noisy, is_judged = np.zeros(num_seconds, bool), begins + 1 <= duration_s
    for begin_s, end_s, subtype in stretches(changes, duration_s):
        if subtype >> lead & 1 or subtype >> (4 + lead) & 1:
            is_noisy |= (begins >= begin_s) & (begins < end_s)
        is_judged &= (begins + 1 <= begin_s - BORDER_S) | (begins >= begin_s + BORDER_S)
    return is_noisy, is_judged


def mark_figures(
    leads: list[MarkedLead], scorers: Mapping[str, Scorer], rounds: int, peer_segments: int
) -> list[Figure]:
    """Return how well each score finds marked seconds: of first leads, of second leads, of both.

    Args:
        leads: Marked leads.
        scorers: By name.
        rounds: Bootstrap rounds over records.
        peer_segments: Segments with and without noise of each lead that peers see, and our scores beside them; 0 leaves
            them out.
    """
    figures = []
    for name, scorer in scorers.items():
        figures += _figures(leads, _scores(scorer, leads), PART, name, rounds)
    peers = peers_of(ChannelKind.ECG) if peer_segments else {}
    if peers:
        some = [lead.some(peer_segments) for lead in leads]
        for name, scorer in scorers.items():
            figures += _figures(some, _scores(scorer, some), f"{PART}, some", name, rounds)
        for name, peer in peers.items():
            scores = _by_lead(peer_seconds(peer, np.concatenate([lead.lines for lead in some])), some)
            figures += _figures(some, scores, f"{PART}, some", name, rounds)
    return figures


def _scores(scorer: Scorer, leads: list[MarkedLead]) -> list[Float[np.ndarray, " second"]]:
    return [line_quality(scorer, lead.lines, ChannelKind.ECG).ravel() for lead in leads]


def _by_lead(seconds: Float[np.ndarray, "line second"], leads: list[MarkedLead]) -> list[np.ndarray]:
    ends = np.cumsum([len(lead.lines) for lead in leads])[:-1]
    return [part.ravel() for part in np.split(seconds, ends)]


def _figures(
    leads: list[MarkedLead], scores: list[Float[np.ndarray, " second"]], part: str, method: str, rounds: int
) -> list[Figure]:
    figures = []
    for case, numbers in (("first leads", (0,)), ("second leads", (1,)), ("both leads", (0, 1))):
        chosen = [(lead, s) for lead, s in zip(leads, scores, strict=True) if lead.lead in numbers]
        is_noisy = np.concatenate([lead.is_noisy[lead.is_judged] for lead, _ in chosen])
        quality = np.concatenate([s[lead.is_judged] for lead, s in chosen])
        groups = np.concatenate([np.full(lead.is_judged.sum(), lead.record) for lead, _ in chosen])
        figures.append(auc_figure((part, f"mitdb, {case}", method, MEASURE), is_noisy, quality, groups, rounds))
    figures += _within(leads, scores, part, method, rounds)
    return figures


def _within(
    leads: list[MarkedLead], scores: list[Float[np.ndarray, " second"]], part: str, method: str, rounds: int
) -> list[Figure]:
    """Return the mean AUC within a lead, which no difference between patients and leads can raise or lower."""
    values, groups = [], []
    for lead, score in zip(leads, scores, strict=True):
        is_noisy = lead.is_noisy[lead.is_judged]
        if min(is_noisy.sum(), (~is_noisy).sum()) >= LEAST_SECONDS:
            values.append(auc(is_noisy, -score[lead.is_judged]))
            groups.append(lead.record)
    if len(set(groups)) < 2:
        return []
    names = (part, "mitdb, within a lead, mean", method, MEASURE)
    return [mean_figure(names, np.array(values), np.array(groups), rounds)]
