"""Real tables, against what their archives say of them."""

import numpy as np
import pytest

from qualityfm.records import ChannelKind
from qualityfm.sources import find_recordings, open_recording

pytestmark = pytest.mark.real


def test_bidmc_is_eight_minutes_at_125_hz_of_respiration_pulse_and_three_leads(real_data):
    recording = open_recording(real_data / "mimic_misc" / "bidmc_01_Signals.csv.gz")
    assert [(s.name, s.unit) for s in recording.signals] == [
        ("RESP", "NU"),
        ("PLETH", "NU"),
        ("V", "mV"),
        ("AVR", "mV"),
        ("II", "mV"),
    ]
    assert all(len(s.samples) == 60_001 and s.sample_rate_hz == 125.0 for s in recording.signals)
    assert not any(np.isnan(s.samples).any() for s in recording.signals)
    assert [round(float(s.samples[0]), 5) for s in recording.signals] == [0.35386, 0.43597, 0.52549, 0.30392, 0.72549]
    assert (recording.subject_id, recording.notes) == ("bidmc_01", ())


def test_bidmc_is_found_among_other_records_and_agrees_with_its_listing(real_data):
    (found,) = (f for f in find_recordings(real_data / "mimic_misc") if f.source == "csv")
    assert (found.recording_id, found.duration_s) == ("bidmc_01_Signals", 60_001 / 125)


def test_the_oximeter_has_one_gap_and_is_cut_off_at_both_ends(real_data):
    recording = open_recording(real_data / "ppg_wearable" / "vital_sqi_ppg_smartcare.csv.gz")
    pleth = recording.of_kind(ChannelKind.PPG)[0]
    assert (pleth.name, pleth.sample_rate_hz, len(pleth.samples)) == ("PLETH", 100.0, 61_446)
    assert np.isnan(pleth.samples).sum() == 173
    assert (np.nanmin(pleth.samples), np.nanmax(pleth.samples)) == (1.0, 65_535.0)


def test_the_watch_delivers_late_but_loses_nothing(real_data):
    recording = open_recording(real_data / "ppg_wearable" / "e2epyppg_201902020222_Data.csv.gz")
    ppg = recording.of_kind(ChannelKind.PPG)[0]
    assert ppg.sample_rate_hz == pytest.approx(19.6, rel=2e-3)
    assert (len(ppg.samples), int(np.isnan(ppg.samples).sum())) == (14_401, 0)
    assert recording.duration_s == pytest.approx(735.4, abs=0.2)


def test_tables_of_labels_are_no_recordings(real_data):
    assert [f.source for f in find_recordings(real_data / "vitaldb_arrhythmia_annotations") if not f.problem] == []
