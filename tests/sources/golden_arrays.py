"""Small HDF5, MAT and NumPy files made on the spot, in the layouts of well-known archives too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.sources import open_recording
from qualityfm.sources.layout import ChannelRule, Layout

#: What stands at the beginning of every file of version 7.3.
MAT_73_HEAD = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"


def layout_for(recording: Recording, source: str) -> Layout:
    """The layout of the files that the writers below make: an array for each channel."""
    channels = tuple(
        ChannelRule(column=s.name, unit=s.unit, sample_rate_hz=s.sample_rate_hz) for s in recording.signals
    )
    return Layout(name="golden", title="", source=source, channels=channels)


def arrays_of(recording: Recording) -> dict[str, np.ndarray]:
    return {s.name: s.samples for s in recording.signals}


def write_hdf5(recording: Recording, folder: Path) -> Path:
    path = folder / f"{recording.recording_id}.h5"
    with h5py.File(path, "w") as file:
        for name, samples in arrays_of(recording).items():
            file.create_dataset(name, data=samples, chunks=True, compression="gzip")
    return path


def write_mat(recording: Recording, folder: Path) -> Path:
    """Write version 5, packed."""
    path = folder / f"{recording.recording_id}.mat"
    savemat(path, arrays_of(recording), do_compression=True)
    return path


def write_numpy(recording: Recording, folder: Path) -> Path:
    path = folder / f"{recording.recording_id}.npz"
    np.savez(path, **arrays_of(recording))
    return path


def write_mat_73(path: Path, fill: Callable[[h5py.File], None]) -> Path:
    """Write a file of version 7.3: HDF5 behind a head of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    with path.open("r+b") as stream:
        stream.write(MAT_73_HEAD)
    return path


def refer(file: h5py.File, values: list[np.ndarray]) -> np.ndarray:
    """Put values where MATLAB keeps those of cells, and return references to them; MATLAB turns the axes."""
    held = file.require_group("#refs#")
    first = len(held)
    return np.array(
        [[held.create_dataset(f"v{first + i}", data=np.atleast_2d(v).T).ref] for i, v in enumerate(values)],
        h5py.ref_dtype,
    )


def waves(num: int, num_samples: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(num_samples) for _ in range(num)]


def write_pulsedb(folder: Path, num_windows: int = 3) -> Path:
    """Write one patient's file as PulseDB does: a struct array of windows."""

    def fill(file: h5py.File) -> None:
        group = file.create_group("Subj_Wins")
        for seed, field in enumerate(("PPG_Raw", "ECG_Raw", "ABP_Raw", "PPG_F", "ECG_F")):
            group.create_dataset(field, data=refer(file, waves(num_windows, 1250, seed)))
        group.create_dataset("SegSBP", data=refer(file, [np.array([120.0])] * num_windows))
        name = np.frombuffer("p000160".encode("utf-16-le"), np.uint16)
        group.create_dataset("SubjectID", data=refer(file, [name] * num_windows))

    return write_mat_73(folder / "p000160.mat", fill)


def cells(num: int = 3) -> list[np.ndarray]:
    """Recordings of the UCI set: rows PPG, ABP, ECG, of different lengths."""
    return [np.stack(waves(3, 1000 + 250 * i, i)) for i in range(num)]


def write_kachuee(folder: Path, version: str = "7.3") -> Path:
    """Write a part of the UCI set: a cell array of recordings."""
    path = folder / "Part_1.mat"
    if version == "7.3":
        return write_mat_73(path, lambda file: file.create_dataset("Part_1", data=refer(file, cells())))
    packed = np.empty((1, len(cells())), object)
    for i, cell in enumerate(cells()):
        packed[0, i] = cell
    savemat(path, {"Part_1": packed}, do_compression=True)
    return path


