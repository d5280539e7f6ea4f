"""Archives of simulated patients."""

import numpy as np
import pandas as pd
import pytest

from qualityfm.errors import ConfigError
from qualityfm.prepare.archive import prepare
from qualityfm.prepare.simulated import SimulatedArchive, write_simulated
from qualityfm.prepare.truth import read_truth
from qualityfm.segments import SegmentConfig
from qualityfm.shards.reader import ShardReader
from qualityfm.sources import find_recordings

ARCHIVE = SimulatedArchive(num_records=3, record_s=20.0)


def test_an_archive_has_its_records_and_the_truth_about_them(tmp_path):
    write_simulated(tmp_path / "new", ARCHIVE)
    found = [one for one in find_recordings(tmp_path / "new") if one.aside is None]
    assert [(one.recording_id, one.duration_s, one.problem) for one in found] == [
        (f"simulated-0-0000{number}", 20.0, None) for number in range(3)
    ]
    records, faults = (pd.read_csv(tmp_path / "new" / name) for name in ("records.csv", "faults.csv"))
    assert list(records["record"]) == [one.recording_id for one in found]
    assert len(faults)
    assert set(faults["record"]) <= set(records["record"][:2])  # every third is clean
    assert ((faults["start_s"] >= 0) & (faults["start_s"] + faults["duration_s"] <= 20.001)).all()


def test_the_same_settings_write_the_same_bytes_and_another_seed_other_patients(tmp_path):
    one = SimulatedArchive(num_records=1, record_s=10.0)
    for name, archive in {"a": one, "b": one, "c": SimulatedArchive(num_records=1, record_s=10.0, seed=1)}.items():
        write_simulated(tmp_path / name, archive)
    first, same, other = ({p.suffix: p.read_bytes() for p in (tmp_path / name).glob("simulated*")} for name in "abc")
    assert first == same
    assert first[".dat"] != other[".dat"]


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="folder in use"):
        write_simulated(tmp_path, ARCHIVE)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("setting", [{"num_records": 0}, {"record_s": 0.0}, {"record_s": float("nan")}, {"seed": -1}])
def test_an_impossible_archive_is_refused(setting):
    with pytest.raises(ConfigError):
        SimulatedArchive(**setting)


def test_a_prepared_simulation_carries_the_truth_second_by_second(tmp_path):
    write_simulated(tmp_path / "new", ARCHIVE)
    config = SegmentConfig(segment_s=10.0, step_s=10.0)
    prepare(tmp_path / "new", tmp_path / "data", config=config)
    reader = ShardReader(tmp_path / "data")
    rows = reader.read(np.arange(len(reader)))
    for row, (name, start_s) in enumerate(zip(reader.rows["recording_id"], reader.rows["start_s"], strict=True)):
        truth = read_truth(tmp_path / "new" / name)
        seconds = slice(int(start_s), int(start_s) + 10)
        for slot, channel in enumerate(("II", "V", "PLETH", "ABP")):
            known = truth.names.index(channel)
            np.testing.assert_allclose(rows.quality[row, slot], truth.quality[known, seconds], atol=1e-3)
            np.testing.assert_array_equal(rows.causes[row, slot], truth.causes[known, seconds])
    assert reader.rows["quality"].min() < 0.9 < reader.rows["quality"].max()
