"""Vital files that are cut, changed or lie, and thousands of damaged ones."""

import gzip
import math
import os
import random
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path

import golden_vital as golden
import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording, vital_index, vital_stream

Track, floats, record = golden.Track, golden.floats, golden.record

PRIVATE = ("Harry", "Haagse", "coughs")


def refused(folder: Path, packets: Sequence[bytes]) -> str:
    """Return the refusal of a file, which its listing must show too."""
    path = golden.write(folder / "case.vital", packets)
    with pytest.raises(SourceError) as caught:
        open_recording(path)
    assert find_recordings(folder)[0].problem == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("num_bytes", [0, 2, 9, 10, 50, 300, -1, -4, -8, -9, -100])
def test_a_file_cut_short_is_refused(tmp_path: Path, num_bytes: int) -> None:
    path = golden.write(tmp_path / "case.vital", golden.small())
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(SourceError, match=r"case\.vital: content: found"):
        open_recording(path)


def test_the_library_takes_a_cut_file_for_a_whole_one(tmp_path: Path) -> None:
    import vitaldb

    path = golden.write(tmp_path / "case.vital", golden.small())
    whole = vitaldb.VitalFile(str(path)).find_track("ECG_II").recs
    path.write_bytes(path.read_bytes()[:-400])
    assert 0 < len(vitaldb.VitalFile(str(path)).find_track("ECG_II").recs) < len(whole)


def test_every_changed_bit_of_the_packed_data_is_noticed(tmp_path: Path) -> None:
    path = golden.write(tmp_path / "case.vital", golden.small())
    content, chance = path.read_bytes(), random.Random(0)
    for _ in range(300):
        changed = bytearray(content)
        changed[chance.randrange(10, len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(SourceError, match=r"case\.vital: .*: found .*, expected"):
            open_recording(path)


@pytest.mark.parametrize("tail", [b"rubbish", b"\x1f\x8b", b"\0\0x"])
def test_other_bytes_behind_the_gzip_data_are_refused(tmp_path: Path, tail: bytes) -> None:
    path = golden.write(tmp_path / "case.vital", golden.small())
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(SourceError, match="content: found 'other bytes behind the gzip data'"):
        open_recording(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0.0}, "sample rate: found 0.0, expected 0 < x"),
        ({"rate": -100.0}, "sample rate: found -100.0"),
        ({"rate": math.nan}, "sample rate: found nan"),
        ({"rate": math.inf}, "sample rate: found inf"),
        ({"rate": 1e9}, "sample rate: found 1000000000.0"),
        ({"format": 9}, "format: found 9, expected 1 to 8"),
        ({"format": 5, "gain": 0.0}, "gain: found 0.0"),
        ({"format": 5, "gain": math.nan}, "gain: found nan"),
        ({"format": 5, "gain": math.inf}, "gain: found inf"),
        ({"format": 5, "offset": math.nan}, "offset: found nan"),
    ],
)
def test_a_wrong_field_of_a_track_is_named_with_the_track(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    packets = [golden.head(), golden.device(), Track(number=7, **change).packet(), record(7, 0, floats(100))]
    assert f"case.vital: track 7: {message}" in refused(tmp_path, packets)


@pytest.mark.parametrize(
    ("packets", "message"),
    [
        ([golden.head(sign=b"VITB")], "signature: found 'other content in gzip data', expected VITA"),
        ([golden.head(version=0)], "version: found 0, expected 1 to 3"),
        ([golden.head(version=4)], "version: found 4, expected 1 to 3"),
        ([b"VITA" + struct.pack("<IH", 3, 4) + bytes(4)], "head length: found 4"),
        ([golden.head(start=math.nan)], "start time: found nan"),
        ([golden.head(start=-5.0)], "start time: found -5.0"),
        ([b"VITA"], "content: found 'an end after 4 bytes', expected a whole packet"),
        ([golden.head()], "tracks: found '0 of numbers or texts', expected a waveform track"),
        ([golden.head(), golden.device()[:-3]], "content: found 'an end after"),
        ([golden.head(), b"\x01\x02"], "content: found 'an end after"),
        ([golden.head(), struct.pack("<BI", 77, 2**32 - 1)], "content: found 'an end after"),
        ([golden.head(), struct.pack("<BI", 0, 2**31)], "packet of a track or device: length: found 2147483648"),
        ([golden.head(), golden.packet(9, b"\x01\0\0\0\xff\xff\xff\x7fname")], "device: type: found"),
        ([golden.head(), golden.packet(9, b"")], "device: number: found '0 bytes'"),
        ([golden.head(), golden.packet(0, b"\x01")], "track: number: found '1 bytes'"),
        ([golden.head(), golden.packet(0, b"\x01\0\x01")], "track 1: format: found '0 bytes'"),
        ([golden.head(), Track(unit="x" * 70_000).packet()], "packet of a track or device: length"),
        ([golden.head(), golden.packet(1, b"short")], "record: length: found 5, expected 12 bytes or more"),
    ],
)
def test_a_packet_that_cannot_be_is_refused(tmp_path: Path, packets: list[bytes], message: str) -> None:
    assert message in refused(tmp_path, packets)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            struct.pack("<HdHI", 10, golden.START, 1, 2**32 - 1) + bytes(400),
            "track 1: number of samples: found 4294967295",
        ),
        (struct.pack("<HdHI", 10, golden.START, 1, 101) + bytes(400), "expected at most 100, as the record is long"),
        (struct.pack("<HdHI", 10, math.nan, 1, 1) + bytes(4), "track 1: record time: found nan"),
        (struct.pack("<HdHI", 10, math.inf, 1, 1) + bytes(4), "track 1: record time: found inf"),
        (struct.pack("<HdHI", 9, golden.START, 1, 1) + bytes(4), "track 1: record length: found"),
        (struct.pack("<HdHI", 65535, golden.START, 1, 1) + bytes(4), "track 1: record length: found"),
        (struct.pack("<HdH", 10, golden.START, 1), "track 1: record length: found 12, expected 16 bytes or more"),
        (struct.pack("<HdHI", 10, golden.START + 8 * 86400, 1, 1) + bytes(4), "expected at most 604800 s"),
        (struct.pack("<HdHI", 10, -1e300, 1, 1) + bytes(4), "track 1: record time: found"),
    ],
)
def test_a_record_that_cannot_be_is_refused(tmp_path: Path, body: bytes, message: str) -> None:
    packets = [golden.head(), golden.device(), Track().packet(), record(1, 0, floats(5)), golden.packet(1, body)]
    assert message in refused(tmp_path, packets)


