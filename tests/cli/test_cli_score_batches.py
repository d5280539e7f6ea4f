"""`qualityfm score` of folders: over processes, with pages, with alarms, planned only."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from qualityfm.cli.main import main
from qualityfm.cli.score import page_name


def test_the_table_is_the_same_for_any_number_of_workers(broken_archive: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        words = ["score", str(broken_archive), "--workers", str(workers), "--out", str(tmp_path / f"{workers}.parquet")]
        assert main(words) == 0
    one, two = (pd.read_parquet(tmp_path / f"{workers}.parquet") for workers in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_a_page_is_written_for_each_recording(archive: Path, tmp_path: Path) -> None:
    assert main(["score", str(archive), "--pages", str(tmp_path / "pages")]) == 0
    assert sorted(page.stem for page in (tmp_path / "pages").iterdir()) == ["p01", "p02", "p03", "p04"]


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "", "<b>", "x" * 300])
def test_a_page_is_never_written_elsewhere(name: str) -> None:
    assert "/" not in page_name(name)
    assert len({page_name(name), page_name(f"{name}!"), page_name(f"{name}?")}) == 3
    assert len(page_name(name)) < 120


def test_a_plan_names_what_would_be_skipped_and_writes_nothing(
    broken_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "q.csv"
    assert main(["score", str(broken_archive), "--dry-run", "--json", "--out", str(out)]) == 0
    plan = json.loads(capsys.readouterr().out)
    skipped = {row["recording"] for row in plan["recordings"] if row["problem"]}
    assert "lying" in skipped
    assert "good" not in skipped
    assert not out.exists()


def test_each_alarm_of_a_table_is_judged_by_its_own_kind(archive: Path, tmp_path: Path) -> None:
    alarms, out = tmp_path / "alarms.csv", tmp_path / "answers.csv"
    alarms.write_text("record,alarm,alarm_s\np01,Asystole,40\np01,Bradycardia,80\np03,Tachycardia,60\n")
    words = ["score", str(archive), "--task", "alarm", "--alarms", str(alarms), "--out", str(out)]
    assert main(words) == 0
    frame = pd.read_csv(out)
    assert list(zip(frame.recording, frame.alarm, frame.alarm_s, strict=True)) == [
        ("p01", "Asystole", 40.0),
        ("p01", "Bradycardia", 80.0),
        ("p03", "Tachycardia", 60.0),
    ]
    alone = tmp_path / "alone.csv"
    words = ["score", str(archive / "p01"), "--task", "alarm", "--end-s", "80", "--kind", "Bradycardia"]
    assert main([*words, "--out", str(alone)]) == 0
    assert pd.read_csv(alone).iloc[0, 2] == frame.iloc[1, 2]


@pytest.mark.parametrize(
    "words",
    [
        ["--end-s", "30"],
        ["--kind", "Asystole"],
        ["--alarms", "a.csv"],
        ["--task", "alarm", "--pages", "p"],
        ["--task", "alarm", "--alarms", "a.csv", "--end-s", "30"],
        ["--workers", "0"],
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(archive: Path, words: list[str]) -> None:
    assert main(["score", str(archive), *words]) == 2
