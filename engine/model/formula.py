"""Formulas of catalogs: integer arithmetic over the fields of a configuration.

`2 * kv_heads * head_dim` counts; `bias and 3 * hidden or 0` has a condition. A formula is parsed with
Python's own parser and
accepts numbers, names, `+ - * // %`, comparisons, `and or not`, `a if b else c`, and `min`, `max`, `ceil(a,
b)`
(division rounded up) only.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

_ALLOWED = (
    *(
        ast.Expression,
        ast.BinOp,
        ast.UnaryOp,
        ast.Compare,
        ast.BoolOp,
        ast.IfExp,
        ast.Call,
        ast.Name,
        ast.Constant,
    ),
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.USub, ast.Not, ast.And, ast.Or, ast.Load),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
_LONGEST = 2_000
"""Characters of a formula."""


class FormulaError(ValueError):
    """A formula that is no arithmetic."""


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


_FUNCTIONS: Mapping[str, Callable[..., int]] = {"min": min, "max": max, "ceil": _ceil}


class _Names(dict[str, Any]):
    """Names of a formula, looked up when it reads them."""

    def __init__(self, find: Callable[[str], int]) -> None:
        super().__init__(_FUNCTIONS)
        self.find = find

    def __missing__(self, name: str) -> int:
        return self.find(name)


def evaluate(text: str, find: Callable[[str], int]) -> int:
    """Return the value of a formula.

    Args:
        text: the formula.
        find: returns the value of a name.

    Raises:
        FormulaError: it is no formula, or divides by zero.
    """
    try:
        return int(eval(_compiled(text), {"__builtins__": {}}, _Names(find)))
    except ZeroDivisionError:
        raise FormulaError(f"division by zero in '{text}'") from None


@cache
def _compiled(text: str) -> Any:
    try:
        if len(text) > _LONGEST:
            raise FormulaError(f"a formula has at most {_LONGEST} characters")
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            call = isinstance(node, ast.Call)
            if not isinstance(node, _ALLOWED) or (call and not _is_function(cast("ast.Call", node))):
                raise FormulaError(f"'{text}' is not a formula: unexpected {type(node).__name__}")
            if isinstance(node, ast.Constant) and not isinstance(node.value, int):
                raise FormulaError(f"'{text}' is not a formula: unexpected {node.value!r}")
    except (SyntaxError, RecursionError, MemoryError):
        raise FormulaError(f"'{text}' is not a formula") from None
    return compile(tree, "<formula>", "eval")


def _is_function(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
