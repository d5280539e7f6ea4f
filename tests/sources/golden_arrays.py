"""Small HDF5, MAT and NumPy files made on the spot, in the layouts of well-known archives too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

from qualityfm.records import Recording
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


#: Writes the golden recording in each format: recording, folder -> path of the file.
WRITERS = {"hdf5": write_hdf5, "mat": write_mat, "numpy": write_numpy}

#: What says how the file that a writer made is to be read: recording -> layout.
LAYOUTS = {source: partial(layout_for, source=source) for source in WRITERS}
