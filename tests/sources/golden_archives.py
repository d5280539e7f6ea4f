"""Small archives in their published layouts whose signals are living: simulated patients in the files of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from golden_arrays import refer, write_mat_73

from qualityfm.records import ChannelKind, Recording
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.simulate import SimulationConfig, simulate

RATE_HZ = 125.0


def patient(seed: int, duration_s: float, rhythm: str = "sinus") -> Recording:
    """Return a patient without faults."""
    config = SimulationConfig(duration_s=duration_s, rhythm=rhythm, faults_per_minute=0.0)  # type: ignore[arg-type]
    return simulate(seed, config).recording


def lines(recording: Recording, kinds: tuple[ChannelKind, ...]) -> np.ndarray:
    """Return the first channel of each kind at 125 Hz, [channel time]."""
    found = [recording.of_kind(kind)[0] for kind in kinds]
    num = round(recording.duration_s * RATE_HZ)
    return np.stack([resample(s.samples, s.sample_rate_hz, RATE_HZ)[:num] for s in found]).astype(float)


def write_vtac(folder: Path, num_patients: int = 10) -> Path:
    """waveforms/p00/p00_0001.hea ...: every second alarm is true, the last three patients are of val and test."""
    labels, splits = ["record,event,decision"], ["split,record,event"]
    for number in range(num_patients):
        name, is_true = f"p{number:02d}", number % 2 == 0
        place = folder / "waveforms" / name
        place.mkdir(parents=True)
        recording = replace(patient(number, 305.0, "vt" if is_true else "sinus"), recording_id=f"{name}_0001")
        write_wfdb(recording, place)
        labels.append(f"{name},{name}_0001,{is_true}")
        split = {num_patients - 3: "val", num_patients - 2: "test", num_patients - 1: "test"}.get(number, "train")
        splits.append(f"{split},{name},{name}_0001")
    (folder / "event_labels.csv").write_text("\n".join([*labels, ""]))
    (folder / "benchmark_data_split.csv").write_text("\n".join([*splits, ""]))
    return folder


def write_perform_af(folder: Path, num_each: int = 3) -> Path:
    """mimic_perform_af_csv/mimic_perform_af_001_data.csv and mimic_perform_non_af_csv/..., a minute each."""
    for name, rhythm in (("af", "af"), ("non_af", "sinus")):
        place = folder / f"mimic_perform_{name}_csv"
        place.mkdir(parents=True)
        for number in range(1, num_each + 1):
            columns = lines(patient(number, 60.0, rhythm), (ChannelKind.PPG, ChannelKind.ECG))
            rows = zip(np.arange(columns.shape[1]) / RATE_HZ, *columns, columns[0], strict=True)
            text = "\n".join(["Time,PPG,ECG,resp", *(",".join(f"{v:.6g}" for v in row) for row in rows), ""])
            (place / f"mimic_perform_{name}_{number:03d}_data.csv").write_text(text)
    return folder


def write_pulsedb(folder: Path, file: str, patients: tuple[int, ...], num_windows: int = 3) -> Path:
    """FILE_Subset.mat: some windows of 10 s of each patient."""
    kinds = (ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP)
    windows, names = [], []
    for number in patients:
        whole = lines(patient(number, 10.0 * num_windows), kinds)
        windows += list(whole.reshape(3, num_windows, -1).transpose(1, 0, 2))
        names += [f"p{number:06d}_0"] * num_windows

    def fill(h5: h5py.File) -> None:
        subset = h5.create_group("Subset")
        subset.attrs["MATLAB_class"] = np.bytes_("struct")
        subset.create_dataset("Signals", data=np.stack(windows).T).attrs["MATLAB_class"] = np.bytes_("double")
        words = [np.frombuffer(name.encode("utf-16-le"), np.uint16) for name in names]
        subject = subset.create_dataset("Subject", data=refer(h5, words).T)
        subject.attrs["MATLAB_class"] = np.bytes_("cell")
        for reference in subject[()].ravel():
            h5[reference].attrs["MATLAB_class"] = np.bytes_("char")

    return write_mat_73(folder / f"{file}_Subset.mat", fill)


def write_uci(folder: Path, part: int, seeds: tuple[int, ...], duration_s: float = 90.0) -> Path:
    """Part_N.mat: a cell of recordings, rows PPG, ABP, ECG."""
    kinds = (ChannelKind.PPG, ChannelKind.ABP, ChannelKind.ECG)
    cells = [lines(patient(seed, duration_s), kinds) for seed in seeds]
    return write_mat_73(
        folder / f"Part_{part}.mat", lambda h5: h5.create_dataset(f"Part_{part}", data=refer(h5, cells))
    )
