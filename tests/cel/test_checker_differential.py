"""The engine's checker against C++ CEL's: they accept and refuse the same expressions."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

from engine.cel import celtypes as t
from engine.cel.celtypes import Field, ObjectType, list_of, map_of, object_type, wrapper_of
from engine.cel.checker import CelCheckError, Environment, check
from tests.support.cel import DATA, conformance, declared_types, oracle_lacks
from tests.support.cel_cpp import CelCppRuntime

DEVICE = ObjectType(
    "Device",
    {
        "kind": Field(t.STRING),
        "family": Field(t.STRING),
        "rank": Field(t.INT),
        "memory_bytes": Field(t.INT),
        "available": Field(t.BOOL),
        "numa_node": Field(wrapper_of(t.INT)),
        "tags": Field(list_of(t.STRING)),
        "labels": Field(map_of(t.STRING, t.STRING)),
    },
)
OBJECTS = {
    "Device": DEVICE,
    "Inventory": ObjectType("Inventory", {"devices": Field(list_of(object_type("Device")))}),
}
NAMES = {
    "i": t.INT,
    "u": t.UINT,
    "d": t.DOUBLE,
    "s": t.STRING,
    "b": t.BOOL,
    "y": t.BYTES,
    "t": t.TIMESTAMP,
    "r": t.DURATION,
    "x": t.DYN,
    "li": list_of(t.INT),
    "ld": list_of(t.DOUBLE),
    "ls": list_of(t.STRING),
    "m": map_of(t.STRING, t.INT),
    "mi": map_of(t.INT, t.STRING),
    "device": object_type("Device"),
    "inventory": object_type("Inventory"),
    "constants.limit": t.DOUBLE,
    "constants.count": t.INT,
    "variables.pool": list_of(object_type("Device")),
}
EXPRESSIONS = yaml.safe_load((DATA / "expressions.yaml").read_text(encoding="utf-8"))
VERDICTS = [(text, True) for text in EXPRESSIONS["accepted"]] + [
    (text, False) for text in EXPRESSIONS["refused"]
]


def theirs(names: dict[str, t.Type], objects: dict[str, ObjectType]) -> Any:
    runtime = CelCppRuntime(objects)
    return cel.NewEnv(
        runtime.messages.pool,
        variables={name: runtime._type(type_) for name, type_ in names.items()},
        container="engine",
        extensions=[
            ext_math.ExtMath(),
            ext_bindings.ExtBindings(),
            ext_strings.ExtStrings(),
            ext_encoders.ExtEncoders(),
            ext_optional.ExtOptional(),
        ],
    )


def accepts(environment: Any, text: str) -> bool:
    try:
        environment.compile(text)
    except RuntimeError:
        return False
    return True


def evaluation_fails(environment: Any, text: str) -> bool:
    value = environment.compile(text).eval(data={})
    return bool(value.type() == cel.Type.ERROR)


def we_accept(text: str, environment: Environment) -> bool:
    try:
        check(text, environment)
    except CelCheckError:
        return False
    return True


def _without_spaces(text: str) -> str:
    return text.replace(" ", "")


OURS = Environment(NAMES, OBJECTS)
EARLIER = {_without_spaces(text) for text in EXPRESSIONS["refused_by_the_engine_alone"]}


@pytest.mark.parametrize(("text", "accepted"), VERDICTS)
def test_the_checker_says_so(text: str, accepted: bool) -> None:
    assert we_accept(text, OURS) is accepted


def test_their_checker_says_the_same() -> None:
    environment = theirs(NAMES, OBJECTS)
    assert [text for text, accepted in VERDICTS if accepts(environment, text) is not accepted] == []


@pytest.mark.parametrize("text", EXPRESSIONS["refused_by_the_engine_alone"])
def test_what_can_only_be_an_error_is_refused_earlier(text: str) -> None:
    assert accepts(theirs(NAMES, OBJECTS), text)
    assert evaluation_fails(theirs(NAMES, OBJECTS), text)
    assert not we_accept(text, OURS)


def test_some_hundreds_of_each() -> None:
    assert len(EXPRESSIONS["accepted"]) > 200
    assert len(EXPRESSIONS["refused"]) > 200


@pytest.mark.slow
def test_the_conformance_suites_expressions() -> None:
    """The checkers agree on what both offer."""
    differ = []
    for case in conformance():
        if oracle_lacks(case) or _without_spaces(case["expr"]) in EARLIER:
            continue
        names = declared_types(case) | {
            name: t.DYN for name in case.get("bindings") or {} if name not in (case.get("declarations") or {})
        }
        if we_accept(case["expr"], Environment(names)) is not accepts(theirs(names, {}), case["expr"]):
            differ.append(case["expr"])
    assert differ == []


@pytest.mark.parametrize("text", [text for text, accepted in VERDICTS if not accepted])
def test_faults_have_a_place_in_the_expression(text: str) -> None:
    with pytest.raises(CelCheckError) as caught:
        check(text, OURS)
    assert all(0 <= fault.offset <= len(text) for fault in caught.value.faults)
