"""`qualityfm prepare`: what it says, and what it refuses in one line."""

import json
import re
from importlib.resources import files

import pytest

from qualityfm.cli.main import main

PRESET = ["--preset", "demo", "--workers", "1"]


def refusal(capsys):
    """The last line on stderr, which is the only one that a refusal may write."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_dry_run_tells_sizes_and_writes_nothing(archive, tmp_path, capsys):
    assert main(["prepare", str(archive), "--out", str(tmp_path / "out"), *PRESET, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "would make" in told
    assert "MB at most" in told
    assert not (tmp_path / "out").exists()


def test_json_counts_refusals_and_repairs_and_names_each_refusal(broken_archive, tmp_path, capsys):
    assert main(["prepare", str(broken_archive), "--out", str(tmp_path / "out"), *PRESET, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["recording"] for one in told["refused"]} == {"truncated", "lying"}
    assert all("found" in one["reason"] for one in told["refused"])
    assert told["repairs"] == {}
    assert told["num_segments"] == sum(told["grades"].values())


def test_a_recording_that_cannot_be_read_stops_a_strict_run(broken_archive, tmp_path, capsys):
    words = ["prepare", str(broken_archive), "--out", str(tmp_path / "out"), *PRESET, "--on-problem", "raise"]
    assert main(words) == 1
    assert "lying.hea" in refusal(capsys)


def test_other_settings_for_a_finished_data_set_are_named(archive, dataset, tmp_path, capsys):
    text = files("qualityfm.presets").joinpath("demo.toml").read_text()
    (tmp_path / "mine.toml").write_text(re.sub(r"(?m)^clip = .*", "clip = 7.0", text))
    words = ["prepare", str(archive), "--out", str(dataset), "--preset", str(tmp_path / "mine.toml")]
    assert main(words) == 2
    assert "segments.clip: found 20.0, expected 7.0" in refusal(capsys)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--out", "{file}"], "not a folder"),
        (["--out", "gopher://host/data"], "gopher"),
        (["--out", "{new}", "--key", "{file}"], "unusable key"),
        (["--out", "{new}", "--key", "{new}"], "no key"),
        (["--out", "{new}", "--layout", "no-such"], "no such layout"),
        (["--out", "{new}", "--where", "a == 1"], "--select"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(archive, tmp_path, capsys, options, named):
    (tmp_path / "file").write_text("short")
    words = [word.format(file=tmp_path / "file", new=tmp_path / "new") for word in options]
    assert main(["prepare", str(archive), *words, *PRESET]) in {1, 2}
    assert named in refusal(capsys)
    assert not (tmp_path / "new").exists()
