"""Tables that are written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from qualityfm import score_quality
from qualityfm.cli.places import write_table
from qualityfm.cli.tables import write_frames
from qualityfm.errors import SourceError
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return score_quality(simulate(3, SimulationConfig(duration_s=100.0)).recording).to_pandas()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_table_of_pieces_has_the_bytes_of_the_whole(frame: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    whole, pieces = tmp_path / f"whole{suffix}", tmp_path / f"pieces{suffix}"
    write_table(frame, whole)
    write_frames((frame[first : first + 77] for first in range(0, len(frame), 77)), pieces)
    assert pieces.read_bytes() == whole.read_bytes()


def test_a_parquet_table_of_pieces_reads_like_the_whole(frame: pd.DataFrame, tmp_path: Path) -> None:
    write_frames((frame[:100], frame[100:]), tmp_path / "pieces.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "pieces.parquet"), frame)


def test_a_table_without_rows_is_still_json(tmp_path: Path) -> None:
    write_frames((), tmp_path / "none.json")
    assert len(pd.read_json(tmp_path / "none.json")) == 0


def test_a_table_that_fails_halfway_leaves_nothing(frame: pd.DataFrame, tmp_path: Path) -> None:
    def frames() -> Iterator[pd.DataFrame]:
        yield frame
        raise OSError("disk full")

    with pytest.raises(SourceError, match="disk full"):
        write_frames(frames(), tmp_path / "q.csv")
    assert list(tmp_path.iterdir()) == []
