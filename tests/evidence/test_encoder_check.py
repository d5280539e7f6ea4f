"""An encoder that met the tested patients gives no figure."""

from pathlib import Path

import pytest

from qualityfm.errors import TaskError
from qualityfm.evidence.encoder_check import check_encoder
from qualityfm.files import sha256_of
from qualityfm.shards.joined import recording_marks
from qualityfm.tasks.examples import Example


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "records.csv"
    path.write_text("record,fold\na100,0\na110,1\na114,1\na130,1\na200,2\n")
    return path


def origin(table: Path, where: str = "fold == 1") -> dict[str, object]:
    selection = {"where": where, "away_from": "fold == 2", "within": 6, "table_sha256": sha256_of(table)}
    return {"name": "encoder", "data": {"selection": selection}}


def example(name: str) -> Example:
    return Example(
        recording=name,
        name=name,
        start_s=0.0,
        length_s=10.0,
        subject=None,
        group=name,
        label=(1.0,),
        number=int(name[1:]),
    )


@pytest.mark.parametrize("name", ["a110", "a105", "a136"])
def test_a_record_it_met_and_its_neighbours_are_refused(name: str, table: Path) -> None:
    with pytest.raises(TaskError, match="met tested patients"):
        check_encoder(origin(table), [example("a200"), example(name)], table)


def test_records_it_never_met_are_clean(table: Path) -> None:
    assert check_encoder(origin(table), [example("a200"), example("a100")], table) == "clean"


def test_an_untrained_encoder_met_nobody(table: Path) -> None:
    assert check_encoder({}, [example("a110")], table) == "untrained"


def test_records_kept_away_from_were_not_met(table: Path) -> None:
    kept_away = origin(table, "fold in (1, 2)")
    kept_away["data"]["selection"]["within"] = 90
    assert check_encoder(kept_away, [example("a200"), example("a130")], table) == "clean"


def test_a_card_with_marks_needs_no_condition_and_any_table_will_do(table: Path) -> None:
    told = {"data": {"recording_marks": sorted(recording_marks(["records/a110", "elsewhere/x7"]))}}
    assert check_encoder(told, [example("a200")], table) == "clean"
    with pytest.raises(TaskError, match="met tested patients"):
        check_encoder(told, [example("a114")], table)


def test_another_table_leaves_it_unknown(table: Path) -> None:
    told = origin(table)
    table.write_text(table.read_text() + "a300,3\n")
    assert check_encoder(told, [example("a110")], table) == "unknown"
