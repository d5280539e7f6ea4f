"""Prints the figures of docs/decisions/0004: `QUALITYFM_DATA=... python benchmarks/quality.py`.

It is no test: it takes minutes, and its figures are read by people. The bounds they must keep are in
tests/quality/test_quality_real.py.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import wfdb
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from qualityfm.quality import agreement, score_block
from qualityfm.quality.lines import prepare_lines
from qualityfm.records import ChannelKind, QualityScore
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block, resample
from qualityfm.sources import open_recording
from qualityfm.waveform.beats import find_qrs

DATA = Path(os.environ["QUALITYFM_DATA"])
SNRS_DB = (24, 18, 12, 6, 0, -6)
RATE_HZ = 125.0
ONE = {kind: SegmentConfig(channels=(kind,)) for kind in ChannelKind}
HELD_OUT_MIN = (13, 20)  # minutes of nstdb that no threshold has seen
UNITS = {ChannelKind.ECG: "mV", ChannelKind.ABP: "mmHg"}
BEAT_CODES = "NLRBAaJSVrFejnE/fQ"
RHYTHMS = ("(AFIB", "(AFL", "(VT", "(VFL", "(B", "(T", "(SBR", "(P")


def say(*words: object) -> None:
    """Write one line."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def auc_of_low(bad: np.ndarray, good: np.ndarray) -> float:
    """Return how well a low score tells bad from good; 0.5 is blind."""
    return float(roc_auc_score(np.r_[np.ones(len(bad)), np.zeros(len(good))], -np.r_[bad, good]))


def one_channel(lines: np.ndarray, kind: ChannelKind) -> SegmentBlock:
    """Return 30-s lines as a block."""
    values = lines[:, None].astype(np.float32)
    return SegmentBlock(
        recording_id="made",
        subject_id=None,
        config=ONE[kind],
        names=("x",),
        units=(UNITS.get(kind, "NU"),),
        start_s=np.arange(len(lines)) * 30.0,
        length_s=np.full(len(lines), 30.0),
        values=values,
        is_real=np.isfinite(values),
    )


