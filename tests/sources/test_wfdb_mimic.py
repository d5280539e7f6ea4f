"""The folders of MIMIC-II, III and IV: whose a recording is, what is set aside, and rates of one's own."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from qualityfm.records import ChannelKind
from qualityfm.sources import find_recordings, open_recording


def segmented(folder: Path, record: str, segment: str) -> None:
    """Write a MIMIC-II or III record: layout, two segments with a gap between them, and numerics beside it."""
    folder.mkdir(parents=True)
    (folder / f"{record}.hea").write_text(
        f"{record}/4 2 125 300 10:44:18.529 04/05/2704\n{segment}_layout 0\n{segment}_0001 100\n~ 100\n"
        f"{segment}_0002 100\n# Location: micu\n"
    )
    (folder / f"{segment}_layout.hea").write_text(
        f"{segment}_layout 2 125 0\n~ 0 50(0)/NU 8 0 0 0 0 PLETH\n~ 0 86(0)/mV 8 0 0 0 0 II\n"
    )
    for name, channel, unit in [("0001", "II", "86(0)/mV"), ("0002", "PLETH", "50(0)/NU")]:
        (folder / f"{segment}_{name}.hea").write_text(
            f"{segment}_{name} 1 125 100\n{segment}_{name}.dat 80 {unit} 8 0 0 0 0 {channel}\n"
        )
        (folder / f"{segment}_{name}.dat").write_bytes(bytes([128 + 43] * 100))
    (folder / f"{record}n.hea").write_text(f"{record}n 1 0.0166667 3\n{record}n.dat 16 10/bpm 16 0 0 0 0 HR\n")
    (folder / f"{record}n.dat").write_bytes(bytes(6))


def compressed(folder: Path, record: str) -> None:
    """Write a MIMIC-IV record: one FLAC file for each rate, channels by name."""
    folder.mkdir(parents=True)
    files = [("e", "II", 4, "200(0)/mV"), ("p", "Pleth", 2, "4096(0)/NU"), ("r", "Resp", 1, "100(0)/Ohm")]
    lines = []
    for letter, channel, per_frame, unit in files:
        samples = np.full(200 * per_frame, 200, np.int16)
        soundfile.write(folder / f"{letter}.flac", samples, 96_000, format="FLAC", subtype="PCM_16")
        (folder / f"{letter}.flac").rename(folder / f"{record}_0001{letter}.dat")
        checksum = int(samples.sum(dtype=int)) & 0xFFFF
        lines.append(f"{record}_0001{letter}.dat 516x{per_frame} {unit} 16 0 200 {checksum} 0 {channel}\n")
    (folder / f"{record}_0001.hea").write_text(f"{record}_0001 3 62.4725/999.56 200\n" + "".join(lines))
    (folder / f"{record}_0000.hea").write_text(
        f"{record}_0000 3 62.4725/999.56 0\n"
        + "".join(f"~ 0x{n} {unit} 16 0 0 0 0 {channel}\n" for _, channel, n, unit in files)
    )
    (folder / f"{record}.hea").write_text(
        f"{record}/3 3 62.4725/999.56 300 17:27:45.5 15/08/2154\n{record}_0000 0\n{record}_0001 200\n~ 100\n"
    )
    (folder / f"{record}n.csv.gz").write_bytes(b"")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    segmented(tmp_path / "mimic2wdb" / "s25047", "s25047-2704-05-04-10-44", "3234460")
    segmented(tmp_path / "mimic3wdb" / "p00" / "p000020", "p000020-2183-04-28-17-47", "3544749")
    segmented(tmp_path / "mimic3wdb" / "30" / "3000003", "3000003", "3000003")
    compressed(tmp_path / "mimic4wdb" / "waves" / "p100" / "p10014354" / "81739927", "81739927")
    return tmp_path


def test_each_release_gives_its_recordings_and_their_patients(archive: Path) -> None:
    found = [one for one in find_recordings(archive) if one.aside is None and one.source == "wfdb"]
    assert [(one.recording_id, one.subject_id, one.problem) for one in found] == [
        ("mimic2wdb/s25047/s25047-2704-05-04-10-44", "s25047", None),
        ("mimic3wdb/30/3000003/3000003", None, None),
        ("mimic3wdb/p00/p000020/p000020-2183-04-28-17-47", "p000020", None),
        ("mimic4wdb/waves/p100/p10014354/81739927/81739927", "p10014354", None),
    ]


def test_layouts_and_numerics_are_set_aside_and_nothing_else_is_listed(archive: Path) -> None:
    aside = [one for one in find_recordings(archive) if one.aside is not None]
    assert [one.aside.split(":")[0] for one in aside if one.aside] == ["layout header", "numerics"] * 3 + [
        "layout header"
    ]


def test_segments_fill_their_channels_and_leave_the_others_missing(archive: Path) -> None:
    pleth, ecg = open_recording(archive / "mimic3wdb" / "30" / "3000003" / "3000003").signals
    assert (pleth.kind, ecg.kind) == (ChannelKind.PPG, ChannelKind.ECG)
    np.testing.assert_allclose(ecg.samples[:100], 0.5)
    np.testing.assert_allclose(pleth.samples[200:], 0.86)
    assert np.isnan(ecg.samples[100:]).all()
    assert np.isnan(pleth.samples[:200]).all()


def test_each_channel_keeps_its_rate(archive: Path) -> None:
    folder = archive / "mimic4wdb" / "waves" / "p100" / "p10014354" / "81739927"
    recording = open_recording(folder / "81739927")
    rates = [signal.sample_rate_hz for signal in recording.signals]
    assert rates == pytest.approx([4 * 62.4725, 2 * 62.4725, 62.4725])
    assert [len(signal.samples) for signal in recording.signals] == [1200, 600, 300]
    np.testing.assert_allclose(recording.signals[0].samples[:800], 1.0)
    assert np.isnan(recording.signals[0].samples[800:]).all()
    assert recording.repairs == ()


def test_a_header_for_annotations_alone_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "00735.hea").write_text("00735 0 250 9205760\n")
    (found,) = find_recordings(tmp_path)
    assert (found.problem, found.aside) == (None, "no signals: a header for annotations alone")
