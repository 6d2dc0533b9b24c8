"""Optionals and macros with two variables, beyond the conformance suite."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cel.celtypes import DYN, INT, Field, ObjectType, list_of, map_of, object_type, parse_type
from engine.cel.checker import CelCheckError, Environment, check
from engine.cel.runtimes.registry import RUNTIMES
from engine.cel.values import CelError, to_json
from tests.support.cel import evaluate


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optional.of(1).orValue(1 / 0)", 1),
        ("optional.of(1).or(optional.of(1 / 0)).value()", 1),
        ("[1, 2].map(x, x / (x - 1))[?0].orValue(3)", CelError),
        ("optional.none().value()", CelError),
        ("dyn(optional.of({'a': 1})).a.value()", 1),
        ("dyn([{'a': 1}])[0].?a.orValue(0) + dyn([{'b': 1}])[0].?a.orValue(0)", 1),
        ("has(dyn({'a': 1}).?a.b)", CelError),
        ("dyn(1).?a", CelError),
        ("[?dyn(1)]", CelError),
        ("{?'a': dyn(1)}", CelError),
        ("dyn(1).orValue(2)", CelError),
        ("dyn(optional.none()).or(dyn(1))", CelError),
        ("[1, 2, 3].map(x, [?(x > 1 ? optional.of(x) : optional.none())])", [[], [2], [3]]),
        ("optional.of(1).optMap(x, optional.of(2).optMap(y, x + y)).value().value()", 3),
        ("optional.of(3).optFlatMap(x, x > 5 ? optional.of(x) : optional.none()).hasValue()", False),
        ("[[1, 2], [3]].transformList(i, v, v.transformList(j, w, i * 10 + j))", [[0, 1], [10]]),
        ("[1, 2].transformMap(i, v, v * 2)", {0: 2, 1: 4}),
        ("{'a': 1, 'b': 1}.transformMapEntry(k, v, {v: k})", CelError),
        ("[1].transformMapEntry(i, v, dyn(1))", CelError),
        ("dyn(5).all(i, v, true)", CelError),
        ("dyn({'a': 1}).exists(k, v, k == 'a' && v == 1)", True),
        ("[3, 0].transformList(i, v, v != 0, 6 / v)", [2]),
        ("[1, 2].all(i, v, cel.bind(w, v - i, w == 1))", True),
        ("{'x-y': {'z': 1}}.`x-y`.?z.value()", 1),
    ],
)
def test_values(text: str, value: Any, runtime: str) -> None:
    if value is CelError:
        with pytest.raises(CelError):
            evaluate(text, runtime)
    else:
        assert evaluate(text, runtime) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[?1]", "an optional element must be an optional, found 'int'"),
        ("optional.of(1).orValue('a')", "found no matching overload for 'orValue'"),
        ("n.?a", "a value of type 'int' has no fields"),
        ("o.?typo", "undefined field 'typo' of O"),
        ("[1].transformMapEntry(i, v, v)", "the entry of transformMapEntry() must be a map, found 'int'"),
        ("[1].all(i, i, true)", "the two variables of all() need two names"),
        ("[1].all(i, 1, true)", "the first argument of all() must be a simple name"),
        ("n.all(i, v, true)", "all() needs a list or a map, found 'int'"),
        ("[1].exists(i, v, i + v)", "the condition of exists() must be a bool, found 'int'"),
    ],
)
def test_faults(text: str, message: str) -> None:
    objects = {"O": ObjectType("O", {"f": Field(INT)})}
    with pytest.raises(CelCheckError) as caught:
        check(text, Environment({"n": INT, "o": object_type("O")}, objects))
    assert caught.value.faults[0].message.startswith(message)


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("l.?a", "optional_type(int)"),
        ("optional.of(l).a.?b", ""),
        ("l[?'a'].optMap(x, string(x))", "optional_type(string)"),
        ("[?l.?a]", "list(int)"),
        ("{?'a': l.?a}", "map(string, int)"),
        ("l.transformMap(k, v, string(v))", "map(string, string)"),
        ("[7].transformMapEntry(i, v, {v: 'a'})", "map(int, string)"),
        ("[7].transformList(i, v, i)", "list(int)"),
        ("d.?a.b", "optional_type(dyn)"),
    ],
)
def test_types(text: str, type_: str) -> None:
    environment = Environment({"l": map_of(parse_type("string"), INT), "d": DYN, "n": list_of(INT)})
    if not type_:
        with pytest.raises(CelCheckError):
            check(text, environment)
    else:
        assert check(text, environment).type == parse_type(type_)


def test_an_optional_as_json() -> None:
    assert to_json(evaluate("[optional.of(b'a'), optional.none()]", "compiled")) == ["YQ==", None]
