"""What CEL means, where its libraries are known to differ, and that both runtimes keep to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.cel.celtypes import BOOL, DOUBLE, INT, STRING, list_of
from engine.cel.checker import CelCheckError
from engine.cel.values import CelError, Value
from tests.conftest import examples
from tests.support.cel import evaluate, outcome, same
from tests.support.runtimes import RUNTIMES

ERROR = CelError


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 % -2", 1),
        ("7 / 0", ERROR),
        ("7 % 0", ERROR),
        ("1.0 / 0.0", math.inf),
        ("9223372036854775807 + 1", ERROR),
        ("-9223372036854775808 - 1", ERROR),
        ("9223372036854775807 * 2", ERROR),
        ("-9223372036854775808 / -1", ERROR),
        ("-(-9223372036854775808)", ERROR),
        ("0u - 1u", ERROR),
        ("18446744073709551615u + 1u", ERROR),
        ("5.0 / 2.0", 2.5),
        ("1.0 + 2.0", 3.0),
        ("0.1 + 0.2", 0.30000000000000004),
        ("[0.1, 0.2, 0.3].sum()", 0.6000000000000001),
        ("[1e308, 1e308].sum()", math.inf),
        ("[][0]", ERROR),
        ("[1, 2][-1]", ERROR),
        ("[1, 2][2]", ERROR),
        ("dyn([1, 2])[-1] == 2", ERROR),
        ("{'a': 1}['b']", ERROR),
        ("{'a': 1}.b", ERROR),
        ("{'a': 1, 'a': 2}", ERROR),
        ("true || 1 / 0 > 0", True),
        ("1 / 0 > 0 || true", True),
        ("false && 1 / 0 > 0", False),
        ("1 / 0 > 0 && false", False),
        ("1 / 0 > 0 || false", ERROR),
        ("1 / 0 > 0 && true", ERROR),
        ("true ? 1 : 1 / 0", 1),
        ("false ? 1 / 0 : 1", 1),
        ("[1, 0].exists(x, 1 / x > 0)", True),
        ("[0, 1].exists(x, 1 / x > 0)", True),
        ("[0, 0].exists(x, 1 / x > 0)", ERROR),
        ("[1, 0].all(x, 1 / x > 5)", False),
        ("[1, 0].all(x, 1 / x > 0)", ERROR),
        ("[1, 0].exists_one(x, 1 / x > 0)", ERROR),
        ("[1, 2, 3].map(x, x > 1, x * 10)", [20, 30]),
        ("[[1, 2], [3]].map(l, l.map(x, x * 2))", [[2, 4], [6]]),
        ("dyn(1) == dyn(1.0)", True),
        ("dyn(1) == dyn('1')", False),
        ("dyn(true) == dyn(1)", False),
        ("dyn([1]) == dyn([1.0])", True),
        ("dyn(1) + dyn(1.0)", ERROR),
        ("dyn(1) < dyn(1.5)", True),
        ("dyn('a') < dyn(1)", ERROR),
        ("double('NaN') == double('NaN')", False),
        ("string(1.0)", "1"),
        ("string(1.5)", "1.5"),
        ("string(true)", "true"),
        ("int(1.9)", 1),
        ("int(-1.9)", -1),
        ("int(9.3e18)", ERROR),
        ("int('x')", ERROR),
        ("double('x')", ERROR),
        ("int('9223372036854775808')", ERROR),
        ("size('añ😀')", 3),
        ("'a' + 'b' == 'ab'", True),
        ("'abc'.matches('^a.c$')", True),
        ("'abc'.matches('(')", ERROR),
        ("[3, 1, 2].sort()", [1, 2, 3]),
        ("[[2, 'a'], [1, 'b'], [1, 'a']].sortBy(x, x[0])", [[1, "b"], [1, "a"], [2, "a"]]),
        ("[].max()", ERROR),
        ("[].min()", ERROR),
        ("[1.5, 0.5].min()", 0.5),
        ("lists.range(3)", [0, 1, 2]),
        ("lists.range(0)", []),
        ("math.greatest(1, 2.5)", 2.5),
        ("math.least([3, 1, 2])", 1),
        ("math.ceil(1.2)", 2.0),
        ("cel.bind(x, 2, x * x)", 4),
        ("'%d of %s at %.2f'.format([1, 'two', 3.14159])", "1 of two at 3.14"),
        ("'%d'.format(['x'])", ERROR),
        ("timestamp('2020-01-01T00:00:00Z') + duration('1h') == timestamp('2020-01-01T01:00:00Z')", True),
        ("timestamp('12'.replace('', '12', 1))", ERROR),
    ],
)
def test_meaning(text: str, expected: Value, runtime: str) -> None:
    found = outcome(text, runtime)
    assert found is expected if expected is ERROR else same(found, expected)


# --- drawn expressions: both runtimes give the same value, or both an error ---------------------------------

_INTS = st.sampled_from([0, 1, -1, 2, 3, 7, 10, 2**31, 2**62, 2**63 - 1, -(2**63)]).map(
    lambda n: f"({n})" if n < 0 else str(n)
)
_DOUBLES = st.sampled_from(["0.0", "1.0", "(-1.5)", "2.5", "1e10", "1e308", "0.1"])
_STRINGS = st.sampled_from(["''", "'a'", "'ab'", "'B'", "'é'"])
_NAMES = {"int": ["i", "j"], "double": ["d"], "string": ["s"], "bool": ["b"]}


def _infix(operators: list[str], operand: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda left, op, right: f"({left} {op} {right})", operand, st.sampled_from(operators), operand
    )


def _grown(name: str, leaves: st.SearchStrategy[str], *more: Callable[[], st.SearchStrategy[str]]) -> Any:
    return st.one_of(leaves, st.sampled_from(_NAMES[name]), *(st.deferred(make) for make in more))


ints: Any = _grown(
    "int",
    _INTS,
    lambda: _infix(["+", "-", "*", "/", "%"], ints),
    lambda: st.builds("size({})".format, lists),
    lambda: st.builds("{}[{}]".format, lists, ints),
    lambda: st.builds("({} ? {} : {})".format, bools, ints, ints),
    lambda: st.builds("{}.sum()".format, lists),
    lambda: st.builds("{}.max()".format, lists),
    lambda: st.builds("math.greatest({}, {})".format, ints, ints),
    lambda: st.builds("int({})".format, doubles),
    lambda: st.builds("cel.bind(i, {}, {})".format, ints, ints),
)
doubles: Any = _grown(
    "double",
    _DOUBLES,
    lambda: _infix(["+", "-", "*", "/"], doubles),
    lambda: st.builds("double({})".format, ints),
    lambda: st.builds("math.least({}, {})".format, doubles, doubles),
    lambda: st.builds("math.floor({})".format, doubles),
)
strings: Any = _grown(
    "string",
    _STRINGS,
    lambda: _infix(["+"], strings),
    lambda: st.builds("string({})".format, ints),
    lambda: st.builds("'%d/%s'.format([{}, {}])".format, ints, strings),
)
bools: Any = _grown(
    "bool",
    st.sampled_from(["true", "false"]),
    lambda: _infix(["&&", "||", "=="], bools),
    lambda: _infix(["<", "<=", ">", ">=", "==", "!="], ints),
    lambda: _infix(["<", "<=", ">", ">=", "==", "!="], doubles),
    lambda: _infix(["<", ">=", "==", "!="], strings),
    lambda: st.builds("!{}".format, bools),
    lambda: st.builds("{}.exists(j, {})".format, lists, bools),
    lambda: st.builds("{}.all(j, {})".format, lists, bools),
    lambda: st.builds("({} in {})".format, ints, lists),
    lambda: st.builds("{}.contains({})".format, strings, strings),
)
lists: Any = st.one_of(
    st.sampled_from(["[1]", "[1, 2, 3]", "[0, -1]", "xs"]),
    st.deferred(lambda: st.lists(ints, min_size=1, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")),
    st.deferred(lambda: st.builds("{}.filter(j, {})".format, lists, bools)),
    st.deferred(lambda: st.builds("{}.map(j, {})".format, lists, ints)),
    st.deferred(lambda: st.builds("({} + {})".format, lists, lists)),
    st.deferred(lambda: st.builds("{}.sortBy(j, {})".format, lists, ints)),
    st.deferred(lambda: st.builds("lists.range(size({}))".format, lists)),
)
VALUES = {"i": 5, "j": -3, "d": 2.25, "s": "ab", "b": True, "xs": [4, 0, 9]}


DEEPEST_FOR_CPP = 10
"""C++ CEL refuses what it parses more than 32 levels deep, and a call in a list takes two of them, a sortBy
one more."""


def nesting(text: str) -> int:
    text = text.replace("sortBy(", "sortBy((")
    return max(accumulate({"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0) for character in text))


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(st.one_of(ints, doubles, strings, bools, lists))
def test_runtimes_agree(text: str) -> None:
    assume(nesting(text) < DEEPEST_FOR_CPP)
    types = {"i": INT, "j": INT, "d": DOUBLE, "s": STRING, "b": BOOL, "xs": list_of(INT)}
    first, *others = (outcome(text, name, values=VALUES, types=types) for name in RUNTIMES)
    for other in others:
        if CelError in (first, other):
            assert first is other
        else:
            assert same(first, other)


# --- what would be costly or crash --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        "-" * 5000 + "1",
        "!" * 5001 + "true",
        "1" + "+1" * 20000,
        "true" + " ? true : false" * 2000,
        "x." * 20000 + "x",
        "[1].map(a, " * 200 + "1" + ")" * 200,
        "'" + "a" * 100_000 + "'",
        "9" * 5000,
        "1e99999",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_expressions_are_refused(text: str) -> None:
    with pytest.raises(CelCheckError) as caught:
        evaluate(text, RUNTIMES[0])
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_parentheses_cost_nothing(runtime: str) -> None:
    assert evaluate("(" * 5000 + "1" + ")" * 5000, runtime) == 1
