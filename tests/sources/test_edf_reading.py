"""EDF, EDF+ and BDF files that are as they should be, or nearly so."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import edfio
import golden_edf
import numpy as np
import pytest

from qualityfm.errors import ConfigError, SourceError
from qualityfm.records import ChannelKind, Recording
from qualityfm.sources import edf_decode, find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule, Layout

EdfFile, counting, onsets, small = golden_edf.EdfFile, golden_edf.counting, golden_edf.onsets, golden_edf.small


def opened(file: EdfFile, folder: Path, name: str = "r1.edf", **stretch: object) -> Recording:
    return open_recording(file.write(folder / name), **stretch)


@pytest.mark.parametrize("name", sorted(golden_edf.GOOD))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_samples_are_those_that_the_library_reads(tmp_path: Path, name: str) -> None:
    path = golden_edf.GOOD[name]().write(tmp_path / name)
    expected = (edfio.read_bdf if name.endswith("bdf") else edfio.read_edf)(path)
    factors = {"mV": 1.0, "uV": 1e-3, "": 1.0, "kPa": 1000 / 133.322387415}
    for signal, reference in zip(open_recording(path).signals, expected.signals, strict=True):
        values = reference.data * factors[reference.physical_dimension]
        np.testing.assert_allclose(signal.samples[np.isfinite(signal.samples)], values, rtol=1e-6, atol=1e-6)
        assert signal.sample_rate_hz == reference.sampling_frequency


def test_channels_of_different_rates_keep_them(tmp_path: Path) -> None:
    recording = opened(small(), tmp_path)
    assert [(s.name, s.kind, s.unit, s.sample_rate_hz, len(s.samples)) for s in recording.signals] == [
        ("ECG II", ChannelKind.ECG, "mV", 10.0, 40),
        ("Pleth", ChannelKind.PPG, "NU", 5.0, 20),
        ("ART", ChannelKind.ABP, "mmHg", 2.0, 8),
    ]


@pytest.mark.parametrize(
    ("label", "unit", "kind", "canonical"),
    [
        ("EKG", "uV", ChannelKind.ECG, "mV"),
        ("ECG V1", "\u00b5V", ChannelKind.ECG, "mV"),
        ("ECG", "\u03bcV".encode().decode("latin-1"), ChannelKind.ECG, "mV"),
        ("ECG", "V", ChannelKind.ECG, "mV"),
        ("SpO2", "%", ChannelKind.OTHER, "%"),
        ("EEG Fpz-Cz", "uV", ChannelKind.OTHER, "mV"),
        ("ABP", "mmHg", ChannelKind.ABP, "mmHg"),
    ],
)
def test_names_and_units_become_kinds_and_canonical_units(
    tmp_path: Path, label: str, unit: str, kind: ChannelKind, canonical: str
) -> None:
    (signal,) = opened(EdfFile(lines=[replace(counting(label=label), unit=unit)]), tmp_path).signals
    assert (signal.kind, signal.unit) == (kind, canonical)


def test_microvolts_are_a_thousandth_of_millivolts_and_volts_a_thousand(tmp_path: Path) -> None:
    lines = [replace(counting(first=1), unit=unit) for unit in ("mV", "\u00b5V", "V")]
    first = [float(s.samples[0]) for s in opened(EdfFile(lines=lines), tmp_path).signals]
    assert first == pytest.approx([1e-4, 1e-7, 1e-1], rel=1e-4)


def test_an_inverting_amplifier_turns_the_signal_over(tmp_path: Path) -> None:
    line = replace(counting(), physical_min="10", physical_max="-10", digital_min="-10", digital_max="30")
    (signal,) = opened(EdfFile(lines=[line]), tmp_path).signals
    np.testing.assert_allclose(signal.samples[[0, 30]], [5.0, -10.0])


def test_values_outside_the_digital_range_are_missing_and_counted(tmp_path: Path) -> None:
    line = replace(counting(), digital_min="3", digital_max="35")
    recording = opened(EdfFile(lines=[line]), tmp_path)
    assert np.flatnonzero(np.isnan(recording.signals[0].samples)).tolist() == [0, 1, 2, 36, 37, 38, 39]
    assert recording.notes == ("ECG II: 7 values outside the digital range are missing samples",)


def test_a_discontinuous_file_has_missing_samples_in_its_gap(tmp_path: Path) -> None:
    recording = opened(golden_edf.small_plus(), tmp_path)
    ecg, pleth = recording.signals
    assert recording.duration_s == 7.0
    assert np.flatnonzero(np.isnan(ecg.samples)).tolist() == list(range(20, 50))
    assert np.flatnonzero(np.isnan(pleth.samples)).tolist() == list(range(10, 25))
    assert float(ecg.samples[50]) == pytest.approx(2e-3)


def test_a_gap_is_in_the_listing(tmp_path: Path) -> None:
    golden_edf.small_plus().write(tmp_path / "r1.edf")
    (found,) = find_recordings(tmp_path)
    assert [channel.gap_s for channel in found.channels] == [3.0, 3.0]
    assert found.duration_s == 7.0


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, 1.0), (1.5, 4.0), (2.5, 2.0), (4.95, 1.1), (6.0, 9.0)])
def test_a_stretch_of_a_discontinuous_file_is_a_stretch_of_the_whole(
    tmp_path: Path, start_s: float, duration_s: float
) -> None:
    path = golden_edf.small_plus().write(tmp_path / "r1.edf")
    whole, part = open_recording(path), open_recording(path, start_s=start_s, duration_s=duration_s)
    for expected, signal in zip(whole.signals, part.signals, strict=True):
        time_s = np.arange(len(expected.samples)) / expected.sample_rate_hz
        inside = (time_s >= start_s - 1e-6) & (time_s < start_s + duration_s - 1e-6)
        np.testing.assert_array_equal(signal.samples, expected.samples[inside])


@pytest.mark.parametrize("block_bytes", [1, 30, 70, 200])
@pytest.mark.parametrize("name", sorted(golden_edf.GOOD))
def test_records_larger_than_a_block_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block_bytes: int
) -> None:
    path = golden_edf.GOOD[name]().write(tmp_path / name)
    whole, part = open_recording(path), open_recording(path, start_s=0.7, duration_s=2.4)
    monkeypatch.setattr(edf_decode, "BLOCK_BYTES", max(block_bytes, 3))
    for expected, found in ((whole, open_recording(path)), (part, open_recording(path, start_s=0.7, duration_s=2.4))):
        for signal, reference in zip(found.signals, expected.signals, strict=True):
            np.testing.assert_array_equal(signal.samples, reference.samples)


def test_times_of_records_that_jitter_by_less_than_half_a_sample_make_no_gap(tmp_path: Path) -> None:
    file = EdfFile(lines=[counting(), onsets([0, 1.04, 1.97, 3.01])], reserved="EDF+D")
    assert np.isfinite(opened(file, tmp_path).signals[0].samples).all()


def test_gaps_in_a_file_that_is_called_continuous_are_believed_under_a_named_repair(tmp_path: Path) -> None:
    recording = opened(replace(golden_edf.small_plus(), reserved="EDF+C"), tmp_path)
    assert recording.repairs == ("undeclared-gaps",)
    assert recording.duration_s == 7.0


def test_a_plain_file_with_annotations_is_read_without_their_times(tmp_path: Path) -> None:
    recording = opened(replace(golden_edf.small_plus(), reserved=""), tmp_path)
    assert (recording.duration_s, recording.repairs) == (4.0, ())


def test_a_file_of_annotations_alone_is_listed_aside(tmp_path: Path) -> None:
    EdfFile(lines=[onsets([0])], reserved="EDF+C", record_s="0").write(tmp_path / "r1-Hypnogram.edf")
    (found,) = find_recordings(tmp_path)
    assert (found.problem, found.aside) == (None, "annotations: times and texts without samples")
    with pytest.raises(SourceError, match="signals: found 'annotations only'"):
        open_recording(found.path)


def test_a_file_of_numbers_is_listed_aside(tmp_path: Path) -> None:
    EdfFile(lines=[counting(4, 2, "HR")]).write(tmp_path / "r1.edf")
    assert find_recordings(tmp_path)[0].aside == "numerics: no channel is faster than 2 Hz"


@pytest.mark.parametrize(
    ("date", "time", "recording", "start"),
    [
        ("02.03.85", "10.20.30", "", dt.datetime(1985, 3, 2, 10, 20, 30)),
        ("02.03.84", "10.20.30", "", dt.datetime(2084, 3, 2, 10, 20, 30)),
        ("02-03-00", "1:02:03 ", "", dt.datetime(2000, 3, 2, 1, 2, 3)),
        ("02.03.84", "10.20.30", "Startdate 02-MAR-1984 X X X", dt.datetime(1984, 3, 2, 10, 20, 30)),
        ("01.01.85", "00.00.00", "Startdate X X X X", None),
        ("02.03.84", "10.20.30", "Startdate 03-MAR-1984 X X X", None),
        ("31.02.01", "10.20.30", "", None),
        ("02.03.01", "24.00.00", "", None),
        ("", "", "", None),
        ("Jane Doe", "10.20.30", "", None),
        ("02.03.84", "10.20.30", "Startdate 02-XYZ-1984", None),
    ],
)
def test_the_start_is_found_in_the_header(
    tmp_path: Path, date: str, time: str, recording: str, start: dt.datetime | None
) -> None:
    found = opened(replace(small(), date=date, time=time, recording=recording), tmp_path)
    assert found.start == start
    assert "Doe" not in " ".join(found.notes)


def test_the_start_of_a_stretch_and_the_fraction_of_a_second_count(tmp_path: Path) -> None:
    file = EdfFile(lines=[counting(), onsets([0.25, 1.25, 2.25, 3.25])], reserved="EDF+C")
    recording = opened(file, tmp_path, start_s=1.5)
    assert recording.start == dt.datetime(2002, 3, 2, 10, 20, 31, 750_000)


def test_a_layout_chooses_names_and_calibrates_channels(tmp_path: Path) -> None:
    rules = (
        ChannelRule(column="ART", name="aorta", kind=ChannelKind.ABP, unit="mmHg", gain=2.0, offset=1.0),
        ChannelRule(column="ECG II", name="II"),
        ChannelRule(column="Resp", is_optional=True),
    )
    layout = Layout(name="own", title="", source="edf", channels=rules, subject=r"(r\d)")
    found = opened(small(), tmp_path, layout=layout)
    assert [(s.name, s.kind, s.unit) for s in found.signals] == [
        ("II", ChannelKind.ECG, "mV"),
        ("aorta", ChannelKind.ABP, "mmHg"),
    ]
    assert found.subject_id == "r1"
    assert found.signals[1].samples[0] == pytest.approx(10.0 * 2 + 1)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ChannelRule(column="Resp"), "channels: found 'no Resp'"),
        (ChannelRule(column="Resp", is_optional=True), "channels: found '3 others'"),
        (ChannelRule(column="ART", sample_rate_hz=125.0), "sample rate: found '2 Hz', expected 125 Hz"),
    ],
)
def test_a_layout_that_the_file_contradicts_is_refused(tmp_path: Path, rule: ChannelRule, message: str) -> None:
    layout = Layout(name="own", title="", source="edf", channels=(rule,))
    path = small().write(tmp_path / "r1.edf")
    with pytest.raises(SourceError, match=message):
        open_recording(path, layout=layout)
    assert message in str(find_recordings(tmp_path, layout=layout)[0].problem)


@pytest.mark.parametrize("setting", [{"time": "t"}, {"missing": (0.0,)}, {"sample_rate_hz": 9.0}, {"items": "rows"}])
def test_a_layout_that_sets_what_the_file_says_itself_is_refused(tmp_path: Path, setting: dict[str, object]) -> None:
    layout = Layout(name="own", title="", source="edf", **setting)
    with pytest.raises(ConfigError, match=f"layout own: {next(iter(setting))}: found"):
        opened(small(), tmp_path, layout=layout)


@pytest.mark.parametrize(
    ("name", "called"), [("r1.EDF", "r1.EDF"), ("r1.EDF", "r1"), ("r1.BDF", "r1"), ("a.b.edf", "a.b")]
)
def test_a_recording_is_found_under_any_spelling_of_its_ending(tmp_path: Path, name: str, called: str) -> None:
    file = golden_edf.small_bdf() if name.endswith("BDF") else small()
    file.write(tmp_path / name)
    recording = open_recording(tmp_path / called)
    assert (recording.recording_id, recording.duration_s) == (Path(name).stem, 4.0)
    assert find_recordings(tmp_path)[0].recording_id == recording.recording_id


@pytest.mark.real
def test_a_real_recording_comes_back_to_half_a_step(real_data: Path, tmp_path: Path) -> None:
    recording = open_recording(real_data / "mimic_misc" / "mixedsignals", duration_s=16)
    live = tuple(s for s in recording.signals if np.isfinite(s.samples).all())
    rates = {s.sample_rate_hz for s in live}
    kept = tuple(s for s in live if s.sample_rate_hz == max(rates))
    path = golden_edf.write_edf(replace(recording, signals=kept), tmp_path)
    for signal, expected in zip(open_recording(path).signals, kept, strict=True):
        assert (signal.name, signal.kind, signal.unit) == (expected.name, expected.kind, expected.unit)
        step = (np.ptp(expected.samples) + 1) / 65_534
        np.testing.assert_allclose(signal.samples, expected.samples, atol=step)
