"""Every storage format: encoded here as signal(5) says, or by `wfdb` for FLAC, read by us whole and in stretches."""

import re
from pathlib import Path

import numpy as np
import pytest
import wfdb
from wfdb.io._signal import DAT_FMTS

from qualityfm.sources import open_recording
from qualityfm.sources.wfdb_signal_line import STORAGE_FORMATS

BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 10, "311": 10}
BITS |= {"508": 8, "516": 16, "524": 24}


def encoded(values: list[int], fmt: str) -> bytes:
    """Return stored values in a fixed-size format, one after the other: slow and obvious."""
    if fmt == "61":
        return b"".join(v.to_bytes(2, "big", signed=True) for v in values)
    if fmt == "80":
        return bytes(v + 128 for v in values)
    if fmt == "160":
        return b"".join((v + 32768).to_bytes(2, "little") for v in values)
    if fmt == "212":
        pairs = zip(values[::2], values[1::2], strict=True)
        return b"".join(bytes([a & 255, (a >> 8 & 15) | (b >> 8 & 15) << 4, b & 255]) for a, b in pairs)
    if fmt in ("310", "311"):
        values = values + [0] * (-len(values) % 3)
        words = []
        for a, b, c in zip(values[::3], values[1::3], values[2::3], strict=True):
            if fmt == "310":
                words += [(a & 1023) << 1 | (c & 31) << 11, (b & 1023) << 1 | (c >> 5 & 31) << 11]
            else:
                word = (a & 1023) | (b & 1023) << 10 | (c & 1023) << 20
                words += [word & 65535, word >> 16]
        return b"".join(word.to_bytes(2, "little") for word in words)
    return b"".join(v.to_bytes(BITS[fmt] // 8, "little", signed=True) for v in values)


def write(folder: Path, values: np.ndarray, fmt: str) -> Path:
    """Write a record of two signals, gains 2 and 4, baselines 0 and -40; format 8 stores differences."""
    if fmt in ("508", "516", "524"):
        wfdb.wrsamp(
            "r1",
            fs=250,
            units=["mV", "mmHg"],
            sig_name=["II", "ABP"],
            d_signal=values,
            fmt=[fmt] * 2,
            adc_gain=[2.0, 4.0],
            baseline=[0, -40],
            write_dir=str(folder),
        )
        return folder / "r1.hea"
    stored = np.diff(values, axis=0, prepend=values[:1]) if fmt == "8" else values
    (folder / "r1.dat").write_bytes(encoded(stored.reshape(-1).tolist(), fmt))
    checksums = [int(column.sum()) & 0xFFFF for column in values.T]
    (folder / "r1.hea").write_text(
        f"r1 2 250 {len(values)}\n"
        f"r1.dat {fmt} 2(0)/mV 0 0 {values[0, 0]} {checksums[0]} 0 II\n"
        f"r1.dat {fmt} 4(-40)/mmHg 0 0 {values[0, 1]} {checksums[1]} 0 ABP\n"
    )
    return folder / "r1.hea"


@pytest.fixture(params=sorted(BITS, key=int))
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A record of two signals and 1,001 frames in one format, and its stored values."""
    limit = 2 ** (BITS[request.param] - 1) - 1
    generator = np.random.default_rng(1)
    step = 100 if request.param == "8" else limit // 2
    walk = np.cumsum(generator.integers(-step, step + 1, (1001, 2)), axis=0)
    values = walk if request.param == "8" else np.clip(walk, -limit, limit)
    return write(tmp_path, values, request.param), values


def test_stored_values_become_physical_ones(written: tuple[Path, np.ndarray]) -> None:
    path, values = written
    ecg, abp = open_recording(path).signals
    np.testing.assert_allclose(ecg.samples, values[:, 0] / 2, rtol=1e-6)
    np.testing.assert_allclose(abp.samples, (values[:, 1] + 40) / 4, rtol=1e-6)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 2), (7, 400), (500, 1001), (1000, 1001), (333, 334)])
def test_a_stretch_starts_anywhere(written: tuple[Path, np.ndarray], first: int, last: int) -> None:
    path, values = written
    ecg, abp = open_recording(path, start_s=first / 250, duration_s=(last - first) / 250).signals
    np.testing.assert_allclose(ecg.samples, values[first:last, 0] / 2, rtol=1e-6)
    np.testing.assert_allclose(abp.samples, (values[first:last, 1] + 40) / 4, rtol=1e-6)


@pytest.mark.parametrize("fmt", sorted(set(BITS) - {"8"}, key=int))
def test_the_lowest_stored_value_means_missing(tmp_path: Path, fmt: str) -> None:
    lowest = -(2 ** (BITS[fmt] - 1))
    ecg, abp = open_recording(write(tmp_path, np.array([[2, 4], [lowest, 4], [2, lowest]]), fmt)).signals
    np.testing.assert_array_equal(ecg.samples, [1, np.nan, 1])
    np.testing.assert_array_equal(abp.samples, [11, 11, np.nan])


@pytest.mark.parametrize("fmt", [fmt for fmt in sorted(BITS, key=int) if int(fmt) < 500])
@pytest.mark.parametrize(("first", "last"), [(0, 601), (0, 5), (123, 400), (596, 601)])
def test_two_rates_a_skew_and_bytes_before_them_go_together(tmp_path: Path, fmt: str, first: int, last: int) -> None:
    generator = np.random.default_rng(2)
    fast, slow = generator.integers(-100, 100, 2 * 601), generator.integers(-100, 100, 601)
    if fmt == "8":  # differences that fit into a byte
        fast, slow = np.cumsum(fast // 3), np.cumsum(slow // 3)
    stored = [np.diff(line, prepend=line[:1]) if fmt == "8" else line for line in (fast, slow)]
    frames = np.column_stack([stored[0].reshape(-1, 2), stored[1]])
    (tmp_path / "r1.dat").write_bytes(b"prolog!" + encoded([*frames.reshape(-1).tolist(), 0], fmt))
    (tmp_path / "r1.hea").write_text(
        f"r1 2 125 601\n"
        f"r1.dat {fmt}x2+7 2(0)/mV 0 0 {fast[0]} {int(fast.sum()) & 0xFFFF} 0 II\n"
        f"r1.dat {fmt}:3+7 4(-40)/mmHg 0 0 {slow[0]} {int(slow.sum()) & 0xFFFF} 0 ABP\n"
    )
    ecg, abp = open_recording(tmp_path / "r1", start_s=first / 125, duration_s=(last - first) / 125).signals
    assert (ecg.sample_rate_hz, abp.sample_rate_hz) == (250.0, 125.0)
    np.testing.assert_allclose(ecg.samples, fast[2 * first : 2 * last] / 2)
    in_line = np.append((slow[3:] + 40) / 4, [np.nan] * 3)
    np.testing.assert_allclose(abp.samples, in_line[first:last])


@pytest.mark.parametrize("fmt", ["508", "516", "524"])
@pytest.mark.parametrize(("first", "last"), [(0, 300), (100, 101), (250, 300)])
def test_a_flac_file_holds_several_samples_a_frame_behind_an_offset(
    tmp_path: Path, fmt: str, first: int, last: int
) -> None:
    values = np.random.default_rng(2).integers(-100, 100, (1200 + 5, 2))
    path = write(tmp_path, values, fmt)
    lines = path.read_text().replace(f"{fmt} ", f"{fmt}x4+5 ").splitlines()
    path.write_text("\n".join(["r1 2 62.5 300", *(re.sub(r"( -?\d+){2} 0 ", " 0 0 0 ", line) for line in lines[1:])]))
    ecg, abp = open_recording(path, start_s=first / 62.5, duration_s=(last - first) / 62.5).signals
    assert ecg.sample_rate_hz == abp.sample_rate_hz == 250.0
    np.testing.assert_allclose(ecg.samples, values[5 + 4 * first : 5 + 4 * last, 0] / 2)
    np.testing.assert_allclose(abp.samples, (values[5 + 4 * first : 5 + 4 * last, 1] + 40) / 4)


def test_unused_bits_of_a_packed_format_do_not_reach_the_samples(tmp_path: Path) -> None:
    path = write(tmp_path, np.array([[2, -4], [6, -8], [10, -12]]), "311")
    content = bytearray((tmp_path / "r1.dat").read_bytes())
    content[3::4] = bytes(byte | 0xC0 for byte in content[3::4])
    (tmp_path / "r1.dat").write_bytes(content)
    ecg, abp = open_recording(path).signals
    np.testing.assert_array_equal(ecg.samples, [1, 3, 5])
    np.testing.assert_array_equal(abp.samples, [9, 8, 7])


def test_every_format_that_wfdb_decodes_is_read() -> None:
    assert {*map(str, STORAGE_FORMATS)} == set(BITS) == set(DAT_FMTS)