def test_a_track_described_twice_and_differently_is_refused(tmp_path: Path) -> None:
    first, second = Track(), Track(rate=250.0)
    packets = [golden.head(), golden.device(), first.packet(), first.packet(), record(1, 0, floats(100))]
    assert open_recording(golden.write(tmp_path / "a.vital", packets)).duration_s == 1.0
    (tmp_path / "a.vital").unlink()
    assert "track 1: found 'two descriptions that differ'" in refused(tmp_path, [*packets, second.packet()])


def test_a_bomb_is_refused_before_it_costs_memory_or_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vital_stream, "_FREE_BYTES", 4 * 2**20)
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(golden.head() + struct.pack("<BI", 77, 2**32 - 1))
    packed += b"".join(packer.compress(bytes(2**20)) for _ in range(40)) + packer.flush()
    (tmp_path / "case.vital").write_bytes(packed)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=r"content: found 'more than .* bytes', expected at most .* packed"):
            open_recording(tmp_path / "case.vital")
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_more_pieces_than_a_week_can_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vital_index, "_MOST_PIECES", 3)
    packets = [golden.head(), golden.device(), Track().packet(), *golden.pieces(1, [0, 1, 2, 3])]
    assert "waveform records: found 'more than 3'" in refused(tmp_path, packets)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "case.vital")
    with pytest.raises(SourceError, match="file: found 'no regular file'"):
        open_recording(tmp_path / "case.vital")


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_read(tmp_path: Path) -> None:
    golden.write(tmp_path / "archive" / "case.vital", golden.small())
    golden.write(tmp_path / "elsewhere.vital", golden.small())
    (tmp_path / "archive" / "out.vital").symlink_to(tmp_path / "elsewhere.vital")
    (tmp_path / "archive" / "in.vital").symlink_to("case.vital")
    with pytest.raises(SourceError, match="a link out of the folder"):
        open_recording(tmp_path / "archive" / "out.vital")
    assert open_recording(tmp_path / "archive" / "in.vital").duration_s == 6.0


def test_nothing_written_by_people_leaves_the_file(tmp_path: Path) -> None:
    path = golden.write(tmp_path / "case.vital", golden.small())
    text = repr(open_recording(path)) + repr(find_recordings(tmp_path)) + repr(vital_index.read_index(path))
    assert not [word for word in PRIVATE if word in text]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return unpacked content with one to three changes, most of them in the descriptions at its beginning."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(600 if chance.random() < 0.7 else len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at : at + 4] = struct.pack("<I", chance.choice([0, 1, 2**31, 2**32 - 1, 0x7FC00000]))
            case 2:
                del changed[at : at + chance.randint(1, 20)]
            case _:
                changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
    return bytes(changed)


def outcome(path: Path) -> str:
    """Open ten seconds of a damaged file; return what is said of it, after checks that what was read is whole."""
    try:
        recording = open_recording(path, duration_s=10)
    except SourceError as error:
        what, rest = str(error).split(f": {path}: ", 1)
        return f"{what}: {rest}"
    for signal in recording.signals:
        assert signal.samples.dtype == np.float32
        assert 0 < signal.sample_rate_hz <= 1e6
        assert len(signal.samples) <= 10 * signal.sample_rate_hz + 1
        assert not np.isinf(signal.samples).any()
    return repr(recording) + repr(recording.notes)


def test_a_damaged_file_with_a_right_checksum_is_read_properly_or_refused_by_file_and_field(tmp_path: Path) -> None:
    content, chance = b"".join(golden.small()), random.Random(1)
    path = tmp_path / "case.vital"
    num_refused = 0
    for _ in range(1000):
        path.write_bytes(gzip.compress(mutated(content, chance), 1))
        text = outcome(path)
        if text.startswith("cannot read file: "):
            num_refused += 1
            assert ": found " in text
            assert ", expected " in text
            assert "\n" not in text
            assert len(text) < 300
        assert not [word for word in PRIVATE if word in text]
    assert 300 < num_refused < 1000
