"""Small files in the published layouts of table archives, made on the spot."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qualityfm.records import Recording
from qualityfm.sources.layout import ChannelRule, Layout
from qualityfm.sources.wfdb_write import write_wfdb


def layout_for(recording: Recording, source: str) -> Layout:
    """The layout of the tables that `write_csv` and `write_parquet` make."""
    rate_hz = max(s.sample_rate_hz for s in recording.signals)
    channels = tuple(
        ChannelRule(
            column=s.name, unit=s.unit, sample_rate_hz=None if s.sample_rate_hz == rate_hz else s.sample_rate_hz
        )
        for s in recording.signals
    )
    return Layout(name="golden", title="", source=source, sample_rate_hz=rate_hz, time="Time", channels=channels)


def columns_of(recording: Recording) -> dict[str, np.ndarray]:
    """One row for each sample of the fastest channel; slower ones have a value in every second row."""
    rate_hz = max(s.sample_rate_hz for s in recording.signals)
    num_rows = max(len(s.samples) * round(rate_hz / s.sample_rate_hz) for s in recording.signals)
    columns = {"Time": np.arange(num_rows) / rate_hz}
    for signal in recording.signals:
        line = np.full(num_rows, np.nan)
        line[:: round(rate_hz / signal.sample_rate_hz)] = signal.samples
        columns[signal.name] = line
    return columns


def write_csv(recording: Recording, folder: Path) -> Path:
    """Write a recording as a CSV file of `layout_for(recording, "csv")`."""
    path = folder / f"{recording.recording_id}.csv"
    path.write_text(csv_text(columns_of(recording)))
    return path


def csv_text(columns: dict[str, np.ndarray], separator: str = ",", head: str | None = None) -> str:
    """Columns as text, missing values as nothing."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [separator.join("" if value != value else f"{value:.7g}" for value in row) for row in rows]
    return "\n".join([head or separator.join(columns), *lines, ""])


def write_parquet(recording: Recording, folder: Path) -> Path:
    """Write a recording as a Parquet file of `layout_for(recording, "parquet")`."""
    path = folder / f"{recording.recording_id}.parquet"
    pq.write_table(pa.table(columns_of(recording)), path, row_group_size=1000)
    return path


def beats(num_samples: int, seed: int = 0) -> np.ndarray:
    """Something with a pulse."""
    noise = np.random.default_rng(seed).normal(size=num_samples) / 50
    return np.sin(2 * np.pi * 1.1 * np.arange(num_samples) / 125) + noise


def write_bidmc(folder: Path, number: int = 1, num_samples: int = 20_001) -> Path:
    """bidmc_csv/bidmc_01_Signals.csv, beside its tables; times have five digits, and so are doubled from 100 s on."""
    folder = folder / "bidmc_csv"
    folder.mkdir(parents=True, exist_ok=True)
    waves = np.stack([beats(num_samples, seed) for seed in range(5)], axis=1)
    lines = [f"{i * 0.008:.5g},{','.join(f'{value:.5g}' for value in row)}" for i, row in enumerate(waves.tolist())]
    path = folder / f"bidmc_{number:02d}_Signals.csv"
    path.write_text("\n".join(["Time [s], RESP, PLETH, V, AVR, II", *lines, ""]))
    (folder / f"bidmc_{number:02d}_Numerics.csv").write_text("Time [s], HR, PULSE, RESP, SpO2\n0,94,93,25,97\n")
    (folder / f"bidmc_{number:02d}_Fix.txt").write_text("Age: 63\nGender: F\nLocation: micu\n")
    return path


