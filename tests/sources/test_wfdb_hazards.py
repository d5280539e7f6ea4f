"""Headers that lie about the disk, and disks that do not hold what they should."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qualityfm.errors import ConfigError, SignalError, SourceError
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.wfdb_files import WFDB
from qualityfm.sources.wfdb_storage import num_whole_samples

ONE = "{file} {storage} 200(0)/mV 16 0 0 {checksum} 0 II\n"


def one_signal(length: int | str = 1000, file: str = "r1.dat", storage: str = "16", checksum: int = 0) -> str:
    return f"r1 1 250 {length}\n" + ONE.format(file=file, storage=storage, checksum=checksum)


def test_a_header_that_announces_gigabytes_is_refused_by_the_bytes_on_disk(make_record) -> None:
    path = make_record(one_signal(4_000_000_000))
    with pytest.raises(SourceError, match=r"r1\.dat: size: found '2000 samples', expected 4000000000"):
        open_recording(path)


@pytest.mark.parametrize("storage", ["16", "212", "310", "311", "24", "32", "80", "8", "61", "160"])
def test_a_file_one_byte_short_is_refused_in_every_fixed_format(tmp_path: Path, storage: str) -> None:
    num_bytes = {"212": 1500, "310": 1334, "311": 1334, "24": 3000, "32": 4000, "80": 1000, "8": 1000}.get(
        storage, 2000
    )
    (tmp_path / "r1.hea").write_text(one_signal(storage=storage))
    (tmp_path / "r1.dat").write_bytes(bytes(num_bytes))
    assert open_recording(tmp_path / "r1").duration_s == 4.0
    (tmp_path / "r1.dat").write_bytes(bytes(num_bytes - 1))
    with pytest.raises(SourceError, match="size: found '999 samples', expected 1000"):
        open_recording(tmp_path / "r1")


@pytest.mark.parametrize("storage_format", [8, 16, 24, 32, 61, 80, 160, 212, 310, 311])
def test_the_bytes_the_decoder_reads_are_there_for_every_length(storage_format: int) -> None:
    from wfdb.io import _signal

    for num_samples in range(40):
        num_bytes = _signal._required_byte_num("read", str(storage_format), num_samples)
        # Formats 310 and 311 are stored in thirds of blocks of four bytes; a lone sample needs two.
        assert num_whole_samples(storage_format, num_bytes) >= num_samples
        if num_bytes:
            assert num_whole_samples(storage_format, num_bytes - 1) < num_samples


def test_a_pipe_given_as_header_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r1.hea")
    with pytest.raises(SourceError, match="file: found 'no regular file'"):
        open_recording(tmp_path / "r1.hea")


def test_a_pipe_given_as_signal_file_is_refused_at_once(make_record, tmp_path: Path) -> None:
    path = make_record(one_signal(file="pipe.dat"))
    os.mkfifo(tmp_path / "pipe.dat")
    with pytest.raises(SourceError, match=r"pipe\.dat: file: found 'no regular file'"):
        open_recording(path)


@pytest.mark.parametrize(
    "name",
    ["../out.dat", "/etc/passwd", "..", ".", "-", "sub/r1.dat", "http://127.0.0.1/r1.dat", "s3://b/r1.dat", "a\\b.dat"],
)
def test_a_signal_file_outside_the_folder_is_refused(make_record, tmp_path: Path, name: str) -> None:
    path = make_record(one_signal(file=name), folder=tmp_path / "archive")
    (tmp_path / "out.dat").write_bytes(bytes(2000))
    with pytest.raises(SourceError, match=r"signal 0: file: found .*expected a plain file name"):
        open_recording(path)


def test_a_signal_file_that_is_a_link_out_of_the_folder_is_refused(make_record, tmp_path: Path) -> None:
    path = make_record(one_signal(file="link.dat"), folder=tmp_path / "archive")
    (tmp_path / "secret").write_bytes(bytes(2000))
    (tmp_path / "archive" / "link.dat").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceError, match="a link out of the folder"):
        open_recording(path)


def test_a_signal_file_that_is_a_link_inside_the_folder_is_read(make_record, tmp_path: Path) -> None:
    path = make_record(one_signal(file="link.dat"))
    (tmp_path / "link.dat").symlink_to("r1.dat")
    assert open_recording(path).duration_s == 4.0


def test_a_header_that_is_a_link_out_of_the_folder_is_refused(make_record, tmp_path: Path) -> None:
    path = make_record(one_signal(), folder=tmp_path / "elsewhere")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "r1.hea").symlink_to(path)
    with pytest.raises(SourceError, match="a link out of the folder"):
        open_recording(tmp_path / "archive" / "r1")
    assert "a link out of the folder" in str(find_recordings(tmp_path / "archive")[0].problem)


def test_a_circle_of_links_is_refused(make_record, tmp_path: Path) -> None:
    path = make_record(one_signal(file="a.dat"))
    (tmp_path / "a.dat").symlink_to("b.dat")
    (tmp_path / "b.dat").symlink_to("a.dat")
    with pytest.raises(SourceError, match=r"a\.dat: file: found"):
        open_recording(path)


def test_a_folder_whose_name_reads_as_a_remote_address_is_refused(make_record, tmp_path: Path) -> None:
    path = make_record(one_signal(), folder=tmp_path / "zip::x")
    with pytest.raises(SourceError, match="a path without '::'"):
        open_recording(path)


def test_a_missing_signal_file_is_named(make_record) -> None:
    with pytest.raises(SourceError, match=r"gone\.dat: file: found 'No such file"):
        open_recording(make_record(one_signal(file="gone.dat")))


def test_a_record_without_length_takes_it_from_the_file_with_a_note(make_record) -> None:
    recording = open_recording(make_record(one_signal(length=0)))
    assert recording.duration_s == 8.0
    assert "2000 samples taken from the signal file" in recording.notes[0]


def test_a_record_of_no_samples_is_refused(make_record) -> None:
    with pytest.raises(SourceError, match="number of samples: found 0, expected at least one"):
        open_recording(make_record(one_signal(length=0), np.empty(0)))


def test_a_header_without_signals_is_refused(make_record) -> None:
    with pytest.raises(SourceError, match="signals: found 'no signals'"):
        open_recording(make_record("r1 0 250 1000\n"))


def test_a_skew_longer_than_the_record_is_refused(make_record) -> None:
    with pytest.raises(SourceError, match="skew: found 1000"):
        open_recording(make_record(one_signal(storage="16:1000")))


def test_signals_skewed_differently_are_put_back_in_line(make_record) -> None:
    stored = np.zeros((100, 3))
    stored[10, 0] = stored[12, 1] = stored[15, 2] = 1000  # one event, stored 0, 2 and 5 frames late
    lines = [f"r1.dat 16:{skew} 1000(0)/mV 16 0 0 0 0 {name}" for skew, name in [(0, "I"), (2, "II"), (5, "III")]]
    recording = open_recording(make_record("r1 3 250 100\n" + "\n".join(lines), stored))
    assert [int(np.nanargmax(s.samples)) for s in recording.signals] == [10, 10, 10]
    assert [int(np.isnan(s.samples).sum()) for s in recording.signals] == [0, 2, 5]


@pytest.mark.parametrize("flipped_bit", [0, 5, 1234, 15_999])
def test_a_single_changed_bit_is_noticed_by_the_checksum(make_record, flipped_bit: int) -> None:
    samples = np.arange(1000)
    path = make_record(one_signal(checksum=int(samples.sum()) & 0xFFFF), samples)
    assert open_recording(path).duration_s == 4.0
    content = bytearray(path.with_suffix(".dat").read_bytes())
    content[flipped_bit // 8] ^= 1 << flipped_bit % 8
    path.with_suffix(".dat").write_bytes(content)
    with pytest.raises(SourceError, match="II: checksum: found"):
        open_recording(path)


def test_a_checksum_written_as_a_negative_number_is_the_same(make_record) -> None:
    samples = np.arange(1000)
    checksum = (int(samples.sum()) & 0xFFFF) - 0x10000
    assert open_recording(make_record(one_signal(checksum=checksum), samples)).duration_s == 4.0


def flac_record(folder: Path, num_samples: int = 5000, channels: int = 1, header: str | None = None) -> Path:
    generator = np.random.default_rng(0)
    wave = np.cumsum(generator.integers(-9, 10, (num_samples, channels)), axis=0).astype(np.int16)
    soundfile.write(folder / "r1.flac", wave, 96_000, format="FLAC", subtype="PCM_16")
    (folder / "r1.dat").write_bytes((folder / "r1.flac").read_bytes())
    (folder / "r1.hea").write_text(header or one_signal(length=num_samples, storage="516"))
    return folder / "r1.hea"


def test_a_flac_file_that_announces_fewer_samples_than_the_header_is_refused(tmp_path: Path) -> None:
    path = flac_record(tmp_path, 4000, header=one_signal(length=2_000_000_000, storage="516"))
    with pytest.raises(SourceError, match="size: found '4000 samples', expected 2000000000"):
        open_recording(path)


def test_a_flac_file_that_announces_more_than_its_bytes_can_hold_is_refused(tmp_path: Path) -> None:
    path = flac_record(tmp_path, header=one_signal(length=0, storage="516"))
    content = bytearray(path.with_suffix(".dat").read_bytes())
    content[21] |= 0x0F  # the upper bits of the 36 that count the samples
    path.with_suffix(".dat").write_bytes(content)
    with pytest.raises(SourceError, match="number of samples: found"):
        open_recording(path)


def test_a_flac_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = flac_record(tmp_path)
    content = path.with_suffix(".dat").read_bytes()
    path.with_suffix(".dat").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="content: found"):
        open_recording(path)


def test_a_changed_bit_in_a_flac_file_never_changes_a_sample_unnoticed(tmp_path: Path) -> None:
    path = flac_record(tmp_path)
    content = path.with_suffix(".dat").read_bytes()
    samples, _ = soundfile.read(tmp_path / "r1.flac", dtype="int16")
    path.write_text(one_signal(length=5000, storage="516", checksum=int(samples.sum()) & 0xFFFF))
    good = open_recording(path).signals[0].samples
    num_refused = 0
    for bit in np.random.default_rng(3).integers(0, 8 * len(content), 300):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.with_suffix(".dat").write_bytes(damaged)
        try:
            found = open_recording(path).signals[0].samples
        except SourceError:
            num_refused += 1
        else:
            np.testing.assert_array_equal(found, good)
    assert num_refused > 200


def test_a_flac_file_with_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="channels: found 2, expected 1"):
        open_recording(flac_record(tmp_path, channels=2))


def test_a_fixed_size_file_announced_as_flac_is_refused(make_record) -> None:
    with pytest.raises(SourceError, match="content: found 'no FLAC data"):
        open_recording(make_record(one_signal(storage="516")))


def test_a_missing_record_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such recording: .*a103l: file: found 'nothing', expected .*a103l\.hea"):
        open_recording(tmp_path / "a103l")


@pytest.mark.parametrize("name", ["", "..", "a\0b", "https://example.org/r1", "x" * 5000])
def test_a_name_that_cannot_be_a_file_is_an_ordinary_refusal(name: str) -> None:
    with pytest.raises(SourceError, match="no such recording"):
        open_recording(name)


def test_a_folder_given_as_recording_leads_to_find_recordings(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"found 'a folder'.*find_recordings"):
        open_recording(tmp_path)


def test_a_stretch_after_the_end_is_refused(make_record) -> None:
    with pytest.raises(SignalError, match=r"start_s: found 4\.0, expected below 4 s"):
        open_recording(make_record(one_signal()), start_s=4.0)


@pytest.mark.parametrize("stretch", [{"start_s": -1.0}, {"start_s": float("nan")}, {"duration_s": 0.0}])
def test_a_stretch_that_is_no_stretch_is_refused(make_record, stretch: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="wrong stretch"):
        open_recording(make_record(one_signal()), **stretch)


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("s25047-2704-05-04-10-44", "s25047"),
        ("p00/p000020/p000020-2183-04-28-17-47.hea", "p000020"),
        ("p00/p000020/p000020-2183-04-28-17-47n", "p000020"),
        ("waves/p100/p10014354/81739927/81739927.hea", "p10014354"),
        ("p10/p100123/rec", "p100123"),
        ("p99/p100123/rec", None),
        ("challenge2015/records/a103l.hea", None),
        ("patients/p100123.hea", None),
    ],
)
def test_a_patient_is_known_from_mimic_names_and_folders_only(path: str, subject: str | None) -> None:
    from qualityfm.sources.wfdb_files import subject_of

    assert subject_of(Path("/data") / path) == subject


def test_the_reader_takes_a_name_with_or_without_extension() -> None:
    assert WFDB.candidates(Path("a/b.c")) == (Path("a/b.c.hea"),)
    assert WFDB.candidates(Path("a/b.hea")) == (Path("a/b.hea"),)
