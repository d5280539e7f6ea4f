"""Where a data set can go, what it can be made of, and what is said about it."""

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import fsspec
import golden_tables
import pytest

from qualityfm.cli.main import main
from qualityfm.errors import ConfigError
from qualityfm.prepare import plan as plan_module
from qualityfm.prepare import prepare
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig
from qualityfm.shards import ShardReader, verify
from qualityfm.sources.wfdb_files import write_wfdb

CONFIG = SegmentConfig(channels=(ChannelKind.ECG, ChannelKind.PPG), segment_s=10.0, step_s=10.0)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(plan_module, "MIN_SHARD_H", 1 / 60)
    monkeypatch.setattr(plan_module, "NUM_SHARDS_WANTED", 10_000)


def local_bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def remote_bytes(url):
    system, root = fsspec.core.url_to_fs(url)
    return {path[len(root) :].lstrip("/"): system.cat_file(path) for path in system.find(root)}


def test_a_data_set_in_memory_has_the_bytes_of_one_on_disk(make_archive, tmp_path, small_shards):
    archive, url = make_archive(a=60.0, b=40.0), f"memory://{uuid.uuid4().hex}"
    prepare(archive, tmp_path / "local", config=CONFIG)
    report = prepare(archive, url, config=CONFIG)
    assert report.out == url
    assert remote_bytes(url) == local_bytes(tmp_path / "local")
    assert len(ShardReader(url)) == 10


def test_two_workers_write_the_same_bytes_to_an_object_store(make_archive, tmp_path, bucket, small_shards):
    archive, url = make_archive(a=60.0, b=40.0, c=60.0), f"s3://{bucket}/sets/first"
    prepare(archive, tmp_path / "local", config=CONFIG)
    prepare(archive, url, config=CONFIG, workers=2)
    assert remote_bytes(url) == local_bytes(tmp_path / "local")
    assert verify(url) == []


def test_a_run_to_an_object_store_goes_on_where_it_stopped(make_archive, small_shards):
    archive, url = make_archive(a=60.0, b=60.0, c=60.0), f"memory://{uuid.uuid4().hex}"

    def stop_after_two(done):
        if done.num_shards_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(archive, url, config=CONFIG, progress=stop_after_two)
    assert "index.json" not in remote_bytes(url)
    report = prepare(archive, url, config=CONFIG)
    assert (report.num_shards, report.num_shards_resumed) == (3, 2)


def test_a_file_as_data_set_is_refused_by_name(make_archive, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="not a folder"):
        prepare(make_archive(a=60.0), tmp_path / "out", config=CONFIG)
    assert (tmp_path / "out").read_text() == "mine"


def test_the_setting_that_differs_is_named(make_archive, tmp_path):
    archive = make_archive(a=60.0)
    prepare(archive, tmp_path / "out", config=CONFIG)
    with pytest.raises(ConfigError, match=r"segments\.step_s: found 10\.0, expected 5\.0"):
        prepare(archive, tmp_path / "out", config=replace(CONFIG, step_s=5.0))


def test_other_recordings_are_named_as_such(make_archive, tmp_path):
    prepare(make_archive(a=60.0), tmp_path / "out", config=CONFIG)
    with pytest.raises(ConfigError, match="recordings: found 'others"):
        prepare(make_archive("other", b=60.0), tmp_path / "out", config=CONFIG)


def test_files_of_several_formats_come_together_and_a_layout_says_what_a_table_is(tmp_path, make_recording):
    folder = tmp_path / "archive"
    folder.mkdir()
    recording = replace(
        make_recording("golden", 60.0),
        signals=tuple(s for s in make_recording("golden", 60.0).signals if s.name == "II"),
    )
    golden_tables.WRITERS["csv"](recording, folder)
    write_wfdb(make_recording("wave", 60.0, 1), folder)
    layout = golden_tables.LAYOUTS["csv"](recording)
    prepare(folder, tmp_path / "out", config=CONFIG, layout=layout)
    assert set(ShardReader(tmp_path / "out").rows["recording_id"]) == {"golden", "wave"}


def test_repairs_are_counted_by_name(tmp_path, make_recording):
    header = write_wfdb(make_recording("a", 60.0), tmp_path / "archive")
    words = header.read_text().split("\n")
    words[0] = " ".join(words[0].split(" ")[:3])  # no length
    header.write_text("\n".join(words))
    report = prepare(tmp_path / "archive", tmp_path / "out", config=CONFIG)
    assert report.repairs == {"length-from-file": 1}
    assert ShardReader(tmp_path / "out").index.repairs == {"length-from-file": 1}


def test_sigterm_ends_with_a_line_of_its_own_and_leaves_no_worker(make_archive, tmp_path):
    archive, out = make_archive(**{f"r{i}": 3600.0 for i in range(6)}), tmp_path / "out"
    words = [sys.executable, "-c", "import sys; from qualityfm.cli.main import main; sys.exit(main())", "prepare"]
    process = subprocess.Popen(
        [*words, str(archive), "--out", str(out), "--workers", "2"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("shard-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)  # ends only when the workers, who share this pipe, are gone
    assert process.returncode == 143
    assert errors.decode().strip().splitlines()[-1] == "qualityfm: terminated"
    assert "semaphore" not in errors.decode()


def test_the_command_takes_a_url_a_layout_and_a_key(tmp_path, capsys):
    golden_tables.write_bidmc(tmp_path)
    (tmp_path / "key.txt").write_text("0123456789abcdef0123456789abcdef\n")
    url = f"memory://{uuid.uuid4().hex}"
    words = ["prepare", str(tmp_path), "--out", url, "--layout", "bidmc-csv", "--workers", "1"]
    assert main([*words, "--key", str(tmp_path / "key.txt"), "--json"]) == 0
    assert '"num_recordings": 1' in capsys.readouterr().out
    assert all(name.startswith("r-") for name in ShardReader(url).rows["recording_id"])


def test_an_address_without_ray_is_a_wrong_command(make_archive, tmp_path, capsys):
    words = ["prepare", str(make_archive(a=60.0)), "--out", str(tmp_path / "out"), "--ray-address", "host:1"]
    assert main(words) == 2
    assert "address" in capsys.readouterr().err


#: Runs prepare on a Ray cluster of two workers, of which the first to meet recording "b" kills itself.
RAY_RUN = """
import os, sys
from pathlib import Path
from qualityfm.prepare import plan, prepare, steps
from qualityfm.segments import SegmentConfig

plan.MIN_SHARD_H, plan.NUM_SHARDS_WANTED = 1 / 60, 10_000
archive, out, mark = sys.argv[1:]


class DyingStep(steps.GroupStep):
    def __call__(self, group):
        if group.stretches[0].recording_id == "b" and not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), 9)
        return super().__call__(group)


import qualityfm.prepare.archive as archive_module
archive_module.GroupStep = DyingStep
config = SegmentConfig(channels=("ecg", "ppg"), segment_s=10.0, step_s=10.0)
prepare(archive, out, config=config, workers=2, engine="ray")
"""


def test_a_ray_cluster_that_loses_a_worker_makes_the_same_bytes(make_archive, tmp_path, small_shards):
    archive, mark = make_archive(a=60.0, b=60.0, c=60.0, d=60.0), tmp_path / "died"
    prepare(archive, tmp_path / "local", config=CONFIG)
    environment = os.environ | {"RAY_TMPDIR": "/tmp"}
    run = subprocess.run(
        [sys.executable, "-c", RAY_RUN, str(archive), str(tmp_path / "ray"), str(mark)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert Path(mark).exists()
    assert local_bytes(tmp_path / "ray") == local_bytes(tmp_path / "local")
