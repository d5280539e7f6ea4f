"""Layouts that ship, on small files in the published layouts."""

from importlib.resources import files
from pathlib import Path

import golden_tables
import numpy as np
import pytest

from qualityfm.errors import ConfigError, SourceError
from qualityfm.sources import SOURCES, Layout, find_recordings, open_recording, read_layout
from qualityfm.sources.layout import layouts_that_ship

ROOT = Path(__file__).parents[2]


def kinds(one):
    return [(c.name, str(c.kind), c.unit, c.sample_rate_hz) for c in one.channels]


@pytest.mark.parametrize("name", sorted(layouts_that_ship()))
def test_a_shipped_layout_says_what_it_is_for_whose_and_where_it_comes_from(name):
    layout = read_layout(name)
    assert layout.title
    assert layout.license
    assert layout.source_url.startswith("https://")
    assert layout.source in SOURCES
    text = (files("qualityfm.layouts") / f"{name}.toml").read_text()
    assert text.startswith("# ")


@pytest.mark.parametrize("name", sorted([*layouts_that_ship(), *SOURCES]))
def test_every_layout_and_format_has_a_row_in_the_docs(name):
    rows = [line for line in (ROOT / "docs/ARCHIVES.md").read_text().splitlines() if line.startswith("| ")]
    assert any(line.startswith(f"| `{name}` ") for line in rows)


def test_bidmc_is_known_by_its_columns_and_its_tables_are_passed_over(tmp_path):
    path = golden_tables.write_bidmc(tmp_path)
    (found,) = find_recordings(tmp_path)
    assert (found.recording_id, found.subject_id, found.problem) == ("bidmc_csv/bidmc_01_Signals", "bidmc_01", None)
    assert kinds(found) == [
        ("RESP", "other", "NU", 125.0),
        ("PLETH", "ppg", "NU", 125.0),
        ("V", "ecg", "mV", 125.0),
        ("AVR", "ecg", "mV", 125.0),
        ("II", "ecg", "mV", 125.0),
    ]
    recording = open_recording(path)
    assert recording.duration_s == found.duration_s == 20_001 / 125
    assert recording.notes == ()
    np.testing.assert_allclose(recording.signals[1].samples, golden_tables.beats(20_001, 1), atol=1e-4)


@pytest.mark.parametrize("compress", [False, True])
def test_mimic_perform_has_labels_in_its_paths_and_nothing_of_the_fix_files(tmp_path, compress):
    for name in ("mimic_perform_af_001", "mimic_perform_non_af_016"):
        golden_tables.write_mimic_perform(tmp_path, name, compress=compress)
    layout = read_layout("mimic-perform-af")
    found = find_recordings(tmp_path, layout=layout)
    assert [(f.recording_id, f.subject_id, f.duration_s) for f in found] == [
        ("mimic_perform_af_csv/mimic_perform_af_001_data", "mimic_perform_af_001", 10.0),
        ("mimic_perform_non_af_csv/mimic_perform_non_af_016_data", "mimic_perform_non_af_016", 10.0),
    ]
    assert [layout.labels_of(f.recording_id) for f in found] == [{"is_af": True}, {"is_af": False}]
    recording = open_recording(found[0].path)
    assert [(s.name, str(s.kind), s.unit) for s in recording.signals] == [
        ("PPG", "ppg", "NU"),
        ("ECG", "ecg", "mV"),
        ("resp", "other", "NU"),
    ]
    assert [np.isnan(s.samples).sum() for s in recording.signals] == [10, 10, 10]


def test_mimic_perform_training_and_testing_are_told_apart_by_name(tmp_path):
    for name in ("mimic_perform_train_a_001", "mimic_perform_test_n_100"):
        golden_tables.write_mimic_perform(tmp_path, name)
    layout = read_layout("mimic-perform-csv")
    found = find_recordings(tmp_path)
    assert [f.subject_id for f in found] == ["mimic_perform_test_n_100", "mimic_perform_train_a_001"]
    assert [layout.labels_of(f.recording_id) for f in found] == [
        {"split": "test", "age_group": "n"},
        {"split": "train", "age_group": "a"},
    ]


