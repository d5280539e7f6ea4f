"""What a WFDB header claims about its signal files, compared with the bytes really on disk.

A header of 90 bytes can announce gigabytes, name a file in another folder, or name a pipe. All of it is refused here,
before anything is allocated or opened for decoding.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from qualityfm.sources.strict import check_regular_file
from qualityfm.sources.wfdb_header import SingleHeader, check_duration
from qualityfm.sources.wfdb_text import Repair, refusal

FLAC_FORMATS = {508: 8, 516: 16, 524: 24}  # format -> most bits a sample may have
_FLAC_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}

#: A FLAC frame has at least 10 bytes and at most 65535 samples a channel. Source: RFC 9639, sections 8 and 9.
_FLAC_FRAME_BYTES = 10
_FLAC_FRAME_SAMPLES = 65_535

#: Samples that the last word of a packed format may hold beyond those announced. Source: signal(5), 310 and 311.
_PACKED_EXCESS = 2

_FILE_NAME = re.compile(r"\w[-\w.]*", re.ASCII)


def file_inside(folder: Path, name: str, header: Path, field: str) -> Path:
    """Return the path of a file that a header names, if it is a regular file inside the record's own folder.

    Raises:
        SourceError: The name leads out of the folder (`..`, absolute, URL, symbolic link) or is no regular file.
    """
    if _FILE_NAME.fullmatch(name) is None:
        raise refusal(header, field, name, "a plain file name in the record's own folder")
    path = folder / name
    check_regular_file(path, folder)
    return path


def with_stored_length(header: SingleHeader) -> SingleHeader:
    """Return the header with its number of frames known and found to be on disk, in every file it names.

    Raises:
        SourceError: A file is missing, outside the folder, or shorter than announced; or there is not one sample.
    """
    if not header.signals or header.is_layout:
        found = "a layout header" if header.is_layout else "no signals"
        raise refusal(header.path, "signals", found, "a header with signals that are stored")
    folder = header.path.parent
    num_frames = header.num_frames
    notes, repairs = list(header.notes), list(header.repairs)
    for group in header.groups:
        field = f"signal {group[0]}: file"
        path = file_inside(folder, header.signals[group[0]].file_name or "", header.path, field)
        num_stored = _num_stored_frames(header, group, path)
        if num_frames is None:
            num_frames = num_stored
            check_duration(header.path, num_frames, header.frame_rate_hz)
            notes.append(f"the header gives no length: {num_stored} samples taken from the signal file")
            repairs.append(Repair.LENGTH_FROM_FILE)
        if num_frames > num_stored:
            raise refusal(path, "size", f"{num_stored} samples", f"{num_frames}, as announced in {header.path.name}")
        if num_stored - num_frames > _PACKED_EXCESS:
            notes.append(f"a signal file holds {num_stored} samples, {num_frames} are announced: the rest is left out")
        skew = max(header.signals[i].skew_frames for i in group)
        if 0 < num_frames <= skew:
            raise refusal(
                header.path, f"signal {group[0]}: skew", skew, f"less than the {num_frames} samples there are"
            )
    if not num_frames:
        raise refusal(header.path, "number of samples", 0, "at least one")
    return dataclasses.replace(header, num_frames=num_frames, notes=tuple(notes), repairs=tuple(repairs))


def _num_stored_frames(header: SingleHeader, group: tuple[int, ...], path: Path) -> int:
    first = header.signals[group[0]]
    samples_per_frame = [header.signals[i].samples_per_frame for i in group]
    num_bytes = path.stat().st_size
    if first.storage_format in FLAC_FORMATS:
        if len(set(samples_per_frame)) > 1:
            field = f"signal {group[0]}: samples per frame"
            raise refusal(header.path, field, samples_per_frame, "one number for all signals of a FLAC file")
        num_samples = _num_flac_samples(path, first.storage_format, len(group), num_bytes)
        return max(0, num_samples - first.byte_offset) // samples_per_frame[0]
    num_samples = num_whole_samples(first.storage_format, max(0, num_bytes - first.byte_offset))
    return num_samples // sum(samples_per_frame)


def num_whole_samples(storage_format: int, num_bytes: int) -> int:
    """Return how many samples of a fixed-size format fit into a number of bytes.

    Source: signal(5). 212 packs 2 samples into 3 bytes; 310 and 311 pack 3 samples into 4 bytes, and a last pair of
    samples needs all 4 bytes in 310 and 3 in 311.
    """
    if storage_format == 212:
        return num_bytes * 2 // 3
    if storage_format in (310, 311):
        blocks, rest = divmod(num_bytes, 4)
        # `rest` bytes hold 0, 0, 1 and 1 or 2 further samples.
        return blocks * 3 + (0, 0, 1, 1 if storage_format == 310 else 2)[rest]
    return num_bytes // {8: 1, 80: 1, 24: 3, 32: 4}.get(storage_format, 2)


def _num_flac_samples(path: Path, storage_format: int, num_channels: int, num_bytes: int) -> int:
    """Return the samples of each channel that a FLAC file announces, if its size can hold so many."""
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (RuntimeError, OSError, TypeError) as error:
        raise refusal(path, "content", "no FLAC data", f"a FLAC file (format {storage_format})") from error
    if info.format != "FLAC" or _FLAC_BITS.get(info.subtype, 99) > FLAC_FORMATS[storage_format]:
        expected = f"FLAC of at most {FLAC_FORMATS[storage_format]} bits"
        raise refusal(path, "content", f"{info.format} {info.subtype}", expected)
    if info.channels != num_channels:
        raise refusal(path, "channels", info.channels, f"{num_channels}, as many as the header lists for this file")
    if info.frames > (num_bytes // _FLAC_FRAME_BYTES + 1) * _FLAC_FRAME_SAMPLES:
        raise refusal(path, "number of samples", info.frames, f"no more than {num_bytes} bytes can hold")
    return int(info.frames)


def check_decodable_path(path: Path) -> None:
    """Refuse a path that the library below would take for a chain of remote file systems.

    Raises:
        SourceError: The path contains "::".
    """
    if "::" in str(path.absolute()):
        raise refusal(path, "path", str(path), "a path without '::'", "rename the folder")
