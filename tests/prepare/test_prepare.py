"""From an archive to a data set: the same bytes always, nothing lost, everything counted."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from qualityfm.cli.inspect import describe
from qualityfm.errors import ConfigError, QualityFMError, SourceError
from qualityfm.prepare import plan as plan_module
from qualityfm.prepare import prepare, read_selection, steps
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig, cut_block, scale_values
from qualityfm.shards import ShardReader, read_index, verify
from qualityfm.sources import open_recording

CONFIG = SegmentConfig(channels=(ChannelKind.ECG, ChannelKind.PPG), segment_s=10.0, step_s=10.0)


def tree(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def small_shards(monkeypatch):
    """One recording of a minute fills a shard."""
    monkeypatch.setattr(plan_module, "MIN_SHARD_H", 1 / 60)
    monkeypatch.setattr(plan_module, "NUM_SHARDS_WANTED", 10_000)


def test_segments_come_out_as_the_shared_road_makes_them(make_archive, tmp_path):
    archive = make_archive(a=40.0, b=26.0)
    report = prepare(archive, tmp_path / "out", config=CONFIG)
    assert (report.num_recordings, report.num_segments) == (2, 7)
    reader = ShardReader(tmp_path / "out")
    block = cut_block(open_recording(archive / "a"), CONFIG)
    scaled = scale_values(block.values, CONFIG)
    batch = reader.read(np.arange(4))
    np.testing.assert_allclose(batch.values, scaled.values, atol=20 / 32767)
    np.testing.assert_array_equal(batch.center, scaled.center)
    np.testing.assert_array_equal(batch.is_real, block.is_real)
    assert reader.rows["recording_id"].tolist() == ["a"] * 4 + ["b"] * 3
    assert reader.rows["length_s"].tolist() == [10, 10, 10, 10, 10, 10, 6]
    assert reader.index.segments == CONFIG


def test_a_long_recording_cut_in_stretches_gives_the_same_segments(make_archive, tmp_path, monkeypatch):
    config = replace(CONFIG, step_s=5.0)
    archive = make_archive(a=58.0)
    prepare(archive, tmp_path / "whole", config=config)
    monkeypatch.setattr(plan_module, "STRETCH_S", 20.0)
    prepare(archive, tmp_path / "stretches", config=config)
    whole, stretches = ShardReader(tmp_path / "whole"), ShardReader(tmp_path / "stretches")
    assert stretches.rows["start_s"].tolist() == whole.rows["start_s"].tolist()
    assert stretches.rows["length_s"].tolist() == whole.rows["length_s"].tolist()
    first, second = whole.read(np.arange(len(whole))), stretches.read(np.arange(len(whole)))
    away_from_edges = np.s_[:, :, 25:-25]  # the resampling filter begins anew in each stretch
    np.testing.assert_allclose(second.values[away_from_edges], first.values[away_from_edges], atol=0.02)


def test_one_and_two_workers_and_a_moved_archive_give_the_same_bytes(make_archive, tmp_path, small_shards):
    durations = {"a": 60.0, "b": 60.0, "c": 30.0}
    prepare(make_archive(**durations), tmp_path / "one", config=CONFIG)
    prepare(make_archive("moved", **durations), tmp_path / "two", config=CONFIG, workers=2)
    assert len(read_index(tmp_path / "one").shards) == 3
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert verify(tmp_path / "two") == []


#: Prepares an archive and hangs at recording c.
HANGING_RUN = """
import sys, time
from qualityfm.prepare import plan, prepare, steps
from qualityfm.segments import SegmentConfig

def hang_at_c(stretch, *settings):
    time.sleep(60 * (stretch.recording_id == "c"))
    return cut_stretch(stretch, *settings)

cut_stretch, steps.cut_stretch = steps.cut_stretch, hang_at_c
plan.MIN_SHARD_H, plan.NUM_SHARDS_WANTED = 1 / 60, 10_000
prepare(sys.argv[1], sys.argv[2], config=SegmentConfig(channels=("ecg", "ppg"), segment_s=10.0, step_s=10.0))
"""


#: Prepares an archive with two workers, one recording a shard, slowly.
TWO_WORKERS_RUN = """
import signal, sys, time
from qualityfm.prepare import plan, prepare
from qualityfm.segments import SegmentConfig

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to Ctrl-C
    plan.MIN_SHARD_H, plan.NUM_SHARDS_WANTED = 1 / 60, 10_000
    config = SegmentConfig(channels=("ecg", "ppg"), segment_s=10.0, step_s=10.0)
    prepare(sys.argv[1], sys.argv[2], config=config, workers=2, progress=lambda done: time.sleep(1.0))
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(make_archive, tmp_path, small_shards):
    archive = make_archive(a=60.0, b=60.0, c=60.0, d=60.0)
    prepare(archive, tmp_path / "whole", config=CONFIG)
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", HANGING_RUN, str(archive), str(out)])
    deadline = time.monotonic() + 60
    while not (out / "shard-00001").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "index.json").exists()
    report = prepare(archive, out, config=CONFIG)
    assert report.num_shards_resumed == 2
    assert tree(out) == tree(tmp_path / "whole")


