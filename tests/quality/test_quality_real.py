"""What quality must do on real recordings; `qualityfm benchmark quality` gives the full figures."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from qualityfm.evidence.quality_data import annotated_ecgs
from qualityfm.evidence.quality_figures import blindness_figures
from qualityfm.quality import score_block, score_quality
from qualityfm.records import ChannelKind, Recording
from qualityfm.segments import SegmentConfig
from qualityfm.sources import open_recording
from qualityfm.waveform.resampling import resample

pytestmark = pytest.mark.real

SNRS_DB = (24, 18, 12, 6, 0, -6)
ECG_RECORDS = ["100", "103", "115", "119", "217"]
PPG_RECORDS = ["a105l", "a152s", "a165l", "a273l", "a301l"]


def only(recording: Recording, slot: int) -> Recording:
    """Return the recording with one of its channels."""
    return replace(recording, signals=recording.signals[slot : slot + 1])


def with_noise(recording: Recording, noise: np.ndarray, snr_db: float) -> Recording:
    """Add noise at an SNR as Moody's `nst` counts it: an eighth of the squared peak-to-peak size against its power."""
    (signal,) = recording.signals
    line = noise[: len(signal.samples)]
    size = np.median(np.ptp(signal.samples.reshape(30, -1), axis=1))
    scaled = (line - line.mean()) / line.std() * size / np.sqrt(8) * 10 ** (-snr_db / 20)
    return replace(recording, signals=(replace(signal, samples=(signal.samples + scaled).astype(np.float32)),))


@pytest.mark.parametrize("kind", ["bw", "em", "ma"])
@pytest.mark.parametrize(
    ("folder", "records", "slot"),
    [("mitdb", ECG_RECORDS, 0), ("challenge2015/records", PPG_RECORDS, 2)],
    ids=["ecg", "ppg"],
)
def test_quality_falls_with_recorded_noise(real_data, folder, records, slot, kind):
    noise = open_recording(real_data / "nstdb" / kind, start_s=13 * 60, duration_s=60).signals[0]
    qualities = []
    for record in records:
        clean = only(open_recording(real_data / folder / record, duration_s=30), slot)
        line = resample(noise.samples, noise.sample_rate_hz, clean.signals[0].sample_rate_hz)
        qualities.append([score_quality(with_noise(clean, line, snr_db)).overall[0] for snr_db in SNRS_DB])
    best, *_, worst = np.mean(qualities, axis=0)
    assert spearmanr(np.ravel(qualities), np.tile(SNRS_DB, len(records))).statistic > 0.85
    assert best > 0.8
    assert worst < best - 0.4


def test_unacceptable_twelve_lead_records_score_lower(real_data):
    config = SegmentConfig(channels=(ChannelKind.ECG,) * 12, segment_s=10.0, step_s=10.0)
    with (real_data / "challenge2011" / "labels.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["quality"] != "indeterminate"][::6]
    worst = [
        score_quality(open_recording(real_data / "challenge2011" / "records" / row["record"]), config)
        .quality[0]
        .mean(1)
        .min()
        for row in rows
    ]
    assert roc_auc_score([row["quality"] == "acceptable" for row in rows], worst) > 0.9


@pytest.fixture(scope="module")
def annotated(request):
    """Every record of the arrhythmia database, and the quality of its seconds."""
    folder = Path(os.environ["QUALITYFM_DATA"]) / "mitdb"
    records = list(annotated_ecgs(folder))
    return records, [score_block(record.block).quality[:, 0].ravel() for record in records]


@pytest.mark.parametrize(
    "case", ["atrial fibrillation", "ventricular tachycardia", "ectopic beats", "bigeminy", "paced"]
)
def test_quality_does_not_tell_a_rhythm_from_sinus(real_data, annotated, case):
    figures = blindness_figures(*annotated, "QualityFM", rounds=2)
    (value,) = (figure.estimate.value for figure in figures if figure.case == f"ecg, {case}")
    assert 0.4 <= value <= 0.6
