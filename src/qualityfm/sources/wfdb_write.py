"""Recording -> WFDB record, for simulated archives and tests: 16 bit, one gain per channel from its own range."""

from __future__ import annotations

import datetime as dt
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16

from qualityfm.errors import SignalError, problem
from qualityfm.records import Recording, Signal

#: Stored values are kept within +-32000; -32768 means "no sample".
_LARGEST = 32_000
_INVALID = -(2**15)
_LARGEST_BASELINE = 2**30

#: Most samples of one channel in a frame: beyond it, two rates have too little in common. Our own bound.
_MAX_SAMPLES_PER_FRAME = 1_000


def write_wfdb(recording: Recording, folder: Path) -> Path:
    """Write a recording as `<recording_id>.hea` and `.dat` (format 16), and return the path of the header.

    Missing samples stay missing, units and rates are kept; channels of different rates share a frame. A value moves by
    at most 1/64000 of its channel's range. A channel that starts late or ends early is filled with missing samples.
    Patient and notes are not written.

    Raises:
        SignalError: The rates cannot share a frame, or a name, unit or start cannot be written.
    """
    _check_words(recording)
    frame_rate_hz, per_frame = _frame(recording)
    num_frames = max(
        math.ceil((_offset(recording, s) + len(s.samples)) / n)
        for s, n in zip(recording.signals, per_frame, strict=True)
    )
    path = folder / f"{recording.recording_id}.hea"
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.empty((num_frames, sum(per_frame)), "<i2")
    lines = [_first_line(recording, path.stem, frame_rate_hz, num_frames)]
    column = 0
    for signal, n in zip(recording.signals, per_frame, strict=True):
        gain, baseline = _scale(signal.samples)
        stored = np.full(num_frames * n, _INVALID, np.int16)
        offset = _offset(recording, signal)
        stored[offset : offset + len(signal.samples)] = _digitise(signal.samples, gain, baseline)
        frames[:, column : column + n] = stored.reshape(-1, n)
        column += n
        checksum = int(stored.sum(dtype=np.int64)) & 0xFFFF
        storage = f"16x{n}" if n > 1 else "16"
        calibration = f"{gain!r}({baseline})/{signal.unit}"
        lines.append(f"{path.stem}.dat {storage} {calibration} 16 0 {stored[0]} {checksum} 0 {signal.name}")
    path.with_suffix(".dat").write_bytes(frames.tobytes())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _first_line(recording: Recording, name: str, frame_rate_hz: Fraction, num_frames: int) -> str:
    start = "" if recording.start is None else f" {_clock(recording.start)}"
    return f"{name} {len(recording.signals)} {repr(float(frame_rate_hz)).removesuffix('.0')} {num_frames}{start}"


def _clock(start: dt.datetime) -> str:
    return f"{start:%H:%M:%S}.{start.microsecond:06d} {start.day:02d}/{start.month:02d}/{start.year:04d}"


def _check_words(recording: Recording) -> None:
    def refuse(field: str, found: object, expected: str) -> SignalError:
        return SignalError(
            problem("cannot write WFDB", where=recording.recording_id, field=field, found=found, expected=expected)
        )

    if re.fullmatch(r"[-\w]+(/[-\w]+)*", recording.recording_id, re.ASCII) is None:
        raise refuse("recording_id", recording.recording_id, "letters, digits, - and _, with / between folders")
    if not recording.signals or not any(len(s.samples) for s in recording.signals):
        raise refuse("signals", "no samples", "at least one")
    for signal in recording.signals:
        if re.fullmatch(r"\S+", signal.unit) is None:
            raise refuse(f"{signal.name}: unit", signal.unit, "a word without blanks")
        if not signal.name.strip() or not signal.name.isprintable():
            raise refuse("channel name", signal.name, "printable characters on one line")


def _frame(recording: Recording) -> tuple[Fraction, list[int]]:
    """Return the rate of frames and how many samples each channel has in one."""
    rates = [Fraction(s.sample_rate_hz).limit_denominator(1_000_000) for s in recording.signals]
    frame_rate = rates[0]
    for rate in rates[1:]:
        common = math.lcm(frame_rate.denominator, rate.denominator)
        frame_rate = Fraction(math.gcd(int(frame_rate * common), int(rate * common)), common)
    per_frame = [int(rate / frame_rate) for rate in rates]
    is_exact = all(
        math.isclose(float(frame_rate) * n, s.sample_rate_hz, rel_tol=1e-9)
        for n, s in zip(per_frame, recording.signals, strict=True)
    )
    if not is_exact or max(per_frame) > _MAX_SAMPLES_PER_FRAME:
        raise SignalError(
            problem(
                "cannot write WFDB",
                where=recording.recording_id,
                field="sample_rate_hz",
                found=[s.sample_rate_hz for s in recording.signals],
                expected="rates that are small multiples of one rate",
                advice="resample, or write the channels as recordings of their own",
            )
        )
    return frame_rate, per_frame


def _offset(recording: Recording, signal: Signal) -> int:
    """Return how many samples are missing before a signal's first one."""
    offset = signal.start_s * signal.sample_rate_hz
    if offset < -1e-3 or abs(offset - round(offset)) > 1e-3:
        raise SignalError(
            problem(
                "cannot write WFDB",
                where=recording.recording_id,
                field=f"{signal.name}: start_s",
                found=signal.start_s,
                expected="a whole number of its samples, from 0 on",
            )
        )
    return round(offset)


def _scale(samples: Float32[np.ndarray, " time"]) -> tuple[float, int]:
    """Return gain and baseline that spread a channel's range over the stored range."""
    real = samples[np.isfinite(samples)].astype(np.float64)
    if not len(real):
        return 1.0, 0
    low, high = float(real.min()), float(real.max())
    center = (low + high) / 2
    gain = 2 * _LARGEST / (high - low) if high > low else _LARGEST / max(abs(center), 1e-9)
    if high == low:
        center = 0.0
    gain = min(gain, _LARGEST_BASELINE / max(abs(center), 1e-9), 1e12)
    gain = max(gain, 1e-12)
    return gain, -round(center * gain)


def _digitise(samples: Float32[np.ndarray, " time"], gain: float, baseline: int) -> Int16[np.ndarray, " time"]:
    with np.errstate(invalid="ignore"):
        stored = np.round(samples.astype(np.float64) * gain + baseline)
    return np.where(np.isfinite(stored), np.clip(stored, -_LARGEST, _LARGEST), _INVALID).astype(np.int16)
