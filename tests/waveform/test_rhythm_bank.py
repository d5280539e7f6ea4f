"""Beats of real patients as the simulator takes them."""

from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import ConfigError, SourceError
from qualityfm.waveform.rhythm import LEAD_IN_S, LEAD_OUT_S, BeatKind
from qualityfm.waveform.rhythm_bank import LABELS, RhythmBank
from qualityfm.waveform.simulate import SimulationConfig, simulate

HEADER = "time_second,beat_type,rhythm_label,bad_signal_quality,bad_signal_quality_label"


def write_case(folder, number, rows, header=HEADER):
    lines = [",".join(map(str, row)) for row in rows]
    text = "\n".join([header, *lines]) + "\n"
    (folder / f"Annotation_file_{number}.csv").write_text(text, encoding="utf-8-sig")


def steady(num_beats, kind="N", label="N", start_s=100.0, rr_s=0.8):
    return [(start_s + rr_s * k, kind, label, False, "") for k in range(num_beats)]


def test_cases_are_split_by_their_number(tmp_path):
    for number in range(1, 11):
        write_case(tmp_path, number, steady(60))
    parts = {part: [c.case_id for c in RhythmBank.from_folder(tmp_path, part).cases] for part in ("train", "test")}
    assert parts == {"train": [1, 2, 3, 5, 6, 7, 8, 10], "test": [4, 9]}


def test_drawn_beats_cover_the_recording_and_what_leads_in_and_out(tmp_path):
    write_case(tmp_path, 1, steady(200))
    beats, case_id = RhythmBank.from_folder(tmp_path, "train").draw("sinus", 30.0, np.random.default_rng(0))
    assert case_id == 1
    assert beats.times_s[0] == pytest.approx(-LEAD_IN_S)
    assert beats.times_s[-1] >= 30.0 + LEAD_OUT_S - 0.8
    np.testing.assert_allclose(beats.rr_s, 0.8, atol=1e-9)


def test_no_stretch_reaches_over_noise_or_a_gap(tmp_path):
    noisy = [*steady(40), (132.0, "", "Noise", True, "Start1"), *steady(40, start_s=132.8)]
    gap = [*steady(40), *steady(40, start_s=140.0)]
    write_case(tmp_path, 1, noisy)
    write_case(tmp_path, 2, gap)
    bank = RhythmBank.from_folder(tmp_path, "train")
    with pytest.raises(ConfigError, match="sinus, 30 s"):
        bank.draw("sinus", 30.0, np.random.default_rng(0))
    assert len(bank.draw("sinus", 10.0, np.random.default_rng(0))[0].times_s) == pytest.approx(30, abs=2)


def test_kinds_of_beats_come_from_type_and_rhythm(tmp_path):
    rows = steady(4) + steady(4, "S", "AFIB/AFL", 104) + steady(4, "V", "VT", 108, 0.4) + steady(2, "V", "N", 112)
    write_case(tmp_path, 1, rows + steady(2, "S", "N", 114))
    (case,) = RhythmBank.from_folder(tmp_path, "train").cases
    expected = [BeatKind.SINUS] * 4 + [BeatKind.AF] * 4 + [BeatKind.VT] * 4 + [BeatKind.PVC] * 2 + [BeatKind.PAC] * 2
    assert case.kinds.tolist() == expected


def test_a_folder_without_annotations_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"annotations\.tar\.xz"):
        RhythmBank.from_folder(tmp_path, "train")


def test_a_file_with_other_columns_is_refused_by_name(tmp_path):
    write_case(tmp_path, 1, [(1, 2)], header="time,type")
    with pytest.raises(SourceError, match=r"Annotation_file_1\.csv: columns"):
        RhythmBank.from_folder(tmp_path, "train")


def test_an_archive_cut_short_is_refused(tmp_path):
    (tmp_path / "annotations.tar.xz").write_bytes(b"\xfd7zXZ\x00 and no more")
    with pytest.raises(SourceError, match="cannot read annotations"):
        RhythmBank.from_folder(tmp_path, "train")


@pytest.mark.real
def test_real_beats_of_every_rhythm_make_a_plausible_patient(real_data: Path):
    bank = RhythmBank.from_folder(real_data / "vitaldb_arrhythmia_annotations", "train")
    assert len(bank.cases) == 381
    for rhythm in LABELS:
        config = SimulationConfig(duration_s=60.0, rhythm=rhythm, faults_per_minute=0.0)
        simulation = simulate(5, config, rhythms=bank)
        rate_bpm = 60 / np.median(np.diff(simulation.beat_times_s))
        assert 30 < rate_bpm < 220
        abp = simulation.clean.signals[3].samples
        assert 10 < abp.min() < abp.max() < 260