def test_a_file_with_known_columns_and_another_rate_is_refused(tmp_path):
    path = golden_tables.write_mimic_perform(tmp_path, "mimic_perform_af_001")
    lines = path.read_text().splitlines()
    shifted = [f"{float(line.split(',', 1)[0]) / 2:.6g},{line.split(',', 1)[1]}" for line in lines[1:]]
    path.write_text("\n".join([lines[0], *shifted, ""]))
    with pytest.raises(SourceError, match=r"sample_rate_hz: found 125\.0, expected 250 Hz"):
        open_recording(path)


def test_vtac_patients_are_its_folders(tmp_path, recording):
    golden_tables.write_vtac(tmp_path, recording)
    found = find_recordings(tmp_path, layout="vtac")
    assert [(f.recording_id, f.subject_id) for f in found] == [
        ("waveforms/003c13/003c13_0115", "003c13"),
        ("waveforms/003c13/003c13_0117", "003c13"),
        ("waveforms/44a2ba/44a2ba_0002", "44a2ba"),
    ]
    assert [open_recording(f.path, layout="vtac").subject_id for f in found] == ["003c13", "003c13", "44a2ba"]
    assert {f.subject_id for f in find_recordings(tmp_path / "waveforms" / "003c13", layout="vtac")} == {"003c13"}


def test_challenge2015_has_no_patients(tmp_path, recording):
    golden_tables.write_challenge2015(tmp_path, recording)
    assert [f.subject_id for f in find_recordings(tmp_path, layout="challenge2015")] == [None, None, None]


def test_a_watch_and_an_oximeter_are_known_by_their_columns(tmp_path):
    golden_tables.write_smartwatch(tmp_path)
    golden_tables.write_oximeter(tmp_path)
    watch, oximeter = find_recordings(tmp_path)
    assert [c.name for c in watch.channels] == ["ppg", "accx", "accy", "accz"]
    assert kinds(oximeter)[0] == ("PLETH", "ppg", "NU", 100.0)
    assert oximeter.duration_s == pytest.approx(16.73)
    pleth = open_recording(oximeter.path).signals[0].samples
    assert np.flatnonzero(np.isnan(pleth)).tolist() == list(range(800, 973))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"separator": ",,"}, "separator"),
        ({"separator": ",", "decimal": ","}, "separator"),
        ({"subject": "x"}, "subject"),
        ({"subject": "("}, "subject"),
        ({"path_labels": {"a": "(x)(y)"}}, "path_labels: a"),
        ({"path_labels": {"a": "("}}, "path_labels: a"),
        ({"path_labels": {"a": 1}}, "path_labels: a"),
    ],
)
def test_a_layout_with_a_wrong_setting_is_refused(settings, says):
    with pytest.raises(ConfigError, match=f"layout l: {says}: found"):
        Layout(name="l", title="", source="csv", **settings)


def test_the_example_in_the_docs_reads_what_it_says_it_reads(tmp_path):
    text = (ROOT / "docs/ARCHIVES.md").read_text()
    (tmp_path / "ward.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    folder = tmp_path / "archive" / "icu7"
    folder.mkdir(parents=True)
    rows = [f"{4 * i};{i},5;{(i * 9000) % 65536 if i % 2 == 0 else ''};-32768" for i in range(500)]
    (folder / "case0012_waves.csv").write_text("\n".join(["Time;ECG 1;SpO2 wave;ART", *rows, ""]))
    layout = read_layout(tmp_path / "ward.toml")
    (found,) = find_recordings(tmp_path / "archive", layout=layout)
    assert (found.problem, found.subject_id, found.duration_s) == (None, "0012", 2.0)
    ecg, ppg, abp = open_recording(found.path, layout=layout).signals
    np.testing.assert_allclose(ecg.samples[:2], [0.5 * 2.5e-3, 1.5 * 2.5e-3])
    assert (ecg.name, ppg.name, str(abp.kind), ppg.sample_rate_hz) == ("II", "PLETH", "abp", 125.0)
    np.testing.assert_array_equal(np.diff(ppg.samples), 18_000.0)
    assert np.isnan(abp.samples).all()
    assert layout.labels_of(found.recording_id) == {"ward": "icu7", "is_emergency": False}
    assert layout.tables[0].rename == {"died": "is_dead"}