def test_ctrl_c_ends_the_workers_and_leaves_whole_shards_only(make_archive, tmp_path):
    archive, out = make_archive(**{f"r{i}": 60.0 for i in range(8)}), tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", TWO_WORKERS_RUN, str(archive), str(out)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(out.glob("shard-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)  # ends only when the workers, who share this pipe, are gone
    assert errors.decode().strip().endswith("KeyboardInterrupt")
    names = {path.name for path in out.iterdir()}
    assert "plan.json" in names
    assert not any(name.startswith(".") for name in names)


def test_a_shard_damaged_between_two_runs_is_made_again(make_archive, tmp_path, small_shards, monkeypatch):
    archive = make_archive(a=60.0, b=60.0)
    prepare(archive, tmp_path / "whole", config=CONFIG)
    out = interrupted(archive, tmp_path / "out", monkeypatch)
    (out / "shard-00000" / "values.npy").write_bytes(b"")
    assert prepare(archive, out, config=CONFIG).num_shards_resumed == 0
    assert tree(out) == tree(tmp_path / "whole")


def interrupted(archive, out, monkeypatch):
    """A data set folder of which only the first shard is finished."""

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(archive, out, config=CONFIG, progress=stop)
    return out


def test_another_plan_in_the_folder_of_an_interrupted_run_is_refused(make_archive, tmp_path, small_shards, monkeypatch):
    archive = make_archive(a=60.0, b=60.0)
    out = interrupted(archive, tmp_path / "out", monkeypatch)
    with pytest.raises(ConfigError, match=r"another data set.*choose another"):
        prepare(archive, out, config=replace(CONFIG, clip=5.0))
    with pytest.raises(ConfigError, match="an interrupted prepare"):
        describe(str(out))


@pytest.fixture
def segmented_archive(make_archive):
    """A record made of two others, `part_one` and `part_two`, and beside it one that stands alone."""
    archive = make_archive(part_one=60.0, part_two=60.0, alone=60.0)
    num_samples = [int((archive / f"{name}.hea").read_text().split()[3]) for name in ("part_one", "part_two")]
    first_line = (archive / "part_one.hea").read_text().split()
    master = f"whole/2 {first_line[1]} {first_line[2]} {sum(num_samples)}\n"
    parts = f"part_one {num_samples[0]}\npart_two {num_samples[1]}\n"
    (archive / "whole.hea").write_text(master + parts)
    return archive


def test_a_segment_file_that_changed_its_size_is_another_plan(segmented_archive, tmp_path, small_shards, monkeypatch):
    out = interrupted(segmented_archive, tmp_path / "out", monkeypatch)
    header = segmented_archive / "part_two.hea"
    header.write_text(header.read_text() + "# a remark\n")
    with pytest.raises(ConfigError, match="another data set"):
        prepare(segmented_archive, out, config=CONFIG)


def test_a_record_of_several_segments_unchanged_goes_on(segmented_archive, tmp_path, small_shards, monkeypatch):
    out = interrupted(segmented_archive, tmp_path / "out", monkeypatch)
    (segmented_archive / ".listing").write_text("hidden files belong to no recording")
    assert prepare(segmented_archive, out, config=CONFIG).num_shards_resumed == 1
    assert set(ShardReader(out).rows["recording_id"]) == {"whole", "alone"}


def test_a_recording_that_grew_is_another_plan_and_its_unselected_neighbour_is_not(make_archive, tmp_path):
    archive = make_archive(a=40.0, b=40.0)
    (tmp_path / "records.csv").write_text("record,fold\na,0\nb,1\n")
    selection = read_selection(tmp_path / "records.csv", where="fold == 0")
    first = plan_module.make_plan(archive, CONFIG, selection, "1").plan_hash
    (archive / "b.hea").write_text((archive / "b.hea").read_text() + "# a remark\n")
    assert plan_module.make_plan(archive, CONFIG, selection, "1").plan_hash == first
    (archive / "a.hea").write_text((archive / "a.hea").read_text() + "# a remark\n")
    assert plan_module.make_plan(archive, CONFIG, selection, "1").plan_hash != first


@pytest.mark.parametrize(
    ("duration_s", "step_s"), [(40.0, 10.0), (40.01, 10.0), (47.0, 5.0), (25.0, 20.0), (40.0, 20.0)]
)
def test_the_plan_counts_the_segments_that_cutting_gives(make_archive, duration_s, step_s):
    archive = make_archive(a=duration_s)
    config = replace(CONFIG, step_s=step_s)
    planned = plan_module.make_plan(archive, config, None, "1").num_segments
    assert planned == len(cut_block(open_recording(archive / "a"), config))


def test_a_finished_data_set_is_left_as_it_is(make_archive, tmp_path):
    archive = make_archive(a=40.0)
    first = prepare(archive, tmp_path / "out", config=CONFIG)
    again = prepare(archive, tmp_path / "out", config=CONFIG)
    assert again == replace(first, num_shards_resumed=1)


