"""The figures of the quality benchmark: how the score falls with noise, and what it makes of rhythm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.stats import spearmanr

from qualityfm.evidence.intervals import Estimate, auc, bootstrap
from qualityfm.evidence.quality_data import SEGMENT_S, AnnotatedEcg
from qualityfm.evidence.quality_peers import peer_seconds, peers_of
from qualityfm.evidence.quality_scorers import ScoredSeconds, Scorer, as_recording
from qualityfm.records import Cause, ChannelKind

#: What a figure's interval is called in a table.
NUMBERS = ("value", "low", "high")

#: Points that a ROC curve is drawn with.
CURVE_POINTS = 60

SNRS_DB = (24, 18, 12, 6, 0, -6)

#: The cause that each noise is to be named as; electrode motion is baseline wander as well.
CAUSE_OF_NOISE = {"bw": Cause.BASELINE, "em": Cause.MOTION | Cause.BASELINE, "ma": Cause.NOISE}

#: Rhythms of the arrhythmia database that are compared with sinus, and what they are.
RHYTHMS = {
    "(AFIB": "atrial fibrillation",
    "(AFL": "atrial flutter",
    "(VT": "ventricular tachycardia",
    "(VFL": "ventricular flutter",
    "(B": "bigeminy",
    "(T": "trigeminy",
    "(SBR": "bradycardia",
    "(P": "paced",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the benchmark's table.

    Attributes:
        part: What is asked, such as "noise stress".
        case: Of which signals or noise.
        method: Whose score: "QualityFM" or a peer's name.
        measure: What the number is.
        estimate: The number with its interval.
        num_records: Records (patients, simulations) that it rests on.
        aim: What is aimed at, in words; "" where nothing is.
        curve: What the number sums up, as points: false against true positive share for an AUC, SNR in dB against the
            mean score for a rank correlation, probability against frequency for a calibration error; may be empty.
    """

    part: str
    case: str
    method: str
    measure: str
    estimate: Estimate
    num_records: int
    aim: str = ""
    curve: tuple[tuple[float, float], ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Figure:
        """Return the figure that `row` and its curve were made of; missing numbers are NaN."""
        value, low, high = (float("nan") if row[name] is None else float(row[name]) for name in NUMBERS)
        part, case, method, measure = (str(row[name]) for name in ("part", "case", "method", "measure"))
        return cls(
            part=part,
            case=case,
            method=method,
            measure=measure,
            estimate=Estimate(value=value, low=low, high=high),
            num_records=int(row["records"]),
            aim=str(row["aim"]),
            curve=tuple((float(x), float(y)) for x, y in row.get("curve", ())),
        )

    def row(self) -> dict[str, object]:
        """Return the figure as plain values."""
        numbers = {"value": self.estimate.value, "low": self.estimate.low, "high": self.estimate.high}
        rounded = {name: round(float(value), 4) for name, value in numbers.items()}
        return {
            "part": self.part,
            "case": self.case,
            "method": self.method,
            "measure": self.measure,
            **rounded,
            "records": self.num_records,
            "aim": self.aim,
        }


def figure_of(
    names: tuple[str, str, str, str],
    value: Callable[[np.ndarray], float],
    groups: np.ndarray,
    rounds: int,
    aim: str = "",
    curve: tuple[tuple[float, float], ...] = (),
) -> Figure:
    """Return a figure with its bootstrap interval over groups; `names` are part, case, method and measure.

    Where there is one group only, there is nothing to draw from and the interval is NaN.
    """
    part, case, method, measure = names
    if len(np.unique(groups)) < 2:
        estimate = Estimate(value=value(np.arange(len(groups))), low=float("nan"), high=float("nan"))
    else:
        estimate = bootstrap(value, groups, num_rounds=rounds)
    return Figure(
        part=part,
        case=case,
        method=method,
        measure=measure,
        estimate=estimate,
        num_records=len(np.unique(groups)),
        aim=aim,
        curve=curve,
    )


def roc_points(
    is_positive: Bool[np.ndarray, " sample"], score: Float[np.ndarray, " sample"]
) -> tuple[tuple[float, float], ...]:
    """Return some points of the ROC curve, false against true positive share; none where one class is missing."""
    num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
    if not num_positive or not num_negative:
        return ()
    cuts = np.unique(np.quantile(score, np.linspace(0, 1, CURVE_POINTS)))[::-1]
    points = [(float((score[~is_positive] >= c).mean()), float((score[is_positive] >= c).mean())) for c in cuts]
    return ((0.0, 0.0), *((round(x, 4), round(y, 4)) for x, y in points), (1.0, 1.0))


def mean_figure(
    names: tuple[str, str, str, str],
    values: Float[np.ndarray, " sample"],
    groups: np.ndarray,
    rounds: int,
    aim: str = "",
) -> Figure:
    """Return the mean of some values as a figure."""
    return figure_of(names, lambda chosen: float(values[chosen].mean()), groups, rounds, aim)


def add_noise(
    lines: Float32[np.ndarray, "line time"], bank: Float32[np.ndarray, "lead time"]
) -> Float32[np.ndarray, "snr line time"]:
    """Return lines with noise at each of `SNRS_DB`, as Moody's `nst` counts it.

    Signal power is an eighth of the squared peak-to-peak size of a usual second, noise power that of the excerpt.

    Source:
        Moody, Muldrow, Mark, Computers in Cardiology 11:381, 1984; `nst` of the WFDB applications.
    """
    rng = np.random.default_rng(1)
    size = np.median(np.ptp(lines.reshape(len(lines), SEGMENT_S, -1), axis=2), axis=1)[:, None]
    pieces = []
    for _ in lines:
        begin = rng.integers(0, bank.shape[1] - lines.shape[1])
        pieces.append(bank[rng.integers(0, len(bank)), begin : begin + lines.shape[1]])
    noise = np.stack(pieces)
    noise = (noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, keepdims=True) * size / np.sqrt(8)
    return np.stack([lines + noise * 10 ** (-snr_db / 20) for snr_db in SNRS_DB]).astype(np.float32)


def noise_figures(
    lines: Float32[np.ndarray, "line time"],
    groups: np.ndarray,
    kind: ChannelKind,
    noise: Mapping[str, Float32[np.ndarray, "lead time"]],
    scorers: Mapping[str, Scorer],
    rounds: int,
    peer_every: int,
) -> list[Figure]:
    """Return how each score follows the SNR, over all segments and within one, and how often the noise is named.

    Args:
        lines: Clean 30-s segments at the benchmark's rate.
        groups: Record of each.
        kind: What they are.
        noise: Recorded noise by kind.
        scorers: By name.
        rounds: Bootstrap rounds.
        peer_every: Peers see every n-th segment; 0 leaves them out.
    """
    figures = []
    step = max(1, min(peer_every, len(lines) // 4))
    for name, bank in noise.items():
        noisy, case = add_noise(lines, bank), f"{kind.value} + {name}"
        for method, scorer in scorers.items():
            scored = [scorer(as_recording(part, kind)) for part in noisy]
            means = np.array([found.quality[0].reshape(len(lines), -1).mean(axis=1) for found in scored])
            figures += rank_figures(case, method, means, groups, rounds, "at least .95")
            if all(found.causes is not None for found in scored):
                named = np.mean([_is_named(found, len(lines), CAUSE_OF_NOISE[name]) for found in scored[-2:]], axis=0)
                names = ("noise stress", case, method, "cause named in segments at 0 and -6 dB")
                figures.append(mean_figure(names, named, groups, rounds, "at least .90"))
        for peer_name, peer in (peers_of(kind) if peer_every else {}).items():
            theirs = np.array([peer_seconds(peer, part).mean(axis=1) for part in noisy[:, ::step]])
            figures += rank_figures(case, peer_name, theirs, groups[::step], rounds, "")
    return figures


def _is_named(scored: ScoredSeconds, num_segments: int, wanted: Cause) -> Float[np.ndarray, " segment"]:
    """Return whether at least half of a segment's seconds have one of the causes."""
    assert scored.causes is not None  # the caller asked
    has_cause = (scored.causes[0] & int(wanted)) > 0
    return np.asarray(has_cause.reshape(num_segments, -1).mean(axis=1) >= 0.5, float)


def rank_figures(
    case: str, method: str, scores: Float[np.ndarray, "snr line"], groups: np.ndarray, rounds: int, aim: str
) -> list[Figure]:
    """Return how a score of segments at each of `SNRS_DB` follows the SNR: over all segments, and within one."""
    snrs = np.array(SNRS_DB, float)

    def pooled(chosen: np.ndarray) -> float:
        return float(spearmanr(scores[:, chosen].ravel(), np.repeat(snrs, len(chosen))).statistic)

    within = np.array([spearmanr(column, snrs).statistic if np.ptp(column) > 0 else 0.0 for column in scores.T])
    part, curve = (
        "noise stress",
        tuple((float(s), round(float(m), 4)) for s, m in zip(snrs, scores.mean(1), strict=True)),
    )
    return [
        figure_of((part, case, method, "rank correlation with SNR, all"), pooled, groups, rounds, aim, curve),
        figure_of(
            (part, case, method, "rank correlation with SNR, within a segment"),
            lambda chosen: float(within[chosen].mean()),
            groups,
            rounds,
        ),
    ]


def blindness_figures(
    records: list[AnnotatedEcg],
    seconds: list[Float[np.ndarray, " second"]],
    method: str,
    rounds: int,
    is_ours: bool = True,
) -> list[Figure]:
    """Return how well a low score tells each rhythm from clean sinus without ectopy: 0.5 is blind.

    Only seconds without a noise mark count. The bootstrap draws records.

    Args:
        records: Annotated leads.
        seconds: Score of every second of each.
        method: Whose score it is.
        rounds: Bootstrap rounds.
        is_ours: Whether an aim stands beside it.
    """
    groups = np.concatenate([np.full(len(s), r.record, object) for r, s in zip(records, seconds, strict=True)])
    score = np.concatenate(seconds)
    rhythm = np.concatenate([r.rhythm for r in records])
    is_quiet = ~np.concatenate([r.is_noisy for r in records])
    is_ectopic = np.concatenate([r.is_ectopic for r in records])
    is_sinus = (rhythm == "(N") & is_quiet & ~is_ectopic
    wanted = {text: (rhythm == name) & is_quiet for name, text in RHYTHMS.items()}
    wanted["ectopic beats"] = (rhythm == "(N") & is_quiet & is_ectopic
    figures = []
    for text, is_other in wanted.items():
        if is_other.any():
            chosen = is_other | is_sinus
            names = ("rhythm blindness", f"ecg, {text}", method, "AUC of a low score against sinus")
            aim = "0.40 to 0.60" if is_ours else ""
            figures.append(_auc_figure(names, is_other[chosen], -score[chosen], groups[chosen], rounds, aim))
    return figures


def _auc_figure(
    names: tuple[str, str, str, str],
    is_positive: np.ndarray,
    score: np.ndarray,
    groups: np.ndarray,
    rounds: int,
    aim: str,
) -> Figure:
    curve = roc_points(is_positive, score)
    return figure_of(names, lambda i: auc(is_positive[i], score[i]), groups, rounds, aim, curve)


def auc_figure(
    names: tuple[str, str, str, str],
    is_bad: np.ndarray,
    quality: np.ndarray,
    groups: np.ndarray,
    rounds: int,
    aim: str = "",
) -> Figure:
    """Return how well a low quality finds what is bad, with its interval over groups."""
    return _auc_figure(names, is_bad.astype(bool), -np.asarray(quality, float), groups, rounds, aim)
