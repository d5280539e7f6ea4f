"""Stored samples of one single-segment WFDB record -> physical values, through the `wfdb` library.

The library decodes bytes into stored integers and nothing else: which bytes, how many, and what the integers mean is
decided here from our own checked header. (Its own header reader guesses, and its shifting of skewed signals fails when
two signals are skewed differently.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from qualityfm.sources.units import canonical_unit
from qualityfm.sources.wfdb_header import SignalSpec, SingleHeader, refusal

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
    # Format 8 stores differences: its samples are known only from the very first one on.
    read_from = 0 if first.storage_format == 8 else begin
    path = header.path.parent / (first.file_name or "")
    try:
        stored: list[Any] = _signal._rd_dat_signals(
            file_name=first.file_name,
            dir_name=str(header.path.parent.absolute()),
            pn_dir=None,
            fmt=str(first.storage_format),
            n_sig=len(signals),
            sig_len=header.num_frames,
            byte_offset=first.byte_offset,
            samps_per_frame=[s.samples_per_frame for s in signals],
            skew=[0] * len(signals),
            init_value=[s.initial_value for s in signals],
            sampfrom=read_from,
            sampto=end,
        )
    except Exception as error:  # the decoder meets damaged bytes with errors of many kinds
        found = f"samples that do not decode ({type(error).__name__})"
        expected = f"{end - read_from} samples in format {first.storage_format}"
        raise refusal(path, "content", found, expected, "copy the file again") from error
    skip = begin - read_from
    # Signals of one file arrive interleaved; every later step is faster on samples that lie next to each other.
    return [np.ascontiguousarray(line[skip * s.samples_per_frame :]) for line, s in zip(stored, signals, strict=True)]


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