def write_mimic_perform(folder: Path, name: str, num_samples: int = 1250, compress: bool = False) -> Path:
    """mimic_perform_af_csv/mimic_perform_af_001_data.csv beside ..._fix.txt; some rows are empty."""
    folder = folder / f"{name.rpartition('_')[0]}_csv"
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"Time": np.arange(num_samples) / 125, "PPG": beats(num_samples), "ECG": beats(num_samples, 1)}
    columns["resp"] = beats(num_samples, 2)
    for column in ("PPG", "ECG", "resp"):
        columns[column][100:110] = np.nan
    text = csv_text(columns).replace(",,", ",NaN,").replace(",,", ",NaN,").replace(",\n", ",NaN\n")
    path = folder / f"{name}_data.csv{'.gz' if compress else ''}"
    path.write_bytes(gzip.compress(text.encode()) if compress else text.encode())
    (folder / f"{name}_fix.txt").write_text("subject ID: 12345, group: a\n")
    return path


def write_vtac(folder: Path, recording: Recording) -> None:
    """waveforms/003c13/003c13_0115.hea ..., event_labels.csv and benchmark_data_split.csv."""
    events = [("003c13", "0115", True, "train"), ("003c13", "0117", False, "train"), ("44a2ba", "0002", False, "test")]
    for patient, event, _, _ in events:
        place = folder / "waveforms" / patient
        place.mkdir(parents=True, exist_ok=True)
        write_wfdb(_named(recording, f"{patient}_{event}"), place)
    labels = [f"{patient},{patient}_{event},{decision}" for patient, event, decision, _ in events]
    splits = [f"{split},{patient},{patient}_{event}" for patient, event, _, split in reversed(events)]
    (folder / "event_labels.csv").write_text("\n".join(["record,event,decision", *labels, ""]))
    (folder / "benchmark_data_split.csv").write_text("\n".join(["split,record,event", *splits, ""]))


def write_challenge2015(folder: Path, recording: Recording) -> None:
    """records/a103l.hea ... and records.csv."""
    (folder / "records").mkdir(parents=True)
    for name in ("a103l", "v200s", "b300l"):
        write_wfdb(_named(recording, name), folder / "records")
    rows = ["a103l,Asystole,0,330.0,II|PLETH,train,1", "v200s,VT,1,300.0,II|PLETH,test,", "b300l,B,1,330.0,II,train,4"]
    (folder / "records.csv").write_text("\n".join(["record,alarm,true_alarm,seconds,signals,split,fold", *rows, ""]))


def write_smartwatch(folder: Path, num_samples: int = 600) -> Path:
    """Times in ms as delivered: uneven, now and then late, and then catching up."""
    steps = np.random.default_rng(3).integers(48, 55, num_samples)
    steps[200:204] = (204, 6, 3, 0)
    times = 1_549_066_937_018 + np.cumsum(steps)
    waves = [beats(num_samples, seed) * 1e6 for seed in range(4)]
    rows = zip(times.tolist(), *(wave.tolist() for wave in waves), strict=True)
    lines = ["\t".join([str(time), *(f"{value:.2f}" for value in values)]) for time, *values in rows]
    path = folder / "201902020222_Data.csv"
    path.write_text("\n".join(["timestamp\tppg\taccx\taccy\taccz", *lines, ""]))
    return path


def write_oximeter(folder: Path, num_samples: int = 1500) -> Path:
    """Times in ms from 0, with a gap of 1.74 s."""
    times = np.arange(num_samples) * 10
    times[800:] += 1730
    pleth = np.clip(np.round(beats(num_samples) * 40_000 + 32_768), 1, 65_535)
    columns = {"TIMESTAMP_MS": times, "COUNTER": times, "PLETH": pleth, "RED_ADC": pleth + 9, "IR_ADC": pleth - 9}
    path = folder / "ppg_smartcare.csv"
    path.write_text(csv_text(columns))
    return path


def _named(recording: Recording, name: str) -> Recording:
    return Recording(recording_id=name, subject_id=None, start=None, signals=recording.signals)


#: Writes the golden recording in each format: recording, folder -> path of the file.
WRITERS = {"csv": write_csv, "parquet": write_parquet}

#: What says how the file that a writer made is to be read: recording -> layout.
LAYOUTS = {"csv": partial(layout_for, source="csv"), "parquet": partial(layout_for, source="parquet")}
