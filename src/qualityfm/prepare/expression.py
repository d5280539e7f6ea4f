"""Conditions over the columns of a table, such as "split == 'train' and fold != 4"; nothing else is evaluated."""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from qualityfm.errors import ConfigError, problem

if TYPE_CHECKING:
    import pandas

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
GRAMMAR = "comparisons of columns with numbers and quoted text, joined by and, or, not, in"
MAX_LENGTH = 10_000


def rows_where(expression: str, frame: pandas.DataFrame, *, where: object) -> Bool[np.ndarray, " row"]:
    """Return which rows of a table satisfy a condition.

    An empty cell is an empty text in a text column and no number in a numeric one: it is unequal to every number and
    neither smaller nor larger, so `fold != 4` holds for a row without a fold.

    Args:
        expression: Python's comparisons, `and`, `or`, `not` and `in` over column names, numbers and quoted text.
        frame: The table.
        where: File named in errors.

    Raises:
        ConfigError: The expression is no such condition, names an unknown column, or compares text with a number.

    Example:
        >>> import pandas as pd
        >>> rows_where("fold in (1, 2) and split == 'train'",
        ...            pd.DataFrame({"fold": [1, 3], "split": ["train", "train"]}), where="example").tolist()
        [True, False]
    """
    try:
        if len(expression) > MAX_LENGTH:
            raise ValueError(f"longer than {MAX_LENGTH} characters")
        tree = ast.parse(expression.strip(), mode="eval")
        return _Condition(expression, frame, where).truth(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refusal(where, expression, f"{GRAMMAR} ({error})", _advice(expression)) from error


class _Condition:
    """One expression being evaluated over one table."""

    def __init__(self, expression: str, frame: pandas.DataFrame, where: object) -> None:
        self.expression, self.frame, self.where = expression, frame, where

    def truth(self, node: ast.expr) -> Bool[np.ndarray, " row"]:
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return np.asarray(join.reduce([self.truth(value) for value in node.values]))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            steps = zip(operands, node.ops, operands[1:], strict=False)
            return np.asarray(np.logical_and.reduce([self.compare(*step) for step in steps]))
        if isinstance(node, ast.Name):
            return self.truth_of_column(node.id)
        raise _refusal(self.where, ast.unparse(node), GRAMMAR)

    def truth_of_column(self, name: str) -> Bool[np.ndarray, " row"]:
        """Return a column of truths; tables write them as true and false or as 1 and 0, an empty cell is no truth."""
        column = self.column(name)
        if column.dtype == object or not np.isin(column[np.isfinite(column)], (0, 1)).all():
            expected = f"a column of 0 and 1 or of true and false; compare others, as in {name} == ..."
            raise _refusal(self.where, name, expected)
        return np.asarray(column == 1)

    def compare(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Bool[np.ndarray, " row"]:
        if isinstance(sign, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                raise _refusal(self.where, ast.unparse(right), "a list such as (1, 2)")
            equal = [self.compare(left, ast.Eq(), choice) for choice in right.elts]
            is_in = np.logical_or.reduce(equal) if equal else np.zeros(len(self.frame), bool)
            return np.asarray(is_in if isinstance(sign, ast.In) else ~is_in)
        if type(sign) not in COMPARISONS:
            raise _refusal(self.where, self.expression, GRAMMAR)
        first, second = self.value(left), self.value(right)
        if _is_text(first) != _is_text(second):
            asked = f"{ast.unparse(left)} and {ast.unparse(right)}"
            raise _refusal(self.where, asked, "two texts or two numbers; text needs quotes, numbers must have none")
        return np.broadcast_to(np.asarray(COMPARISONS[type(sign)](first, second), bool), (len(self.frame),))

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self.column(node.id)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self.value(node.operand)
            if not _is_text(inner):
                return -inner
        raise _refusal(self.where, ast.unparse(node), GRAMMAR)

    def column(self, name: str) -> np.ndarray:
        if name not in self.frame.columns:
            known = [str(column) for column in self.frame.columns]
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            advice = f"did you mean {nearest[0]!r}?" if nearest else ""
            raise ConfigError(
                problem(
                    "unknown column",
                    where=self.where,
                    field="where",
                    found=name,
                    expected=f"one of {', '.join(known)}",
                    advice=advice,
                )
            )
        column = self.frame[name]
        if column.dtype.kind in "iufb":
            return column.to_numpy()
        return column.fillna("").astype(str).to_numpy(dtype=object)


def _is_text(value: Any) -> bool:
    return value.dtype == object if isinstance(value, np.ndarray) else isinstance(value, str)


def _advice(expression: str) -> str:
    without_text = re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)
    return "did you mean '=='?" if re.search(r"(?<![=!<>:])=(?!=)", without_text) else ""


def _refusal(where: object, found: str, expected: str, advice: str = "") -> ConfigError:
    return ConfigError(
        problem("wrong condition", where=where, field="where", found=found, expected=expected, advice=advice)
    )
