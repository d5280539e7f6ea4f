"""One signal line of a WFDB header -> typed, frozen facts, or a refusal.

Source: header(5), WFDB Applications Guide, https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qualityfm.sources.wfdb_text import quoted, refusal, whole_number

#: Budgets of our own.
MAX_SAMPLES_PER_FRAME = 1_000
MAX_OFFSET = 2**40  # bytes before the first sample, and frames of skew

#: Gain of a signal without calibration. Source: header(5).
DEFAULT_GAIN = 200.0

#: Formats that can be decoded. Source: signal(5); 508, 516 and 524 are FLAC.
STORAGE_FORMATS = frozenset({8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524})

#: A number as it is written, exponents and all.
FLOAT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_STORAGE = re.compile(r"(\d{1,3})(?:x(\d{1,9}))?(?::(\d{1,15}))?(?:\+(\d{1,15}))?", re.ASCII)
_GAIN = re.compile(rf"({FLOAT})(?:\(([+-]?\d{{1,15}})\))?(?:/([^\s#]+))?", re.ASCII)

#: The whole numbers between gain and name, and their ranges.
_NUMBERS = (
    ("ADC resolution", 0, 64),
    ("ADC zero", -(2**31), 2**31),
    ("initial value", -(2**31), 2**31),
    ("checksum", -(2**31), 2**32),
    ("block size", 0, 2**31),
)


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """One signal line. A stored value v means (v - baseline) / gain in `unit`."""

    name: str
    file_name: str | None  # None for "~": no samples are stored
    storage_format: int
    samples_per_frame: int
    skew_frames: int
    byte_offset: int  # for FLAC formats: samples
    gain: float
    baseline: int
    unit: str
    is_calibrated: bool
    initial_value: int
    checksum: int | None


def parse_signal(path: Path, line: str, index: int, folder: str = "") -> SignalSpec:
    """Return what a signal line says.

    Args:
        path: Header, for messages.
        line: The line.
        index: Place of the signal, from 0 on.
        folder: Folder that the record's own name carries, to be taken off the file's name too.

    Raises:
        SourceError: The line breaks the grammar or a range.
    """
    fields = line.split(None, 8)
    where = f"signal {index}"
    storage = _STORAGE.fullmatch(fields[1]) if len(fields) > 1 else None
    if storage is None:
        found = quoted(fields[1]) if len(fields) > 1 else ""
        raise refusal(path, f"{where}: format", found, "a format such as 16, 212 or 516x4:2+24")
    file_name = None if fields[0] == "~" else fields[0].removeprefix(folder)
    samples_per_frame = int(storage[2] or 1)
    if not 1 <= samples_per_frame <= MAX_SAMPLES_PER_FRAME:
        raise refusal(path, f"{where}: samples per frame", storage[2], f"1 to {MAX_SAMPLES_PER_FRAME}")
    if file_name is not None and int(storage[1]) not in STORAGE_FORMATS:
        raise refusal(path, f"{where}: format", storage[1], f"one of {', '.join(map(str, sorted(STORAGE_FORMATS)))}")
    numbers = [
        whole_number(path, f"{where}: {field}", text, low, high)
        for text, (field, low, high) in zip(fields[3:8], _NUMBERS, strict=False)
    ]
    adc_zero = numbers[1] if len(numbers) > 1 else 0
    gain, baseline, unit, is_calibrated = _gain(path, where, fields[2] if len(fields) > 2 else "0", adc_zero)
    return SignalSpec(
        name=(_name(fields[8]) if len(fields) > 8 else "") or f"signal {index}",
        file_name=file_name,
        storage_format=int(storage[1]),
        samples_per_frame=samples_per_frame,
        skew_frames=whole_number(path, f"{where}: skew", storage[3] or "0", 0, MAX_OFFSET),
        byte_offset=whole_number(path, f"{where}: byte offset", storage[4] or "0", 0, MAX_OFFSET),
        gain=gain,
        baseline=baseline,
        unit=unit,
        is_calibrated=is_calibrated,
        initial_value=numbers[2] if len(numbers) > 2 else adc_zero,
        # A program that computes no checksum writes 0.
        checksum=(numbers[3] & 0xFFFF or None) if len(numbers) > 3 else None,
    )


def _name(text: str) -> str:
    """Return a signal's name; a comment that lost its line break would bring a label into it."""
    return "".join(c for c in text.split("#")[0] if c.isprintable()).strip()


def _gain(path: Path, where: str, text: str, adc_zero: int) -> tuple[float, int, str, bool]:
    """Return gain, baseline, unit and whether they are a calibration; a gain of 0 says that there is none."""
    match = _GAIN.fullmatch(text)
    gain = float(match[1]) if match else float("nan")
    if match is None or not (gain == 0 or 1e-12 <= abs(gain) <= 1e12):
        expected = "gain(baseline)/unit, such as 200(0)/mV, gain within +-1e12"
        raise refusal(path, f"{where}: gain", quoted(text), expected)
    baseline = int(match[2]) if match[2] else adc_zero
    if abs(baseline) > 2**31:
        raise refusal(path, f"{where}: baseline", match[2], "at most 32 bits")
    if gain == 0:
        return DEFAULT_GAIN, baseline, "NU", False
    return gain, baseline, match[3] or "mV", True
