"""A table decides which recordings are prepared."""

from dataclasses import replace
from pathlib import Path

import pytest

from qualityfm.errors import ConfigError, SourceError
from qualityfm.prepare import prepare
from qualityfm.prepare.selection import read_selection, select, selection_from_layout
from qualityfm.segments import SegmentConfig
from qualityfm.sources import Found, Layout, read_layout
from qualityfm.sources.layout import TableRule
from qualityfm.sources.wfdb_write import write_wfdb

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


def test_a_missing_table_says_so_once(tmp_path):
    with pytest.raises(SourceError) as error:
        read_selection(tmp_path / "nope.csv")
    message = f"cannot read table: {tmp_path / 'nope.csv'}: file: found 'nothing', expected a CSV file"
    assert str(error.value) == message


def test_nothing_selected_counts_recordings_and_not_what_lies_aside(table):
    listed = [*found("a101l"), replace(found("layout")[0], aside="layout header")]
    with pytest.raises(ConfigError, match="1 recordings were found"):
        select(listed, read_selection(table, where="fold == 9"))


EVENTS = ("003c13/003c13_0115", "003c13/003c13_0117", "44a2ba/44a2ba_0002")


@pytest.fixture
def vtac(tmp_path):
    """The tables of VTaC, one in another order than the other."""
    labels = ["003c13,003c13_0115,True", "003c13,003c13_0117,False", "44a2ba,44a2ba_0002,False"]
    splits = ["test,44a2ba,44a2ba_0002", "train,003c13,003c13_0117", "train,003c13,003c13_0115"]
    (tmp_path / "event_labels.csv").write_text("\n".join(["record,event,decision", *labels, ""]))
    (tmp_path / "benchmark_data_split.csv").write_text("\n".join(["split,record,event", *splits, ""]))
    return tmp_path


def chosen(archive, layout="vtac", listed=EVENTS, **question):
    selection = selection_from_layout(archive, read_layout(layout), found=found(*listed), **question)
    return {one.recording_id: one.subject_id for one in select(found(*listed), selection).found}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("split == 'train'", EVENTS[:2]),
        ("is_true_alarm", EVENTS[:1]),
        ("not is_true_alarm and split == 'train'", EVENTS[1:2]),
        ("is_true_alarm == 0", EVENTS[1:]),
        ("subject == '44a2ba'", EVENTS[2:]),
        ("record == '003c13_0115'", EVENTS[:1]),
    ],
)
def test_the_tables_of_a_layout_are_joined_on_the_recordings(vtac, where, expected):
    assert chosen(vtac, where=where) == {name: name.split("/")[0] for name in expected}


def test_the_question_names_every_table_and_changes_with_each(vtac):
    question = selection_from_layout(vtac, read_layout("vtac"), where="split == 'train'").question
    assert question["table"] == "event_labels.csv + benchmark_data_split.csv"
    path = vtac / "benchmark_data_split.csv"
    path.write_text(path.read_text() + "\n")
    other = selection_from_layout(vtac, read_layout("vtac"), where="split == 'train'").question
    assert other["table_sha256"] != question["table_sha256"]


def test_without_a_question_a_layout_names_patients_and_leaves_nothing_out(vtac):
    assert chosen(vtac, listed=(*EVENTS, "new/9")) == {
        "003c13/003c13_0115": "003c13",
        "003c13/003c13_0117": "003c13",
        "44a2ba/44a2ba_0002": "44a2ba",
        "new/9": None,
    }


def test_without_a_question_and_tables_there_is_nothing_to_choose_by(tmp_path):
    assert selection_from_layout(tmp_path, read_layout("vtac")) is None
    assert selection_from_layout(tmp_path, read_layout("bidmc-csv")) is None


def test_a_table_of_the_users_is_joined_to_those_of_the_layout(vtac):
    own = vtac / "mine.csv"
    own.write_text("record,age\n003c13/003c13_0117,70\n44a2ba_0002,50\nelsewhere,60\n")
    assert list(chosen(vtac, table_path=own)) == list(EVENTS[1:])
    assert list(chosen(vtac, table_path=own, where="age > 60 and split == 'train'")) == [EVENTS[1]]


