"""`qualityfm report` on a folder: one page for the archive."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from qualityfm import score_quality
from qualityfm.cli.main import main
from qualityfm.inference.archive_report import ArchiveSummary, render_archive_report
from qualityfm.waveform.simulate import SimulationConfig, simulate


def test_an_archive_has_one_page_with_every_recording(archive: Path, tmp_path: Path) -> None:
    assert main(["report", str(archive), "--out", str(tmp_path / "a.html")]) == 0
    page = (tmp_path / "a.html").read_text()
    assert all(name in page for name in ("p01", "p02", "p03", "p04"))
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]


def test_pages_of_recordings_are_linked_and_there(archive: Path, tmp_path: Path) -> None:
    assert main(["report", str(archive), "--out", str(tmp_path / "a.html"), "--pages"]) == 0
    links = set(re.findall(r'href="([^"]+)"', (tmp_path / "a.html").read_text()))
    assert len(links) == 4
    assert all((tmp_path / link).read_text().startswith("<!doctype html>") for link in links)


def test_what_was_skipped_is_named_on_the_page(broken_archive: Path, tmp_path: Path) -> None:
    assert main(["report", str(broken_archive), "--out", str(tmp_path / "a.html")]) == 0
    page = (tmp_path / "a.html").read_text()
    assert "<h2>Skipped</h2>" in page
    assert "truncated" in page


@pytest.fixture
def summary() -> ArchiveSummary:
    score = score_quality(simulate(2, SimulationConfig(duration_s=90.0)).recording)
    summary = ArchiveSummary(name="<i>archive</i>")
    summary.add(replace(score, recording_id="<script>alert(1)</script>"), "pages/\"onclick='x'.html")
    summary.add(score)
    return summary


def test_hostile_names_are_escaped(summary: ArchiveSummary) -> None:
    page = render_archive_report(summary, [{"recording": "<b>", "reason": "<script>"}])
    assert "<script" not in page
    assert "<i>" not in page
    assert "onclick='" not in page


def test_nothing_is_loaded_from_outside(summary: ArchiveSummary) -> None:
    page = render_archive_report(summary)
    assert not re.search(r"(src=|@import|url\((?!#)|https?://)", page)


def test_hours_are_those_of_all_recordings(summary: ArchiveSummary) -> None:
    assert summary.duration_s == 180
    assert all(sum(hours.seconds.values()) == 180 for hours in summary.channels.values())