def test_another_plan_in_the_folder_of_a_finished_data_set_is_refused(make_archive, tmp_path):
    archive = make_archive(a=40.0)
    prepare(archive, tmp_path / "out", config=CONFIG)
    with pytest.raises(ConfigError, match="another data set"):
        prepare(archive, tmp_path / "out", config=replace(CONFIG, clip=5.0))


def test_a_folder_with_other_things_in_it_is_not_touched(make_archive, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"thesis\.txt"):
        prepare(make_archive(a=40.0), tmp_path / "out", config=CONFIG)


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(make_archive, tmp_path, small_shards, monkeypatch):
    archive, out = make_archive(a=60.0, b=60.0), tmp_path / "out"
    real_fsync, calls = os.fsync, iter(range(1000))

    def full_after_a_while(handle):
        if next(calls) > 15:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_fsync(handle)

    monkeypatch.setattr(os, "fsync", full_after_a_while)
    with pytest.raises(QualityFMError, match="the disk is full") as caught:
        prepare(archive, out, config=CONFIG)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in out.iterdir()) == ["plan.json", "shard-00000"]
    monkeypatch.setattr(os, "fsync", real_fsync)
    assert prepare(archive, out, config=CONFIG).num_shards_resumed == 1


def test_a_dry_run_plans_and_writes_nothing(make_archive, tmp_path):
    archive = make_archive(a=40.0, b=25.0)
    planned = prepare(archive, tmp_path / "out", config=CONFIG, dry_run=True)
    assert not (tmp_path / "out").exists()
    made = prepare(archive, tmp_path / "out", config=CONFIG)
    assert (planned.num_recordings, planned.num_segments) == (made.num_recordings, made.num_segments)
    num_bytes = sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.suffix == ".npy")
    assert planned.estimated_bytes == pytest.approx(num_bytes, rel=0.1)


def test_a_selection_is_stored_without_labels_and_sets_subjects(make_archive, tmp_path):
    (tmp_path / "records.csv").write_text("record,label,subject,fold\na,secret,p7,0\nb,secret,p8,1\n")
    selection = read_selection(tmp_path / "records.csv", where="fold == 0")
    prepare(make_archive(a=40.0, b=40.0), tmp_path / "out", config=CONFIG, selection=selection)
    reader = ShardReader(tmp_path / "out")
    assert set(reader.rows["subject_id"]) == {"p7"}
    assert reader.index.selection["where"] == "fold == 0"
    assert reader.index.selection["num_not_selected"] == 1
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"secret" not in content
    assert str(tmp_path).encode() not in content


def test_a_recording_that_breaks_the_reader_costs_only_itself(make_archive, tmp_path, monkeypatch):
    def explode(path, **stretch):
        if path.stem == "b":
            raise ZeroDivisionError("inside a library")
        return open_recording(path, **stretch)

    monkeypatch.setattr(steps, "open_recording", explode)
    report = prepare(make_archive(a=40.0, b=40.0, c=40.0), tmp_path / "out", config=CONFIG)
    assert [(n.recording_id, n.reason) for n in report.refused] == [("b", "ZeroDivisionError: inside a library")]
    assert report.num_recordings == 2


def test_on_problem_raise_stops_at_a_recording_that_cannot_be_read(make_archive, tmp_path):
    archive = make_archive(a=40.0, b=40.0)
    (archive / "b.dat").write_bytes(b"short")
    with pytest.raises(SourceError, match="b"):
        prepare(archive, tmp_path / "out", config=CONFIG, on_problem="raise")


def test_an_archive_of_which_nothing_is_kept_is_an_error_and_leaves_no_folder(make_archive, tmp_path):
    config = replace(CONFIG, channels=(ChannelKind.ABP, ChannelKind.PPG), required=(ChannelKind.ABP,))
    with pytest.raises(QualityFMError, match="nothing kept"):
        prepare(make_archive(a=40.0), tmp_path / "out", config=config)
    assert not (tmp_path / "out").exists()


def test_progress_is_told_after_every_shard(make_archive, tmp_path, small_shards):
    seen = []
    prepare(make_archive(a=60.0, b=60.0), tmp_path / "out", config=CONFIG, progress=seen.append)
    assert [(p.num_shards_done, p.segments_done, p.segments_planned) for p in seen] == [(1, 6, 12), (2, 12, 12)]


@pytest.mark.real
def test_real_records_are_prepared_without_their_labels_and_read_back(real_data, tmp_path):
    selection = read_selection(
        real_data / "challenge2015" / "records.csv", where="record in ('a103l', 'a109l', 'v100s')"
    )
    report = prepare(real_data / "challenge2015", tmp_path / "out", config=SegmentConfig(), selection=selection)
    assert report.num_recordings == 3
    assert report.refused == ()
    reader = ShardReader(tmp_path / "out")
    batch = reader.read(np.arange(len(reader)))
    assert np.isfinite(batch.values[:, 0]).mean() > 0.9
    assert 0 <= reader.rows["quality"].min() < reader.rows["quality"].max() <= 1
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"alarm" not in content
    assert b"Asystole" not in content
