"""Fits the weights of `MotionModel` anew and prints them: `QUALITYFM_DATA=... python benchmarks/fit_motion.py`.

Recorded noise (minutes 0 to 12 of nstdb) and modelled probe motion, muscle noise and wander are added to clean
simulated lines of every rhythm and to one good segment of each `train` record of challenge2015. Segments of true
alarms of fast rhythms count as clean. The AUC printed is out of fold, by line. Weights differ a little from those in
use, which an earlier draw of the same data gave.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from qualityfm.evidence.quality_data import RATE_HZ, one_channel, read_rows, train_blocks
from qualityfm.quality import judge_channels
from qualityfm.records import Cause, ChannelKind
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.sources import open_recording
from qualityfm.waveform.line import signal_power
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.rhythm import RHYTHMS
from qualityfm.waveform.simulate import SimulationConfig, simulate

DATA = Path(os.environ["QUALITYFM_DATA"])
NUM_SIMULATED = 150
SECONDS = 30
BAD_DB, HARMLESS_DB = 8.6, 18.0  # SNR below which a second is to be found, and above which it is clean
LONG_WEIGHT, ALARM_WEIGHT = 0.3, 3.0
WANTED_ODDS = 0.2 / 0.8  # odds of the fit that are to be named; the offset moves them to where the trust is 0.7
NAMED_ODDS = 0.3 / 0.7
SLOTS = {ChannelKind.ECG: (0, 1), ChannelKind.PPG: (2,), ChannelKind.ABP: (3,)}
ALARMS = ("Ventricular_Tachycardia", "Tachycardia")


def signs_of(lines: np.ndarray, kind: ChannelKind) -> tuple[np.ndarray, np.ndarray]:
    """Return the signs of motion of every second, and its trust by all causes but motion and those that follow it."""
    judged = judge_channels(one_channel(lines, kind))[0]
    left_out = {Cause.MOTION, Cause.INVERTED, Cause.WRONG_RATE, Cause.HIGH_AMPLITUDE}
    return judged.signs, np.prod([t for cause, t in judged.trusts.items() if cause not in left_out], axis=0)


def clean_lines(kind: ChannelKind, blocks: list, rng: np.random.Generator) -> np.ndarray:
    """Return simulated lines of every rhythm and one good segment of each record."""
    slot, lines = SLOTS[kind][0], []
    for i in range(NUM_SIMULATED):
        settings = SimulationConfig(duration_s=60.0, rhythm=RHYTHMS[i % len(RHYTHMS)], faults_per_minute=0.0)
        lines += list(cut_block(simulate(70_000 + i, settings).recording, SegmentConfig()).values[:, slot])
    for block in blocks:
        if block.names[slot] is not None:
            whole = block.values[np.isfinite(block.values[:, slot]).all(axis=1), slot]
            good = np.flatnonzero(signs_of(whole, kind)[1].mean(axis=1) > 0.8) if len(whole) else []
            if len(good):
                lines.append(whole[rng.choice(good)])
    return np.array(lines, np.float32)


def alarm_lines(kind: ChannelKind, blocks: list) -> np.ndarray:
    """Return the segments at 270 to 300 s of true alarms of fast rhythms."""
    rows = read_rows(DATA / "challenge2015" / "records.csv")
    wanted = {r["record"] for r in rows if r["true_alarm"] == "1" and r["alarm"] in ALARMS}
    chosen = [
        block.values[9, slot]
        for block in blocks
        for slot in SLOTS[kind]
        if Path(block.recording_id).name in wanted and block.names[slot] is not None and len(block) > 9
    ]
    return np.array([line for line in chosen if np.isfinite(line).all()], np.float32)


def add_noise(lines: np.ndarray, kind: ChannelKind, bank: NoiseBank, rng: np.random.Generator) -> tuple:
    """Add one noise to most lines; return its kind and its SNR in dB in every second."""
    motion = "em" if kind == ChannelKind.ECG else "motion"
    what, snrs_db = np.full((len(lines), SECONDS), "", object), np.full((len(lines), SECONDS), np.inf)
    power = signal_power(lines, RATE_HZ)
    for i, line in enumerate(lines):
        name = ("", motion, "ma", "bw")[np.searchsorted((0.3, 0.7, 0.85), rng.random())]
        if not name:
            continue
        length = SECONDS if rng.random() < 0.25 else int(2 * 10 ** rng.random())
        first = rng.integers(0, SECONDS + 1 - length)
        source = "em" if name == "motion" and rng.random() < 0.3 else name
        wave = bank.excerpt(source, round(length * RATE_HZ), RATE_HZ, rng)
        snr_db = rng.uniform(-18, 6) if name == "bw" else rng.uniform(-6, 24 if rng.random() < 0.4 else 12)
        wave = (wave - wave.mean()) / wave.std() * np.sqrt(power[i]) * 10 ** (-snr_db / 20)
        line[round(first * RATE_HZ) : round((first + length) * RATE_HZ)] += wave
        seconds = slice(first, first + length)
        what[i, seconds] = name
        snrs_db[i, seconds] = 10 * np.log10(power[i] / ((wave**2).reshape(length, -1).mean(axis=1) + 1e-12))
    return what == motion, what, snrs_db


def fit(kind: ChannelKind, blocks: list, bank: NoiseBank) -> None:
    """Fit one kind of channel and print its weights."""
    rng = np.random.default_rng(0)
    lines = clean_lines(kind, blocks, rng)
    is_motion, what, snr_db = add_noise(lines, kind, bank, rng)
    signs = signs_of(lines, kind)[0]
    is_bad, is_clean = is_motion & (snr_db < BAD_DB), (what == "") | (is_motion & (snr_db > HARMLESS_DB))
    is_long = is_bad & (what != "").all(axis=1, keepdims=True)
    used, owner = is_bad | is_clean, np.repeat(np.arange(len(lines))[:, None], SECONDS, axis=1)
    alarm_signs, alarm_trust = signs_of(alarm_lines(kind, blocks), kind)
    alarms = alarm_signs[:, 16:29][alarm_trust[:, 16:29] > 0.6]
    weights = np.where(is_long, LONG_WEIGHT, 1.0)[used]
    model = LogisticRegression(C=10)
    out_of_fold = cross_val_predict(
        model, signs[used][:, :4], is_bad[used], groups=owner[used], cv=GroupKFold(5), method="predict_proba"
    )
    model.fit(
        np.concatenate((signs[used][:, :4], alarms[:, :4])),
        np.r_[is_bad[used], np.zeros(len(alarms), bool)],
        sample_weight=np.r_[weights, np.full(len(alarms), ALARM_WEIGHT)],
    )
    offset = model.intercept_[0] + np.log(NAMED_ODDS) - np.log(WANTED_ODDS)
    told = (is_motion & (snr_db < 15)) | (what == "ma") | (what == "bw")
    other = LogisticRegression(C=10).fit(signs[told][:, [0, 1, 4]], is_motion[told])
    auc = roc_auc_score(is_bad[used], out_of_fold[:, 1])
    sys.stdout.write(
        f"{kind.value}: {len(lines)} lines, AUC of disturbed {auc:.3f}\n"
        f"  disturbed {[round(float(w), 2) for w in (*model.coef_[0], offset)]}\n"
        f"  is_motion {[round(float(w), 2) for w in (*other.coef_[0], other.intercept_[0])]}\n"
    )


def main() -> None:
    """Fit every kind of channel."""
    noise = {}
    for name in ("bw", "em", "ma"):
        signals = open_recording(DATA / "nstdb" / name, duration_s=13 * 60).signals
        noise[name] = np.concatenate([resample(s.samples, s.sample_rate_hz, RATE_HZ) for s in signals])
    bank = NoiseBank.from_lines(noise, RATE_HZ)
    blocks = list(train_blocks(DATA / "challenge2015"))
    for kind in SLOTS:
        fit(kind, blocks, bank)


if __name__ == "__main__":
    main()
