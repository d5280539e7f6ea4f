"""Conditions over a table."""

import pandas as pd
import pytest

from qualityfm.errors import ConfigError
from qualityfm.prepare.expression import rows_where

TABLE = pd.DataFrame(
    {
        "record": ["a", "b", "c", "d"],
        "split": ["train", "train", "test", None],
        "fold": [1, 4, None, 2],
        "is_paced": [True, False, False, True],
        "is_dead": [1, 0, None, 1],
    }
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("split == 'train'", "ab"),
        ("split == 'train' and fold != 4", "a"),
        ("fold in (1, 2)", "ad"),
        ("fold not in [1]", "bcd"),
        ("not fold == 4", "acd"),
        ("1 < fold <= 4 or record == 'c'", "bcd"),
        ("fold > -1", "abd"),
        ("is_paced and not split == 'train'", "d"),
        ("fold != 4", "acd"),
        ("is_dead", "ad"),
        ("not is_dead", "bc"),
        ("split == ''", "d"),
        ("4 == fold", "b"),
    ],
)
def test_a_condition_chooses_the_rows_it_says(expression, expected):
    assert "".join(TABLE["record"][rows_where(expression, TABLE, where="t.csv")]) == expected


@pytest.mark.parametrize("expression", ["fold = 1", "split == 'a=b' and fold=1"])
def test_one_equals_sign_is_refused_with_the_right_one(expression):
    with pytest.raises(ConfigError, match=r"did you mean '=='\?"):
        rows_where(expression, TABLE, where="t.csv")


@pytest.mark.parametrize("expression", ["fold == ", "split == 'a=b' or", "fold <= "])
def test_no_other_mistake_is_taken_for_it(expression):
    with pytest.raises(ConfigError) as error:
        rows_where(expression, TABLE, where="t.csv")
    assert "did you mean" not in str(error.value)


def test_an_unknown_column_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'fold'"):
        rows_where("folds == 4", TABLE, where="t.csv")


@pytest.mark.parametrize("expression", ["fold == '4'", "split != 4", "fold in (1, 'x')", "-split == 'a'"])
def test_text_is_never_compared_with_a_number(expression):
    with pytest.raises(ConfigError, match=r"t\.csv"):
        rows_where(expression, TABLE, where="t.csv")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "fold ==",
        "fold",
        "fold + 1 == 2",
        "__import__('os').system('true') == 0",
        "split.str.len() == 5",
        "fold == 4; fold == 3",
        "(lambda: fold)() == 1",
        "fold is 4",
        "fold == None",
        "f'{fold}' == '4'",
        "split in 'train'",
        "not " * 20_000 + "is_paced",
        "(" * 500 + "is_paced" + ")" * 500,
        "\x00",
    ],
)
def test_anything_but_comparisons_is_refused(expression):
    with pytest.raises(ConfigError, match=r"wrong condition: t\.csv"):
        rows_where(expression, TABLE, where="t.csv")
