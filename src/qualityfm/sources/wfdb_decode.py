"""Stored samples of one single-segment WFDB record -> physical values, through the `wfdb` library.

The library decodes bytes into stored integers and nothing else: which bytes, how many, and what the integers mean is
decided here from our own checked header. (Its own header reader guesses, and its shifting of skewed signals fails when
two signals are skewed differently.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from qualityfm.sources.units import canonical_unit
from qualityfm.sources.wfdb_header import SingleHeader
from qualityfm.sources.wfdb_signal_line import SignalSpec
from qualityfm.sources.wfdb_text import refusal

#: Stored integer that means "no sample". Source: signal(5); format 8 has none.
_INVALID = {
    80: -(2**7),
    508: -(2**7),
    310: -(2**9),
    311: -(2**9),
    212: -(2**11),
    16: -(2**15),
    61: -(2**15),
    160: -(2**15),
    516: -(2**15),
    24: -(2**23),
    524: -(2**23),
    32: -(2**31),
}

#: Frames of a file of differences that are summed up at once. Our own choice: memory stays below some MB.
_FRAMES_AT_ONCE = 2**18

#: Whole numbers up to here are exact in float32.
_EXACT_IN_FLOAT32 = 2**24


def read_frames(header: SingleHeader, begin: int, end: int) -> list[Float32[np.ndarray, " time"]]:
    """Return the physical values of frames begin .. end of every signal, in canonical units; NaN where missing.

    A skewed signal is put back in line; the frames it lacks at the end are NaN. When the whole record is read, the
    sum of each signal's stored samples is compared with the header.

    Args:
        header: A header whose files were found to be complete.
        begin: First frame.
        end: Frame after the last.

    Raises:
        SourceError: The signal file cannot be decoded, or its samples are not those the header was written for.
    """
    num_frames = header.num_frames or 0
    values: list[Float32[np.ndarray, " time"]] = []
    for group in header.groups:
        skew = max(header.signals[i].skew_frames for i in group)
        first = min(begin, num_frames)
        last = min(end + skew, num_frames)
        stored = _stored_samples(header, group, first, last)
        for i, samples in zip(group, stored, strict=True):
            signal = header.signals[i]
            if (first, last) == (0, num_frames):
                _verify_checksum(header, signal, samples)
            shift = signal.skew_frames * signal.samples_per_frame
            num_samples = (end - begin) * signal.samples_per_frame
            line = _physical(samples[shift : shift + num_samples], signal)
            if len(line) < num_samples:
                line = np.pad(line, (0, num_samples - len(line)), constant_values=np.nan)
            values.append(line)
    return values


def _stored_samples(
    header: SingleHeader, group: tuple[int, ...], begin: int, end: int
) -> list[Int[np.ndarray, " time"]]:
    """Return the stored integers of one signal file, one array for each of its signals."""
    from wfdb.io import _signal

    signals = [header.signals[i] for i in group]
    first = signals[0]
    path = header.path.parent / (first.file_name or "")
    num_frames, byte_offset, initial = header.num_frames or 0, first.byte_offset, [s.initial_value for s in signals]
    try:
        if first.storage_format == 8 and begin > 0:
            # Differences: what lies before the stretch is summed up, and the stretch read as a file of its own.
            initial = _values_before(path, signals, begin)
            byte_offset += begin * sum(s.samples_per_frame for s in signals)
            num_frames, begin, end = num_frames - begin, 0, end - begin
        stored: list[Any] = _signal._rd_dat_signals(
            file_name=first.file_name,
            dir_name=str(header.path.parent.absolute()),
            pn_dir=None,
            fmt=str(first.storage_format),
            n_sig=len(signals),
            sig_len=num_frames,
            byte_offset=byte_offset,
            samps_per_frame=[s.samples_per_frame for s in signals],
            skew=[0] * len(signals),
            init_value=initial,
            sampfrom=begin,
            sampto=end,
        )
    except Exception as error:  # the decoder meets damaged bytes with errors of many kinds
        found = f"samples that do not decode ({type(error).__name__})"
        expected = f"{end - begin} samples in format {first.storage_format}"
        raise refusal(path, "content", found, expected, "copy the file again") from error
    if first.storage_format == 311:
        stored = [_ten_bits(line) for line in stored]
    # Signals of one file arrive interleaved; every later step is faster on samples that lie next to each other.
    return [np.ascontiguousarray(line) for line in stored]


def _values_before(path: Path, signals: list[SignalSpec], num_frames: int) -> list[int]:
    """Return the value of each signal of a file of differences (format 8) after its first frames."""
    widths = [s.samples_per_frame for s in signals]
    width = sum(widths)
    sums = np.zeros(width, np.int64)
    with path.open("rb") as file:
        file.seek(signals[0].byte_offset)
        for at in range(0, num_frames, _FRAMES_AT_ONCE):
            count = min(_FRAMES_AT_ONCE, num_frames - at) * width
            sums += np.fromfile(file, np.int8, count).reshape(-1, width).sum(axis=0, dtype=np.int64)
    firsts = np.cumsum([0, *widths[:-1]])
    return [s.initial_value + int(total) for s, total in zip(signals, np.add.reduceat(sums, firsts), strict=True)]


def _ten_bits(stored: Int[np.ndarray, " time"]) -> Int[np.ndarray, " time"]:
    """Return samples of format 311 without the bit above the third of a word, which the library takes along."""
    return np.asarray((stored + 512) % 1024 - 512)


def _verify_checksum(header: SingleHeader, signal: SignalSpec, samples: Int[np.ndarray, " time"]) -> None:
    """Refuse samples whose sum is not the one in the header: changed bytes would otherwise pass as a waveform.

    Every one of some 10,900 channels of public records with sums (CinC 2011 and 2015, MIT-BIH, MIMIC) keeps its own, so
    a wrong one is taken for damage. A sum that is missing or 0 is not compared; a stretch of a record has no sum.
    """
    if signal.checksum is None:
        return
    found = int(samples.sum(dtype=np.int64)) & 0xFFFF
    if found != signal.checksum:
        raise refusal(
            header.path,
            f"{signal.name}: checksum",
            found,
            f"{signal.checksum}, as in the header",
            "the file was changed or damaged: copy it again; reading a stretch of it skips this check",
        )


def _physical(stored: Int[np.ndarray, " time"], signal: SignalSpec) -> Float32[np.ndarray, " time"]:
    is_exact = stored.dtype.itemsize <= 2 and abs(signal.baseline) < _EXACT_IN_FLOAT32 // 2
    values: np.ndarray = stored.astype(np.float32) if is_exact else stored.astype(np.float64)
    values -= signal.baseline
    values *= canonical_unit(signal.unit)[1] / signal.gain
    invalid = _INVALID.get(signal.storage_format)
    if invalid is not None:
        values[stored == invalid] = np.nan
    return values.astype(np.float32, copy=False)
