"""Records larger than memory: listed, refused as a whole, and read in stretches that hold only themselves."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Fail if the peak of allocated memory passes a bound."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


def sparse_record(folder: Path, storage: str, num_frames: int, num_bytes: int, tail: bytes = b"") -> Path:
    """Write a record whose signal file is a hole on the disk but for its end."""
    with (folder / "r1.dat").open("wb") as file:
        file.truncate(num_bytes)
        file.seek(num_bytes - len(tail))
        file.write(tail)
    (folder / "r1.hea").write_text(
        f"r1 2 500 {num_frames}\nr1.dat {storage} 1/mV 16 0 0 0 0 II\nr1.dat {storage} 1/mV 16 0 0 0 0 V\n"
    )
    return folder / "r1.hea"


def test_a_file_of_gigabytes_is_read_in_stretches(tmp_path: Path) -> None:
    num_frames = 1_000_000_000
    path = sparse_record(tmp_path, "16", num_frames, 4 * num_frames, np.array([7, 8], "<i2").tobytes())
    open_recording(path, duration_s=1.0)  # imports are not counted
    with at_most(5):
        assert find_recordings(tmp_path)[0].duration_s == 2_000_000.0
        last = open_recording(path, start_s=num_frames / 500 - 60)
    assert [signal.samples[-1] for signal in last.signals] == [7, 8]
    assert [len(signal.samples) for signal in last.signals] == [30_000, 30_000]
    with pytest.raises(SourceError, match="found 2000000000, expected at most 500000000 in one call; read it in"):
        open_recording(path)


def test_a_stretch_of_a_file_of_differences_does_not_hold_what_is_before_it(tmp_path: Path) -> None:
    num_frames = 20_000_000
    path = sparse_record(tmp_path, "8", num_frames, 2 * num_frames, bytes([1, 255]) * 100)
    with (tmp_path / "r1.dat").open("r+b") as file:
        file.write(bytes([5, 3]))
    open_recording(path, duration_s=1.0)
    with at_most(15):
        ecg, v = open_recording(path, start_s=num_frames / 500 - 1).signals
    assert (ecg.samples[0], ecg.samples[-1]) == (5, 105)
    assert (v.samples[0], v.samples[-1]) == (3, -97)


def test_a_stretch_of_a_flac_file_does_not_hold_the_rest(tmp_path: Path) -> None:
    num_samples = 20_000_000
    with soundfile.SoundFile(tmp_path / "r1.flac", "w", 96_000, 1, "PCM_16", format="FLAC") as file:
        for first in range(0, num_samples, 1_000_000):
            file.write(np.full(1_000_000, first // 1_000_000, np.int16))
    (tmp_path / "r1.flac").rename(tmp_path / "r1.dat")
    (tmp_path / "r1.hea").write_text(f"r1 1 500 {num_samples}\nr1.dat 516 1/mV 16 0 0 0 0 II\n")
    open_recording(tmp_path / "r1", duration_s=1.0)
    with at_most(5):
        (ecg,) = open_recording(tmp_path / "r1", start_s=26_000 - 30, duration_s=60).signals
    assert (ecg.samples[:15_000] == 12).all()
    assert (ecg.samples[15_000:] == 13).all()


@pytest.fixture
def year_long(tmp_path: Path) -> Path:
    """A record of two hours with three hundred days between them, in a variable layout."""
    gap = 300 * 86_400 * 250
    (tmp_path / "x_layout.hea").write_text("x_layout 2 250 0\n~ 0 1/mV 16 0 0 0 0 II\n~ 0 1/mV 16 0 0 0 0 V\n")
    for n in (1, 2):
        (tmp_path / f"x_{n}.hea").write_text(f"x_{n} 1 250 900000\nx_{n}.dat 16 1/mV 16 0 0 0 0 II\n")
        (tmp_path / f"x_{n}.dat").write_bytes(np.full(900_000, n, "<i2").tobytes())
    (tmp_path / "m.hea").write_text(f"m/4 2 250 {gap + 1_800_000}\nx_layout 0\nx_1 900000\n~ {gap}\nx_2 900000\n")
    return tmp_path / "m.hea"


def test_a_gap_of_a_year_costs_no_memory(year_long: Path) -> None:
    gap_s = 300 * 86_400.0
    open_recording(year_long, duration_s=1.0)
    with at_most(5):
        (found,) = [one for one in find_recordings(year_long.parent) if not one.aside]
        ecg, v = open_recording(year_long, start_s=3590.0, duration_s=20.0).signals
        in_gap = open_recording(year_long, start_s=gap_s / 2, duration_s=60.0)
        last = open_recording(year_long, start_s=gap_s + 3590.0, duration_s=20.0).signals[0]
    assert (found.duration_s, found.channels[0].gap_s) == (gap_s + 7200.0, gap_s)
    assert (ecg.samples[:2500] == 1).all()
    assert np.isnan(ecg.samples[2500:]).all()
    assert np.isnan(v.samples).all()
    assert all(np.isnan(signal.samples).all() and len(signal.samples) == 15_000 for signal in in_gap.signals)
    assert np.isnan(last.samples[:2500]).all()
    assert (last.samples[2500:] == 2).all()
    with pytest.raises(SourceError, match="read it in stretches"):
        open_recording(year_long)


def test_a_stretch_looks_only_at_its_own_segments(year_long: Path) -> None:
    (year_long.parent / "x_2.hea").unlink()
    assert open_recording(year_long, duration_s=60.0).signals[0].samples[0] == 1
    with pytest.raises(SourceError, match=r"x_2\.hea"):
        open_recording(year_long, start_s=300 * 86_400.0 + 3600)
    assert "x_2.hea" in str(find_recordings(year_long.parent)[0].problem)