def test_labels_in_paths_choose_as_those_of_a_table(tmp_path):
    listed = ("x/mimic_perform_af_001_data", "x/mimic_perform_non_af_001_data")
    assert list(chosen(tmp_path, "mimic-perform-af", listed, where="is_af")) == [listed[0]]
    assert list(chosen(tmp_path, "mimic-perform-af", listed, where="not is_af")) == [listed[1]]
    question = selection_from_layout(tmp_path, read_layout("mimic-perform-af"), where="is_af", found=found(*listed))
    assert question.question["table"] == "paths"


def test_a_record_in_one_table_alone_has_nothing_in_the_columns_of_the_other(vtac):
    path = vtac / "event_labels.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert list(chosen(vtac, where="split == 'test'")) == [EVENTS[2]]
    assert list(chosen(vtac, where="is_true_alarm == 0")) == [EVENTS[1]]


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (
            "benchmark_data_split.csv",
            "split,record,event\ntest,OTHER,44a2ba_0002\n",
            "subject: found '44a2ba_0002 has two'",
        ),
        ("event_labels.csv", "record,event\n003c13,003c13_0115\n", "event_labels.csv: columns: .* one called decision"),
        ("event_labels.csv", "record,event,decision\na,x,1\nb,x,0\n", "event_labels.csv: event: found 'x'"),
        ("event_labels.csv", "record,event,decision,subject\na,x,1,z\n", "columns: found 'subject'"),
    ],
)
def test_tables_that_contradict_themselves_are_refused_by_name(vtac, file, text, says):
    (vtac / file).write_text(text)
    with pytest.raises(ConfigError, match=says):
        selection_from_layout(vtac, read_layout("vtac"), where="split == 'train'")


def test_a_layout_whose_table_is_missing_is_refused_when_it_is_asked(vtac):
    (vtac / "event_labels.csv").unlink()
    with pytest.raises(SourceError, match=r"cannot read table: .*event_labels\.csv"):
        selection_from_layout(vtac, read_layout("vtac"), where="split == 'train'")


@pytest.mark.parametrize("file", ["../t.csv", "/t.csv"])
def test_a_table_outside_of_the_archive_is_not_read(tmp_path, file):
    layout = Layout(name="l", title="", source="csv", tables=(TableRule(file=file, record="record"),))
    with pytest.raises(ConfigError, match="layout l: file: found"):
        selection_from_layout(tmp_path, layout, where="fold == 1")


def test_a_question_to_a_layout_without_tables_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="layout bidmc-csv: tables: found 0"):
        selection_from_layout(tmp_path, read_layout("bidmc-csv"), where="fold == 1")


def test_the_chosen_part_of_an_archive_is_prepared_and_no_label_enters_its_shards(vtac, make_recording):
    for event in EVENTS:
        write_wfdb(make_recording(event.split("/")[1], 12.0), vtac / "waveforms" / event.split("/")[0])
    selection = selection_from_layout(vtac, read_layout("vtac"), where="split == 'train'")
    out = vtac.with_name("dataset")
    report = prepare(vtac, out, config=SegmentConfig(segment_s=4.0, step_s=4.0), selection=selection)
    assert (report.num_recordings, report.num_segments) == (2, 6)
    content = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"003c13_0115" in content
    assert b"44a2ba" not in content
    assert not any(label in content for label in (b"decision", b"is_true_alarm"))


@pytest.mark.real
def test_the_real_challenge_has_its_published_split(real_data):
    archive, layout = real_data / "challenge2015", read_layout("challenge2015")
    train = selection_from_layout(archive, layout, where="split == 'train'")
    test = selection_from_layout(archive, layout, where="split == 'test' and is_true_alarm == 1")
    assert (len(train.records), len(train.chosen)) == (588, 494)
    assert test.chosen < train.records - train.chosen
    away = selection_from_layout(
        archive, layout, where="split == 'train' and fold != 4", away_from="fold == 4", within=6
    )
    assert away.chosen < train.chosen


def test_a_condition_may_ask_for_the_number_in_a_records_name(table):
    assert read_selection(table, where="record_number >= 107 and split == 'train'").chosen == {"b107l", "b111l"}


def test_a_table_with_a_name_without_a_number_has_no_record_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("record\na1\nb\n")
    with pytest.raises(ConfigError, match="unknown column"):
        read_selection(tmp_path / "t.csv", where="record_number > 0")
