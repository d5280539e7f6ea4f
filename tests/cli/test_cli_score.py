"""`qualityfm score`, `report` and `embed`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualityfm.cli.main import main


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_table_has_a_row_for_each_second_of_each_channel(archive: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "new folder" / f"quality{suffix}"
    assert main(["score", str(archive / "p01"), "--out", str(out)]) == 0
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[suffix]
    frame = read(out)
    assert len(frame) == 90 * 4
    assert frame.quality.between(0, 1).all()


def test_a_record_may_be_named_by_its_header(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(archive / "p01"), "--json"]) == 0
    by_name = capsys.readouterr().out
    assert main(["score", str(archive / "p01.hea"), "--json"]) == 0
    assert capsys.readouterr().out == by_name


def test_a_folder_is_scored_record_by_record(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "quality.csv"
    assert main(["score", str(archive), "--out", str(out), "--per", "segment"]) == 0
    frame = pd.read_csv(out)
    assert frame.recording.value_counts().to_dict() == {"p01": 3, "p02": 3, "p03": 3, "p04": 3}


def test_the_command_line_gives_the_numbers_that_python_gives(archive: Path, tmp_path: Path) -> None:
    from qualityfm import open_recording, score_quality

    assert main(["score", str(archive / "p02"), "--out", str(tmp_path / "q.parquet")]) == 0
    written = pd.read_parquet(tmp_path / "q.parquet")
    pd.testing.assert_frame_equal(written, score_quality(open_recording(archive / "p02")).to_pandas())


def test_bad_records_of_a_folder_are_named_and_the_rest_is_scored(
    broken_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(broken_archive), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"truncated", "lying"} <= {one["recording"] for one in found["problems"]}
    assert {"good", "flat", "without-ppg"} <= {one["recording"] for one in found["recordings"]}


def test_a_bad_record_that_was_named_is_a_data_error(broken_archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(broken_archive / "lying")]) == 1
    assert "lying.hea" in capsys.readouterr().err


def test_a_folder_in_which_nothing_can_be_used_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "x.hea").write_text("nonsense\n")
    assert main(["score", str(tmp_path)]) == 1


def test_a_table_of_unknown_form_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(tmp_path / "nowhere"), "--out", str(tmp_path / "q.xlsx")]) == 2
    assert ".csv or .parquet or .json" in capsys.readouterr().err


def test_an_unknown_model_is_a_usage_error(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(archive / "p01"), "--model", "no-such"]) == 2
    assert "no-such" in capsys.readouterr().err


def test_a_report_is_written_where_asked(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pages" / "p01.html"
    assert main(["report", str(archive / "p01"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_text().startswith("<!doctype html>")


def test_a_file_that_cannot_be_written_is_one_line(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["score", str(archive / "p01"), "--out", str(tmp_path / "file" / "q.csv")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_model_adds_its_estimate_to_every_second(archive: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.csv"
    assert main(["score", str(archive / "p01"), "--model", str(trained), "--out", str(out)]) == 0
    assert pd.read_csv(out).model_quality.between(0, 1).all()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_embedding_a_folder_gives_a_vector_for_each_segment(
    archive: Path, trained: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"features{suffix}"
    assert main(["embed", str(archive), "--model", str(trained), "--out", str(out)]) == 0
    if suffix == ".npz":
        with np.load(out) as arrays:
            assert arrays["vectors"].shape == (12, 64)
            assert list(arrays["recording"][::3]) == ["p01", "p02", "p03", "p04"]
    else:
        frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
        assert frame.shape == (12, 2 + 64)


def test_annotations_are_written_for_each_record(archive: Path, tmp_path: Path) -> None:
    assert main(["score", str(archive), "--annotations", str(tmp_path / "new")]) == 0
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["p01.qfm", "p02.qfm", "p03.qfm", "p04.qfm"]
