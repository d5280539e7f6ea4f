"""Pseudonyms and shifted dates."""

import dataclasses
import datetime as dt
import json

import golden_edf
import numpy as np
import pyarrow.parquet as pq
import pytest

from qualityfm.errors import ConfigError
from qualityfm.prepare import Identity, prepare, read_key
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader
from qualityfm.sources.wfdb_files import write_wfdb

CONFIG = SegmentConfig(channels=("ecg", "ppg"), segment_s=10.0, step_s=10.0)
KEYED, OTHER = Identity(key=b"a secret of 24 bytes ..."), Identity(key=b"another secret, also long")
NOON = dt.datetime(2021, 3, 4, 12, 0, 0)


def test_without_a_key_names_stay_and_dates_are_left_out():
    assert Identity().recording_id("p1/r1") == "p1/r1"
    assert Identity().subject_id("p1") == "p1"
    assert Identity().start(NOON, "p1", "r1") is None


def test_a_pseudonym_depends_on_name_and_key_alone():
    assert KEYED.subject_id("p1") == Identity(key=KEYED.key).subject_id("p1")
    assert len({KEYED.subject_id("p1"), KEYED.subject_id("p2"), OTHER.subject_id("p1"), KEYED.recording_id("p1")}) == 4
    assert KEYED.subject_id(None) is None


def test_dates_of_one_patient_move_together_by_whole_days_and_of_two_patients_differently():
    later = NOON + dt.timedelta(hours=30)
    first, second = KEYED.start(NOON, "p1", "r1"), KEYED.start(later, "p1", "r2")
    assert second - first == later - NOON
    assert first.time() == NOON.time()
    assert 30 <= abs((first - NOON).days) <= 3651
    shifts = {KEYED.start(NOON, f"p{i}", "r") - NOON for i in range(50)}
    assert len(shifts) > 45
    assert min(shifts) < dt.timedelta(0) < max(shifts)


def test_a_date_at_the_edge_of_the_calendar_is_left_out():
    edge = {KEYED.start(dt.datetime(1, 1, 2), f"p{i}", "r") for i in range(20)}
    assert None in edge


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
def test_a_key_of_another_length_is_refused_without_being_shown(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"key: length: found '\d+ bytes'") as refused:
        read_key(tmp_path / "key")
    assert "xxxx" not in str(refused.value)
    assert "short" not in str(refused.value)


def test_a_missing_key_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no key"):
        read_key(tmp_path / "nowhere")


def test_a_line_end_is_no_part_of_the_key(tmp_path):
    for name, end in (("a", b""), ("b", b"\n"), ("c", b"\r\n")):
        (tmp_path / name).write_bytes(b"0123456789abcdef" + end)
    assert len({read_key(tmp_path / name) for name in "abc"}) == 1


@pytest.fixture
def named_archive(tmp_path, make_recording):
    """A recording and a broken one, whose names and comments say who the patient is."""
    folder = tmp_path / "archive" / "Doe_Jane"
    start = NOON
    write_wfdb(dataclasses.replace(make_recording("Doe_Jane_1", 60.0), start=start), folder)
    write_wfdb(make_recording("Doe_Jane_2", 60.0, 1), folder)
    header = folder / "Doe_Jane_1.hea"
    header.write_text(header.read_text() + "# Doe, Jane, 1951-02-03, MRN 4711\n")
    (folder / "Doe_Jane_2.dat").write_bytes(b"\0" * 10)
    (tmp_path / "records.csv").write_text("record,subject\nDoe_Jane_1,Doe Jane\nDoe_Jane_2,Doe Jane\n")
    return tmp_path / "archive"


def test_no_name_comment_or_date_of_a_patient_is_in_any_byte(named_archive, tmp_path):
    from qualityfm.prepare import read_selection

    selection = read_selection(tmp_path / "records.csv", where="subject == 'Doe Jane'")
    report = prepare(named_archive, tmp_path / "out", config=CONFIG, selection=selection, identity=KEYED)
    assert (report.num_segments, len(report.refused)) == (6, 1)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    tables = [repr(pq.read_table(path).to_pydict()) for path in written if path.suffix == ".parquet"]
    texts = [path.read_bytes().decode("latin-1") for path in written] + tables + [str(p.name) for p in written]
    for secret in ("Doe", "Jane", "4711", "1951", "2021", KEYED.key.decode()):
        assert not any(secret in text for text in texts)


def test_the_dates_of_the_rows_are_the_shifted_ones_of_their_segments(named_archive, tmp_path):
    prepare(named_archive, tmp_path / "out", config=CONFIG, identity=KEYED)
    rows = ShardReader(tmp_path / "out").rows
    began = np.datetime64(KEYED.start(NOON, None, "Doe_Jane/Doe_Jane_1"), "us")
    np.testing.assert_array_equal(rows["start"], began + np.arange(6) * np.timedelta64(10, "s"))


def test_another_key_is_another_data_set_and_the_setting_is_named(named_archive, tmp_path, monkeypatch):
    out = tmp_path / "out"
    prepare(named_archive, out, config=CONFIG, identity=KEYED)
    (out / "index.json").rename(tmp_path / "index.json")
    plan = {"plan_hash": "0", "settings": {"key": KEYED.fingerprint}}
    (out / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ConfigError, match=f"key: found '{KEYED.fingerprint}', expected '{OTHER.fingerprint}'"):
        prepare(named_archive, out, config=CONFIG, identity=OTHER)


@pytest.mark.parametrize("identity", [Identity(), KEYED])
def test_the_patient_fields_of_an_edf_file_stay_in_it(tmp_path, make_recording, identity):
    pytest.importorskip("edfio")
    recording = make_recording("a", 60.0, with_ppg=False)
    path = golden_edf.write_edf(recording, tmp_path)
    header = path.read_bytes()[:256].decode("latin-1")
    assert golden_edf.PATIENT in header
    prepare(tmp_path, tmp_path / "out", config=CONFIG, identity=identity)
    content = b"".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    words = f"{golden_edf.PATIENT} {golden_edf.RECORDING}".replace("_", " ").split()
    assert [word for word in words if len(word) > 3 and word.encode() in content] == []


def test_sums_over_names_are_made_with_the_key():
    sums = []
    for identity in (Identity(), KEYED, OTHER):
        digest = identity.hasher()
        digest.update(b"subject == 'Doe Jane'")
        sums.append(digest.hexdigest())
    assert len(set(sums)) == 3


def test_a_keyed_data_set_with_a_selection_can_be_inspected(named_archive, tmp_path, capsys):
    from qualityfm.cli.main import main

    key = tmp_path / "key.txt"
    key.write_bytes(KEYED.key)
    words = ["prepare", str(named_archive), "--out", str(tmp_path / "out"), "--select", str(tmp_path / "records.csv")]
    assert main([*words, "--key", str(key), "--workers", "1"]) == 0
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert "not told (made with a key)" in capsys.readouterr().out


def test_words_of_a_file_about_its_channels_are_left_out_with_a_key():
    assert KEYED.units(("mV", "DoeJane", "")) == ("mV", "", "")
    assert KEYED.channel_words(("Doe_Jane/ECG_II", None)) == ("ECG_II", None)
    assert Identity().units(("DoeJane",)) == ("DoeJane",)