def write_pulsedb_subset(folder: Path, num_windows: int = 3) -> Path:
    """Write what PulseDB's script makes: one structure with all windows in one array."""

    def fill(file: h5py.File) -> None:
        subset = file.create_group("Subset")
        subset.attrs["MATLAB_class"] = np.bytes_("struct")
        windows = np.stack([np.stack(waves(3, 1250, seed)) for seed in range(num_windows)])
        subset.create_dataset("Signals", data=windows.T).attrs["MATLAB_class"] = np.bytes_("double")
        names = [np.frombuffer(f"p00016{i}_0".encode("utf-16-le"), np.uint16) for i in range(num_windows)]
        subject = subset.create_dataset("Subject", data=refer(file, names).T)
        subject.attrs["MATLAB_class"] = np.bytes_("cell")
        for reference in subject[()].ravel():
            file[reference].attrs["MATLAB_class"] = np.bytes_("char")
        subset.create_dataset("SBP", data=np.full((1, num_windows), 120.0))

    return write_mat_73(folder / "VitalDB_Train_Subset.mat", fill)


def write_mimic_perform_mat(folder: Path, name: str = "mimic_perform_af", num: int = 3) -> Path:
    """Write the MATLAB form of MIMIC PERform: a table of structures within structures, version 5."""
    parts = [("ppg", "O"), ("ekg", "O"), ("fix", "O")]
    data = np.empty((1, num), parts)
    for i in range(num):
        ppg, ekg = waves(2, 1250, i)
        data[0, i] = (
            {"v": ppg[:, None], "fs": 125.0, "label": "PPG"},
            {"v": ekg[:, None], "fs": 125.0},
            {"subj_id": float(40_000 + i), "group": "Jane Doe", "af_status": 1.0},
        )
    path = folder / f"{name}_data.mat"
    savemat(path, {"data": data, "license": "ODbL"}, do_compression=True)
    return path


def write_npy(recording: Recording, folder: Path) -> Path:
    """Write one array with a row for each channel, all of them at the rate of the slowest."""
    rate_hz = min(s.sample_rate_hz for s in recording.signals)
    path = folder / f"{recording.recording_id}.npy"
    np.save(path, np.stack([s.samples[:: round(s.sample_rate_hz / rate_hz)] for s in recording.signals]))
    return path


def npy_layout(recording: Recording) -> Layout:
    """The layout of the files that `write_npy` makes."""
    rate_hz = min(s.sample_rate_hz for s in recording.signals)
    channels = tuple(
        ChannelRule(column="", name=s.name, unit=s.unit, axis_index=i) for i, s in enumerate(recording.signals)
    )
    return Layout(name="rows", title="", source="numpy", sample_rate_hz=rate_hz, channels=channels)


def hazard_cases() -> list[dict[str, Any]]:
    """Files to damage again and again: each format and version, each way to hold several recordings."""
    time_s = np.arange(1000) / 250
    signal = Signal(
        name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=250.0, samples=np.sin(time_s).astype(np.float32)
    )
    pleth = replace(signal, name="PLETH", kind=ChannelKind.PPG, unit="NU", sample_rate_hz=125.0, samples=time_s[::2])
    recording = Recording(recording_id="golden", subject_id=None, start=None, signals=(signal, pleth))
    cases = [
        _case(f"golden.{ending}", "", partial(WRITERS[source], recording), LAYOUTS[source](recording))
        for source, ending in (("hdf5", "h5"), ("mat", "mat"), ("numpy", "npz"))
    ]
    return [
        *cases,
        _case("golden.npy", "", partial(write_npy, recording), npy_layout(recording)),
        _case("p000160.mat", "0001", write_pulsedb, "pulsedb"),
        _case("VitalDB_Train_Subset.mat", "0001", write_pulsedb_subset, "pulsedb-subset"),
        _case("Part_1.mat", "0001", write_kachuee, "kachuee-uci"),
        _case("mimic_perform_af_data.mat", "0001", write_mimic_perform_mat, "mimic-perform-mat"),
    ]


def _case(name: str, item: str, write: Callable[[Path], object], layout: Layout | str) -> dict[str, Any]:
    return {
        "name": f"array {name}",
        "write": write,
        "damaged": name,
        "open": lambda folder: open_recording(folder / name / item, layout=layout),
    }


#: Writes the golden recording in each format: recording, folder -> path of the file.
WRITERS = {"hdf5": write_hdf5, "mat": write_mat, "numpy": write_numpy}

#: What says how the file that a writer made is to be read: recording -> layout.
LAYOUTS = {source: partial(layout_for, source=source) for source in WRITERS}
