"""The standard library where types are left open: the same on every runtime, value or error."""

from __future__ import annotations

import itertools

import pytest

from engine.cel.functions import dates
from engine.cel.values import CelError, Value
from tests.support.cel import outcome, same
from tests.support.runtimes import RUNTIMES

VALUES = {
    "null": "null", "bool": "true", "int": "-7", "uint": "3u", "double": "2.5", "whole": "4.0",
    "string": "'ab'", "number": "'12'", "bytes": "b'ab'", "list": "[1, 2]", "map": "{'a': 1}",
    "timestamp": "timestamp('2024-02-29T12:30:45.5Z')", "duration": "duration('90.25s')", "type": "int",
}  # fmt: skip
BINARY = ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in"]
CONVERSIONS = ["int", "uint", "double", "string", "bool", "bytes", "timestamp", "duration", "size", "type"]
METHODS = [name for name in dates.LIBRARY.functions if name.startswith("get")]


CPP_ALONE = {"int(dyn(true))", *(f"string(dyn({VALUES[each]}))" for each in ("timestamp", "duration"))}
"""C++ CEL makes a number of a bool, and writes three digits of a second's fraction."""


def agree(text: str) -> None:
    runtimes = ("compiled", "cel-python") if text in CPP_ALONE else RUNTIMES
    found: list[Value] = [outcome(text, runtime) for runtime in runtimes]
    for other in found[1:]:
        if CelError in (found[0], other):
            assert found[0] is other, text
        else:
            assert same(found[0], other), text


@pytest.mark.slow
@pytest.mark.parametrize("operator", BINARY)
def test_operators(operator: str) -> None:
    for left, right in itertools.product(VALUES.values(), repeat=2):
        agree(f"dyn({left}) {operator} dyn({right})")


@pytest.mark.parametrize("function", CONVERSIONS)
def test_conversions(function: str) -> None:
    for value in VALUES.values():
        agree(f"{function}(dyn({value}))")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_parts_of_times(method: str) -> None:
    for value in VALUES.values():
        agree(f"dyn({value}).{method}()")
        for zone in ("UTC", "+05:30", "-08:00", "America/New_York"):
            agree(f"dyn({value}).{method}('{zone}')")


def test_the_rest() -> None:
    for value in VALUES.values():
        for text in ("!dyn({})", "-dyn({})", "dyn({})[0]", "dyn({}).a", "has(dyn({}).a)", "dyn({}) ? 1 : 2"):
            agree(text.format(value))
        for text in ("dyn({}) && true", "dyn({}) || false", "dyn({}).exists(x, true)", "dyn({}).map(x, 1)"):
            agree(text.format(value))