def train_blocks() -> Iterator[SegmentBlock]:
    """Yield the `train` records of the 2015 challenge."""
    with (DATA / "challenge2015" / "records.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train":
                yield cut_block(open_recording(DATA / "challenge2015" / "records" / row["record"]), SegmentConfig())


def mitdb() -> Iterator[tuple[str, SegmentBlock, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield record, block of the first lead, and per second: rhythm, is marked noisy, is next to a ventricular beat."""
    for header in sorted((DATA / "mitdb").glob("*.hea")):
        path = header.with_suffix("")
        block = cut_block(open_recording(path), ONE[ChannelKind.ECG])
        num_seconds = len(block) * 30
        marks = wfdb.rdann(str(path), "atr")
        at_s = marks.sample / 360
        rhythm = _stretches([(s, a.strip("\0")) for s, a in zip(at_s, marks.aux_note, strict=True) if a[:1] == "("])
        noise = _stretches([(s, k) for s, c, k in zip(at_s, marks.symbol, marks.subtype, strict=True) if c == "~"])
        names, is_noisy, is_ectopic = (
            np.full(num_seconds, "", object),
            np.zeros(num_seconds, bool),
            np.zeros(num_seconds),
        )
        for begin, end, name in rhythm:
            names[int(np.ceil(begin)) : int(end)] = name
        for begin, end, subtype in noise:
            is_noisy[max(0, int(begin) - 1) : int(end) + 1] |= subtype != 0
        is_noisy[int(block.length_s.sum()) - 1 :] = True
        is_ectopic[[int(s) for s, c in zip(at_s, marks.symbol, strict=True) if c in "VFE!"]] = 1
        yield path.name, block, names, is_noisy, np.convolve(is_ectopic, [1, 1, 1], "same") > 0


def _stretches(changes: list) -> list:
    """Return (begin, end, what) of states that each last until the next."""
    ends = [*(begin for begin, _ in changes[1:]), 1800.0]
    return [(begin, end, what) for (begin, what), end in zip(changes, ends, strict=False)]  # none: one end too many


def clean_ecgs() -> np.ndarray:
    """Return six segments without noise marks of every MIT-BIH record."""
    rng, chosen = np.random.default_rng(1), []
    for _, block, _, is_noisy, _ in mitdb():
        quiet = np.flatnonzero(~is_noisy.reshape(-1, 30).any(axis=1))
        chosen.append(block.values[rng.permutation(quiet)[:6], 0])
    return np.concatenate(chosen)


def clean_pulses(slot: int, blocks: list[SegmentBlock]) -> np.ndarray:
    """Return a segment of every record that is complete, steady and periodic: chosen without our score."""
    rng, chosen = np.random.default_rng(1), []
    for block in blocks:
        lines = block.values[:, slot]
        lines = lines[np.isfinite(lines).all(axis=1)]
        if not len(lines):
            continue
        centred = lines - lines.mean(axis=1, keepdims=True)
        lagged = np.fft.irfft(np.abs(np.fft.rfft(centred, 8192, axis=1)) ** 2, axis=1)
        period = lagged[:, 40:200].max(axis=1) / np.maximum(lagged[:, 0], 1e-9)
        sizes = np.ptp(centred.reshape(len(lines), 10, -1), axis=2)
        is_clean = (period > 0.85) & (sizes.max(axis=1) < 1.5 * sizes.min(axis=1))
        is_clean &= ((np.diff(lines, axis=1) == 0).mean(axis=1) < 0.1) & (
            sizes.max(axis=1) > 0.01 * np.abs(lines).mean(axis=1)
        )
        chosen.append(lines[rng.permutation(np.flatnonzero(is_clean))[:1]])
    return np.concatenate(chosen)


def noise_figures(lines: np.ndarray, kind: ChannelKind) -> None:
    """Say how the score falls with recorded noise, SNR as Moody's `nst` counts it."""
    size = np.quantile(np.ptp(lines.reshape(len(lines), 30, -1), axis=2), 0.5, axis=1)[:, None]
    for name in ("bw", "em", "ma"):
        rng = np.random.default_rng(1)
        first, last = HELD_OUT_MIN
        signals = open_recording(DATA / "nstdb" / name, start_s=first * 60, duration_s=(last - first) * 60).signals
        bank = np.stack([resample(s.samples, s.sample_rate_hz, RATE_HZ) for s in signals])
        pieces = []
        for _ in lines:
            begin = rng.integers(0, bank.shape[1] - lines.shape[1])
            pieces.append(bank[rng.integers(0, len(bank)), begin : begin + lines.shape[1]])
        noise = np.stack(pieces)
        noise = (noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, keepdims=True) * size / np.sqrt(8)
        scores = np.array([score_block(one_channel(lines + noise * 10 ** (-s / 20), kind)).overall for s in SNRS_DB])
        pooled = spearmanr(scores.ravel(), np.repeat(SNRS_DB, len(lines))).statistic
        within = np.mean([spearmanr(column, SNRS_DB).statistic for column in scores.T if np.ptp(column) > 0])
        say(
            kind,
            name,
            f"pooled {pooled:.3f} within {within:.3f} means",
            [round(float(m), 2) for m in scores.mean(axis=1)],
        )


def challenge2011_figures() -> None:
    """Say how well a low score finds unacceptable twelve-lead records."""
    config = SegmentConfig(channels=(ChannelKind.ECG,) * 12, segment_s=10.0, step_s=10.0)
    overall, worst, is_bad = [], [], []
    with (DATA / "challenge2011" / "labels.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if row["quality"] != "indeterminate":
                path = DATA / "challenge2011" / "records" / row["record"]
                score = score_block(cut_block(open_recording(path), config))
                overall.append(score.overall[0])
                worst.append(score.quality[0].mean(axis=1).min())
                is_bad.append(row["quality"] == "unacceptable")
    for name, values in (("overall", overall), ("worst lead", worst)):
        say("challenge2011", name, f"AUC {roc_auc_score(is_bad, -np.array(values)):.3f}")


def blindness_figures() -> None:
    """Say how well a low score tells each rhythm from sinus without ectopy: 0.5 is blind."""
    sinus, others = [], {name: [] for name in (*RHYTHMS, "ectopic")}
    for _, block, rhythm, is_noisy, is_ectopic in mitdb():
        quality = score_block(block).quality[:, 0].ravel()
        sinus.append(quality[(rhythm == "(N") & ~is_noisy & ~is_ectopic])
        others["ectopic"].append(quality[(rhythm == "(N") & ~is_noisy & is_ectopic])
        for name in RHYTHMS:
            others[name].append(quality[(rhythm == name) & ~is_noisy])
    for name, values in others.items():
        seconds = np.concatenate(values)
        say(
            "mitdb",
            name,
            f"{len(seconds)} s, AUC {auc_of_low(seconds, np.concatenate(sinus)):.2f}, mean {seconds.mean():.2f}",
        )
    path = DATA / "cudb" / "cu01"
    quality = score_block(cut_block(open_recording(path), ONE[ChannelKind.ECG])).quality[:, 0].ravel()
    onset = int(next(s for s, c in zip(*_marks(path), strict=True) if c == "[") / 250)
    say(
        "cudb VF",
        f"AUC {auc_of_low(quality[onset + 1 : 508], quality[:onset]):.2f}, mean {quality[onset + 1 : 508].mean():.2f}",
    )


def _marks(path: Path) -> tuple:
    marks = wfdb.rdann(str(path), "atr")
    return marks.sample, marks.symbol


def alarm_figures(blocks: list[SegmentBlock], scores: list[QualityScore]) -> None:
    """Say how well a low score tells the seconds of a true VT alarm from the minutes before."""
    with (DATA / "challenge2015" / "records.csv").open(encoding="utf-8-sig") as file:
        is_vt = {
            r["record"]: r["alarm"] == "Ventricular_Tachycardia" and r["true_alarm"] == "1"
            for r in csv.DictReader(file)
        }
    for kind in (ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP):
        lines = [
            score.quality[:, c].ravel()
            for block, score in zip(blocks, scores, strict=True)
            for c, name in enumerate(block.names)
            if name and block.config.channels[c] == kind and is_vt[Path(block.recording_id).name]
        ]
        lines = [line for line in lines if line[:290].max() >= 0.5]
        inside, before = (np.concatenate([line[part] for line in lines]) for part in (slice(286, 299), slice(30, 270)))
        say("true VT alarms", kind, len(lines), f"channels, AUC {auc_of_low(inside, before):.2f}")


def agreement_figures(blocks: list[SegmentBlock]) -> None:
    """Say how ECG and pulse correlate, of one patient and of two, where both are good before they are compared."""
    found: dict[ChannelKind, list[np.ndarray]] = {ChannelKind.ECG: [], ChannelKind.PPG: []}
    owners: list[int] = []
    for number, block in enumerate(blocks):
        # A slot alone has no partner to disagree with: its score is its own.
        alone = {c: score_block(_only(block, c)).quality[:, c].mean(axis=1) for c, n in enumerate(block.names) if n}
        for e in {0, 1} & set(alone):
            for p in {2, 3} & set(alone):
                rows = np.flatnonzero((alone[e] > 0.5) & (alone[p] > 0.5) & (block.length_s >= 30))[:3]
                found[ChannelKind.ECG].append(block.values[rows, e])
                found[ChannelKind.PPG].append(block.values[rows, p])
                owners += [number] * len(rows)
    spectra = []
    for kind, parts in found.items():
        lines = np.concatenate(parts)
        is_real = np.isfinite(lines)
        spectra.append(agreement._activity_spectrum(prepare_lines(kind, "", RATE_HZ, lines, is_real, 30)))
    same = agreement._best_correlation(*spectra)
    other = np.roll(np.arange(len(same)), 37)
    is_other = np.array(owners) != np.array(owners)[other]
    swapped = agreement._best_correlation(spectra[0], spectra[1][other])[is_other]
    say(f"agreement below .15: one patient {np.mean(same < 0.15):.3f}, two patients {np.mean(swapped < 0.15):.3f}")


def _only(block: SegmentBlock, slot: int) -> SegmentBlock:
    return replace(block, names=tuple(name if c == slot else None for c, name in enumerate(block.names)))


def beat_figures() -> None:
    """Say how the QRS detector of the published score finds the annotated beats."""
    num_hits = num_annotated = num_found = 0
    for record, block, *_ in mitdb():
        found_s = np.flatnonzero(find_qrs(np.nan_to_num(block.values[:, 0]), RATE_HZ).ravel()) / RATE_HZ
        samples, symbols = _marks(DATA / "mitdb" / record)
        beats_s = np.array([s / 360 for s, c in zip(samples, symbols, strict=True) if c in BEAT_CODES])
        after = np.clip(np.searchsorted(found_s, beats_s), 1, len(found_s) - 1)
        nearest = np.minimum(np.abs(found_s[after] - beats_s), np.abs(found_s[after - 1] - beats_s))
        num_hits += int((nearest < 0.15).sum())
        num_annotated += len(beats_s)
        num_found += len(found_s)
    say(f"QRS sensitivity {num_hits / num_annotated:.3f}, precision {num_hits / num_found:.3f}")


def grade_figures(scores: list[QualityScore]) -> None:
    """Say how segments of at least 15 s spread over the grades."""
    grades = [[g for g, s in zip(score.grades, score.segment_length_s, strict=True) if s >= 15] for score in scores]
    every = [g for row in grades for g in row]
    say("grades", {g: round(every.count(g) / len(every), 3) for g in "ABCDE"})
    say("records with two grades", round(np.mean([len(set(row)) > 1 for row in grades]), 3))


def main() -> None:
    """Measure everything."""
    blocks = list(train_blocks())
    started = time.process_time()
    scores = [score_block(block) for block in blocks]
    num_channels = sum(len(block) * sum(name is not None for name in block.names) for block in blocks)
    say(f"{(time.process_time() - started) / num_channels * 1e6:.0f} microseconds of processor a 30-s channel")
    grade_figures(scores)
    alarm_figures(blocks, scores)
    blindness_figures()
    agreement_figures(blocks)
    beat_figures()
    challenge2011_figures()
    noise_figures(clean_ecgs(), ChannelKind.ECG)
    noise_figures(clean_pulses(2, blocks), ChannelKind.PPG)
    noise_figures(clean_pulses(3, blocks), ChannelKind.ABP)


if __name__ == "__main__":
    main()
