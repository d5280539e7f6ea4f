"""verify, split, export and import on the command line."""

import json

import pytest

from qualityfm.cli import export, import_, split, verify
from qualityfm.errors import ConfigError
from qualityfm.shards import ShardReader
from qualityfm.shards.split_file import read_split

MANY = [[(f"r{n}", f"s{n}", 2) for n in range(30)], [("u0", None, 3)]]


def test_verify_says_that_all_is_well_and_how_fast(make_dataset, capsys):
    folder, _ = make_dataset(MANY)
    assert verify.run(verify.Options(dataset=str(folder))) == 0
    out = capsys.readouterr().out
    assert "every byte is as it was written" in out
    assert "MB/s" in out


def test_verify_lists_what_is_wrong_and_ends_with_1(make_dataset, capsys):
    folder, _ = make_dataset(MANY)
    (folder / "shard-00001" / "step.npy").unlink()
    (folder / "notes.txt").write_text("x")
    assert verify.run(verify.Options(dataset=str(folder), json=True)) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["is_whole"]
    assert ["step.npy" in line or "notes.txt" in line for line in found["problems"]] == [True, True]
    assert verify.run(verify.Options(dataset=str(folder))) == 1
    assert "missing file" in capsys.readouterr().out


def test_verify_of_what_is_no_data_set_says_so(tmp_path, capsys):
    assert verify.run(verify.Options(dataset=str(tmp_path))) == 1
    assert "no data set here" in capsys.readouterr().out


def test_split_writes_a_file_and_counts_the_rows_without_a_patient(make_dataset, tmp_path, capsys):
    folder, _ = make_dataset(MANY)
    out = tmp_path / "splits.json"
    assert split.run(split.Options(dataset=str(folder), out=out, ignore_overlaps=True, json=True)) == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(side["rows"] for side in said["sides"].values()) == 63
    assert said["num_rows_without_subject"] == said["num_rows_without_subject_for_training"] == 3
    assert said["num_overlaps"] is None
    assert {name: len(rows) for name, rows in read_split(ShardReader(folder), out).items()} == {
        name: side["rows"] for name, side in said["sides"].items()
    }


def test_split_keeps_the_pairs_of_a_table_together_and_says_so(make_dataset, tmp_path, capsys):
    folder, _ = make_dataset(MANY)
    (tmp_path / "pairs.csv").write_text("first,second,shared_s\nr1,r2,30\nr2,r3,30\n")
    options = split.Options(dataset=str(folder), out=tmp_path / "splits.json", pairs=tmp_path / "pairs.csv")
    assert split.run(options) == 0
    said = capsys.readouterr()
    assert "2 pairs of overlapping recordings are kept together" in said.err
    assert "3 rows have no known patient" in said.err
    assert "train" in said.out


@pytest.mark.parametrize("words", [("train",), ("train=x",), ("train=.5", "train=.6"), ("=1",)])
def test_split_refuses_shares_it_cannot_read(make_dataset, tmp_path, words):
    folder, _ = make_dataset(MANY)
    with pytest.raises(ConfigError, match="--fractions"):
        split.run(split.Options(dataset=str(folder), out=tmp_path / "s.json", fractions=words, ignore_overlaps=True))


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "\xff\xfe", None])
def test_split_refuses_a_table_of_pairs_it_cannot_read(make_dataset, tmp_path, text):
    folder, _ = make_dataset(MANY)
    table = tmp_path / "pairs.csv"
    if text is not None:
        table.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"pairs\.csv"):
        split.run(split.Options(dataset=str(folder), out=tmp_path / "s.json", pairs=table))


def test_export_and_import_say_what_they_made(make_dataset, tmp_path, capsys):
    folder, _ = make_dataset(MANY)
    tables, again = tmp_path / "set.parquet", tmp_path / "again"
    assert export.run(export.Options(dataset=str(folder), out=tables)) == 0
    assert "63 rows as 2 tables" in capsys.readouterr().out
    assert import_.run(import_.Options(folder=tables, out=str(again), json=True)) == 0
    assert json.loads(capsys.readouterr().out)["content_hash"] == ShardReader(folder).index.content_hash
