"""A table decides which recordings are prepared."""

from pathlib import Path

import pytest

from qualityfm.errors import ConfigError, SourceError
from qualityfm.prepare.selection import read_selection, select
from qualityfm.sources import Found

TABLE = """record,alarm,true_alarm,split,fold,subject
a101l,VT,0,train,1,p1
a104s,VT,1,train,4,p2
b107l,VT,0,train,2,
b111l,VT,0,train,2,
v200s,VT,0,test,,
"""


def found(*recording_ids, subject_id=None):
    return [
        Found(path=Path(name), recording_id=name, subject_id=subject_id, source="wfdb", duration_s=9.0, channels=())
        for name in recording_ids
    ]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "records.csv"
    path.write_text(TABLE)
    return path


def names(selected):
    return [one.recording_id for one in selected.found]


def test_records_near_a_held_out_one_are_left_out_with_it(table):
    question = {"where": "split == 'train' and fold != 4", "away_from": "fold == 4"}
    assert read_selection(table, **question, within=0).chosen == {"a101l", "b107l", "b111l"}
    assert read_selection(table, **question, within=3).chosen == {"b111l"}
    assert read_selection(table, **question, within=6).chosen == {"b111l"}
    assert read_selection(table, **question, within=7).chosen == set()


def test_a_record_is_found_by_its_whole_id_or_its_last_part(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("recording\nx/a1\na2\n0003.hea\n")
    selected = select(found("x/a1", "y/a2", "z/0003", "z/a4"), read_selection(table))
    assert names(selected) == ["x/a1", "y/a2", "z/0003"]


def test_what_does_not_match_is_counted(table):
    selected = select(found("a101l", "a104s", "unknown"), read_selection(table, where="fold != 4"))
    assert names(selected) == ["a101l"]
    assert (selected.num_not_chosen, selected.num_without_row, selected.num_without_recording) == (1, 1, 3)


def test_subjects_come_from_the_table_where_it_has_them(table):
    selected = select(found("a101l", "b107l", subject_id="folder"), read_selection(table))
    assert [one.subject_id for one in selected.found] == ["p1", "folder"]


def test_the_question_names_the_file_without_its_folder_and_no_label(table):
    question = read_selection(table, where="fold == 1").question
    assert question["table"] == "records.csv"
    assert len(question["table_sha256"]) == 64
    assert str(table.parent) not in str(question)
    assert "VT" not in str(question)


def test_a_byte_order_mark_and_blanks_in_the_head_line_are_no_part_of_a_name(tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes(b"\xef\xbb\xbfrecord, fold\na1, 2\n")
    assert read_selection(table, where="fold == 2").chosen == {"a1"}


@pytest.mark.parametrize("text", ["name,fold\na,1\n", "record\na\na\n", "record,fold\n,1\nb,2\n"])
def test_a_table_without_one_row_for_each_record_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=r"t\.csv"):
        read_selection(tmp_path / "t.csv")


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b'record\n"a\n'])
def test_a_table_that_cannot_be_read_is_one_line(tmp_path, content):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot read table") as caught:
        read_selection(path)
    assert "\n" not in str(caught.value)


def test_one_name_that_fits_two_recordings_is_refused(table):
    with pytest.raises(ConfigError, match="x/a101l and y/a101l"):
        select(found("x/a101l", "y/a101l"), read_selection(table))


def test_choosing_nothing_is_refused(table):
    with pytest.raises(ConfigError, match="nothing selected"):
        select(found("a101l"), read_selection(table, where="fold == 9"))


@pytest.mark.parametrize("settings", [{"away_from": "fold == 4", "within": -1}, {"within": 3}])
def test_a_distance_that_means_nothing_is_refused(table, settings):
    with pytest.raises(ConfigError, match="within"):
        read_selection(table, **settings)


def test_a_distance_needs_names_with_one_number(tmp_path):
    (tmp_path / "t.csv").write_text("record,fold\na1_2,4\n")
    with pytest.raises(ConfigError, match="a1_2"):
        read_selection(tmp_path / "t.csv", away_from="fold == 4", within=1)
